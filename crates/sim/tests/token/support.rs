//! What the stories of tokens share, beside what all stories do.

use std::time::Duration;

use regrant_core::Timestamp;
pub(crate) use sim::wire::story::{
    DAY, claims, header, is_active, next, refused, secs, tokens, with_client, with_setting, world, world_with,
};
use sim::wire::{CONFIG, Reply, SECRET, START, World};

/// One client of each class that has refresh tokens: confidential and reusable, confidential and single use with either method of
/// authentication, public, and public without a retry window.
pub(crate) const REFRESHING: [&str; 5] = ["web", "web-single", "opaque", "phone", "phone-strict"];
/// Those whose refresh token is replaced at each refresh.
pub(crate) const ROTATING: [&str; 4] = ["web-single", "opaque", "phone", "phone-strict"];
/// The sum of an hour.
pub(crate) const HOUR: u64 = 3600;

/// A world in which a disabled user's grants come back when the user does; by default they end.
pub(crate) async fn suspending_world() -> World {
    world_with(&format!("[revocation]\non_user_disabled = \"suspend\"\n{CONFIG}")).await
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When the world began, and this much later or earlier.
pub(crate) const fn start_plus(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

/// The usual configuration without one client.
pub(crate) fn without_client(client: &str) -> String {
    let its = format!("id = \"{client}\"");
    CONFIG.split("[[client]]").filter(|part| !part.contains(&its)).collect::<Vec<_>>().join("[[client]]")
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

/// A form body, unencoded parts and all.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// The header of a `client_secret_basic` client.
pub(crate) fn own_basic(client: &str) -> String {
    sim::wire::http::basic(client, SECRET)
}
