// Another server: node-oidc-provider, which rotates strictly, not at all, or gives JWTs; `regrant login`, `token`, `whoami` and `logout`
// as its client. REGRANT names the binary. The server counts: one refresh for every expiry, and none is refused.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";

import Provider from "oidc-provider";

import { command } from "../command.mjs";

const LIFETIME = 4;
const RESOURCE = "https://api.example/";
const home = mkdtempSync(path.join(tmpdir(), "regrant-oidc-provider-"));
const environment = { ...process.env, REGRANT_HOME: home };

const client = (client_id) => ({
  client_id,
  application_type: "native",
  token_endpoint_auth_method: "none",
  redirect_uris: ["http://127.0.0.1/callback"],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
});

const server = http.createServer();
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client("strict"), client("reusable"), client("jwt"), client("bound")],
  pkce: { required: () => true },
  rotateRefreshToken: (context) => context.oidc.client.clientId !== "reusable",
  issueRefreshToken: async () => true,
  scopes: ["openid", "read"],
  ttl: { AccessToken: LIFETIME, RefreshToken: 3600, Grant: 3600, IdToken: 3600, Session: 3600, Interaction: 600 },
  findAccount: (_, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: async () => true,
      getResourceServerInfo: async () => ({ scope: "read", accessTokenFormat: "jwt", accessTokenTTL: LIFETIME }),
    },
  },
});
server.on("request", provider.callback());

const counts = { refreshed: 0, refused: 0, revoked: 0 };
provider.on("grant.success", (context) => (counts.refreshed += context.oidc.params.grant_type === "refresh_token" ? 1 : 0));
provider.on("grant.error", () => (counts.refused += 1));
provider.on("grant.revoked", () => (counts.revoked += 1));

const regrant = command(process.env.REGRANT, environment);

// Logs in and allows on the pages of the provider.
async function walk(url) {
  const cookies = new Map();
  let [next, fields] = [new URL(url), undefined];
  for (let step = 0; step < 20; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const body = fields && new URLSearchParams(fields);
    const answer = await fetch(next, { method: body ? "POST" : "GET", body, headers: { cookie }, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    fields = undefined;
    if (answer.status >= 300 && answer.status < 400) {
      next = new URL(answer.headers.get("location"), next);
      if (next.pathname === "/callback") return fetch(next);
      continue;
    }
    const html = await answer.text();
    const [, action] = /<form[^>]*action="([^"]*)"/.exec(html) ?? [];
    const [, prompt] = /name="prompt" value="([^"]*)"/.exec(html) ?? [];
    if (!action || !prompt) throw new Error(`an unknown page: ${answer.status} ${html}`);
    next = new URL(action, next);
    fields = prompt === "login" ? { prompt, login: "alice", password: "any" } : { prompt };
  }
  throw new Error("no end of redirects");
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function play(name, isJwt) {
  const resource = isJwt ? ["--resource", RESOURCE] : [];
  const asked = ["login", name, "--issuer", issuer, "--client-id", name, "--scope", "openid read", ...resource, "--json"];
  const login = regrant(...asked);
  await walk(JSON.parse(await login.first).open);
  await login.ended;
  const who = JSON.parse(await regrant("whoami", name, "--json").ended);
  assert.equal(who.subject, "alice");
  let before = (await regrant("token", name).ended).trim();
  assert.equal(before.split(".").length === 3, isJwt);
  if (!isJwt) {
    const answer = await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${before}` } });
    assert.equal((await answer.json()).sub, "alice");
  }
  for (let cycle = 1; cycle <= 3; cycle += 1) {
    await pause(LIFETIME);
    const refreshed = counts.refreshed;
    const tokens = await Promise.all(Array.from({ length: 6 }, () => regrant("token", name).ended));
    const distinct = new Set(tokens.map((token) => token.trim()));
    assert.equal(distinct.size, 1, `${name}: six processes, and ${distinct.size} tokens`);
    assert.ok(!distinct.has(before), `${name}: the token is over`);
    assert.equal(counts.refreshed, refreshed + 1, `${name}: ${counts.refreshed - refreshed} refreshes for one expiry`);
    [before] = distinct;
  }
  assert.deepEqual([counts.refused, counts.revoked], [0, 0], `${name}: refused or revoked`);
  assert.equal(JSON.parse(await regrant("logout", name, "--json").ended).revoked, true);
  counts.revoked = 0;
  console.log(`node-oidc-provider, ${name}: a login, three expiries under six processes, a logout`);
}

// Tokens that are bound to a key: of use through the proxy alone, which has it.
async function playBound() {
  const asked = ["login", "bound", "--issuer", issuer, "--client-id", "bound", "--scope", "openid read", "--dpop", "--json"];
  const login = regrant(...asked);
  await walk(JSON.parse(await login.first).open);
  await login.ended;
  await assert.rejects(regrant("token", "bound").ended, /regrant token bound: 1/);
  const proxy = regrant("proxy", "bound", "--to", issuer);
  const { listen } = JSON.parse(await proxy.first);
  const refreshed = counts.refreshed;
  for (let cycle = 0; cycle < 3; cycle += 1) {
    const answer = await fetch(`http://${listen}/me`);
    assert.equal((await answer.json()).sub, "alice");
    await pause(LIFETIME);
  }
  assert.equal(counts.refreshed, refreshed + 2, "one refresh for every expiry");
  proxy.ended.catch(() => {});
  proxy.stop();
  console.log("node-oidc-provider, bound: a login, two expiries behind a proxy, with DPoP and nonces");
}

try {
  // One after the other: what is counted is then that client's.
  await play("strict", false);
  await play("reusable", false);
  await play("jwt", true);
  await playBound();
} finally {
  server.close();
  server.closeAllConnections();
  rmSync(home, { recursive: true, force: true });
}
