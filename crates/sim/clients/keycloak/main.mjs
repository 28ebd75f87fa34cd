// Another server: Keycloak, with strict rotation and without any; `regrant login` in a browser and by a device's code, `token`, `whoami` and
// `logout` as its client, 16 processes at once. Keycloak's own events count: one refresh for every expiry, and none is refused. Its access
// tokens are JWTs always: opaque ones are node-oidc-provider's part. A command, not a part of ./test:
//
//   cargo build; cargo run -p bench -- peers --install       # gets Keycloak from Maven Central into target/peers
//   REGRANT=target/debug/regrant KEYCLOAK=target/peers/keycloak node crates/sim/clients/keycloak/main.mjs

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { command } from "../command.mjs";

const { REGRANT, KEYCLOAK } = process.env;
if (!REGRANT || !KEYCLOAK) throw new Error("set REGRANT to the program and KEYCLOAK to the directory of Keycloak");
const LIFETIME = 8;
const PROCESSES = 16;
const CYCLES = 3;
const ADMIN = "admin-of-the-test";
const PASSWORD = "correct horse battery";
const home = mkdtempSync(path.join(tmpdir(), "regrant-keycloak-"));
const environment = { ...process.env, REGRANT_HOME: path.join(home, "regrant") };

const realm = (name, isStrict) => ({
  realm: name,
  enabled: true,
  sslRequired: "none",
  revokeRefreshToken: isStrict,
  refreshTokenMaxReuse: 0,
  accessTokenLifespan: LIFETIME,
  ssoSessionIdleTimeout: 3600,
  ssoSessionMaxLifespan: 3600,
  eventsEnabled: true,
  enabledEventTypes: ["REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"],
  clients: [
    {
      clientId: "cli",
      protocol: "openid-connect",
      enabled: true,
      publicClient: true,
      standardFlowEnabled: true,
      redirectUris: ["http://127.0.0.1/callback", "http://127.0.0.1:*"],
      attributes: { "pkce.code.challenge.method": "S256" },
    },
    {
      // RFC 8628 has no PKCE: a client of which Keycloak demands it cannot be a device.
      clientId: "box",
      protocol: "openid-connect",
      enabled: true,
      publicClient: true,
      standardFlowEnabled: false,
      attributes: { "oauth2.device.authorization.grant.enabled": "true" },
    },
  ],
  users: [
    {
      username: "alice",
      enabled: true,
      email: "alice@app.example",
      emailVerified: true,
      firstName: "Alice",
      lastName: "Example",
      credentials: [{ type: "password", value: PASSWORD }],
    },
  ],
});

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const form = (fields) => ({ method: "POST", body: new URLSearchParams(fields) });

async function freePort() {
  const socket = net.createServer().listen(0, "127.0.0.1");
  await new Promise((done) => socket.on("listening", done));
  const { port } = socket.address();
  await new Promise((done) => socket.close(done));
  return port;
}

// A copy, with a database in a file: the installed one stays as it was built.
async function start() {
  const directory = path.join(home, "keycloak");
  cpSync(KEYCLOAK, directory, { recursive: true, verbatimSymlinks: true });
  const realms = path.join(directory, "data/import");
  rmSync(realms, { recursive: true, force: true });
  mkdirSync(realms, { recursive: true });
  for (const each of [realm("strict", true), realm("off", false)]) {
    writeFileSync(path.join(realms, `${each.realm}.json`), JSON.stringify(each));
  }
  const port = await freePort();
  const log = openSync(path.join(home, "keycloak.log"), "w");
  const started = ["start-dev", "--db=dev-file", "--import-realm", "--http-host=127.0.0.1", `--http-port=${port}`];
  const child = spawn(path.join(directory, "bin/kc.sh"), started, {
    env: {
      ...process.env,
      JAVA_OPTS_KC_HEAP: "-Xms256m -Xmx1g",
      KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN,
      KC_BOOTSTRAP_ADMIN_PASSWORD: PASSWORD,
    },
    stdio: ["ignore", log, log],
    detached: true,
  });
  const base = `http://127.0.0.1:${port}`;
  for (let second = 0; second < 600; second += 1) {
    const answer = await fetch(`${base}/realms/off/.well-known/openid-configuration`).catch(() => undefined);
    if (answer?.ok) return { base, child };
    if (child.exitCode !== null) break;
    await pause(1);
  }
  throw new Error(`Keycloak does not start:\n${readFileSync(path.join(home, "keycloak.log"), "utf8").slice(-4000)}`);
}

const regrant = command(REGRANT, environment);

// Logs in on Keycloak's page, and allows; where that leads to, at the client's own address or, of a device, at Keycloak's.
async function walk(url) {
  const cookies = new Map();
  let [next, fields] = [new URL(url), undefined];
  for (let step = 0; step < 10; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(next, { ...(fields ? form(fields) : {}), headers: { cookie }, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    fields = undefined;
    if (answer.status >= 300 && answer.status < 400) {
      next = new URL(answer.headers.get("location"), next);
      if (next.pathname === "/callback" || next.pathname.endsWith("/device/status")) return next;
      continue;
    }
    const html = await answer.text();
    const [, action] = /<form[^>]*action="([^"]*)"/.exec(html) ?? [];
    if (!action) throw new Error(`an unknown page: ${answer.status} ${html}`);
    next = new URL(action.replaceAll("&amp;", "&"), next);
    const [, code] = /name="code" value="([^"]*)"/.exec(html) ?? [];
    fields = code ? { code, accept: "Yes" } : { username: "alice", password: PASSWORD, credentialId: "" };
  }
  throw new Error("no end of redirects");
}

async function events(base, name, type) {
  const asked = { grant_type: "password", client_id: "admin-cli", username: ADMIN, password: PASSWORD };
  const token = await (await fetch(`${base}/realms/master/protocol/openid-connect/token`, form(asked))).json();
  const url = `${base}/admin/realms/${name}/events?max=10000&type=${type}`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token.access_token}` } });
  assert.equal(answer.status, 200);
  return (await answer.json()).length;
}

async function play(base, name) {
  const issuer = `${base}/realms/${name}`;
  const login = regrant("login", name, "--issuer", issuer, "--client-id", "cli", "--scope", "openid", "--json");
  await fetch(await walk(JSON.parse(await login.first).open));
  await login.ended;
  const who = JSON.parse(await regrant("whoami", name, "--json").ended);
  assert.equal(who.claims.preferred_username, "alice");
  const refused = await events(base, name, "REFRESH_TOKEN_ERROR");
  let before = (await regrant("token", name).ended).trim();
  for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
    await pause(LIFETIME);
    const refreshed = await events(base, name, "REFRESH_TOKEN");
    const tokens = await Promise.all(Array.from({ length: PROCESSES }, () => regrant("token", name).ended));
    const distinct = new Set(tokens.map((token) => token.trim()));
    assert.equal(distinct.size, 1, `${name}: ${PROCESSES} processes, and ${distinct.size} tokens`);
    assert.ok(!distinct.has(before), `${name}: the token is over`);
    const more = (await events(base, name, "REFRESH_TOKEN")) - refreshed;
    assert.equal(more, 1, `${name}: ${more} refreshes for one expiry`);
    [before] = distinct;
  }
  assert.equal(await events(base, name, "REFRESH_TOKEN_ERROR"), refused, `${name}: refused`);
  assert.equal(JSON.parse(await regrant("logout", name, "--json").ended).revoked, true);
  const told = await fetch(`${issuer}/protocol/openid-connect/userinfo`, { headers: { authorization: `Bearer ${before}` } });
  assert.equal(told.status, 401, `${name}: Keycloak has ended the session`);
  console.log(`Keycloak, ${name}: a login, ${CYCLES} expiries under ${PROCESSES} processes, one refresh for each, 0 refused, a logout`);
}

// RFC 8628: the code is told, the user allows it in his browser, and the device has tokens that renew themselves.
async function device(base) {
  const login = regrant("login", "box", "--issuer", `${base}/realms/strict`, "--client-id", "box", "--scope", "openid", "--device", "--json");
  await walk(JSON.parse(await login.first).verification_uri_complete);
  await login.ended;
  const before = (await regrant("token", "box").ended).trim();
  await pause(LIFETIME);
  const tokens = await Promise.all(Array.from({ length: PROCESSES }, () => regrant("token", "box").ended));
  const distinct = new Set(tokens.map((token) => token.trim()));
  assert.ok(distinct.size === 1 && !distinct.has(before), `device: ${distinct.size} tokens`);
  assert.equal(JSON.parse(await regrant("logout", "box", "--json").ended).revoked, true);
  console.log("Keycloak, strict: a device's code, an expiry, a logout");
}

// What most clients do: four workers refresh one token.
async function naive(base) {
  const endpoint = `${base}/realms/strict/protocol/openid-connect`;
  const [redirect_uri, verifier] = ["http://127.0.0.1/callback", "v".repeat(43)];
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const asked = new URLSearchParams({
    response_type: "code",
    client_id: "cli",
    scope: "openid",
    redirect_uri,
    code_challenge: Buffer.from(hash).toString("base64url"),
    code_challenge_method: "S256",
  });
  const code = (await walk(`${endpoint}/auth?${asked}`)).searchParams.get("code");
  const redeemed = { grant_type: "authorization_code", client_id: "cli", code, redirect_uri, code_verifier: verifier };
  const tokens = await (await fetch(`${endpoint}/token`, form(redeemed))).json();
  assert.ok(tokens.refresh_token, JSON.stringify(tokens));
  const refresh = (token) =>
    fetch(`${endpoint}/token`, form({ grant_type: "refresh_token", client_id: "cli", refresh_token: token }));
  const answers = await Promise.all(Array.from({ length: 4 }, () => refresh(tokens.refresh_token)));
  const bodies = await Promise.all(answers.map((answer) => answer.json()));
  const refused = answers.filter((answer) => answer.status === 400).length;
  assert.ok(refused > 0, "a naive client is refused");
  const got = bodies.filter((body) => body.refresh_token);
  // Or the count below would say nothing.
  assert.ok((await events(base, "strict", "REFRESH_TOKEN_ERROR")) > 0, "Keycloak counts what it refuses");
  const alive = [];
  for (const body of got) alive.push((await refresh(body.refresh_token)).status === 200);
  const live = alive.filter(Boolean).length;
  console.log(`Keycloak, strict: of a naive client's four workers ${refused} were refused; ${live} of the tokens they got work`);
  assert.equal(live, 0, "the naive client is logged out");
}

let server;
try {
  server = await start();
  await naive(server.base);
  await play(server.base, "strict");
  await play(server.base, "off");
  await device(server.base);
} finally {
  if (server) process.kill(-server.child.pid, "SIGTERM");
  if (server && server.child.exitCode === null) await new Promise((done) => server.child.on("close", done));
  rmSync(home, { recursive: true, force: true });
}
