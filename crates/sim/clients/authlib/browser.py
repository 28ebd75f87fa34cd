"""A browser, as far as the built-in pages need one: cookies, forms, and redirects until one leaves the server."""

import re
import time
from html import unescape
from urllib.parse import urljoin, urlsplit

import requests


class Browser:
    def __init__(self, username, password):
        self.username = username
        self.password = password
        self.session = requests.Session()

    def walk(self, url, redirect_uri):
        """Follows a URL of the server, logs in and allows where it is asked to: what comes back, and the pages it saw."""
        server = urlsplit(url)
        origin = f"{server.scheme}://{server.netloc}"
        pages = []
        answer = self.session.get(url, allow_redirects=False)
        for _ in range(40):
            if answer.is_redirect:
                following = urljoin(url, answer.headers["location"])
                if re.split("[?#]", following)[0] == redirect_uri:
                    return following, pages
                assert following.startswith(origin + "/"), f"sent to {following}"
                answer = self.session.get(following, allow_redirects=False)
                continue
            if answer.status_code == 429:
                # Too many passwords are being verified at once: the same page again, and when to press its button.
                time.sleep(float(answer.headers["retry-after"]))
            assert answer.status_code in (200, 429), f"{answer.status_code} from {answer.url}: {answer.text}"
            tag = re.search(r"<form[^>]*>", answer.text)
            assert tag, f"a page without a form: {answer.text}"
            fields = {}
            for hidden in re.findall(r'<input[^>]*type="hidden"[^>]*>', answer.text[tag.end():]):
                name, value = (re.search(rf'\s{attribute}="([^"]*)"', hidden)[1] for attribute in ("name", "value"))
                fields[unescape(name)] = unescape(value)
            if 'id="login-submit"' in answer.text:
                if pages[-1:] != ["login"]:
                    pages.append("login")
                fields.update(username=self.username, password=self.password)
            elif 'id="consent-allow"' in answer.text:
                pages.append("consent")
                fields["decision"] = "allow"
            else:
                raise AssertionError(f"an unknown page: {answer.text}")
            action = unescape(re.search(r'\saction="([^"]*)"', tag[0])[1])
            answer = self.session.post(urljoin(url, action), data=fields, headers={"origin": origin}, allow_redirects=False)
        raise AssertionError("no end of redirects")
