//! What the stories over a [`World`] share: a world that remembers its reasons, other configurations, the tokens of an answer, and
//! what every refusal must be.

use std::time::Duration;

use serde_json::Value;

use super::{CONFIG, Reply, World, log, text};

/// A day, in seconds.
pub const DAY: u64 = 86_400;

/// The usual world.
pub async fn world() -> World {
    log::listen();
    World::new().await
}

/// A world of another configuration.
pub async fn world_with(config: &str) -> World {
    log::listen();
    World::with(config).await
}

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The usual configuration with one client changed.
pub fn with_client(client: &str, from: &str, to: &str) -> String {
    let mut parts: Vec<String> = CONFIG.split("[[client]]").map(str::to_owned).collect();
    let its = format!("id = \"{client}\"");
    let part = parts.iter_mut().find(|part| part.contains(&its)).expect("a client of the configuration");
    assert!(part.contains(from), "{client} has no {from}");
    *part = part.replacen(from, to, 1);
    parts.join("[[client]]")
}

/// The usual configuration with a setting more for one client.
pub fn with_setting(client: &str, setting: &str) -> String {
    let id = format!("id = \"{client}\"");
    with_client(client, &id, &format!("{setting}\n{id}"))
}

/// Asserts a refusal, whole: its status, its public code, what every error carries, and the true reason in the log.
#[track_caller]
pub fn refused(reply: &Reply, status: u16, error: &str, reason: &str) {
    reply.expect_error(status, error);
    let logged = log::reason(reply);
    let fits = if reason.starts_with("malformed") { logged.starts_with(reason) } else { logged == reason };
    assert!(fits, "the log says {logged:?}, not {reason:?}");
    assert!(
        reply.json()["access_token"].is_null() && reply.json()["refresh_token"].is_null(),
        "a token beside an error"
    );
}

/// The tokens of an answer.
#[track_caller]
pub fn tokens(reply: Reply) -> (String, String) {
    let json = reply.expect_status(200).json();
    (text(&json, "access_token"), text(&json, "refresh_token"))
}

/// The refresh token of an answer.
#[track_caller]
pub fn next(reply: Reply) -> String {
    tokens(reply).1
}

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

/// The header of a JWT.
pub fn header(jwt: &str) -> Value {
    part(jwt, 0)
}

fn part(jwt: &str, number: usize) -> Value {
    use base64::Engine as _;
    let part = jwt.split('.').nth(number).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Whether introspection by the client `api` calls it active.
pub async fn is_active(world: &World, token: &str) -> bool {
    let answer = world.introspect(token).await;
    let active = answer["active"].as_bool().expect("active is there");
    assert!(active || answer == serde_json::json!({"active": false}), "an inactive token has members: {answer}");
    active
}

/// The operator writes another file and reloads.
///
/// # Panics
/// If the configuration is wrong.
pub async fn reload(world: &World, text: &str) {
    world.app.replace_config(super::config(text)).await.expect("a good configuration");
}
