//! A session at the real server: it lives while it should, says why when it does not, and asks about the dead once.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::answer::TokenAnswer;
use regrant_client::{Clock, Error, Event, MemoryStore, Secret, Session};
use sim::wire::{World, text};

use super::support::{Strict, pass, profile, session, session_in, settings, tokens};

const HOUR: Duration = Duration::from_secs(3600);

/// For half a year: nobody is asked to log in.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_for_as_long_as_it_is_used() {
    let (world, clock) = (World::new().await, Clock::manual());
    let session = session(&world, &clock).await;
    for _ in 0..26 {
        pass(&world, &clock, HOUR * 24 * 7);
        let token = session.token().await.expect("a token");
        assert_eq!(world.introspect(token.expose()).await["active"], true);
    }
}

/// Whoever asks again hears what was said, here and in the next process.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_once_and_not_asked_about_again() {
    let (world, clock) = (World::new().await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    let session = session_in(&world, store.clone(), &clock).await;
    let mut events = session.events();
    let refresh = session.tokens().and_then(|tokens| tokens.refresh_token).expect("a refresh token");
    let revoked = world.post("/oauth2/revoke", "phone", &[("token", refresh.expose())], &[]).await;
    let _ = revoked.expect_status(200);
    pass(&world, &clock, HOUR * 2);
    let ended = session.token().await;
    assert!(matches!(&ended, Err(Error::Terminal(why)) if why.starts_with("invalid_grant")), "{ended:?}");
    assert!(matches!(events.try_recv(), Ok(Event::Over(_))));
    let before = world.watch.grant_reads();
    assert!(matches!(session.token().await, Err(Error::Terminal(_))));
    let reopened = Session::open_with(store, profile(&world, "s", "phone"), settings(&clock)).await;
    assert!(matches!(reopened, Err(Error::Terminal(_))), "{reopened:?}");
    assert_eq!(world.watch.grant_reads(), before, "a dead token is asked about once");
}

/// "Only a JSON `invalid_grant` is terminal": pages of a proxy cost time and no session.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_error_page_is_not_the_end() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    clock.advance(HOUR);
    server.be_unavailable(1);
    let first = session.token().await;
    assert!(matches!(first, Err(Error::Retry { .. })), "{first:?}");
    // Nothing is sent while the breaker is open.
    let asked = server.asked();
    assert!(matches!(session.token().await, Err(Error::Retry { .. })));
    assert_eq!(server.asked(), asked);
    clock.advance(Duration::from_secs(60));
    assert!(session.token().await.is_ok());
    assert!(server.all_live());
}

/// An API that refuses a token gets another one, once, and the caller never knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_and_the_request_sent_again() {
    let (world, clock) = (World::new().await, Clock::manual());
    let session = session(&world, &clock).await;
    // The server's day goes on and ours stands: it refuses what we take for fresh.
    world.advance(HOUR * 2);
    let answer = session.client().get(format!("{}/oauth2/userinfo", world.base)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{answer:?}");
}

/// A token that was got elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_with_a_refresh_token_alone() {
    let (world, clock) = (World::new().await, Clock::manual());
    let token = TokenAnswer::of_refresh_token(Secret::new(world.first("phone").await));
    let store = Arc::new(MemoryStore::new());
    let session =
        Session::adopt(store, profile(&world, "s", "phone"), token, settings(&clock)).await.expect("a session");
    let token = session.token().await.expect("a token");
    assert_eq!(world.introspect(token.expose()).await["active"], true);
}

/// RFC 7009: what is given back is worth nothing, and then it is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_gives_the_token_back_and_forgets_it() {
    let (world, clock) = (World::new().await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    let session = session_in(&world, store.clone(), &clock).await;
    let refresh = session.tokens().and_then(|tokens| tokens.refresh_token).expect("a refresh token");
    session.logout().await.expect("it is taken back");
    assert_eq!(session.token().await, Err(Error::LoggedOut));
    world.refresh("phone", refresh.expose()).await.expect_error(400, "invalid_grant");
    let reopened = Session::open_with(store, profile(&world, "s", "phone"), settings(&clock)).await;
    assert!(matches!(reopened, Err(Error::LoggedOut)), "{reopened:?}");
}

/// A second process has refreshed: what it kept is taken, and nobody asks.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_has_renewed_is_adopted() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    let first = server.session(store.clone(), &clock).await;
    let second = Session::open_with(store, server.profile("s"), settings(&clock)).await.expect("a session");
    clock.advance(HOUR);
    let renewed = first.token().await.expect("a token");
    assert_eq!(second.token().await.as_ref(), Ok(&renewed));
    assert_eq!((server.asked(), server.refused()), (1, 0));
}

/// The server says when it ends; the user is told before.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_announced_is_warned_of() {
    let (world, clock) = (World::new().await, Clock::manual());
    let session = session(&world, &clock).await;
    let ends_in = session.ends_in().expect("this server announces it");
    assert!(ends_in > Duration::from_secs(24 * 3600), "{ends_in:?}");
    let later = ends_in - Duration::from_secs(3600);
    clock.advance(later);
    assert_eq!(session.ends_in(), Some(Duration::from_secs(3600)));
}

/// A client that acts for itself: no refresh token, and none is missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acts_for_itself_logs_nobody_in() {
    let (world, clock) = (World::new().await, Clock::manual());
    let profile = profile(&world, "robot", "daemon")
        .with_credential(regrant_client::Credential::Basic(Secret::new(sim::wire::SECRET)))
        .with_client_credentials("read")
        .with_resource("https://api.example/");
    let session = Session::open_with(Arc::new(MemoryStore::new()), profile, settings(&clock)).await.expect("a session");
    let first = session.token().await.expect("a token");
    assert_eq!(sim::wire::story::claims(first.expose())["aud"], "https://api.example/");
    pass(&world, &clock, HOUR * 2);
    assert_ne!(session.token().await.expect("a token"), first);
}

/// Neither what is kept nor what is held shows itself.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_printed() {
    let (world, clock) = (World::new().await, Clock::manual());
    let answer = world.grant("phone").await;
    let kept = tokens(&answer);
    let session = session(&world, &clock).await;
    let printed = format!("{session:?} {kept:?} {:?}", session.tokens());
    for name in ["access_token", "refresh_token"] {
        assert!(!printed.contains(&text(&answer, name)), "{name}");
    }
    assert!(!printed.contains("rgr_") && !printed.contains("eyJ"), "{printed}");
}
