// Node's `jose` against a running server, for each algorithm: what the server signs and encrypts it verifies and opens, and what it signs and
// encrypts the server takes. ISSUER, REDIRECT_URI, USERNAME, PASSWORD. One line of JSON for each client, and an end at the first that fails.

import assert from "node:assert/strict";
import * as jose from "jose";
import { Browser } from "./browser.mjs";

const { ISSUER, REDIRECT_URI, USERNAME, PASSWORD } = process.env;
const SIGNED = ["RS256", "ES256", "EdDSA", "PS256"];
const KEYS = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP-256", "RSA-OAEP"];
const CONTENTS = ["A256GCM", "A128GCM", "A128CBC-HS256"];

const metadata = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();
for (const [list, ours] of [
  [metadata.id_token_signing_alg_values_supported, SIGNED],
  [metadata.id_token_encryption_alg_values_supported, KEYS],
  [metadata.userinfo_encryption_alg_values_supported, KEYS],
  [metadata.id_token_encryption_enc_values_supported, CONTENTS],
  [metadata.request_object_encryption_alg_values_supported, KEYS.slice(0, 3)],
]) assert.deepEqual([...list].sort(), [...ours].sort());
const published = await (await fetch(metadata.jwks_uri)).json();
// A client that is the first with its algorithm brings a key: looked up anew each time, and not kept.
async function keys() {
  const now = await (await fetch(metadata.jwks_uri)).json();
  return jose.createLocalJWKSet({ keys: now.keys.filter((key) => key.use === "sig") });
}
const toServer = published.keys.find((key) => key.use === "enc");

async function pair(alg, use, kid) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { jwk: { ...(await jose.exportJWK(publicKey)), alg, use, kid }, privateKey };
}

async function json(url, options) {
  const answer = await fetch(url, options);
  const body = await answer.json();
  assert.ok(answer.ok, `${answer.status}: ${JSON.stringify(body)}`);
  return body;
}

const text = (bytes) => new TextDecoder().decode(bytes);

async function verified(token, encryption, audience) {
  const opened = await jose.compactDecrypt(token, encryption.privateKey);
  assert.equal(opened.protectedHeader.cty, "JWT");
  return { outer: opened.protectedHeader, ...(await jose.jwtVerify(text(opened.plaintext), await keys(), { issuer: ISSUER, audience })) };
}

async function one(alg, index) {
  const [signed, enc] = [SIGNED[index % SIGNED.length], CONTENTS[index % CONTENTS.length]];
  const [signing, encryption] = [await pair(signed, "sig", "s"), await pair(alg, "enc", "e")];
  const registration = {
    redirect_uris: [REDIRECT_URI],
    grant_types: ["authorization_code", "refresh_token"],
    scope: "openid email",
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: signed,
    jwks: { keys: [signing.jwk, encryption.jwk] },
    id_token_signed_response_alg: signed,
    id_token_encrypted_response_alg: alg,
    id_token_encrypted_response_enc: enc,
    userinfo_encrypted_response_alg: alg,
    userinfo_encrypted_response_enc: enc,
    request_object_signing_alg: signed,
  };
  const headers = { "content-type": "application/json" };
  const told = await json(metadata.registration_endpoint, { method: "POST", headers, body: JSON.stringify(registration) });
  for (const name of ["id_token_encrypted_response_alg", "userinfo_encrypted_response_enc"]) assert.equal(told[name], registration[name]);
  const id = told.client_id;

  // A request object of theirs, signed and encrypted to the server.
  const request = { client_id: id, response_type: "code", redirect_uri: REDIRECT_URI, scope: "openid email", nonce: "n", state: alg };
  const object = await new jose.SignJWT(request)
    .setProtectedHeader({ alg: signed, kid: "s", typ: "oauth-authz-req+jwt" })
    .setIssuer(id).setAudience(ISSUER).setIssuedAt().setExpirationTime("1m").sign(signing.privateKey);
  const sent = KEYS[index % 3];
  const encrypted = await new jose.CompactEncrypt(new TextEncoder().encode(object))
    .setProtectedHeader({ alg: sent, enc, cty: "JWT", kid: toServer.kid })
    .encrypt(await jose.importJWK(toServer, sent));
  const url = new URL(metadata.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: id, response_type: "code", scope: "openid", request: encrypted });
  const back = await new Browser(USERNAME, PASSWORD).walk(url, REDIRECT_URI);
  assert.equal(back.url.searchParams.get("state"), alg, back.url.href);

  // An assertion of theirs, and the ID token for the code.
  const assertion = () => new jose.SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: signed, kid: "s" })
    .setIssuer(id).setSubject(id).setAudience(ISSUER).setIssuedAt().setExpirationTime("1m").sign(signing.privateKey);
  const ask = async (parameters) => json(metadata.token_endpoint, {
    method: "POST",
    body: new URLSearchParams({
      ...parameters,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: await assertion(),
    }),
  });
  const tokens = await ask({ grant_type: "authorization_code", code: back.url.searchParams.get("code"), redirect_uri: REDIRECT_URI });
  const first = await verified(tokens.id_token, encryption, id);
  assert.deepEqual([first.outer.alg, first.outer.enc, first.outer.kid], [alg, enc, "e"]);
  assert.deepEqual([first.protectedHeader.alg, first.payload.nonce], [signed, "n"]);
  const refreshed = await ask({ grant_type: "refresh_token", refresh_token: tokens.refresh_token });
  assert.equal((await verified(refreshed.id_token, encryption, id)).payload.sub, first.payload.sub);
  const answer = await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${refreshed.access_token}` } });
  assert.equal(answer.headers.get("content-type"), "application/jwt");
  const claims = JSON.parse(text((await jose.compactDecrypt(await answer.text(), encryption.privateKey)).plaintext));
  assert.equal(claims.email, "alice@example.com");
  console.log(JSON.stringify({ client: "jose", alg, enc, signed, request_object: sent, ok: true }));
}

for (const [index, alg] of [...KEYS, ...KEYS].entries()) {
  await one(alg, index).catch((error) => {
    console.log(JSON.stringify({ client: "jose", alg, ok: false, message: error.message, code: error.code }));
    process.exit(1);
  });
}
