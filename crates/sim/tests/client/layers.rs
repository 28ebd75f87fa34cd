//! The tower layer, reqwest's own requests and middleware, and programs without a runtime.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use regrant_client::{Bearer, BearerMiddleware, Clock, Error, MemoryStore, blocking};
use reqwest_middleware::ClientBuilder;
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

/// The same API, over a socket.
async fn listening(good: u64) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/thing", listener.local_addr().expect("bound"));
    let router = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let mut request = Request::new(body);
        *request.headers_mut() = headers;
        async move { api(good).oneshot(request).await.expect("an answer") }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A body that nobody knows how to copy.
fn once() -> http_body_util::Full<axum::body::Bytes> {
    http_body_util::Full::from("once")
}

fn number(token: &regrant_client::Secret) -> u64 {
    token.expose().trim_start_matches('a').parse().expect("a number")
}

/// A chain of middleware: the same rule, and the session's own error is the cause where there is no token.
#[tokio::test(flavor = "multi_thread")]
async fn a_middleware_of_reqwest_adds_a_fresh_token_and_tries_once_more() {
    let (server, clock) = (Strict::start(3600).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    let before = number(&session.token().await.expect("a token"));
    let client = ClientBuilder::new(reqwest::Client::new()).with(BearerMiddleware::new(session.clone())).build();
    // The API knows the next token only.
    let url = listening(before + 1).await;
    let answer = client.post(&url).body("body").send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), server.asked()), (200, 1));
    assert_eq!(answer.text().await.expect("text"), "body", "the body was sent again");
    // A body that can be sent once only: the refusal is the answer, and the next request has the other token.
    let url = listening(before + 2).await;
    for expected in [401, 200] {
        let body = reqwest::Body::wrap(once());
        assert_eq!(client.post(&url).body(body).send().await.expect("an answer").status().as_u16(), expected);
    }
    // An API that knows none is asked twice, and no more.
    let url = listening(0).await;
    assert_eq!(client.get(&url).send().await.expect("an answer").status().as_u16(), 401);
    assert_eq!((server.asked(), server.refused()), (3, 0));
    session.logout().await.expect_err("this server takes nothing back");
    let failed = client.get(&url).send().await.expect_err("nobody is logged in");
    let reqwest_middleware::Error::Middleware(cause) = failed else { panic!("{failed}") };
    assert_eq!(cause.downcast_ref::<Error>(), Some(&Error::LoggedOut));
}

/// reqwest's own requests, too: one whose body can be sent once only leaves another token to the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_sent_again_leaves_another_token_to_the_next() {
    let (server, clock) = (Strict::start(3600).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    let url = listening(number(&session.token().await.expect("a token")) + 1).await;
    for expected in [401, 200] {
        let request = session.client().post(&url).with(|request| request.body(reqwest::Body::wrap(once())));
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), expected);
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

/// The same thread of calls as with a runtime: log in with a browser, ask an API, hear a refusal, ask with another token.
#[test]
fn a_program_without_a_runtime_logs_in_and_asks() {
    let outside = tokio::runtime::Runtime::new().expect("a runtime");
    let world = outside.block_on(World::new());
    let clock = Clock::manual();
    clock.set_date(sim::wire::START);
    let profile = profile(&world, "s", "phone").with_scope("openid read");
    let login = blocking::Login::with(profile.clone(), settings(&clock)).expect("a login");
    let loopback = login.loopback("/cb").expect("an address");
    let path = loopback.url().strip_prefix(&world.base).expect("a page of this server").to_owned();
    let answering = outside.spawn({
        let mut browser = world.browser();
        async move {
            let answer = browser.authorize_as(&path, sim::wire::USER).await;
            let (base, rest) = answer.split_at(answer.find("/cb").expect("the path"));
            sim::wire::Http::new(base).get(rest, &[]).await.status
        }
    });
    let logged_in = loopback.wait().expect("tokens");
    assert_eq!(outside.block_on(answering).expect("it ends"), 200);
    let store = Arc::new(MemoryStore::new());
    let session = blocking::Session::adopt(store, profile, logged_in.tokens, settings(&clock)).expect("a session");
    let url = format!("{}/oauth2/userinfo", world.base);
    let answer = session.client().get(&url).send().expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("content-type"));
    assert!(answer.text().expect("a body").contains("\"sub\""));
    // Refused as invalid at the API: once more, silently.
    let before = session.token().expect("a token");
    let good = outside.block_on(listening_to_any_but(before.expose().to_owned()));
    let request = session.client().post(&good).with(|request| request.body("once more"));
    let mut answer = request.send().expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().expect("a body") {
        body.extend(chunk);
    }
    assert_eq!(body, b"once more");
    assert_ne!(session.token().expect("a token"), before);
    assert!(session.reread().is_ok());
}

/// An API that refuses one token.
async fn listening_to_any_but(refused: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/thing", listener.local_addr().expect("bound"));
    let router = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let is_refused = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {refused}"));
        let status = if is_refused { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        async move { (status, [("www-authenticate", "Bearer error=\"invalid_token\"")], body) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
