//! What the operations take and give, shown: examples of the document. A unit test finds one that is not as its type says.

pub(super) const STATUS: &str = r#"{
    "version": "0.1.0", "pid": 4711, "issuer": "https://auth.example.com", "config": "/etc/regrant/regrant.toml",
    "now": "2026-11-28T12:00:00Z", "clock": "2026-11-28T12:00:00Z", "trouble": null, "clients": 3
}"#;

pub(super) const RELOADED: &str = r#"{"clients": 3, "needs_restart": ["listen"], "notices": [], "can_return": [],
    "ended": [{"client": "old", "reason": "client_removed", "revocation": 7, "undo_until": "2026-11-23T13:00:00Z"}]}"#;

pub(super) const DEFINITION: &str = r#"{
    "id": "web", "name": "Example Notes", "redirect_uris": ["https://app.example.com/callback"],
    "scopes": ["openid", "offline_access"]
}"#;

pub(super) const CLIENT: &str = r#"{
    "id": "web", "name": "Example Notes", "origin": "store", "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    "redirect_uris": ["https://app.example.com/callback"], "scope": "offline_access openid", "resources": [],
    "rotation": "reusable", "retry_window": null, "on_replay": "revoke", "idle_lifetime": 2592000,
    "absolute_lifetime": 31536000, "access_token_lifetime": 3600, "access_token_format": "jwt", "may_introspect": false, "may_revoke_users": false, "disabled": false,
    "require_pkce": true, "allowed_origins": [], "skip_consent": false,
    "refresh_tokens": "always", "subject_type": "public", "default_max_age": null,
    "id_token_signed_response_alg": "RS256", "userinfo_signed_response_alg": null,
    "introspection_signed_response_alg": "ES256", "access_token_signed_response_alg": "ES256",
    "post_logout_redirect_uris": [], "backchannel_logout_uri": null, "backchannel_logout_session_required": false,
    "frontchannel_logout_uri": null, "frontchannel_logout_session_required": false, "on_logout": null
}"#;

pub(super) const CLIENT_ADDED: &str = r#"{
    "id": "web", "name": "Example Notes", "origin": "store", "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    "redirect_uris": ["https://app.example.com/callback"], "scope": "offline_access openid", "resources": [],
    "rotation": "reusable", "retry_window": null, "on_replay": "revoke", "idle_lifetime": 2592000,
    "absolute_lifetime": 31536000, "access_token_lifetime": 3600, "access_token_format": "jwt", "may_introspect": false, "may_revoke_users": false, "disabled": false,
    "require_pkce": true, "allowed_origins": [], "skip_consent": false,
    "refresh_tokens": "always", "subject_type": "public", "default_max_age": null,
    "id_token_signed_response_alg": "RS256", "userinfo_signed_response_alg": null,
    "introspection_signed_response_alg": "ES256", "access_token_signed_response_alg": "ES256",
    "post_logout_redirect_uris": [], "backchannel_logout_uri": null, "backchannel_logout_session_required": false,
    "frontchannel_logout_uri": null, "frontchannel_logout_session_required": false, "on_logout": null, "client_secret": "rgs_…"
}"#;

pub(super) const CLIENT_DETAIL: &str = r#"{
    "client": {
        "id": "web", "name": "Example Notes", "origin": "store", "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "redirect_uris": ["https://app.example.com/callback"], "scope": "offline_access openid", "resources": [],
        "rotation": "reusable", "retry_window": null, "on_replay": "revoke", "idle_lifetime": 2592000,
        "absolute_lifetime": 31536000, "access_token_lifetime": 3600, "access_token_format": "jwt", "may_introspect": false, "may_revoke_users": false, "disabled": false,
        "require_pkce": true, "allowed_origins": [], "skip_consent": false,
    "refresh_tokens": "always", "subject_type": "public", "default_max_age": null,
    "id_token_signed_response_alg": "RS256", "userinfo_signed_response_alg": null,
    "introspection_signed_response_alg": "ES256", "access_token_signed_response_alg": "ES256",
    "post_logout_redirect_uris": [], "backchannel_logout_uri": null, "backchannel_logout_session_required": false,
    "frontchannel_logout_uri": null, "frontchannel_logout_session_required": false, "on_logout": null
    },
    "definition": {
        "id": "web", "name": "Example Notes", "redirect_uris": ["https://app.example.com/callback"],
        "scopes": ["openid", "offline_access"]
    },
    "version": "5f0c6c0d1c1b8a3f6f3c2e9a7b1d4e88"
}"#;

pub(super) const SECRET_MADE: &str = r#"{
    "client": "web", "previous_works_until": "2026-11-29T12:00:00Z", "dropped_an_older_one": false, "client_secret": "rgs_…"
}"#;

pub(super) const USER: &str = r#"{
    "name": "alice", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "enabled": true, "created_at": "2026-11-28T12:00:00Z",
    "disabled_at": null
}"#;

pub(super) const USER_DETAIL: &str = r#"{
    "name": "alice", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "enabled": true, "created_at": "2026-11-28T12:00:00Z",
    "updated_at": "2026-11-28T12:00:00Z", "disabled_at": null, "password": "argon2id",
    "attributes": {"email": "alice@example.com", "email_verified": false, "groups": ["staff"]}, "version": 2
}"#;

pub(super) const PORTABLE_USER: &str = r#"{
    "username": "alice", "disabled": true, "sub": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "email": "alice@example.com"
}"#;

pub(super) const IMPORT: &str = r#"{
    "users": [{"username": "bob", "password_hash": "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"}],
    "existing": "skip", "effect": "write"
}"#;

pub(super) const GRANT: &str = r#"{
    "id": "3nWmT2cVb8QxJ5rLk0yHpd", "client": "web", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice",
    "scope": "offline_access openid", "resources": "", "rotation": "reusable", "generation": 1, "retries": 0, "state": "live",
    "reason": null, "ended_at": null, "created_at": "2026-11-28T12:00:00Z", "last_refreshed_at": "2026-11-28T12:00:00Z",
    "idle_ends_at": "2026-12-28T12:00:00Z", "absolute_ends_at": "2027-11-28T12:00:00Z"
}"#;

pub(super) const GRANT_DETAIL: &str = r#"{
    "grant": {
        "id": "3nWmT2cVb8QxJ5rLk0yHpd", "client": "web", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice",
        "scope": "offline_access openid", "resources": "", "rotation": "reusable", "generation": 1, "retries": 0,
        "state": "revoked", "reason": "revoked_by_operator", "ended_at": "2026-11-28T12:30:00Z",
        "created_at": "2026-11-28T12:00:00Z", "last_refreshed_at": "2026-11-28T12:00:00Z",
        "idle_ends_at": "2026-12-28T12:00:00Z", "absolute_ends_at": "2027-11-28T12:00:00Z"
    },
    "events": [{
        "at": "2026-11-28T12:30:00Z", "kind": "grant_ended", "reason": "revoked_by_operator", "client": "web",
        "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "detail": "lost laptop; by client ops on the admin API",
        "correlation": "6f1b2c3d4e5f6071"
    }]
}"#;

pub(super) const EVENT: &str = r#"{
    "id": 42, "at": "2026-11-28T12:00:00Z", "kind": "admin", "reason": null, "grant": null, "client": "ops",
    "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice", "detail": "user alice added; by client ops on the admin API",
    "correlation": "6f1b2c3d4e5f6071"
}"#;

pub(super) const EXPLANATION: &str = r#"{
    "asked_about": "correlation_id", "token": null,
    "refused": {
        "code": "refresh_replayed", "outside": "invalid_grant", "happened": "A refresh token that was replaced was presented again.",
        "accepted": "Nothing: the user logs in again."
    },
    "grant": {
        "id": "3nWmT2cVb8QxJ5rLk0yHpd", "client": "phone", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice",
        "scope": "openid read", "resources": "", "rotation": "rotate", "generation": 3, "retries": 0,
        "state": "revoked", "reason": "refresh_replayed", "ended_at": "2026-11-28T12:30:00Z",
        "created_at": "2026-11-28T12:00:00Z", "last_refreshed_at": "2026-11-28T12:20:00Z",
        "idle_ends_at": "2026-12-28T12:20:00Z", "absolute_ends_at": "2027-11-28T12:00:00Z"
    },
    "made_from": {"since": "2026-11-28T12:00:00Z", "network": "203.0.113.0/24", "agent": "Firefox on Linux"},
    "used_from": {"since": "2026-11-28T12:20:00Z", "network": "198.51.100.0/24", "agent": "OkHttp"},
    "clocks": [{"ends": "the grant was ended", "at": "2026-11-28T12:30:00Z", "is_over": true}],
    "events": [{
        "id": 42, "at": "2026-11-28T12:30:00Z", "kind": "grant_ended", "reason": "refresh_replayed",
        "grant": "3nWmT2cVb8QxJ5rLk0yHpd", "client": "phone", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice",
        "detail": "presented generation 1, current 3", "correlation": "6f1b2c3d4e5f6071", "link": null
    }]
}"#;

pub(super) const CHAIN: &str = r#"{
    "verified": 38, "unchained": 0, "removed_up_to": 4, "newest": 42,
    "newest_link": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c", "broken": null
}"#;

pub(super) const WEBHOOK: &str = r#"{
    "name": "alerts", "to": "https://alerts.example.com/regrant", "kinds": ["alarm", "grant_ended"], "position": 41, "waiting": 1,
    "oldest_waiting_at": "2026-11-28T12:30:00Z",
    "dead_letters": [{"event": 17, "at": "2026-11-28T09:00:00Z", "failure": "it answered 500"}]
}"#;

pub(super) const LOGOUTS: &str = r#"{
    "client": "shop", "waiting": 1, "oldest_waiting_at": "2026-11-28T12:30:00Z",
    "given_up": [{
        "event": 39, "at": "2026-11-28T09:00:00Z", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "user": "alice", "failure": "status 503"
    }]
}"#;

pub(super) const RETRIED: &str = r#"{"delivered": 1, "dropped": 0, "left": 0, "failure": null}"#;

pub(super) const DROPPED: &str = r#"{"delivered": 0, "dropped": 1, "left": 0, "failure": null}"#;

pub(super) const KEY: &str = r#"{
    "kind": "signing", "id": 1, "kid": "vJ2n", "algorithm": "ES256", "status": "current", "since": "2026-11-01T00:00:00Z",
    "next_step": "successor is published", "next_step_at": "2027-01-29T00:00:00Z", "grants": null
}"#;

pub(super) const KEY_DONE: &str = r#"{
    "done": "signing key 2 (ES256) is published", "notes": ["it takes over in 1d, when every API can know it"]
}"#;

pub(super) const BULK: &str =
    r#"{"selection": {"user": "alice", "client": "phone"}, "effect": "write", "reason": "phone stolen"}"#;

pub(super) const BULK_DONE: &str = r#"{
    "id": 7, "reason": "user_revoked", "grants": null, "users": null, "clients": null, "undo_until": "2026-11-28T13:00:00Z",
    "ends_browser_sessions": false
}"#;

pub(super) const REVOCATION: &str = r#"{
    "id": 7, "at": "2026-11-28T12:00:00Z", "reason": "user_revoked", "selects": "user usr_4Tt1Jw0CkZ2bq8mXyR7uVn, client phone",
    "detail": "phone stolen", "state": "live", "undo_until": "2026-11-28T13:00:00Z"
}"#;

pub(super) const TOKENS_REVOKED: &str = r#"{
    "outcomes": [{"outcome": "revoked", "grant": "3nWmT2cVb8QxJ5rLk0yHpd"}, {"outcome": "not_ours", "grant": null}]
}"#;

pub(super) const INTERACTION: &str = r#"{
    "kind": "login",
    "client": {
        "id": "web", "name": "Example Notes", "host": "app.example.com", "client_uri": null, "logo_uri": null,
        "policy_uri": null, "tos_uri": null
    },
    "scope": [{"name": "openid", "description": "Know who you are"}], "resources": [], "user": null,
    "login_hint": "alice", "ui_locales": "de", "display": "", "acr_values": [], "acr_needed": [],
    "must_log_in_anew": false, "max_age": null, "request": "client_id=web&response_type=code&scope=openid",
    "began_at": "2026-11-28T12:00:00Z", "expires_at": "2026-11-28T12:10:00Z"
}"#;

pub(super) const ACCEPTANCE: &str = r#"{
    "challenge": "rgq_…", "subject": "usr_4Tt1Jw0CkZ2bq8mXyR7uVn", "acr": "urn:example:acr:passkey", "amr": ["hwk", "user"],
    "remember": true
}"#;

pub(super) const SEND_BROWSER_TO: &str = r#"{"redirect_to": "https://auth.example.com/interaction?verifier=rgv_…"}"#;
