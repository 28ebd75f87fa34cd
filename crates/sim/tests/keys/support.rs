//! What the stories of keys share, beside what all stories do.

use std::time::Duration;

use regrant_server::admin::KeyView;
use sim::wire::story::world_with;
pub(crate) use sim::wire::story::{DAY, header, is_active, next, refused, secs, tokens, with_setting, world};
use sim::wire::{CONFIG, SECRET, World, http, text};

/// What signs ID tokens unless a client says otherwise.
const ID_TOKENS: &str = "RS256";
/// How much longer than needed a key verifies.
pub(crate) const GRACE: u64 = 300;

/// The usual world under these settings of `[keys]`.
pub(crate) async fn world_with_keys(settings: &str) -> World {
    world_with(&format!("[keys]\n{settings}\n{CONFIG}")).await
}

/// Carries out what is due, and tells how many steps that were.
pub(crate) async fn tend(world: &World) -> usize {
    regrant_server::rotation::tend(&world.app).await.expect("the schedule is kept")
}

pub(crate) async fn sweep(world: &World) -> regrant_server::sweep::Swept {
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep")
}

/// Every key of a kind. Not those of RS256, which is there for ID tokens, whatever the clients use, and lives the same life beside them.
pub(crate) async fn keys(world: &World, kind: &str) -> Vec<KeyView> {
    let all = world.app.admin().keys().await.expect("the store answers");
    all.into_iter().filter(|key| key.kind == kind && key.algorithm.as_deref() != Some(ID_TOKENS)).collect()
}

/// The statuses of a kind, in order of number.
pub(crate) async fn statuses(world: &World, kind: &str) -> Vec<String> {
    keys(world, kind).await.into_iter().map(|key| key.status).collect()
}

/// The `kid`s of the published key set that sign, again without those of RS256, and how long it may be held.
pub(crate) async fn published(world: &World) -> (Vec<String>, String) {
    let reply = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let held = reply.header("cache-control");
    let set = reply.json();
    let set = set["keys"].as_array().expect("keys").iter().filter(|key| key["use"] == "sig" && key["alg"] != ID_TOKENS);
    let kids = set.map(|key| text(key, "kid")).collect();
    (kids, held)
}

/// An access token of a client without users.
pub(crate) async fn machine_token(world: &World) -> String {
    let basic = http::basic("daemon", SECRET);
    let form = [("grant_type", "client_credentials")];
    let reply = world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await;
    text(&reply.expect_status(200).json(), "access_token")
}

/// The `kid` that a JWT names.
pub(crate) fn kid(jwt: &str) -> String {
    text(&header(jwt), "kid")
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
