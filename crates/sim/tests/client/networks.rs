//! The network of the client's machine: an authority of its own, a proxy, a time-out. They are those of a `reqwest::Client` that a program
//! sets up.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::{Clock, Error, Http, MemoryStore, Profile, Session, Settings};
use sim::process::Scratch;
use sim::wire::hook::{Act, Hook};

use super::support::{Strict, settings};

async fn session(server: &Strict, clock: &Clock, url: &str, http: reqwest::Client) -> Session {
    let profile = Profile::new("s", "https://as.example", "app").with_token_endpoint(url);
    let settings = Settings { transport: Arc::new(Http::with(http)), ..settings(clock) };
    let store = Arc::new(MemoryStore::new());
    let session = Session::adopt(store, profile, server.first(), settings).await.expect("a session");
    clock.advance(Duration::from_secs(3600));
    session
}

/// A server whose authority the machine does not know is no server; with it, it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let (scratch, server, clock) = (Scratch::new("authority"), Strict::start(60).await, Clock::manual());
    let (hook, authority) = Hook::start_tls(scratch.path()).await;
    hook.does(Act::says(r#"{"access_token":"over TLS","expires_in":60,"refresh_token":"r"}"#));
    let stranger = session(&server, &clock, hook.url(), reqwest::Client::new()).await;
    let refused = stranger.token().await;
    assert!(matches!(&refused, Err(Error::Retry { cause, .. }) if cause.contains("certificate")), "{refused:?}");
    assert_eq!(hook.heard().len(), 0, "a token was sent to somebody");
    let pem = std::fs::read(authority).expect("a file");
    let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let http = reqwest::Client::builder().add_root_certificate(certificate).build().expect("a client");
    let known = session(&server, &clock, hook.url(), http).await;
    assert_eq!(known.token().await.expect("a token").expose(), "over TLS");
}

/// A name that only the proxy can find.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_asked_where_it_is_named() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let proxy = reqwest::Proxy::all(&server.base).expect("an address");
    let http = reqwest::Client::builder().proxy(proxy).build().expect("a client");
    let session = session(&server, &clock, "http://as.invalid/token", http).await;
    session.token().await.expect("a token");
    assert_eq!((server.asked(), server.refused()), (1, 0));
}

/// A server that says nothing is waited for as long as the program wants, and no session is lost by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_is_the_programs_own() {
    let (server, clock, hook) = (Strict::start(60).await, Clock::manual(), Hook::start().await);
    hook.does(Act::Silence);
    let http = reqwest::Client::builder().timeout(Duration::from_millis(100)).build().expect("a client");
    let session = session(&server, &clock, hook.url(), http).await;
    let late = session.token().await;
    assert!(matches!(&late, Err(Error::Retry { cause, .. }) if cause.contains("timed out")), "{late:?}");
}

/// What stands in front of a server until somebody has logged in to the network is no server that is set up wrongly: it goes away. A
/// 404 is the server's own word.
#[tokio::test(flavor = "multi_thread")]
async fn a_portal_in_place_of_metadata_is_waited_for() {
    let (server, clock, hook) = (Strict::start(60).await, Clock::manual(), Hook::start().await);
    let html = || vec![("content-type".to_owned(), "text/html".to_owned())];
    for (status, headers, waits) in [
        (200, html(), true),
        (302, vec![("location".to_owned(), "http://portal.invalid/".to_owned())], true),
        (511, html(), true),
        (404, html(), false),
    ] {
        hook.does(Act::Answer(status, headers, "<p>Log in to the network first</p>".to_owned()));
        let origin = hook.url().splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let profile = Profile::new("s", &origin, "app");
        let session = Session::adopt(Arc::new(MemoryStore::new()), profile, server.first(), settings(&clock)).await;
        clock.advance(Duration::from_secs(3600));
        let told = session.expect("a session").token().await;
        let fits =
            if waits { matches!(told, Err(Error::Retry { .. })) } else { matches!(told, Err(Error::Misconfigured(_))) };
        assert!(fits, "{status}: {told:?}");
    }
}
