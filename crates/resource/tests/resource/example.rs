//! `examples/resource_server.rs`, as it stands there.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::authority::Authority;

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../../examples/resource_server.rs"]
mod resource_server;

#[tokio::test]
async fn users_have_notes_of_their_own() {
    let authority = Authority::start().await;
    let app = resource_server::app(&authority.follower().build().expect("good settings"));
    let send = async |method: &str, token: &str, body: &'static str| {
        let request =
            Request::builder().method(method).uri("/notes").header("authorization", format!("Bearer {token}"));
        let answer = app.clone().oneshot(request.body(Body::from(body)).expect("a request")).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1000).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    };
    let (ann, bob) = (authority.token(&json!({})), authority.token(&json!({"sub": "usr_2", "scope": "notes:read"})));
    assert_eq!(send("POST", &ann, "milk").await, (200, "1 notes".to_owned()));
    assert_eq!(send("GET", &ann, "").await, (200, "milk".to_owned()));
    assert_eq!(send("GET", &bob, "").await, (200, String::new()));
    assert_eq!(send("POST", &bob, "milk").await.0, 403);
    authority.revoke(json!({"list": "abc", "idx": 7}));
    authority.clock.advance(5);
    assert_eq!(send("GET", &ann, "").await.0, 401);
}
