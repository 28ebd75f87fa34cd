//! `regrant events`, as an operator asks.

use std::time::Duration;

use regrant_server::admin::AdminError;
use regrant_server::admin::events::{EventLine, EventsWanted};
use sim::wire::{USER, World};

fn wanted(limit: u32) -> EventsWanted {
    EventsWanted { limit, ..EventsWanted::default() }
}

async fn kinds(world: &World, wanted: EventsWanted) -> Vec<String> {
    world.app.admin().events(&wanted).await.expect("events").into_iter().map(|event| event.kind).collect()
}

/// Check O8: who, what, when, with the grant by its short id and the correlation id of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_tells_who_what_and_when() {
    let world = World::new().await;
    let first = world.first("phone").await;
    world.advance(Duration::from_secs(3600));
    let reply = world.http().post("/oauth2/revoke", &[("token", &first), ("client_id", "phone")], &[]).await;
    let correlation = reply.header("x-correlation-id");
    let [ended, created] = &world.app.admin().events(&wanted(2)).await.expect("events")[..] else {
        panic!("two events")
    };
    let (grant, _) = world.seen(&first).await;
    let expected = EventLine {
        id: ended.id,
        at: ended.at.clone(),
        kind: "grant_ended".to_owned(),
        reason: Some("revoked_by_client".to_owned()),
        grant: Some(grant.id),
        client: Some("phone".to_owned()),
        subject: Some(grant.subject),
        user: Some(USER.to_owned()),
        detail: ended.detail.clone(),
        correlation,
        link: ended.link.clone(),
    };
    assert_eq!(*ended, expected);
    assert!(ended.link.as_ref().is_some_and(|link| link.len() == 64));
    assert_eq!((created.kind.as_str(), created.id < ended.id, created.at < ended.at), ("grant_created", true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_kind_user_client_and_time() {
    let world = World::new().await;
    world.add_user("bob").await;
    let _ = world.code("phone").await;
    world.advance(Duration::from_secs(7200));
    let _ = world.grant("web").await;
    let some = |text: &str| Some(text.to_owned());
    let logins = EventsWanted { kind: some("login"), ..wanted(10) };
    assert_eq!(kinds(&world, logins.clone()).await, ["login"]);
    assert_eq!(kinds(&world, EventsWanted { since: some("1h"), ..logins }).await, [] as [&str; 0]);
    assert_eq!(kinds(&world, EventsWanted { since: some("1h"), ..wanted(10) }).await, ["grant_created"]);
    assert_eq!(kinds(&world, EventsWanted { client: some("web"), ..wanted(10) }).await, ["grant_created"]);
    assert_eq!(kinds(&world, EventsWanted { user: some("bob"), ..wanted(10) }).await, ["admin"]);
    assert_eq!(kinds(&world, EventsWanted { since: some("2000-01-01T00:00:00Z"), ..wanted(3) }).await.len(), 3);
    for (bad, says) in [
        (EventsWanted { kind: some("lgoin"), ..wanted(1) }, "no kind of event"),
        (EventsWanted { since: some("yesterday"), ..wanted(1) }, "\"2h\""),
        (EventsWanted { user: some("nobody"), ..wanted(1) }, "no user nobody"),
    ] {
        let refused: AdminError = world.app.admin().events(&bad).await.expect_err("it is wrong");
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

/// Rare ones are found behind many others, a window of positions at a time, and a page goes on where the last one ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_rare_is_found_behind_twenty_thousand_others() {
    let world = World::new().await;
    let _ = world.grant("phone").await;
    let at = world.app.engine.now();
    let event = |detail: usize| regrant_core::Event {
        kind: regrant_core::EventKind::Admin,
        grant: None,
        client: None,
        subject: None,
        detail: detail.to_string(),
    };
    for slice in 0..4 {
        let records = (0..5_100).map(|number| {
            let event = event(slice * 5_100 + number);
            regrant_store::Record::Event(regrant_store::EventRecord { at, event, correlation: String::new() })
        });
        world.app.engine.commit(records.collect()).await.expect("the store takes it");
    }
    let created = EventsWanted { kind: Some("grant_created".to_owned()), ..wanted(10) };
    assert_eq!(kinds(&world, created).await, ["grant_created"]);
    let admin = world.app.admin();
    let (mut seen, mut before) = (Vec::new(), 0);
    loop {
        let page = admin.events(&EventsWanted { before, ..wanted(7_000) }).await.expect("events");
        let Some(last) = page.last() else { break };
        before = last.id;
        seen.extend(page.iter().map(|event| event.id));
    }
    assert_eq!(seen.len(), 20_402, "the user, the grant and the others");
    assert!(seen.is_sorted_by(|newer, older| newer > older));
}
