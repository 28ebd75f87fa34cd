//! The file that `regrant init` writes: every setting, its default, and why.

use std::path::Path;

/// A commented `regrant.toml` that runs as it is. `dir` is the directory it is written to, for the commands it names.
#[must_use]
pub fn example(dir: &Path) -> String {
    let file = dir.join("regrant.toml").display().to_string();
    // A line break in the path would end the comment and begin something else.
    let file = if file.chars().any(char::is_control) { "regrant.toml".to_owned() } else { file };
    TEXT.replace("FILE", &file)
}

const TEXT: &str = r##"# Regrant's configuration.
#
#   regrant --config FILE config check    checks it and says what your choices cost
#   regrant --config FILE serve           runs it
#
# A setting behind a single # is commented out and shows its default, unless an example is said. Paths are relative to this
# file; "credential:NAME" is a file that systemd hands over. Durations are written like "15m", "30d" or "1h30m". Unknown
# settings are errors. Each setting can come from the environment, which wins: issuer is REGRANT_ISSUER, and a setting of a
# section has the section's name between, like REGRANT_SECTION_KEY. `regrant reload` or SIGHUP makes the server read it again.


## The server

# The name of this server: the https URL under which clients know it, without a slash at the end. It stands in every token,
# and clients compare it byte by byte. Unless set it is http:// and the address below, which is right for this machine alone.
# Example:
#issuer = "https://auth.example.com"

# Where to listen: plain HTTP, unless there is a [tls] section below. Others should reach it by TLS alone, Regrant's own or that
# of a proxy in front of it. Where systemd passes on a socket, that one is used.
#listen = "127.0.0.1:8420"

# Where the data is: users, grants, added clients.
#store = "sqlite:regrant.db"

# Or in a PostgreSQL that many nodes share (docs/scaling.md). Of several hosts the one that can be written is used; TLS is verified.
##store = "postgres://regrant@db1.example.com,db2.example.com/regrant"
# The file that holds its password. Example:
##store_password_file = "/run/secrets/regrant-db"

# How it writes what a refresh changes: "journal", one row for all refreshes of a moment, which go into their places little by
# little; or "rows", each in its place at once, a fraction as fast. The same file serves both.
#store_writes = "journal"

# Where it is noted how far the data had come, so that a database that lost its log or was put back to an earlier time is noticed
# at the next start. Default: beside the store, with .anchor added to its name. On another disk it notices more. Example:
#anchor_file = "/var/lib/elsewhere/regrant.anchor"

# What was revoked, beside the data: so that a restore from an older backup cannot undo it (`regrant recover`). Keep it on another
# disk, or copy it away often: it is small, and grows only. Default: beside the store, with .revocations added to its name. Example:
#revocations_file = "/var/lib/elsewhere/regrant.revocations"

# The one secret of this server. Keep it apart from backups of the store: both together are a server, each alone is nothing.
# Without it every refresh token is worthless, so keep a copy in a safe place.
#root_key_file = "root.key"

# Where the commands reach the running server: a Unix socket that only the server's user can open. Default: beside the store,
# with .sock added to its name. "off" for none: then the server must be stopped for commands that work on the store. Example:
#admin_socket = "/run/regrant/admin.sock"

# Other paths of the token endpoint, beside /oauth2/token, for clients that expect it elsewhere.
#token_endpoint_aliases = ["/oauth/v2/accessToken"]

# Proxies in front of this server, addresses or networks. Only their word about where a request came from is taken, and only
# in this header: "x-forwarded-for" or "forwarded" (RFC 7239). It must be the one that the proxy itself writes, for what a
# client wrote into the other is passed on. No header ever changes the issuer or a link. Default: nobody; an example:
#trusted_proxies = ["127.0.0.1", "10.0.3.0/24"]
#forwarded_header = "x-forwarded-for"


## TLS, version 1.3 and what is safe of 1.2. Without this section the server speaks plain HTTP.

#[tls]
## The certificate with its chain, and its key, in PEM. They are read again when they change; a pair that is no good is not taken.
#certificate_file = "tls/fullchain.pem"
## Not readable for other users; or "credential:NAME" for a systemd credential (LoadCredential=NAME:/path).
#key_file = "tls/key.pem"
## Instead of both, in programs built with `--features acme`: a certificate that the server gets and renews by itself (RFC 8555).
## The authority asks on port 443 of these names, which must lead here.
##acme_domains = ["auth.example.com"]
##acme_terms_agreed = true
## Whom the authority may write to. Default: nobody.
##acme_contact = ["mailto:you@example.com"]
## Which authority. Default: Let's Encrypt.
##acme_directory = "https://acme-v02.api.letsencrypt.org/directory"
## What signs its own TLS certificate, for an authority that the system does not know. Default: what the system knows.
##acme_root_file = "ca.pem"
## The account and the certificates, readable for this server alone.
##acme_cache_dir = "acme"


## Limits of connections and requests. The defaults suit one machine with thousands of users.

#[http]
## A TLS handshake and the head of a request are a few packets: who takes longer is slow on purpose.
#handshake_timeout = "10s"
#header_timeout = "10s"
## A form is small, too, but may come over a bad line.
#body_timeout = "20s"
## Longer than any request takes; then it is given up, without an answer that could be wrong.
#request_timeout = "1m"
## A connection without a request. Longer than the 60 s of the usual proxies, who should be the ones to close.
#idle_timeout = "1m15s"
## After SIGTERM: how long to go on accepting while load balancers find /readyz saying no, and how long requests may take then.
#drain_delay = "1s"
#drain_timeout = "30s"
## Connections at one time. Default: 20000, or 64 fewer than the files the process may open if that is less. When all are taken, the
## one that has waited longest without a request is closed.
#max_connections = 20000
## Of one IPv4 address or IPv6 network of 64 bits, so that nobody takes all. Trusted proxies are not counted.
#max_connections_per_address = 1024
## Requests at one time on one HTTP/2 connection.
#max_streams = 100
## Bytes of a request line with all headers, how many headers, and bytes of the request line's target.
#max_head_size = 32768
#max_headers = 64
#max_uri_length = 16384


## Keys: how long each kind is in use before the next one takes over, by itself and without a logout. "never" leaves it to
## `regrant keys rotate`; `regrant keys list` shows where every key stands.

[keys]
# What signs access tokens. APIs fetch the public halves from /oauth2/jwks and keep them for five minutes.
#signing_rotation = "90d"
# How long a signing key is published before it signs, so that no API meets a token whose key it does not know. "5m" to "30d".
#signing_publish_ahead = "1d"
# What opaque access tokens are sealed with.
#sealing_rotation = "30d"
# What says of a refresh token that it is ours. An old one goes when no session is left that lived while it was in use.
#tag_rotation = "365d"
# What a lost answer is computed again with. Destroyed as soon as no retry needs it, so keep it short: "1h" to "7d".
#seed_rotation = "1d"


## Revocation: what ends by itself. "end" is for ever, "suspend" for as long as its cause lasts. docs/revocation.md has the whole table.

[revocation]
# A user is switched off: "end", or "suspend", and then switching on brings everything back.
#on_user_disabled = "end"
# A user gets another password: "end", or "keep". Browser sessions end in any case.
#on_password_changed = "end"
# A user logs out: "keep", "end_online" (grants of that session without offline_access) or "end" (all grants of that session).
#on_logout = "keep"
# What a user allowed a client is withdrawn: "end" or "keep".
#on_consent_withdrawn = "end"
# A client is removed: "end" or "suspend".
#on_client_removed = "end"
# A client is switched off: "suspend" or "end".
#on_client_disabled = "suspend"
# A client gets another secret: "keep" or "end".
#on_client_secret_rotated = "keep"
# A client loses a redirect URI: "keep" or "end".
#on_redirect_uris_reduced = "keep"
# How long an operator can take a bulk revocation back: "0s" to "7d".
#undo_window = "1h"


## Limits: each is so many at once, and so many again in each s, m, h or d; or "off". Nothing that succeeds is counted by network,
## so that strangers behind the same address cannot get anybody refused. IPv4 counts by address, IPv6 by /64.

[limits]
# Failed log-ins to one account from one network, or one browser that it knows. Beyond it one waits 1 s, 2 s, 4 s … before each try.
#login_failures = "5/h"
# Failed log-ins from one network, to whatever accounts. Beyond it that network waits the same way; browsers that were used before
# do not.
#login_failures_per_network = "60/h"
# Failed log-ins to one account from everywhere. Beyond it each network gets a single try, and the events tell of an attack.
#login_failures_per_account = "20/h"
# The longest that anybody waits.
#longest_login_wait = "15m"
# Wrong secrets for one client from one network. Beyond it the guesser hears 429; the client itself is not concerned.
#wrong_secrets = "60/m"
# Requests from one network that fail before they prove anything: malformed, forged, unauthenticated. Beyond it they hear 429.
#failures_per_network = "600/m"
# Requests with genuine tokens of one grant: a client that runs wild.
#requests_per_grant = "600/m"
# Requests of one client with a secret.
#requests_per_client = "300000/m"
# Authorization codes for one user: each is a row.
#codes_per_user = "60/m"
# Device codes for one network, or one client with a secret: each is a row.
#device_codes = "600/m"
# User codes that no device shows, entered by one user or from one network.
#wrong_user_codes = "10/h"
# Lines in the log about requests that anybody can send.
#refusals_logged = "100/s"
# Clients that are registered from one network.
#registrations_per_network = "30/h"


## The token hook: a program of yours that is asked before a token is made, and can deny it or add claims. Nothing is consumed
## before it has answered. Take away the # of all lines to use it; docs/claims.md says what it hears and answers.

#[token_hook]
## https, or http on a loopback address. It may be in a private network: nobody but you writes this.
#url = "https://hooks.example.com/token"
## Requests are signed with it, as Standard Webhooks says: a file with one line of 24 to 512 characters, or whsec_ and Base64.
#secret_file = "hook.secret"
## From the question to the last byte of the answer, "10ms" to "30s": the client waits as long.
#timeout = "2s"
## Without an answer: "deny" (the client hears 503 and asks again) or "allow" (a token without what the hook would have added).
#on_failure = "deny"
## The flows that are asked about. Default: all.
#grant_types = ["authorization_code", "implicit", "password", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]


## Events: what happened, in a chain that `regrant events verify` checks; `regrant explain` tells the life of a grant.

[events]
# How long events are kept.
#kept = "90d"
# How long an ended grant can still be explained.
#tombstones_kept = "90d"
# Where each event is written as a line of JSON: a file, or "stdout". Default: nowhere. Example:
#json_lines = "events.jsonl"

## Who is told of events, at least once each and in order; docs/events.md says how. Take away the # of all lines to use it.
#[[webhook]]
## What it is known by, also when its URL changes: its place in the chain is kept under this name.
#name = "alerts"
## https, or http on a loopback address.
#url = "https://hooks.example.com/events"
## As for the token hook.
#secret_file = "webhook.secret"
## Default: all kinds. Those that somebody should look at:
#kinds = ["grant_ended", "replay_refused", "alarm"]
## From the request to the last byte of the answer, "10ms" to "30s".
#timeout = "5s"
## How long to wait after a failure; twice as long after each further one, at most an hour.
#backoff = "1s"
## An event that is older than this and could not be delivered goes to the dead letters: `regrant webhooks list`.
#give_up_after = "1d"


## Clients that register themselves, and what clients name by URL

# Who may register clients at /oauth2/register: "off" (default), "token" (who has a token of `regrant registration token new`), "open"
# (everybody, within [limits]). scopes and grant_types are what they may have; most is how many there may be; one without a living grant is
# removed reap_after its last change. docs/clients.md has the rest.
#[registration]
#mode = "off"
#scopes = ["openid", "profile", "email", "address", "phone", "offline_access"]
#grant_types = ["authorization_code", "refresh_token"]
#most = 10000
#reap_after = "30d"

# Where jwks_uri, request_uri and sector_identifier_uri of clients may lead. Default: to public addresses, by https, at port 443. allow
# names networks of your own that clients live in, ports others than 443, roots a PEM file of certificates to trust as well. Example:
#[outbound]
#allow = ["10.0.3.0/24"]
#ports = ["8443"]
##roots = "private-authority.pem"


## What people see

# The built-in pages. name stands at the top of each; language is spoken where neither the request (ui_locales) nor the browser asks for
# one of "en", "de", "fr", "es", "zh" and "ja"; theme_dir holds templates, style sheets and images in place of ours (docs/pages.md). An example:
#[pages]
#name = "Example Login"
#language = "en"
##theme_dir = "theme"

# Pages of your own in place of ours: where browsers are sent to log in (and to choose an account), to be asked for consent, to be asked
# whether to log out, and to be told of an error. Your application reads what is asked and answers at the admin API, as a client with the
# scope regrant.interactions (docs/interactions.md). lifetime: how long an answer is waited for. acr_values: what logins there may be,
# beside urn:regrant:acr:password. Example:
#[interactions]
#login = "https://login.example.com/login"
#consent = "https://login.example.com/consent"
#logout = "https://login.example.com/logout"
#error = "https://login.example.com/error"
#lifetime = "10m"
#acr_values = ["urn:example:acr:passkey"]


## Resource servers

# How APIs that check JWTs themselves hear of what is over before its time: a signed feed of what was revoked, and status lists. Who may
# read them: "resource_servers" (default; clients with may_introspect, by client_secret_basic), "public", "nobody". status_claim:
# whether JWT access tokens say which bit of which list is theirs, without which no API can tell to what grant they belong. max_age: for
# how long an answer may be held.
#[revocation_feed]
#readers = "resource_servers"
#status_claim = true
#max_age = "5s"


## Sight

# How the log on standard error is written: "auto" is text on a terminal and JSON elsewhere; "text", "json". `--log-format`
# comes before it. filter says what is logged: "info" has one line for each request; "warn" is quiet, "debug" tells more. No level
# shows a secret. REGRANT_LOG comes before it.
#[log]
#format = "auto"
#filter = "info"
## Where spans are sent: the base URL of a collector for OTLP over HTTP. Only a build with `--features otlp` sends any. Default:
## none, or what OTEL_EXPORTER_OTLP_ENDPOINT says. Example:
##otlp_endpoint = "http://127.0.0.1:4318"

# Where Prometheus scrapes /metrics. Default: nowhere. Anybody who reaches it may read it, so other addresses than those of this
# machine need allow_remote. The first so many clients have series of their own; the others are "other". Example:
#[metrics]
#listen = "127.0.0.1:9464"
#allow_remote = false
#clients = 100


## The admin API: what an operator can do, for programs and for `regrant --server` elsewhere

# Where it answers. Default: nowhere. An address of its own, with the TLS of this server or on this machine only; or "main" for the
# server's own listener. It wants a token by client_credentials with the scope "regrant.admin" for the resource
# "urn:regrant:admin"; both are always there, and docs/admin-api.md has the rest. Example:
#[admin_api]
#listen = "127.0.0.1:8421"


## Scopes: what clients can ask for, and what users read when they are asked to allow it.
## openid, profile, email, address, phone and offline_access are always there.

[[scope]]
name = "notes:read"
description = "Read your notes"
# The same in other languages that the pages speak. Example:
#descriptions = { de = "Ihre Notizen lesen", fr = "Lire vos notes" }

[[scope]]
name = "notes:write"
description = "Write and delete your notes"


## Resources: the APIs that tokens are for (RFC 8707), and which scopes mean something there.

[[resource]]
uri = "https://api.example.com/"
scopes = ["notes:read", "notes:write"]
# What access tokens for it say of the user, by the names of `regrant user set`; "department as dept" gives another name.
# Default: nothing. An example:
#claims = ["groups", "roles", "department as dept"]
# What they say of everybody. Default: nothing. An example:
#static_claims = { tenant = "acme" }


## Clients. Declared ones belong to this file; `regrant client add` puts others into the store, without a restart of anything
## but their own program. No id may be in both. Take away one # at each line of an example to use it.

## A web application with a server of its own, which can keep a secret.
#[[client]]
#id = "web"
#name = "Example Notes"
## The secret: a file with one line of 32 to 256 characters, as `regrant client secret --out FILE` makes it, or "sha256:…" as
## `regrant client secret` prints it. Never both.
#secret_file = "web.secret"
##secret_hash = "sha256:…"
## How it proves itself: "client_secret_basic" (default), "client_secret_post", "client_secret_jwt", "private_key_jwt" (with jwks or
## jwks_uri), or "none" for a public client.
#token_endpoint_auth_method = "client_secret_basic"
## Its public keys, for private_key_jwt and signed request objects: at a URL, or here. Examples:
##jwks_uri = "https://app.example.com/jwks.json"
##jwks = { keys = [{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }
## What its assertions must be signed with. Default: whichever its keys fit. Example:
##token_endpoint_auth_signing_alg = "ES256"
## What its request objects are signed with, "none" for not at all, and where they may be. Default: whichever its keys fit; nowhere.
## Examples:
##request_object_signing_alg = "ES256"
##request_uris = ["https://app.example.com/request.jwt"]
## For the consent page. Default: none. Examples:
##client_uri = "https://app.example.com/"
##logo_uri = "https://app.example.com/logo.png"
##policy_uri = "https://app.example.com/privacy"
##tos_uri = "https://app.example.com/terms"
## Who answers for it. Default: nobody. Example:
##contacts = ["ann@example.com"]
## Compared byte by byte; no wildcards. https, or http on a loopback address.
#redirect_uris = ["https://app.example.com/callback"]
## Default: these two. Also "client_credentials", "urn:ietf:params:oauth:grant-type:device_code" (docs/device.md); "password" and "implicit" are there for old clients and should go.
#grant_types = ["authorization_code", "refresh_token"]
## Default: what fits grant_types, "code" or "token". OpenID Connect has more: "id_token", "id_token token", "code id_token",
## "code token" and "code id_token token"; all but "code" need the grant type "implicit".
#response_types = ["code"]
## Default: none.
#scopes = ["notes:read", "notes:write", "offline_access"]
## Default: none.
#resources = ["https://api.example.com/"]
## Whether a login must use PKCE. Default: true; false is possible for clients with a secret.
#require_pkce = true
## Whether it may ask about tokens (RFC 7662): for APIs. Default: false.
#may_introspect = false
## Whether it may end everything of a user at /oauth2/global-revoke: for security tools. Default: false.
#may_revoke_users = false
## Whether it is switched off. Default: false.
#disabled = false
## Origins whose scripts may call the token endpoint as this client. Default: none.
#allowed_origins = []
## Do not ask users for consent: for your own applications only. Default: false.
#skip_consent = false
## Where its users may be sent after a logout (docs/logout.md). Default: none.
#post_logout_redirect_uris = ["https://app.example.com/goodbye"]
## Where it is told that a session has ended, by a POST of this server. Default: nowhere.
#backchannel_logout_uri = "https://app.example.com/logout/back"
#backchannel_logout_session_required = true
## What is framed when its user logs out, with iss and sid if it wants them. Default: nothing.
#frontchannel_logout_uri = "https://app.example.com/logout/front"
#frontchannel_logout_session_required = true
## What becomes of its grants when the user logs out of the session in which they were given: "keep", "end_online" (those without
## offline_access end) or "end". Default: as on_logout of [revocation].
#on_logout = "keep"
## Whether a refresh gives a new refresh token: "single_use", "reusable", or "auto" (default), which is single_use for public
## clients and reusable for the others. Fixed when a grant is made.
#rotation = "auto"
## What a spent refresh token does when it comes again: "revoke" (default) ends the grant, as two parties hold its tokens;
## "refuse" only turns it away. Public clients always revoke.
#on_replay = "revoke"
## A session ends after this long without a refresh. Default: "30d", or absolute_lifetime if that is shorter.
#idle_lifetime = "30d"
## A session ends this long after the login, whatever is done. Default: "365d", or idle_lifetime if that is longer.
#absolute_lifetime = "365d"
## How long an access token works. Default: "1h", or idle_lifetime if that is shorter.
#access_token_lifetime = "1h"
## "jwt" (default, RFC 9068): APIs check it themselves. "opaque": they ask the introspection endpoint, and hear of a
## revocation at once.
#access_token_format = "jwt"
## What JWT access tokens are signed with: "ES256" (default), "EdDSA", "PS256", or "RS256" for APIs that know nothing else. The key
## is made by itself.
#access_token_signed_response_alg = "ES256"
## What its ID tokens are signed with: "RS256" (default), "ES256", "EdDSA" or "PS256"; and its userinfo answers, which are plain JSON
## unless this is set. Example:
#id_token_signed_response_alg = "RS256"
##userinfo_signed_response_alg = "RS256"
## Whether these are encrypted to a key of its own, and how: with "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP-256" or
## "RSA-OAEP", and "A128CBC-HS256" (default), "A128GCM" or "A256GCM". And how it encrypts its request objects to the server's key,
## where only that is to be taken. Default: nothing is encrypted, and request objects may be. Example:
##id_token_encrypted_response_alg = "ECDH-ES"
##id_token_encrypted_response_enc = "A256GCM"
##userinfo_encrypted_response_alg = "RSA-OAEP-256"
##userinfo_encrypted_response_enc = "A128CBC-HS256"
##request_object_encryption_alg = "ECDH-ES"
##request_object_encryption_enc = "A256GCM"
## By which sub it knows its users: "public" (default), or "pairwise", which no client of another sector knows. The sector is the host
## of this URI, or else of the redirect URIs. A pairwise client has opaque access tokens. Example:
#subject_type = "public"
##sector_identifier_uri = "https://app.example.com/"
## How old a login may be for requests without max_age. Default: as old as it is. Example:
##default_max_age = "1h"
## When it gets a refresh token: "always" (default), or "offline_access": with grants of that scope only.
#refresh_tokens = "always"
## While a secret is replaced: the one before it, by file or by hash, and when it stops to work. Example:
##previous_secret_hash = "sha256:…"
##previous_secret_file = "web.old-secret"
##previous_secret_expires_at = "2026-12-01T00:00:00Z"
## What its access tokens say of the user, whatever they are for, and of everybody: see [[resource]]. Default: nothing.
#access_token_claims = ["email"]
#static_claims = { plan = "free" }
## Whether the token hook is asked about it. Default: true.
#token_hook = true
## Whether its error answers carry the reason code of a refusal (docs/reasons.md): for who develops it. Default: false.
#tell_reason = false

## An application on phones, desktops or in browsers, which cannot keep a secret.
#[[client]]
#id = "app"
#name = "Example Notes for phones"
#token_endpoint_auth_method = "none"
#redirect_uris = ["com.example.notes:/callback", "http://127.0.0.1/callback"]
#scopes = ["notes:read", "offline_access"]
#resources = ["https://api.example.com/"]
## For public clients only: how long after a refresh the same answer can be had again, if it was lost on its way. "0" means
## that a lost answer costs a login; a longer window gives a thief more room. Default: "60s"; else "10s" to "1h".
#retry_window = "60s"

## A program without users.
#[[client]]
#id = "nightly-job"
#secret_file = "nightly-job.secret"
#grant_types = ["client_credentials"]
#scopes = ["notes:read"]
#resources = ["https://api.example.com/"]

## An API that asks about opaque tokens.
#[[client]]
#id = "notes-api"
#secret_file = "notes-api.secret"
#grant_types = []
#may_introspect = true
## What signs the answers that it asks for as JWT (RFC 9701). Default: "RS256". The key is made by itself.
#introspection_signed_response_alg = "RS256"
"##;

#[cfg(test)]
pub(super) fn with_everything_set() -> String {
    // One # less on every line that is a setting and no prose: what a reader does who takes the defaults as they are shown.
    let uncommented = TEXT.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => rest,
        _ => line,
    });
    uncommented.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
