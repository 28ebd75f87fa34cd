//! `regrant-resource` and the real server: what the server ends, a resource server refuses seconds later, without asking for each token.

use std::time::Duration;

use regrant_core::Timestamp;
use regrant_resource::{AccessToken, Clock, Credentials, Refusal, ResourceServer, WhenOld};
use regrant_server::admin::blacklist::Selection;
use regrant_server::admin::import::Effect;
use sim::wire::{CONFIG, PASSWORD, SECRET, START, USER, World, text};

use super::support::{secs, world, world_with};

/// The world's own time.
struct Same(regrant_server::Clock);

impl Clock for Same {
    fn date(&self) -> u64 {
        u64::try_from(self.0.now().seconds()).expect("after 1970")
    }

    fn elapsed(&self) -> Duration {
        self.0.ran()
    }
}

fn server(world: &World, when_old: WhenOld) -> ResourceServer {
    ResourceServer::builder(&world.base, &world.base)
        .credentials(Credentials::new("api", SECRET))
        .follow_revocations()
        .when_old(when_old)
        .clock(Same(world.clock.clone()))
        .build()
        .expect("good settings")
}

/// Five seconds later it looks again.
async fn later(world: &World, server: &ResourceServer, token: &str) -> Result<AccessToken, Refusal> {
    world.advance(secs(5));
    server.judge(token).await
}

/// Checks T22, T11, A3: each way of ending is refused, other grants go on, and nobody is asked about single tokens.
#[tokio::test]
async fn what_the_server_ends_is_refused_seconds_later() {
    let world = world().await;
    let server = server(&world, WhenOld::FailClosed);
    let (kept, other) = (world.grant("phone").await, world.grant("phone").await);
    let tokens = [&kept, &other].map(|grant| text(grant, "access_token"));
    for token in &tokens {
        let judged = server.judge(token).await.expect("a good token");
        assert_eq!((judged.client_id(), judged.has_scope("read")), ("phone", true));
    }
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &text(&other, "refresh_token"))], &[]).await;
    assert_eq!(later(&world, &server, &tokens[1]).await, Err(Refusal::Revoked));
    assert!(server.judge(&tokens[0]).await.is_ok());

    let code = world.code("phone").await;
    let access = text(&world.redeem("phone", &code).await.expect_status(200).json(), "access_token");
    assert!(server.judge(&access).await.is_ok());
    world.advance(secs(2));
    let _ = world.redeem("phone", &code).await.expect_status(400);
    assert_eq!(later(&world, &server, &access).await, Err(Refusal::Revoked));

    let _ = world.post("/oauth2/revoke", "phone", &[("token", &tokens[0])], &[]).await.expect_status(200);
    assert_eq!(later(&world, &server, &tokens[0]).await, Err(Refusal::Revoked));
    let again = world.refresh("phone", &text(&kept, "refresh_token")).await.expect_status(200).json();
    assert!(server.judge(&text(&again, "access_token")).await.is_ok(), "the token alone was revoked, not its grant");
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    assert_eq!(later(&world, &server, &text(&again, "access_token")).await, Err(Refusal::Revoked));
}

/// A restart of the authorization server, on what it kept, loses nothing of what was heard of, nor of what was not.
#[tokio::test]
async fn a_restart_between_end_and_look_loses_nothing() {
    let world = world().await;
    let server = server(&world, WhenOld::FailClosed);
    let grants = [world.grant("phone").await, world.grant("phone").await];
    let tokens = grants.each_ref().map(|grant| text(grant, "access_token"));
    assert!(server.judge(&tokens[0]).await.is_ok());
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &text(&grants[0], "refresh_token"))], &[]).await;
    let world = world.restart().await;
    assert_eq!(later(&world, &server, &tokens[0]).await, Err(Refusal::Revoked));
    assert!(server.judge(&tokens[1]).await.is_ok());
}

/// Opaque tokens, and what names no grant, are asked about.
#[tokio::test]
async fn an_opaque_token_is_introspected() {
    let world = world().await;
    let server = server(&world, WhenOld::Introspect);
    let grant = world.grant("opaque").await;
    let access = text(&grant, "access_token");
    assert_eq!(server.judge(&access).await.expect("an active token").client_id(), "opaque");
    let _ = world.post("/oauth2/revoke", "opaque", &[("token", &text(&grant, "refresh_token"))], &[]).await;
    assert_eq!(server.judge(&access).await, Err(Refusal::Inactive));
    assert_eq!(server.judge(&text(&grant, "refresh_token")).await, Err(Refusal::Inactive));
}

/// Without a feed on the other side nothing is believed silently: it is asked, or refused.
#[tokio::test]
async fn a_server_without_a_feed_is_asked_or_refused() {
    let world = world_with(&format!("[revocation_feed]\nreaders = \"nobody\"\n{CONFIG}")).await;
    let access = text(&world.grant("phone").await, "access_token");
    assert!(server(&world, WhenOld::Introspect).judge(&access).await.is_ok());
    let blind = ResourceServer::builder(&world.base, &world.base).follow_revocations().clock(Same(world.clock.clone()));
    assert!(matches!(blind.build().expect("good settings").judge(&access).await, Err(Refusal::Unknown(_))));
    let trusting = ResourceServer::builder(&world.base, &world.base).clock(Same(world.clock.clone()));
    assert!(trusting.build().expect("good settings").judge(&access).await.is_ok());
}

/// For somebody else's resource it is no token; and it ends at its end, by the same clock.
#[tokio::test]
async fn a_token_for_another_resource_is_refused() {
    let world = world().await;
    let access = text(&world.grant("web").await, "access_token");
    for (audience, is_good) in [("https://api.example/", true), ("https://other.example/", false)] {
        let server = ResourceServer::builder(&world.base, audience).clock(Same(world.clock.clone())).build();
        assert_eq!(server.expect("good settings").judge(&access).await.is_ok(), is_good, "{audience}");
    }
    let own = text(&world.token("daemon", &[("grant_type", "client_credentials")]).await.json(), "access_token");
    let server = ResourceServer::builder(&world.base, "https://api.example/")
        .credentials(Credentials::new("api", SECRET))
        .follow_revocations()
        .when_old(WhenOld::FailClosed)
        .clock(Same(world.clock.clone()))
        .build()
        .expect("good settings");
    assert_eq!(server.judge(&own).await.expect("a client's own token").subject(), "daemon");
    world.clock.set(Timestamp::from_millis(START + 3_700_000));
    assert_eq!(server.judge(&own).await, Err(Refusal::OtherClaims));
}

/// Checks T22, O7: a wide revocation by scope or time is refused for the grants that it has ended and no other, few or many; and what an
/// operator takes back is good again.
#[tokio::test]
async fn a_bulk_revocation_is_followed_exactly_and_its_undo_as_well() {
    let revoke = async |world: &World, selection: Selection| {
        let done = world.app.admin().revoke_selected(&selection, Effect::Write, "leaked").await.expect("revoked");
        done.id.expect("a number")
    };
    for many in [1, 40] {
        let world = world().await;
        let server = server(&world, WhenOld::FailClosed);
        let mut ended = Vec::new();
        for _ in 0..many {
            ended.push(text(&world.grant("phone").await, "access_token"));
        }
        world.advance(secs(2));
        let time = regrant_server::admin::rfc3339(world.clock.now());
        let narrow = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("scope", "read")];
        let kept = text(&world.token("phone", &narrow).await.expect_status(200).json(), "access_token");
        for selection in [
            Selection { scope: Some("write".to_owned()), ..Selection::default() },
            Selection { issued_before: Some(time), ..Selection::default() },
        ] {
            let number = revoke(&world, selection.clone()).await;
            world.advance(secs(5));
            for token in &ended {
                assert_eq!(server.judge(token).await.err(), Some(Refusal::Revoked), "{selection:?}");
            }
            assert!(server.judge(&kept).await.is_ok(), "{selection:?}");
            let _ = world.app.admin().undo_revocation(number).await.expect("taken back");
            world.advance(secs(5));
            for token in &ended {
                assert!(server.judge(token).await.is_ok(), "{selection:?} was taken back");
            }
        }
    }
}

/// A client's own token has no grant: it shows by itself what a wide revocation asks for.
#[tokio::test]
async fn a_clients_own_token_is_over_by_the_scope_that_it_shows() {
    let world = world().await;
    let server = ResourceServer::builder(&world.base, "https://api.example/")
        .credentials(Credentials::new("api", SECRET))
        .follow_revocations()
        .when_old(WhenOld::FailClosed)
        .clock(Same(world.clock.clone()))
        .build()
        .expect("good settings");
    let own = async |scope: &str| {
        let asked = [("grant_type", "client_credentials"), ("scope", scope)];
        text(&world.token("daemon", &asked).await.expect_status(200).json(), "access_token")
    };
    let (wide, narrow) = (own("read write").await, own("read").await);
    assert!(server.judge(&wide).await.is_ok());
    let selection = Selection { scope: Some("write".to_owned()), ..Selection::default() };
    let _ = world.app.admin().revoke_selected(&selection, Effect::Write, "leaked").await.expect("revoked");
    assert_eq!(later(&world, &server, &wide).await, Err(Refusal::Revoked));
    assert!(server.judge(&narrow).await.is_ok());
}
