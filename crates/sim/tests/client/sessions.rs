//! A session at the real server: it lives while it should, says why when it does not, and asks about the dead once.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::answer::TokenAnswer;
use regrant_client::{Clock, Error, Event, MemoryStore, Secret, Session, Settings, Store as _};
use sim::wire::story::with_setting;
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
    assert!(matches!([events.try_recv(), events.try_recv()], [Ok(Event::Renewing), Ok(Event::Over(_))]));
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

/// A profile that is changed to another server sends it nothing of the first one's.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_server_sees_a_sessions_tokens() {
    let (world, clock) = (World::new().await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    session_in(&world, store.clone(), &clock).await;
    clock.advance(HOUR * 2);
    let server = Strict::start(60).await;
    let opened = Session::open_with(store, server.profile("s"), settings(&clock)).await;
    assert!(matches!(&opened, Err(Error::Misconfigured(why)) if why.contains("phone at")), "{opened:?}");
    assert_eq!(server.asked(), 0);
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

/// The same as an event, with the refresh that brings the announcement.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_near_is_an_event() {
    let config = with_setting("phone", "absolute_lifetime = \"3d\"");
    let (world, clock) = (World::with(&config).await, Clock::manual());
    let session = session(&world, &clock).await;
    let mut events = session.events();
    pass(&world, &clock, HOUR * 2);
    session.token().await.expect("a token");
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(event);
    }
    assert!(
        matches!(&seen[..], [Event::Renewing, Event::Renewed, Event::EndsSoon(left)] if *left < HOUR * 72),
        "{seen:?}"
    );
}

/// Nobody listens, nobody answers, somebody else answers: each costs time and no session, and the token that is left is used.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_no_end() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = silent.local_addr().expect("bound");
    let brief = reqwest::Client::builder().timeout(Duration::from_millis(200)).build().expect("a client");
    for (url, why) in [
        ("http://127.0.0.1:1/token".to_owned(), "nobody listens"),
        (format!("http://{silent}/token"), "nobody answers"),
        (format!("{}/token", server.base.replace("http:", "https:")), "no TLS"),
        (format!("{}/elsewhere", server.base), "a page in HTML"),
    ] {
        let profile = server.profile("s").with_token_endpoint(url);
        let settings = Settings { transport: Arc::new(regrant_client::Http::with(brief.clone())), ..settings(&clock) };
        let store = Arc::new(MemoryStore::new());
        let session = Session::adopt(store.clone(), profile, server.first(), settings).await.expect("a session");
        clock.advance(Duration::from_secs(50));
        assert!(session.token().await.is_ok(), "{why}: it is good for another ten seconds");
        clock.advance(HOUR);
        assert!(matches!(session.token().await, Err(Error::Retry { .. })), "{why}");
        let kept = store.load("s").await.expect("the store").expect("a record");
        assert!(kept.refresh_token().is_some() && kept.intent.is_some(), "{why}");
    }
    assert_eq!(server.asked(), 0);
}

/// Two who share no lock, as on two machines: the server tells the second to come again, and by then the first one's token is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_straggler_finds_the_newer_token_in_the_store() {
    let (world, clock) = (World::new().await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    session_in(&world, store.clone(), &clock).await;
    pass(&world, &clock, HOUR * 2);
    let name = |gate: &Arc<Gate>| Settings {
        transport: gate.clone(),
        patience: Duration::from_millis(20),
        ..settings(&clock)
    };
    let (first, second) = (Gate::new(), Gate::new());
    let open = |gate| Session::open_with(store.clone(), profile(&world, "s", "phone"), gate);
    let slow = open(name(&first)).await.expect("a session");
    let quick = open(name(&second)).await.expect("a session");
    // The first has the lock and an answer that it does not see yet: it is frozen. The second comes in when its patience is over.
    let waiting = tokio::spawn(async move {
        let token = slow.token().await;
        (slow, token)
    });
    first.has_heard.notified().await;
    second.go_on.notify_one();
    let token = quick.token().await.expect("a token");
    first.go_on.notify_one();
    let (slow, other) = waiting.await.expect("it ends");
    assert_eq!(other.expect("a token"), token, "two answers, and one of them is on record");
    for session in [&slow, &quick] {
        pass(&world, &clock, HOUR * 2);
        let token = session.token().await.expect("a token");
        assert_eq!(world.introspect(token.expose()).await["active"], true);
    }
}

/// A network that holds an answer back until it is told to go on.
#[derive(Debug)]
struct Gate {
    http: regrant_client::Http,
    has_heard: tokio::sync::Notify,
    go_on: tokio::sync::Notify,
    is_open: std::sync::atomic::AtomicBool,
}

impl Gate {
    fn new() -> Arc<Self> {
        let http = regrant_client::Http::new().expect("certificates");
        Arc::new(Self { http, has_heard: Default::default(), go_on: Default::default(), is_open: Default::default() })
    }
}

impl regrant_client::Transport for Gate {
    fn send<'a>(&'a self, call: &'a regrant_client::Call) -> regrant_client::Answered<'a> {
        Box::pin(async move {
            let answer = self.http.send(call).await;
            if call.form.is_some() && !self.is_open.swap(true, std::sync::atomic::Ordering::SeqCst) {
                self.has_heard.notify_one();
                self.go_on.notified().await;
            }
            answer.map(|answer| regrant_client::answer::Answer { date: None, ..answer })
        })
    }
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
