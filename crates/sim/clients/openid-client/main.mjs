// openid-client against a running server: one line of JSON for each step, and an end at the first that fails.
//
// ISSUER, CLIENT_ID, REDIRECT_URI, POST_LOGOUT_REDIRECT_URI, USERNAME, PASSWORD; CLIENT_SECRET, or KEY_FILE for private_key_jwt.
// REGISTER=1 registers a client instead. FLOW is `code` (default), `form_post` or `hybrid`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import * as jose from "jose";
import * as client from "openid-client";
import { Browser } from "./browser.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, KEY_FILE, REGISTER, FLOW = "code", REDIRECT_URI, POST_LOGOUT_REDIRECT_URI } = process.env;
const name = `openid-client ${REGISTER ? "registered" : KEY_FILE ? "private_key_jwt" : "client_secret_basic"} ${FLOW}`;
const browser = new Browser(process.env.USERNAME, process.env.PASSWORD);

async function step(what, run) {
  try {
    const facts = await run();
    console.log(JSON.stringify({ client: name, step: what, ok: true, ...facts }));
  } catch (error) {
    const { code, error: refused, error_description: description, cause } = error;
    const facts = { message: error.message, code, refused, description, cause: cause && `${cause.message ?? JSON.stringify(cause)}` };
    console.log(JSON.stringify({ client: name, step: what, ok: false, ...facts }));
    process.exit(1);
  }
}

/** A refresh with this token must be refused with `invalid_grant`; whoever is told to come again does. How often that was. */
async function refused(token) {
  for (let times = 0; times < 20; times += 1) {
    const error = await client.refreshTokenGrant(config, token).then(() => assert.fail("not refused"), (error) => error);
    if (error.cause?.status !== 503) {
      assert.ok(error instanceof client.ResponseBodyError && error.status === 400 && error.error === "invalid_grant", error);
      return times;
    }
    await new Promise((after) => setTimeout(after, 1000 * Number(error.cause.headers.get("retry-after"))));
  }
  assert.fail("told to come again for ever");
}

let config;
const options = { execute: [client.allowInsecureRequests] };
if (FLOW === "hybrid") options.execute.push(client.useCodeIdTokenResponseType);

await step(REGISTER ? "register" : "discover", async () => {
  if (REGISTER) {
    const metadata = {
      client_name: "A registered client",
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [POST_LOGOUT_REDIRECT_URI],
      grant_types: ["authorization_code", "refresh_token"],
      scope: "openid email profile offline_access",
      token_endpoint_auth_method: "client_secret_basic",
    };
    const answered = await client.dynamicClientRegistration(new URL(ISSUER), metadata, undefined, options);
    const { client_id: id, client_secret: secret } = answered.clientMetadata();
    config = await client.discovery(new URL(ISSUER), id, {}, client.ClientSecretBasic(secret), options);
    const told = answered.clientMetadata();
    assert.deepEqual(told.redirect_uris, metadata.redirect_uris);
    assert.deepEqual(told.post_logout_redirect_uris, metadata.post_logout_redirect_uris);
    assert.equal(told.client_secret_expires_at, 0);
  } else if (KEY_FILE) {
    const jwk = JSON.parse(await readFile(KEY_FILE, "utf8"));
    const auth = client.PrivateKeyJwt({ key: await jose.importJWK(jwk, jwk.alg), kid: jwk.kid });
    config = await client.discovery(new URL(ISSUER), CLIENT_ID, {}, auth, options);
  } else config = await client.discovery(new URL(ISSUER), CLIENT_ID, {}, client.ClientSecretBasic(CLIENT_SECRET), options);
  assert.equal(config.serverMetadata().issuer, ISSUER);
  assert.ok(config.serverMetadata().supportsPKCE());
});

let tokens, first;

/** A login, or the return of somebody who is logged in. */
async function login() {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
  const parameters = {
    redirect_uri: REDIRECT_URI,
    scope: "openid email profile offline_access",
    prompt: "consent",
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    state: expectedState,
    nonce: expectedNonce,
    max_age: "600",
  };
  if (FLOW === "form_post") parameters.response_mode = "form_post";
  const { url, post, pages } = await browser.walk(client.buildAuthorizationUrl(config, parameters), REDIRECT_URI);
  const came = post ? new Request(REDIRECT_URI, { method: "POST", body: new URLSearchParams(post) }) : url;
  tokens = await client.authorizationCodeGrant(config, came, { pkceCodeVerifier, expectedState, expectedNonce, maxAge: 600 });
  return { pages, by: post ? "form_post" : url.hash ? "fragment" : "query" };
}

await step("login", async () => {
  const facts = await login();
  first = tokens.claims();
  assert.ok(tokens.refresh_token && tokens.token_type === "bearer" && tokens.expiresIn() > 0);
  assert.deepEqual(facts.pages, ["login", "consent"]);
  return facts;
});

// openid-client trusts TLS for what comes from the token endpoint. Here the signature is checked as well, and at_hash.
await step("id_token", async () => {
  const keys = jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  const { payload, protectedHeader } = await jose.jwtVerify(tokens.id_token, keys, { issuer: ISSUER, audience: config.clientMetadata().client_id });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tokens.access_token));
  assert.equal(payload.at_hash, Buffer.from(digest).subarray(0, 16).toString("base64url"));
  return { alg: protectedHeader.alg };
});

await step("userinfo", async () => {
  const claims = await client.fetchUserInfo(config, tokens.access_token, first.sub);
  assert.equal(claims.email, "alice@example.com");
  return { claims: Object.keys(claims) };
});

async function refresh(token) {
  const answer = await client.refreshTokenGrant(config, token);
  const claims = answer.claims();
  for (const kept of ["iss", "sub", "aud", "azp", "auth_time"]) assert.deepEqual(claims[kept], first[kept], kept);
  assert.ok(claims.iat >= first.iat && Math.abs(claims.iat - Date.now() / 1000) < 60);
  assert.ok(claims.nonce === undefined || claims.nonce === first.nonce);
  return answer.refresh_token ?? token;
}

let before, now;
await step("refresh", async () => {
  before = tokens.refresh_token;
  now = await refresh(before);
  await client.fetchUserInfo(config, tokens.access_token, first.sub);
  return { rotated: now !== before };
});

// The server has answered, so it has written; the answer never gets to the library.
await step("lost answer, again", async () => {
  let lost;
  config[client.customFetch] = async (...request) => {
    lost = await (await fetch(...request)).json();
    throw new TypeError("the connection is gone");
  };
  await assert.rejects(client.refreshTokenGrant(config, now), TypeError);
  config[client.customFetch] = undefined;
  const again = await refresh(now);
  assert.equal(again, lost.refresh_token ?? now, "the answer that was lost");
  now = await refresh(again);
  return { rotated: now !== again };
});

// After several rotations within 30 seconds a spent token may be a late worker's: 503 first, and then the end of the grant.
if (now !== before) {
  await step("replay", async () => {
    const again = await refused(before);
    // A thief of a token cannot use it without the key: for holders of one a replay ends nothing.
    if (KEY_FILE) now = await refresh(now);
    else assert.equal(await refused(now), 0);
    await login();
    return { again };
  });
}

await step("revoke", async () => {
  await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: "refresh_token" });
  assert.equal(await refused(tokens.refresh_token), 0);
});

await step("logout", async () => {
  const state = client.randomState();
  const parameters = { id_token_hint: tokens.id_token, post_logout_redirect_uri: POST_LOGOUT_REDIRECT_URI, state };
  const { url, pages } = await browser.walk(client.buildEndSessionUrl(config, parameters), POST_LOGOUT_REDIRECT_URI);
  assert.equal(url.searchParams.get("state"), state);
  assert.deepEqual(pages, []);
  const facts = await login();
  assert.equal(facts.pages[0], "login", "nobody is logged in");
});
