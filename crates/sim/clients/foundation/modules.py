"""What the OpenID Foundation's certification plans ask of a provider, module by module, of a real server over HTTP.

`modules.py REGRANT`. Nothing but Python's own library: tokens are verified here, with the published keys. What needs a client on the web
(`jwks_uri`, `sector_identifier_uri`, back-channel logout) is in `sim/tests/clients` and `sim/tests/sessions`; for `request_uri` there is a
place here, with a certificate that `openssl` makes.
"""

import base64
import hashlib
import html
import http.client
import http.server
import json
import pathlib
import re
import secrets
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

CALLBACK = "https://rp.example/cb"
BYE = "https://rp.example/bye"
PASSWORD = "correct horse battery"
TYPES = ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"]
CLAIMS = {
    "name": "Alice Doe", "given_name": "Alice", "family_name": "Doe", "middle_name": "B.", "nickname": "al",
    "profile": "https://alice.example/", "picture": "https://alice.example/me.png", "website": "https://alice.example/blog",
    "gender": "female", "birthdate": "1990-02-03", "zoneinfo": "Europe/Berlin", "locale": "de-DE",
    "email": "alice@example.com", "email_verified": "true", "phone_number": "+49 30 1", "phone_number_verified": "true",
    "address.country": "DE", "address.locality": "Berlin",
}
PROFILE = ["name", "given_name", "family_name", "nickname", "preferred_username", "birthdate", "zoneinfo", "locale", "updated_at"]
SCOPES = {
    "profile": PROFILE, "email": ["email", "email_verified"], "address": ["address"],
    "phone": ["phone_number", "phone_number_verified"],
}


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Reply:
    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers
        self.body = answer.read().decode()

    def json(self):
        return json.loads(self.body)


class Browser:
    """Cookies, and no redirect that nobody asked for."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def ask(self, method, url, body=None, headers=()):
        split = urlsplit(url)
        connection = http.client.HTTPConnection(self.server.host, timeout=30)
        sent = dict(headers)
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if isinstance(body, dict):
            body = urlencode(body)
            sent.setdefault("content-type", "application/x-www-form-urlencoded")
        connection.request(method, split.path + (f"?{split.query}" if split.query else ""), body, sent)
        reply = Reply(connection.getresponse())
        for cookie in reply.headers.get_all("set-cookie") or []:
            pair, _, rest = cookie.partition(";")
            name, _, value = pair.partition("=")
            self.cookies.pop(name, None)
            if "Max-Age=0" not in rest:
                self.cookies[name] = value
        return reply

    def submit(self, page, **fields):
        form = page.body[page.body.index("<form"):]
        action = html.unescape(re.search(r'action="([^"]*)"', form)[1])
        hidden = {}
        for tag in re.findall(r'<input[^>]*type="hidden"[^>]*>', form[:form.index("</form>")]):
            value = re.search(r'\svalue="([^"]*)"', tag)
            hidden[html.unescape(re.search(r'\sname="([^"]*)"', tag)[1])] = html.unescape(value[1]) if value else ""
        return self.ask("POST", action, hidden | fields)

    def walk(self, reply):
        """Logs in and allows where it is asked to: what comes back to the client, and the pages on the way."""
        seen = []
        for _ in range(12):
            place = reply.headers.get("location", "")
            if place.startswith("https://rp.example/"):
                return place, seen
            if reply.status == 303:
                reply = self.ask("GET", place)
            elif 'id="login-submit"' in reply.body:
                seen.append("login")
                reply = self.submit(reply, username="alice", password=PASSWORD)
            elif 'id="consent-allow"' in reply.body:
                seen.append("consent")
                reply = self.submit(reply, decision="allow")
            elif "action=\"https:&#x2f;&#x2f;rp.example" in reply.body:
                form = Form(reply)
                return form, seen
            else:
                return reply, seen
        raise AssertionError("no end")


class Form(dict):
    """A form that posts an answer to the client."""

    def __init__(self, page):
        super().__init__()
        for tag in re.findall(r'<input[^>]*type="hidden"[^>]*>', page.body):
            self[re.search(r'\sname="([^"]*)"', tag)[1]] = html.unescape(re.search(r'\svalue="([^"]*)"', tag)[1])


class Place:
    """A client's place on the web: https, and what it says at each path."""

    def __init__(self, home):
        says, self.asked = {}, []
        self.says, asked = says, self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = says.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.certificate, key = f"{home}/place.pem", f"{home}/place.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=place",
             "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, body):
        path = "/" + secrets.token_urlsafe(16)
        self.says[path] = body
        return f"https://127.0.0.1:{self.server.server_port}{path}"


class Server:
    def __init__(self, regrant, home):
        def run(*arguments, text=None):
            told = subprocess.run([regrant, "--config", f"{home}/regrant.toml", *arguments], input=text, text=True, capture_output=True)
            assert told.returncode == 0, (arguments, told.stderr)
            return told.stdout

        subprocess.run([regrant, "init", home], check=True, capture_output=True)
        self.place = Place(home)
        config = pathlib.Path(home, "regrant.toml")
        off = ["codes_per_user", "registrations_per_network", "requests_per_client", "requests_per_grant", "failures_per_network"]
        config.write_text(
            'listen = "127.0.0.1:0"\nroot_key_file = "root.key"\n[limits]\n' + "".join(f'{name} = "off"\n' for name in off)
            + f'[outbound]\nallow = ["127.0.0.1"]\nroots = "{self.place.certificate}"\n'
            + '[registration]\nmode = "open"\ngrant_types = ["authorization_code", "refresh_token", "implicit"]\n'
        )
        run("user", "add", "alice", "--password-stdin", text=PASSWORD)
        run("user", "set", "alice", *[f"{name}={value}" for name, value in CLAIMS.items()])
        self.run = run
        self.process = subprocess.Popen(
            [regrant, "--config", str(config), "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.host = json.loads(self.process.stdout.readline())["listen"]
        self.base = f"http://{self.host}"
        self.web = Browser(self)
        self.metadata = self.web.ask("GET", "/.well-known/openid-configuration").json()

    def register(self, status=201, **more):
        kind = more.pop("kind", "code")
        grants = (["authorization_code", "refresh_token"] if "code" in kind.split() else []) + (["implicit"] if kind != "code" else [])
        said = {
            "client_name": "Suite", "redirect_uris": [CALLBACK], "response_types": [kind], "grant_types": grants,
            "token_endpoint_auth_method": "client_secret_basic", "contacts": ["ops@rp.example"],
        } | more
        reply = self.web.ask("POST", "/oauth2/register", json.dumps(said), {"content-type": "application/json"})
        assert reply.status == status, reply.body
        return reply.json()

    def key(self, kid):
        keys = self.web.ask("GET", "/oauth2/jwks").json()["keys"]
        return next(key for key in keys if key["kid"] == kid)

    def verified(self, token, client, nonce=None):
        """Core section 3.1.3.7, for RS256."""
        head, body, signature = token.split(".")
        header = json.loads(decode(head))
        assert header["alg"] == "RS256", header
        key = self.key(header["kid"])
        n, e = (int.from_bytes(decode(key[name]), "big") for name in ("n", "e"))
        length = (n.bit_length() + 7) // 8
        block = pow(int.from_bytes(decode(signature), "big"), e, n).to_bytes(length, "big")
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(f"{head}.{body}".encode()).digest()
        assert block == b"\0\1" + b"\xff" * (length - 3 - len(digest)) + b"\0" + digest, "the signature does not hold"
        claims = json.loads(decode(body))
        assert claims["iss"] == self.metadata["issuer"] and claims["aud"] == client["client_id"], claims
        assert claims["iat"] - 5 < time.time() < claims["exp"], claims
        assert nonce is None or claims["nonce"] == nonce, claims
        assert isinstance(claims["sub"], str) and 0 < len(claims["sub"]) < 256
        return claims


def half(text):
    return encode(hashlib.sha256(text.encode()).digest()[:16])


class Flow:
    """One client and one browser."""

    def __init__(self, server, kind="code", **metadata):
        self.server, self.kind = server, kind
        self.client = server.register(kind=kind, **metadata)
        self.browser = Browser(server)
        self.nonce = "n-0S6_WzA2Mj"

    def url(self, **more):
        said = {
            "client_id": self.client["client_id"], "response_type": self.kind, "redirect_uri": CALLBACK, "scope": "openid",
            "state": "a state of 0x20~", "nonce": self.nonce,
        } | more
        return "/oauth2/authorize?" + urlencode({name: value for name, value in said.items() if value is not None})

    def authorize(self, **more):
        return self.answer(self.browser.ask("GET", self.url(**more)))

    def answer(self, reply):
        place, self.seen = self.browser.walk(reply)
        if isinstance(place, Reply):
            return place
        if isinstance(place, Form):
            told = place
        else:
            mark = "?" if self.kind == "code" else "#"
            assert place.startswith(CALLBACK) and mark in place, place
            told = dict(parse_qsl(place[place.index(mark) + 1:], strict_parsing=True))
        assert told["iss"] == self.server.metadata["issuer"], told
        return told

    def tokens(self, code, status=200, redirect_uri=CALLBACK):
        return self.token(status, grant_type="authorization_code", code=code, redirect_uri=redirect_uri)

    def token(self, status=200, client=None, **form):
        client = client or self.client
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        if client["token_endpoint_auth_method"] == "client_secret_post":
            form |= {"client_id": client["client_id"], "client_secret": client["client_secret"]}
            headers = {}
        else:
            headers = {"authorization": f"Basic {basic}"}
        reply = self.server.web.ask("POST", "/oauth2/token", form, headers)
        assert reply.status == status, reply.body
        assert reply.headers["cache-control"] == "no-store"
        return reply.json()

    def userinfo(self, token, status=200):
        reply = self.server.web.ask("GET", "/oauth2/userinfo", headers={"authorization": f"Bearer {token}"})
        assert reply.status == status, (reply.status, reply.body)
        return reply.json() if status == 200 else reply

    def complete(self, **more):
        """The whole way, with every check of a token that there is: ID token, tokens, userinfo."""
        told = self.authorize(**more)
        assert told["state"] == "a state of 0x20~", told
        said = None
        if "id_token" in self.kind.split():
            said = self.server.verified(told["id_token"], self.client, self.nonce)
            assert "token" not in self.kind.split() or said["at_hash"] == half(told["access_token"])
            assert "code" not in self.kind.split() or said["c_hash"] == half(told["code"])
        access = told.get("access_token")
        answer = {}
        if "code" in self.kind.split():
            answer = self.tokens(told["code"])
            assert answer["token_type"] == "Bearer" and answer["expires_in"] > 0
            second = self.server.verified(answer["id_token"], self.client, self.nonce)
            assert second["at_hash"] == half(answer["access_token"])
            assert said is None or (said["sub"], said["iss"]) == (second["sub"], second["iss"])
            said, access = second, answer["access_token"]
        known = self.userinfo(access) if access else None
        assert known is None or known["sub"] == said["sub"]
        return said, known, answer

    def error(self, expected, **more):
        told = self.authorize(**more)
        assert not isinstance(told, Reply), told.body
        assert told["error"] in expected, told
        assert not {"code", "id_token", "access_token"} & told.keys() and told["state"] == "a state of 0x20~", told

    def page(self, url):
        reply = self.browser.ask("GET", url)
        assert reply.status == 400 and "location" not in reply.headers and 'role="alert"' in reply.body, (reply.status, reply.body)


MODULES = []


def module(*kinds):
    def named(function):
        MODULES.append((function.__name__.replace("_", "-"), function, kinds or ("code",)))
        return function
    return named


@module(*TYPES)
def server(flow):
    flow.complete()


@module("code", "code id_token")
def server_client_secret_post(flow):
    Flow(flow.server, flow.kind, token_endpoint_auth_method="client_secret_post").complete()


@module()
def response_type_missing(flow):
    reply = flow.browser.ask("GET", flow.url(response_type=None))
    assert "error=invalid_request" in reply.headers.get("location", "") or reply.status == 400


@module()
def idtoken_signature(flow):
    flow.complete()


@module("code", "code token")
def ensure_request_without_nonce_succeeds_for_code_flow(flow):
    code = flow.authorize(nonce=None)["code"]
    assert "nonce" not in flow.server.verified(flow.tokens(code)["id_token"], flow.client)


@module("id_token", "id_token token", "code id_token", "code id_token token")
def ensure_request_without_nonce_fails(flow):
    flow.error(["invalid_request"], nonce=None)


@module("code", "id_token token", "code token")
def userinfo_post(flow):
    told = flow.authorize()
    token = told.get("access_token") or flow.tokens(told["code"])["access_token"]
    for body, headers in (({}, {"authorization": f"Bearer {token}"}), ({"access_token": token}, {})):
        reply = flow.server.web.ask("POST", "/oauth2/userinfo", body, headers)
        assert reply.status == 200 and reply.json()["sub"], reply.body


@module("code", "id_token", "id_token token", "code id_token token")
def scopes(flow):
    for scope, wanted in list(SCOPES.items()) + [("profile email address phone", sum(SCOPES.values(), []))]:
        said, known, _ = flow.complete(scope=f"openid {scope}")
        told = known or said
        assert all(name in told for name in wanted), (scope, told)
        assert isinstance(told.get("updated_at", 0), int) and isinstance(told.get("address", {}), dict)
        assert told.get("email_verified", True) is True and told.get("phone_number_verified", True) is True
    flow.complete(scope="email openid")


@module("code", "id_token")
def display_locales_hints_and_unknown_parameters(flow):
    for more in (
        {"display": "page"}, {"display": "popup"}, {"ui_locales": "se"}, {"claims_locales": "se"}, {"login_hint": "bob@rp.example"},
        {"extra": "foobar"}, {"acr_values": " ".join(flow.server.metadata["acr_values_supported"])},
    ):
        flow.complete(**more)


@module("code", "id_token")
def prompt_login(flow):
    first, *_ = flow.complete()
    time.sleep(1.1)
    second, *_ = flow.complete(prompt="login")
    assert "login" in flow.seen and second["auth_time"] > first["auth_time"], (flow.seen, first, second)


@module(*TYPES)
def prompt_none(flow):
    flow.error(["login_required", "interaction_required", "consent_required"], prompt="none")
    first, *_ = flow.complete()
    second, *_ = flow.complete(prompt="none")
    assert flow.seen == [] and (first["sub"], first["auth_time"]) == (second["sub"], second["auth_time"])


@module("code", "id_token")
def max_age(flow):
    first, *_ = flow.complete(max_age="10000")
    time.sleep(2.1)
    second, *_ = flow.complete(max_age="10000")
    assert flow.seen == [] and first["auth_time"] == second["auth_time"]
    third, *_ = flow.complete(max_age="1")
    assert "login" in flow.seen and third["auth_time"] > first["auth_time"]


@module("code", "id_token")
def id_token_hint(flow):
    told = flow.authorize()
    token = told.get("id_token") or flow.tokens(told["code"])["id_token"]
    said, *_ = flow.complete(id_token_hint=token, prompt="none")
    assert flow.seen == [] and said["sub"] == json.loads(decode(token.split(".")[1]))["sub"]


@module("code", "id_token", "code id_token")
def claims_essential(flow):
    wish = json.dumps({("userinfo" if flow.kind != "id_token" else "id_token"): {"name": {"essential": True}}})
    said, known, _ = flow.complete(claims=wish)
    assert (known or said)["name"] == "Alice Doe", (said, known)


@module("code", "code id_token", "code token")
def codereuse(flow):
    code = flow.authorize()["code"]
    token = flow.tokens(code)["access_token"]
    assert flow.tokens(code, status=400)["error"] == "invalid_grant"
    time.sleep(1)
    assert flow.tokens(code, status=400)["error"] == "invalid_grant"
    flow.userinfo(token, status=401)


@module("code", "id_token")
def ensure_registered_redirect_uri(flow):
    flow.page(flow.url(redirect_uri="https://rp.example/other"))


@module()
def ensure_redirect_uri_in_authorization_request(flow):
    flow.page(flow.url(redirect_uri=None))


@module("code", "code id_token")
def ensure_post_request_succeeds(flow):
    told = flow.answer(flow.browser.ask("POST", "/oauth2/authorize", dict(parse_qsl(flow.url().partition("?")[2]))))
    assert told["code"], told


@module("code", "id_token", "code id_token")
def unsigned_request_object(flow):
    inside = dict(parse_qsl(flow.url().partition("?")[2]))
    part = lambda value: encode(json.dumps(value).encode())
    object_ = f"{part({'alg': 'none'})}.{part(inside)}."
    told = flow.authorize(request=object_, state=None, nonce=None, redirect_uri=None)
    assert told["state"] == inside["state"], told
    told = flow.authorize(request=object_, redirect_uri="https://rp.example/unregistered")
    assert told["state"] == inside["state"], told


@module("code", "id_token", "code id_token")
def request_uri_unsigned(flow):
    inside = dict(parse_qsl(flow.url().partition("?")[2]))
    part = lambda value: encode(json.dumps(value).encode())
    # The suite registers the URI before it knows what will be there: with a fragment of the form of a hash, which is none.
    uri = flow.server.place.put("to come") + "#" + encode(secrets.token_bytes(32))
    own = Flow(flow.server, flow.kind, request_uris=[uri])
    inside["client_id"] = own.client["client_id"]
    flow.server.place.says[urlsplit(uri).path] = f"{part({'alg': 'none'})}.{part(inside)}."
    told = own.authorize(request_uri=uri, state=None, nonce=None)
    assert told["state"] == inside["state"], told
    assert flow.server.place.asked.count(urlsplit(uri).path) == 1, flow.server.place.asked


@module("code", "code id_token")
def refresh_token(flow):
    said, _, answer = flow.complete(scope="openid offline_access", prompt="consent")
    assert re.fullmatch(r"[\x20-\x7e]+", answer["refresh_token"])
    other = flow.server.register()
    refused = flow.token(400, other, grant_type="refresh_token", refresh_token=answer["refresh_token"])
    assert refused["error"] == "invalid_grant"
    time.sleep(1.1)
    again = flow.token(grant_type="refresh_token", refresh_token=answer["refresh_token"])
    second = flow.server.verified(again["id_token"], flow.client)
    assert all(said[name] == second[name] for name in ("iss", "sub", "aud", "auth_time")) and second["iat"] > said["iat"]
    assert again["access_token"] != answer["access_token"]
    flow.userinfo(again["access_token"])


@module()
def ensure_request_with_valid_pkce_succeeds(flow):
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = encode(hashlib.sha256(verifier.encode()).digest())
    code = flow.authorize(code_challenge=challenge, code_challenge_method="S256")["code"]
    flow.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=verifier)


@module(*TYPES)
def form_post(flow):
    told = flow.authorize(response_mode="form_post")
    assert isinstance(told, Form) and told["state"] == "a state of 0x20~", told
    told = flow.authorize(response_mode="form_post", prompt="none", max_age="0")
    assert isinstance(told, Form) and told["error"] == "login_required", told


@module()
def redirect_uri_query(flow):
    own = Flow(flow.server, redirect_uris=[CALLBACK + "?foo=bar"])
    own.page(own.url())
    own.page(own.url(redirect_uri=CALLBACK + "?foo=baz"))
    flow.page(flow.url(redirect_uri=CALLBACK + "?foo=bar"))
    reply = own.browser.ask("GET", own.url(redirect_uri=CALLBACK + "?foo=bar"))
    place, _ = own.browser.walk(reply)
    told = dict(parse_qsl(urlsplit(place).query))
    assert told["foo"] == "bar" and told["code"], place


@module()
def registration(flow):
    server = flow.server
    assert server.register(400, redirect_uris=[CALLBACK + "#foobar"])["error"] in ("invalid_redirect_uri", "invalid_client_metadata")
    links = {name: f"https://rp.example/{name}" for name in ("logo_uri", "policy_uri", "tos_uri")}
    own = Flow(server, **links, initiate_login_uri="https://rp.example/start")
    assert all(own.client[name] == value for name, value in links.items())
    page = own.browser.submit(own.browser.ask("GET", own.url()), username="alice", password=PASSWORD)
    page = own.browser.ask("GET", page.headers["location"]).body.replace("&#x2f;", "/")
    assert all(value in page for value in links.values()), page
    read = server.web.ask(
        "GET", own.client["registration_client_uri"], headers={"authorization": f"Bearer {own.client['registration_access_token']}"}
    )
    assert read.status == 200 and read.json()["initiate_login_uri"] == "https://rp.example/start"
    assert server.register(400, initiate_login_uri="http://rp.example/start")["error"] == "invalid_client_metadata"
    pairwise = Flow(server, subject_type="pairwise").complete()[0]["sub"]
    assert pairwise != flow.complete()[0]["sub"]
    signed = Flow(server, userinfo_signed_response_alg="RS256")
    reply = server.web.ask(
        "GET", "/oauth2/userinfo", headers={"authorization": f"Bearer {signed.tokens(signed.authorize()['code'])['access_token']}"}
    )
    assert reply.headers["content-type"] == "application/jwt"
    head, body, _ = reply.body.split(".")
    assert json.loads(decode(head))["alg"] == "RS256" and json.loads(decode(body))["aud"] == signed.client["client_id"]
    gone = server.web.ask(
        "DELETE", own.client["registration_client_uri"], headers={"authorization": f"Bearer {own.client['registration_access_token']}"}
    )
    assert gone.status == 204


@module()
def discovery_endpoint_verification(flow):
    told = flow.server.metadata
    assert told["issuer"] == flow.server.base
    assert set(told["response_types_supported"]) >= {"code", "id_token", "id_token token"}
    assert set(told["grant_types_supported"]) >= {"authorization_code", "implicit"}
    assert set(told["subject_types_supported"]) <= {"public", "pairwise"}
    for name in ("id_token", "userinfo", "request_object"):
        assert "RS256" in told[f"{name}_signing_alg_values_supported"]
    assert "openid" in told["scopes_supported"] and "sub" in told["claims_supported"]
    for name in ("claims_parameter", "request_parameter", "request_uri_parameter"):
        assert told[f"{name}_supported"] is True
    keys = flow.server.web.ask("GET", "/oauth2/jwks").json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any({"d", "p", "q", "k"} & key.keys() for key in keys)


@module()
def server_rotate_keys(flow):
    signing = lambda: {key["kid"] for key in flow.server.web.ask("GET", "/oauth2/jwks").json()["keys"] if key.get("use") == "sig"}
    before = signing()
    flow.complete()
    flow.server.run("keys", "rotate", "signing")
    after = signing()
    assert before <= after and len(after) > len(before), (before, after)
    flow.complete()


@module()
def rp_initiated_logout(flow):
    flow = Flow(flow.server, post_logout_redirect_uris=[BYE], frontchannel_logout_uri="https://rp.example/out",
                frontchannel_logout_session_required=True)
    said, _, answer = flow.complete()
    token = answer["id_token"]
    ask = lambda **form: flow.browser.ask("GET", "/oauth2/logout?" + urlencode(form))
    head, body, _ = token.split(".")
    for wrong in (
        {"id_token_hint": token, "post_logout_redirect_uri": BYE + "2"},
        {"id_token_hint": token, "post_logout_redirect_uri": BYE + "?foo=bar"},
        {"id_token_hint": f"{encode(json.dumps({'alg': 'none'}).encode())}.{body}.", "post_logout_redirect_uri": BYE},
        {"id_token_hint": "abc", "post_logout_redirect_uri": BYE},
        {"post_logout_redirect_uri": BYE},
    ):
        reply = ask(**wrong)
        assert reply.status == 400 and "location" not in reply.headers, wrong
    flow.complete(prompt="none")
    state = "s" * 128
    page = ask(id_token_hint=token, post_logout_redirect_uri=BYE, state=state)
    text = html.unescape(page.body)
    assert f'src="https://rp.example/out?{urlencode({"iss": flow.server.base, "sid": said["sid"]})}"' in text, text
    assert page.headers["refresh"] == f"3; url={BYE}?state={state}", page.headers["refresh"]
    flow.error(["login_required", "interaction_required"], prompt="none")
    for form in ({}, {"state": "only"}):
        flow.complete()
        page = ask(**form)
        done = flow.browser.submit(page)
        assert done.status == 200 and "location" not in done.headers
        flow.error(["login_required"], prompt="none")


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as home:
        server_ = Server(sys.argv[1], f"{home}/server")
        try:
            for name, run, kinds in MODULES:
                for kind in kinds:
                    try:
                        run(Flow(server_, kind))
                    except Exception as trouble:  # noqa: BLE001: all of them are told
                        failed += 1
                        print(f"FAILED oidcc-{name} ({kind}): {type(trouble).__name__}: {trouble}"[:900])
        finally:
            server_.process.terminate()
            server_.process.wait()
    count = sum(len(kinds) for *_, kinds in MODULES)
    print(f"{len(MODULES)} modules, {count} runs, {failed} failed")
    sys.exit(bool(failed))


main()
