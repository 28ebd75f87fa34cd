//! `Idempotency-Key`: what was asked for twice is done once, and answered twice.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use sim::wire::{PASSWORD, Reply, text};

use super::support::{Ops, definition, problem};

async fn add(ops: &Ops, key: &str, body: &Value) -> Reply {
    ops.send(Method::POST, "/clients", Some(body), &[("idempotency-key", key)]).await
}

/// The answer was lost: the same request hears it again, with the same secret, and there is one client and one event.
#[tokio::test]
async fn a_repeated_request_is_answered_again_and_done_once() {
    let ops = Ops::new().await;
    let first = add(&ops, "k1", &definition("new")).await.expect_status(201);
    let again = add(&ops, "k1", &definition("new")).await.expect_status(201);
    assert_eq!((first.json(), first.header("location")), (again.json(), again.header("location")));
    assert_eq!(
        (first.header("idempotency-replayed").as_str(), again.header("idempotency-replayed").as_str()),
        ("", "true")
    );
    let events = ops.get("/events?kind=admin").await.json();
    let told = events["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|event| text(event, "detail").starts_with("client new"));
    assert_eq!(told.count(), 1, "{events}");
    problem(&add(&ops, "k1", &definition("other")).await, 422, "idempotency-key-reused");
    problem(&add(&ops, "k2", &definition("new")).await, 409, "conflict");
    problem(&add(&ops, "k2", &definition("new")).await, 409, "conflict");
    for bad in ["", "a b", "\u{e4}", &"k".repeat(256)] {
        problem(&add(&ops, bad, &definition("third")).await, 400, "malformed");
    }
    // What cannot be read took no key.
    problem(&add(&ops, "k3", &json!({"id": 7})).await, 400, "malformed");
    let _ = add(&ops, "k3", &definition("third")).await.expect_status(201);
}

/// The key is forgotten after ten minutes; then the request is a new one.
#[tokio::test]
async fn a_key_has_a_stated_life() {
    let ops = Ops::new().await;
    let rotate =
        async || ops.send(Method::POST, "/clients/new/secret", Some(&json!({})), &[("idempotency-key", "k")]).await;
    let _ = ops.post("/clients", &definition("new")).await.expect_status(201);
    let first = text(&rotate().await.expect_status(200).json(), "client_secret");
    ops.world.advance(Duration::from_secs(599));
    assert_eq!(text(&rotate().await.expect_status(200).json(), "client_secret"), first);
    ops.world.advance(Duration::from_secs(1));
    assert_ne!(text(&rotate().await.expect_status(200).json(), "client_secret"), first);
}

/// That it was done is durable with what was done: after a restart it is not done again, and who asks is told. What failed is tried again.
#[tokio::test]
async fn what_was_done_is_not_done_again_after_a_restart() {
    let ops = Ops::new().await;
    let _ = ops.post("/clients", &definition("new")).await.expect_status(201);
    let rotate = async |ops: &Ops, key: &str| {
        ops.send(Method::POST, "/clients/new/secret", Some(&json!({})), &[("idempotency-key", key)]).await
    };
    let _ = rotate(&ops, "k").await.expect_status(200);
    problem(&add(&ops, "failed", &definition("new")).await, 409, "conflict");
    let detail = ops.get("/clients/new").await.json();
    let ops = Ops::of(ops.world.restart().await).await;
    problem(&rotate(&ops, "k").await, 409, "done-before");
    assert_eq!(ops.get("/clients/new").await.json(), detail, "the secret is the one that was told");
    problem(&add(&ops, "failed", &definition("new")).await, 409, "conflict");
    let _ = rotate(&ops, "another").await.expect_status(200);
    ops.world.advance(Duration::from_secs(600));
    let _ = rotate(&ops, "k").await.expect_status(200);
}

/// Of sixteen equal requests at once one is done; the others hear its answer, or that it is not there yet.
#[tokio::test(flavor = "multi_thread")]
async fn of_equal_requests_at_once_one_is_done() {
    let ops = Arc::new(Ops::new().await);
    let requests: Vec<_> = (0..16)
        .map(|_| {
            let ops = Arc::clone(&ops);
            tokio::spawn(async move {
                let body = json!({"name": "bob", "password": PASSWORD});
                ops.send(Method::POST, "/users", Some(&body), &[("idempotency-key", "once")]).await
            })
        })
        .collect();
    let mut subjects = Vec::new();
    for request in requests {
        let reply = request.await.expect("a request");
        match reply.status.as_u16() {
            201 => subjects.push(text(&reply.json(), "subject")),
            _ => drop(problem(&reply, 409, "under-way")),
        }
    }
    assert!(!subjects.is_empty());
    subjects.dedup();
    assert_eq!(subjects.len(), 1, "{subjects:?}");
}
