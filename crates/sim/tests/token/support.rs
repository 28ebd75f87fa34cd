//! What the stories share: a world that remembers its reasons, other configurations, and what every refusal must be.

use std::time::Duration;

use regrant_core::Timestamp;
use serde_json::Value;
use sim::wire::{CONFIG, Reply, SECRET, START, World, log, text};

/// One client of each class that has refresh tokens: confidential and reusable, confidential and single use with either method of
/// authentication, public, and public without a retry window.
pub(crate) const REFRESHING: [&str; 5] = ["web", "web-single", "opaque", "phone", "phone-strict"];
/// Those whose refresh token is replaced at each refresh.
pub(crate) const ROTATING: [&str; 4] = ["web-single", "opaque", "phone", "phone-strict"];
/// The sum of an hour.
pub(crate) const HOUR: u64 = 3600;
/// A day, in seconds.
pub(crate) const DAY: u64 = 86_400;

/// The usual world.
pub(crate) async fn world() -> World {
    log::listen();
    World::new().await
}

/// A world of another configuration.
pub(crate) async fn world_with(config: &str) -> World {
    log::listen();
    World::with(config).await
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When the world began, and this much later or earlier.
pub(crate) const fn start_plus(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

/// The usual configuration with one client changed.
pub(crate) fn with_client(client: &str, from: &str, to: &str) -> String {
    let mut parts: Vec<String> = CONFIG.split("[[client]]").map(str::to_owned).collect();
    let its = format!("id = \"{client}\"");
    let part = parts.iter_mut().find(|part| part.contains(&its)).expect("a client of the configuration");
    assert!(part.contains(from), "{client} has no {from}");
    *part = part.replacen(from, to, 1);
    parts.join("[[client]]")
}

/// The usual configuration with a setting more for one client.
pub(crate) fn with_setting(client: &str, setting: &str) -> String {
    let id = format!("id = \"{client}\"");
    with_client(client, &id, &format!("{setting}\n{id}"))
}

/// The usual configuration without one client.
pub(crate) fn without_client(client: &str) -> String {
    let its = format!("id = \"{client}\"");
    CONFIG.split("[[client]]").filter(|part| !part.contains(&its)).collect::<Vec<_>>().join("[[client]]")
}

/// Asserts a refusal, whole: its status, its public code, what every error carries, and the true reason in the log.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, error: &str, reason: &str) {
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
pub(crate) fn tokens(reply: Reply) -> (String, String) {
    let json = reply.expect_status(200).json();
    (text(&json, "access_token"), text(&json, "refresh_token"))
}

/// The refresh token of an answer.
#[track_caller]
pub(crate) fn next(reply: Reply) -> String {
    tokens(reply).1
}

/// Refreshes `times` times in honest distance, and returns all tokens: the first, the live one last.
pub(crate) async fn chain(world: &World, client: &str, times: usize) -> Vec<String> {
    let mut chain = vec![world.first(client).await];
    for _ in 0..times {
        world.advance(secs(HOUR));
        chain.push(next(world.refresh(client, chain.last().expect("a first")).await));
    }
    chain
}

/// Asserts that this token is refused for this reason and that nothing of the row has changed.
pub(crate) async fn refused_without_a_trace(world: &World, client: &str, token: &str, error: &str, reason: &str) {
    let before = world.row(token).await;
    refused(&world.refresh(client, token).await, 400, error, reason);
    assert_eq!(world.row(token).await, before, "a refusal changed the grant");
}

/// `GET /oauth2/userinfo` with a bearer token.
pub(crate) async fn userinfo(world: &World, access: &str) -> Reply {
    world.http().get("/oauth2/userinfo", &[("authorization", &format!("Bearer {access}"))]).await
}

/// The claims of a JWT, unverified.
pub(crate) fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

/// The header of a JWT.
pub(crate) fn header(jwt: &str) -> Value {
    part(jwt, 0)
}

fn part(jwt: &str, number: usize) -> Value {
    use base64::Engine as _;
    let part = jwt.split('.').nth(number).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Whether introspection by the client `api` calls it active.
pub(crate) async fn is_active(world: &World, token: &str) -> bool {
    let answer = world.introspect(token).await;
    let active = answer["active"].as_bool().expect("active is there");
    assert!(active || answer == serde_json::json!({"active": false}), "an inactive token has members: {answer}");
    active
}

/// A form body, unencoded parts and all.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// The header of a `client_secret_basic` client.
pub(crate) fn own_basic(client: &str) -> String {
    sim::wire::http::basic(client, SECRET)
}

/// A seeded stream of numbers: the same in every run.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
