"""A program in Python with tokens that renew themselves: `python3 client.py PROFILE URL`, beside `regrant agent`."""

import http.client
import os
import socket
import sys
import urllib.error
import urllib.request

AGENT = os.environ.get("REGRANT_AGENT") or os.path.join(os.environ["XDG_RUNTIME_DIR"], "regrant-agent.sock")


class Agent(http.client.HTTPConnection):
    """HTTP over the agent's Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(AGENT)


def token(profile, refused=None):
    """A fresh access token; another one than `refused`, which an API did not take."""
    agent = Agent("agent")
    agent.request("POST" if refused else "GET", f"/v1/token/{profile}", body=refused)
    answer = agent.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text}")
    return text.strip()


def get(profile, url):
    """Gets a URL; a token that is refused is replaced once."""
    bearer = token(profile)
    for is_last in (False, True):
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bearer}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            if is_last or "invalid_token" not in error.headers.get("WWW-Authenticate", ""):
                raise
            bearer = token(profile, refused=bearer)


if __name__ == "__main__":
    print(get(sys.argv[1], sys.argv[2]))
