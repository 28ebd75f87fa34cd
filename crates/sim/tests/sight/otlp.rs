//! Spans, as a collector receives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use sim::canary::{Canary, search};
use sim::wire::{CONFIG, PASSWORD, Reply, SECRET, World, text};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

type Messages = Arc<Mutex<Vec<Bytes>>>;

/// A collector: keeps what it is sent.
async fn collector() -> (String, Messages) {
    let messages = Messages::default();
    let take = async |State(messages): State<Messages>, headers: HeaderMap, body: Bytes| {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        messages.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        StatusCode::OK
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&messages));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, messages)
}

/// A collector that accepts and never answers.
async fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} });
        }
    });
    endpoint
}

async fn world(endpoint: &str) -> World {
    World::with(&format!("[log]\notlp_endpoint = \"{endpoint}\"\n{CONFIG}")).await
}

/// All spans that came, with the names of whose they are.
fn spans(messages: &Messages) -> (Vec<u8>, Vec<Span>) {
    let messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for message in messages.iter() {
        bytes.extend_from_slice(message);
        let message = ExportTraceServiceRequest::decode(message.as_ref()).expect("a message of OTLP");
        for resource in message.resource_spans {
            let named = resource.resource.expect("a resource").attributes;
            assert!(named.iter().any(|pair| pair.key == "service.name"), "{named:?}");
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    (bytes, spans)
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let told = span.attributes.iter().map(|pair| {
        let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => text.clone(),
            Some(Any::IntValue(number)) => number.to_string(),
            other => panic!("{}: {other:?}", pair.key),
        };
        (pair.key.as_str(), value)
    });
    told.collect()
}

/// The span of the request that was answered so.
fn span_of<'a>(spans: &'a [Span], reply: &Reply) -> &'a Span {
    let correlation = reply.header("x-correlation-id");
    let told = |span: &&Span| attributes(span).get("regrant.correlation_id") == Some(&correlation);
    let mut found = spans.iter().filter(told);
    let span = found.next().unwrap_or_else(|| panic!("no span of {correlation} in {spans:#?}"));
    assert!(found.next().is_none(), "two spans of {correlation}");
    span
}

fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.trace_id == parent.trace_id).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Check O8: what became of a request, and where its time went, under the correlation id of its answer; and nothing that was sent
/// but the well-formed name of its parent.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_its_decision_and_its_commit_are_one_tree() {
    let (endpoint, messages) = collector().await;
    let world = world(&endpoint).await;
    let token = world.first("web-single").await;
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", sampled.as_str())];
    let rotated = world.post("/oauth2/token", "web-single", &parameters, &headers).await.expect_status(200);
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let retried = world.post("/oauth2/token", "web-single", &parameters, &[("traceparent", unsampled.as_str())]).await;
    let retried = retried.expect_status(200);
    let stranger = world.http().post("/oauth2/token", &[("client_id", "who-knows")], &[]).await;
    let nowhere = world.http().get("/some/path/of-a-stranger", &[]).await.expect_status(404);
    let _ = world.http().get("/healthz", &[]).await.expect_status(200);
    world.stop().await;
    let (bytes, spans) = spans(&messages);

    let span = span_of(&spans, &rotated);
    assert_eq!((span.name.as_str(), span.kind), ("POST /oauth2/token", 2));
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    let told = attributes(span);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/oauth2/token"),
        ("http.response.status_code", "200"),
        ("regrant.client_id", "web-single"),
        ("regrant.outcome", "rotated"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{told:?}");
    }
    let decisions = below(&spans, span);
    let [decision] = decisions[..] else { panic!("one decision below: {spans:#?}") };
    assert_eq!(decision.name, "decide");
    let commits = below(&spans, decision);
    let [commit] = commits[..] else { panic!("one commit below: {spans:#?}") };
    assert_eq!(commit.name, "commit");
    assert_eq!(attributes(commit).get("regrant.decisions").map(String::as_str), Some("1"));
    assert!(commit.start_time_unix_nano >= decision.start_time_unix_nano);

    let span = span_of(&spans, &retried);
    assert!(span.parent_span_id.is_empty(), "nobody recorded the parent");
    assert_ne!(hex(&span.trace_id), TRACE);
    let span = span_of(&spans, &stranger);
    assert_eq!(attributes(span).get("regrant.client_id"), None, "no name that is not registered");
    assert_eq!(span_of(&spans, &nowhere).name, "GET");
    assert!(spans.iter().all(|span| !span.name.contains("healthz")), "probes tell nothing");
    for sent in ["who-knows", "of-a-stranger"] {
        assert!(!bytes.windows(sent.len()).any(|window| window == sent.as_bytes()), "{sent}");
    }
}

/// Law L6: no secret in a span, in any dress.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_collector() {
    let (endpoint, messages) = collector().await;
    let world = world(&endpoint).await;
    let code = world.code("web").await;
    let first = world.redeem("web", &code).await.expect_status(200).json();
    let refresh = text(&first, "refresh_token");
    let again = world.refresh("web", &refresh).await.expect_status(200).json();
    let single = world.first("web-single").await;
    let _ = world.refresh("web-single", &single).await.expect_status(200);
    // Secrets where they do not belong.
    let lost =
        [("grant_type", PASSWORD), ("client_id", SECRET), ("scope", refresh.as_str()), (PASSWORD, code.as_str())];
    let _ = world.http().post("/oauth2/token", &lost, &[("traceparent", SECRET), ("user-agent", PASSWORD)]).await;
    let _ = world.http().get(&format!("/oauth2/token/{refresh}?{SECRET}"), &[]).await;
    let _ = world.http().post("/oauth2/token", &[("client_id", "web"), ("client_secret", PASSWORD)], &[]).await;
    let _ = world.post("/oauth2/revoke", "web", &[("token", &refresh)], &[]).await;
    world.stop().await;
    let (bytes, spans) = spans(&messages);
    assert!(spans.len() > 12, "{} spans", spans.len());
    let canaries = [
        Canary::token("refresh token", &refresh),
        Canary::token("single-use refresh token", &single),
        Canary::token("code", &code),
        Canary::text("access token", &text(&first, "access_token")),
        Canary::text("second access token", &text(&again, "access_token")),
        Canary::text("password", PASSWORD),
        Canary::text("client secret", SECRET),
    ];
    assert_eq!(search("what the collector received", &bytes, &canaries), []);
    // The search would find it.
    assert_eq!(search("one of them", PASSWORD.as_bytes(), &canaries).len(), 1);
}

/// A commit that serves many is below the first decision, and linked with each of the others, both ways.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_many_decisions_is_linked_with_all_of_them() {
    let (endpoint, messages) = collector().await;
    let world = Arc::new(world(&endpoint).await);
    // Whether two requests meet in a batch is chance; that none of all these do is not to be expected.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            let mut token = world.first("web-single").await;
            for _ in 0..30 {
                token = text(&world.refresh("web-single", &token).await.expect_status(200).json(), "refresh_token");
            }
        });
    }
    let _ = tasks.join_all().await;
    let world = Arc::into_inner(world).expect("the only one");
    world.stop().await;
    let (_, spans) = spans(&messages);
    let mut shared = 0;
    for commit in spans.iter().filter(|span| span.name == "commit" && !span.links.is_empty()) {
        let parent = spans.iter().find(|span| span.span_id == commit.parent_span_id).expect("the first decision");
        assert_eq!((parent.name.as_str(), &parent.trace_id), ("decide", &commit.trace_id));
        let decisions: usize = attributes(commit)["regrant.decisions"].parse().expect("a number");
        assert_eq!(commit.links.len() + 1, decisions);
        for link in &commit.links {
            let other = spans.iter().find(|span| span.span_id == link.span_id).expect("another decision");
            assert_eq!((other.name.as_str(), &other.trace_id), ("decide", &link.trace_id));
            assert!(other.links.iter().any(|back| back.span_id == commit.span_id), "and back");
        }
        shared += 1;
    }
    assert!(shared > 0, "480 refreshes by 16 at once, and no two in one batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_costs_nobody_anything() {
    for endpoint in [silence().await, "http://127.0.0.1:1".to_owned()] {
        let world = world(&endpoint).await;
        let mut token = world.first("web-single").await;
        // More spans than a message holds, so that the sender is stuck; and no answer of ours waits for it.
        let all = async {
            for _ in 0..400 {
                token = text(&world.refresh("web-single", &token).await.expect_status(200).json(), "refresh_token");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("refreshes wait for nobody");
        // Two seconds are for the collector, the rest for a busy machine.
        tokio::time::timeout(Duration::from_secs(4), world.stop()).await.expect("the server stops");
    }
}
