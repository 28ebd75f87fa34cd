"""Authlib against a running server: one line of JSON for each step, and an end at the first that fails.

ISSUER, CLIENT_ID, AUTH_METHOD, CLIENT_SECRET (none for a public client), REDIRECT_URI, POST_LOGOUT_REDIRECT_URI, USERNAME, PASSWORD.
"""

import json
import os
import sys
import time
import traceback
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import KeySet

from browser import Browser

ISSUER = os.environ["ISSUER"]
CLIENT_ID = os.environ["CLIENT_ID"]
SECRET = os.environ.get("CLIENT_SECRET")
METHOD = os.environ["AUTH_METHOD"]
REDIRECT_URI = os.environ["REDIRECT_URI"]
POST_LOGOUT_REDIRECT_URI = os.environ["POST_LOGOUT_REDIRECT_URI"]

# Authlib asks for https everywhere, also on a loopback address.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


@contextmanager
def step(what):
    facts = {}
    line = {"client": f"authlib {METHOD}", "step": what}
    try:
        yield facts
    except Exception as error:
        print(json.dumps({**line, "ok": False, "message": f"{type(error).__name__}: {error}"}))
        traceback.print_exc()
        sys.exit(1)
    print(json.dumps({**line, "ok": True, **facts}), flush=True)


def refused(token):
    """A refresh must be refused with `invalid_grant`; whoever is told to come again does. How often that was."""
    for times in range(20):
        try:
            session.refresh_token(metadata["token_endpoint"], refresh_token=token)
        except OAuthError as error:
            assert error.error == "invalid_grant", error
            return times
        except requests.HTTPError as error:
            assert error.response.status_code == 503, error
            time.sleep(int(error.response.headers["retry-after"]))
        else:
            raise AssertionError("not refused")
    raise AssertionError("told to come again for ever")


class Losing(requests.adapters.HTTPAdapter):
    """The server has answered, so it has written; the answer never gets to the library."""

    def send(self, *arguments, **options):
        self.lost = super().send(*arguments, **options).json()
        raise requests.ConnectionError("the connection is gone")


browser = Browser(os.environ["USERNAME"], os.environ["PASSWORD"])
session = OAuth2Session(
    CLIENT_ID,
    SECRET,
    token_endpoint_auth_method=METHOD,
    revocation_endpoint_auth_method=METHOD,
    scope="openid email profile offline_access",
    redirect_uri=REDIRECT_URI,
    code_challenge_method="S256",
)

with step("discover") as facts:
    url = get_well_known_url(ISSUER, external=True)
    metadata = OpenIDProviderMetadata(requests.get(url).json())
    metadata.validate()
    assert metadata["issuer"] == ISSUER
    assert METHOD in metadata["token_endpoint_auth_methods_supported"]
    algorithms = metadata["id_token_signing_alg_values_supported"]


def validated(token, nonce):
    """The claims of an ID token: signature, iss, aud, exp, iat, azp, nonce and at_hash, checked by Authlib."""
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"]).json())
    options = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": CLIENT_ID}}
    expected = {"nonce": nonce, "client_id": CLIENT_ID, "access_token": token["access_token"]}
    decoded = jwt.decode(token["id_token"], keys, algorithms=algorithms)
    claims = CodeIDToken(decoded.claims, decoded.header, options, expected)
    claims.validate(leeway=30)
    assert "at_hash" in claims
    return claims


def login():
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce, prompt="consent"
    )
    came, pages = browser.walk(url, REDIRECT_URI)
    assert parse_qs(urlsplit(came).query)["iss"] == [ISSUER]
    token = session.fetch_token(
        metadata["token_endpoint"], authorization_response=came, state=state, code_verifier=verifier
    )
    return token, validated(token, nonce), pages


with step("login") as facts:
    token, first, facts["pages"] = login()
    facts["alg"] = first.header["alg"]
    assert facts["pages"] == ["login", "consent"], facts

with step("userinfo") as facts:
    answer = session.get(metadata["userinfo_endpoint"])
    answer.raise_for_status()
    assert answer.json()["sub"] == first["sub"]
    assert answer.json()["email"] == "alice@example.com"
    facts["claims"] = sorted(answer.json())


def refresh(presented):
    answer = session.refresh_token(metadata["token_endpoint"], refresh_token=presented)
    # "it SHOULD NOT have a nonce Claim" (OpenID Connect Core section 12.2).
    claims = validated(answer, None)
    assert "nonce" not in claims
    for kept in ("iss", "sub", "aud", "azp", "auth_time"):
        assert claims.get(kept) == first.get(kept), kept
    assert claims["iat"] >= first["iat"] and abs(claims["iat"] - time.time()) < 60
    return answer["refresh_token"]


with step("refresh") as facts:
    spent = token["refresh_token"]
    now = refresh(spent)
    facts["rotated"] = now != spent

with step("lost answer, again"):
    losing = Losing()
    session.mount(ISSUER, losing)
    try:
        session.refresh_token(metadata["token_endpoint"], refresh_token=now)
    except requests.ConnectionError:
        pass
    else:
        raise AssertionError("the answer was not lost")
    session.mount(ISSUER, requests.adapters.HTTPAdapter())
    again = refresh(now)
    assert again == losing.lost["refresh_token"], "the answer that was lost"
    now = refresh(again)

# After several rotations within 30 seconds a spent token may be a late worker's: 503 first, and then the end of the grant.
with step("replay") as facts:
    facts["again"] = refused(spent)
    assert refused(now) == 0
    token, _, pages = login()
    assert pages == ["consent"], pages

with step("revoke"):
    answer = session.revoke_token(
        metadata["revocation_endpoint"], token=token["refresh_token"], token_type_hint="refresh_token"
    )
    assert answer.status_code == 200, answer.text
    assert refused(token["refresh_token"]) == 0

with step("logout"):
    parameters = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": POST_LOGOUT_REDIRECT_URI, "state": "a b"}
    came, pages = browser.walk(f"{metadata['end_session_endpoint']}?{urlencode(parameters)}", POST_LOGOUT_REDIRECT_URI)
    assert parse_qs(urlsplit(came).query)["state"] == ["a b"] and pages == []
    assert login()[2][0] == "login", "nobody is logged in"
