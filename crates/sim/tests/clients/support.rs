//! Worlds with clients that have keys, and a place on the web for what they publish.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sim::wire::assertion::{self, TYPE};
use sim::wire::{Act, Hook, Http, PASSWORD, Reply, USER, VERIFIER, World, authorization};

/// A directory of the test's own.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("regrant-clients-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Clients of every method. `JWKS_URI` is where the keys of one of them are.
pub(crate) const CLIENTS: &str = r#"
[[scope]]
name = "read"
description = "Read your things"
[[client]]
id = "robot"
token_endpoint_auth_method = "private_key_jwt"
jwks = KEYS
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password", "client_credentials"]
scopes = ["openid", "read"]
[[client]]
id = "shared"
token_endpoint_auth_method = "client_secret_jwt"
secret_file = "SECRET_FILE"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password", "client_credentials"]
scopes = ["openid", "read"]
[[client]]
id = "strict"
token_endpoint_auth_method = "private_key_jwt"
token_endpoint_auth_signing_alg = "EdDSA"
jwks = KEYS
grant_types = ["client_credentials"]
scopes = ["read"]
[[client]]
id = "basic"
secret_hash = "HASH"
jwks = KEYS
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password", "client_credentials"]
scopes = ["openid", "read"]
[[client]]
id = "api"
token_endpoint_auth_method = "private_key_jwt"
jwks = KEYS
grant_types = []
may_introspect = true
"#;

/// The clients above, each with what it needs.
pub(crate) fn clients() -> String {
    let file = directory().join("secret");
    std::fs::write(&file, sim::wire::SECRET).expect("a file");
    CLIENTS.replace("SECRET_FILE", &file.display().to_string())
}

/// A world with them.
pub(crate) async fn world() -> World {
    World::with(&clients()).await
}

/// A place on the web, at 127.0.0.1 and with TLS, and the settings with which a server may read it.
pub(crate) async fn site() -> (Hook, String) {
    let (site, authority) = Hook::start_tls(&directory()).await;
    let setting = format!("[outbound]\nallow = [\"127.0.0.1\"]\nroots = {:?}\n", authority.display().to_string());
    (site, setting)
}

/// A client whose keys are at a URL.
pub(crate) fn remote(url: &str) -> String {
    format!(
        "[[client]]\nid = \"remote\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\njwks_uri = {url:?}\n\
         grant_types = [\"client_credentials\"]\nscopes = [\"openid\"]\n"
    )
}

/// `client_credentials` with this assertion.
pub(crate) async fn ask(http: &Http, signed: &str, more: &[(&str, &str)]) -> Reply {
    let mut parameters =
        vec![("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", signed)];
    parameters.extend(more);
    http.post("/oauth2/token", &parameters, &[]).await
}

/// The claims of a good assertion at this moment.
pub(crate) fn claims(world: &World, client: &str) -> Value {
    assertion::claims(client, world.app.issuer(), world.clock.now().seconds())
}

/// The same with other members; `null` takes one away.
pub(crate) fn but(claims: &Value, changes: Value) -> Value {
    let mut changed = claims.clone();
    let (Some(members), Value::Object(changes)) = (changed.as_object_mut(), changes) else { panic!("no objects") };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(&name)
        } else {
            members.insert(name, value)
        };
    }
    changed
}

/// A grant by the password grant.
pub(crate) async fn grant(world: &World, client: &str) -> Value {
    let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("scope", "read")];
    world.token(client, &parameters).await.expect_status(200).json()
}

/// What a site says from now on.
pub(crate) fn publishes(site: &Hook, body: &Value) {
    site.does(Act::says(&body.to_string()));
}

/// A configuration in which anybody may register.
pub(crate) fn open(more: &str) -> String {
    format!(
        "[registration]\nmode = \"open\"\ngrant_types = [\"authorization_code\", \"refresh_token\", \"implicit\"]\n{more}\n"
    )
}

/// Registers.
pub(crate) async fn register(world: &World, metadata: &Value, headers: &[(&str, &str)]) -> Reply {
    world.http().post_raw("/oauth2/register", &metadata.to_string(), "application/json", headers).await
}

/// What most registrations say.
pub(crate) fn web() -> Value {
    json!({
        "client_name": "Fair App",
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
    })
}

/// The first tokens of a registered client, for a user who logs in for them: with its secret in the form.
pub(crate) async fn first_tokens(world: &World, client: &Value, more: &[(&str, &str)]) -> Value {
    let (id, secret) = (member(client, "client_id"), member(client, "client_secret"));
    let code = world.browser().log_in_for_code(&authorization(&id, more)).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.example/cb"),
        ("code_verifier", VERIFIER),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
    ];
    world.http().post("/oauth2/token", &form, &[]).await.expect_status(200).json()
}

/// A text member.
pub(crate) fn member(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
