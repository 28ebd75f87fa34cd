//! The tower layer, reqwest's own requests, and programs without a runtime.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use regrant_client::{Bearer, Clock, Error, MemoryStore, blocking};
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::support::{Strict, profile, session, settings};
use sim::wire::World;

/// What an API may say: a service that knows one token.
fn api(
    good: u64,
) -> impl tower::Service<
    Request<String>,
    Response = Response<Body>,
    Error = Error,
    Future = impl Future<Output = Result<Response<Body>, Error>> + Send,
> + Clone
+ Send {
    let good = format!("Bearer a{good}");
    tower::service_fn(move |request: Request<String>| {
        let is_good =
            request.headers().get("authorization").is_some_and(|value| value.to_str().is_ok_and(|it| it == good));
        let mut answer = Response::new(Body::from(request.into_body()));
        if !is_good {
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            answer
                .headers_mut()
                .insert("www-authenticate", "Bearer error=\"invalid_token\"".parse().expect("a header"));
        }
        std::future::ready(Ok(answer))
    })
}

/// RFC 6750 section 3.1: a request that is refused as `invalid_token` is sent once more with another token.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_adds_a_fresh_token_and_tries_once_more() {
    let (server, clock) = (Strict::start(3600).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    let before = session.token().await.expect("a token");
    // The API knows the next token only.
    let next = before.expose().trim_start_matches('a').parse::<u64>().expect("a number") + 1;
    let layered = Bearer::new(session.clone()).layer(api(next));
    let answer = layered.oneshot(Request::new("body".to_owned())).await.expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 1));
    // Without a copy of the body: the next request has the other token.
    let mut layered = Bearer::once(session).layer(api(next + 1));
    for expected in [StatusCode::UNAUTHORIZED, StatusCode::OK] {
        let answer = layered.ready().await.expect("ready").call(Request::new(String::new())).await.expect("an answer");
        assert_eq!(answer.status(), expected);
    }
}

/// reqwest's requests, as a tower service.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_reqwest_gets_a_token() {
    let (world, clock) = (World::new().await, Clock::manual());
    let client = session(&world, &clock).await.client();
    let url = format!("{}/oauth2/userinfo", world.base);
    let request = client.get(&url).with(|request| request.header("accept", "application/json"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
}

/// Two threads and no runtime of theirs.
#[test]
fn a_program_without_a_runtime_has_tokens_too() {
    let outside = tokio::runtime::Runtime::new().expect("a runtime");
    let (world, clock) = (outside.block_on(World::new()), Clock::manual());
    let store = Arc::new(MemoryStore::new());
    outside.block_on(super::support::session_in(&world, store.clone(), &clock));
    let session =
        blocking::Session::open_with(store, profile(&world, "s", "phone"), settings(&clock)).expect("a session");
    super::support::pass(&world, &clock, Duration::from_secs(7200));
    let tokens: Vec<_> = (0..2)
        .map(|_| {
            let session = session.clone();
            std::thread::spawn(move || session.token().expect("a token"))
        })
        .map(|thread| thread.join().expect("it ends"))
        .collect();
    assert_eq!(tokens[0], tokens[1]);
    session.logout().expect("it is taken back");
    assert_eq!(session.token(), Err(Error::LoggedOut));
}
