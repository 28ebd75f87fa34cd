//! What the stories of keys share.

use std::time::Duration;

use regrant_server::admin::KeyView;
use serde_json::Value;
use sim::wire::{CONFIG, Reply, SECRET, World, http, log, text};

/// A day, in seconds.
pub(crate) const DAY: u64 = 86_400;
/// How much longer than needed a key verifies.
pub(crate) const GRACE: u64 = 300;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The usual world.
pub(crate) async fn world() -> World {
    log::listen();
    World::new().await
}

/// The usual world under these settings of `[keys]`.
pub(crate) async fn world_with_keys(settings: &str) -> World {
    log::listen();
    World::with(&format!("[keys]\n{settings}\n{CONFIG}")).await
}

/// The usual configuration with a setting more for one client.
pub(crate) fn with_setting(client: &str, setting: &str) -> String {
    let id = format!("id = \"{client}\"");
    assert_eq!(CONFIG.matches(&id).count(), 1);
    CONFIG.replace(&id, &format!("{id}\n{setting}"))
}

/// Carries out what is due, and tells how many steps that were.
pub(crate) async fn tend(world: &World) -> usize {
    regrant_server::rotation::tend(&world.app).await.expect("the schedule is kept")
}

pub(crate) async fn sweep(world: &World) -> regrant_server::sweep::Swept {
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep")
}

/// Every key of a kind.
pub(crate) async fn keys(world: &World, kind: &str) -> Vec<KeyView> {
    let all = world.app.admin().keys().await.expect("the store answers");
    all.into_iter().filter(|key| key.kind == kind).collect()
}

/// The statuses of a kind, in order of number.
pub(crate) async fn statuses(world: &World, kind: &str) -> Vec<String> {
    keys(world, kind).await.into_iter().map(|key| key.status).collect()
}

/// The `kid`s of the published key set, and how long it may be held.
pub(crate) async fn published(world: &World) -> (Vec<String>, String) {
    let reply = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let held = reply.header("cache-control");
    let set = reply.json();
    let kids = set["keys"].as_array().expect("keys").iter().map(|key| text(key, "kid")).collect();
    (kids, held)
}

/// An access token of a client without users.
pub(crate) async fn machine_token(world: &World) -> String {
    let basic = http::basic("daemon", SECRET);
    let form = [("grant_type", "client_credentials")];
    let reply = world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await;
    text(&reply.expect_status(200).json(), "access_token")
}

/// Whether introspection vouches for it.
pub(crate) async fn is_active(world: &World, token: &str) -> bool {
    world.introspect(token).await["active"] == true
}

/// The header of a JWT.
pub(crate) fn header(jwt: &str) -> Value {
    use base64::Engine as _;
    let part = jwt.split('.').next().expect("a header");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

pub(crate) fn kid(jwt: &str) -> String {
    text(&header(jwt), "kid")
}

/// Access and refresh token of an answer.
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

/// Asserts a refusal and its true reason.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, error: &str, reason: &str) {
    reply.expect_error(status, error);
    assert_eq!(log::reason(reply), reason);
}

/// The details of all events of a kind, newest first.
pub(crate) async fn told(world: &World, kind: &str) -> Vec<String> {
    use regrant_store::{Answer, Question};
    let question = Question::Events { grant: None, limit: 2000 };
    let Answer::Events(events) = world.app.engine.ask(question).await.expect("the store answers") else {
        panic!("not events")
    };
    events.into_iter().filter(|event| event.kind == kind).map(|event| event.detail).collect()
}
