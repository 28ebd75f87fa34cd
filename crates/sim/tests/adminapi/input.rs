//! Whatever is sent: the answer says what is wrong and where, and never that the server broke.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sim::wire::PASSWORD;

use super::document;
use super::support::{Ops, definition, problem};

/// What is wrong is named with its place and a remedy; a value that was sent is never repeated, for it may be a password.
#[tokio::test]
async fn bad_input_is_named_with_its_remedy_and_not_repeated() {
    let ops = Ops::new().await;
    let canary = "canary-canary-canary";
    for (path, body, at) in [
        ("/users", json!({"name": "bob"}), "/password"),
        ("/users", json!({"name": "bob", "password": {"x": canary}}), "/password"),
        ("/users", json!({"name": "bob", "password": "short"}), "/password"),
        ("/users", json!({"name": "", "password": canary}), "/name"),
        ("/users", json!({"name": "bob", "password": canary, "surprise": 1}), "/surprise"),
        ("/clients", json!({"id": 7}), "/id"),
        ("/clients", json!({"id": "a", "redirect_uris": canary}), "/redirect_uris"),
        ("/clients", json!({"id": "a", "require_pkce": canary}), "/require_pkce"),
        ("/clients/x/secret", json!({"overlap": canary}), "/overlap"),
        ("/user-imports", json!({"users": []}), "/users"),
        ("/user-imports", json!({"users": [{"username": "a"}, {"password_hash": canary}]}), "/users/1/username"),
        ("/user-imports", json!({"users": [{"username": "a"}], "existing": canary}), "/existing"),
        ("/keys/signing/rotate", json!({"turn": canary}), "/turn"),
        ("/commands", json!({"command": "add_user", "name": "x", "password": {"x": canary}}), "/command"),
        ("/commands", json!({"command": canary}), "/command"),
        ("/commands", json!({"command": "clients", "surprise": canary}), "/command"),
        ("/commands", json!({"command": "client", "id": "web", "surprise": canary}), "/command"),
        ("/clients", json!({"id": "a", "sealed_secret": canary}), "/sealed_secret"),
        ("/clients", json!({"id": "a", "added_at": 1}), "/added_at"),
        ("/clients", json!({"id": "a", "registration": {"token_hash": canary}}), "/registration"),
        ("/commands", json!({}), "/command"),
    ] {
        let reply = ops.post(path, &body).await;
        let told = problem(&reply, 400, "malformed");
        assert_eq!(told["errors"][0]["at"], at, "{told}");
        assert!(told["errors"][0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{told}");
        assert!(!reply.text().contains("canary"), "{told}");
    }
    // What is well-formed and cannot be is another kind, in the words of the configuration.
    let mut bad = definition("bad");
    bad["scopes"] = json!(["raed"]);
    let told = problem(&ops.post("/clients", &bad).await, 422, "invalid");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("Did you mean \"read\"?")), "{told}");
    // Names that look alike: with what has no width, and with what turns text around.
    for name in ["al\u{200b}ice", "alice\u{200d}", "\u{2060}alice", "al\u{feff}ice", "al\u{202e}ice"] {
        problem(&ops.post("/users", &json!({"name": name, "password": PASSWORD})).await, 422, "invalid");
        let mut named = definition("named");
        named["name"] = json!(name);
        problem(&ops.post("/clients", &named).await, 422, "invalid");
    }
    for path in ["/users?limit=1&limit=2", "/users?surprise=1", "/users?limit=%", "/status?x=1", "/grants?client=%00"] {
        problem(&ops.get(path).await, 400, "malformed");
    }
    problem(&ops.get("/nowhere").await, 404, "not-found");
    let told = ops.send(Method::PATCH, "/clients", None, &[]).await;
    problem(&told, 405, "method-not-allowed");
    assert_eq!(told.header("allow"), "GET, POST");
    let _ = ops.send(Method::HEAD, "/clients", None, &[]).await.expect_status(200);
}

#[tokio::test]
async fn a_body_is_json_of_a_bounded_size() {
    let ops = Ops::new().await;
    let user = json!({"name": "bob", "password": PASSWORD});
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-7",
        "application/merge-patch+json",
    ] {
        problem(
            &ops.send(Method::POST, "/users", Some(&user), &[("content-type", media_type)]).await,
            415,
            "media-type",
        );
    }
    let twice = [("content-type", "application/json"), ("content-type", "application/json")];
    problem(&ops.send(Method::POST, "/users", Some(&user), &twice).await, 415, "media-type");
    let patch = json!({"attributes": {"nickname": "al"}});
    let merge = [("content-type", "application/merge-patch+json")];
    let _ = ops.send(Method::PATCH, "/users/alice", Some(&patch), &merge).await.expect_status(200);
    let large = json!({"name": "x".repeat(70_000), "password": PASSWORD});
    problem(&ops.post("/users", &large).await, 413, "too-large");
    problem(&ops.send(Method::DELETE, "/users/alice", Some(&json!({})), &[]).await, 400, "malformed");
    let many: Vec<Value> = (0..1001).map(|number| json!({"username": format!("u{number}")})).collect();
    let told = problem(&ops.post("/user-imports", &json!({ "users": many })).await, 400, "malformed");
    assert_eq!(told["errors"][0]["at"], "/users", "{told}");
    let exact: Vec<Value> = (0..1000).map(|number| json!({"username": format!("u{number}")})).collect();
    let _ = ops.post("/user-imports", &json!({"users": exact, "effect": "check"})).await.expect_status(200);
    assert_eq!(ops.get("/users/u1").await.status, 404, "a check writes nothing");
}

/// Checks I2, I5, I10: every operation, with whatever body, name and query: no answer is 5xx, and each is one of those that the
/// document names.
#[tokio::test]
async fn no_malformed_request_breaks_the_server() {
    let ops = Ops::new().await;
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    let wide = format!("{{{}}}", (0..3000).map(|number| format!("\"m{number}\":1")).collect::<Vec<_>>().join(","));
    let bodies: [&[u8]; 16] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\"x\"",
        b"{}{}",
        b"{\"name\":\"a\",\"name\":\"b\"}",
        b"{\"name\":\"\\ud800\"}",
        b"\xff\xfe",
        b"{\"enabled\":1e400}",
        b"{\"enabled\":9007199254740993}",
        b"{\"name\":\"a\\u0000\\r\\n\",\"password\":\"12345678\"}",
        b"{\"users\":[{\"username\":\"a\",\"sub\":7,\"iss\":{}}]}",
        deep.as_bytes(),
        wide.as_bytes(),
    ];
    let names = ["x", "%00", "%0d%0a", "%ff", "..%2f..", "%2e%2e", "a%2fb", "'%20OR%201", "%F0%9F%A6%80"];
    for (method, template) in document::all() {
        let documented =
            &regrant_server::admin::api::document()["paths"][&template][method.to_lowercase()]["responses"];
        for (number, body) in bodies.iter().enumerate() {
            let name = names[number % names.len()];
            let path: Vec<&str> =
                template.split('/').map(|part| if part.starts_with('{') { name } else { part }).collect();
            let query = if number % 3 == 0 { "?cursor=x%27&limit=9&kind=%22" } else { "" };
            let path = format!("{}{query}", path.join("/"));
            let headers = [("authorization", ops.bearer.as_str()), ("content-type", "application/json")];
            let method: Method = method.parse().expect("a method");
            let reply = ops.world.http().send(method.clone(), &path, &headers, Body::from(body.to_vec())).await;
            assert!(
                !reply.status.is_server_error(),
                "{method} {path} {}: {}",
                String::from_utf8_lossy(body),
                reply.text()
            );
            if reply.header("content-type") == "application/problem+json" {
                assert!(
                    documented[reply.status.as_str()].is_object(),
                    "{method} {template} does not name {}",
                    reply.text()
                );
            }
            if template.ends_with("/reload") {
                break;
            }
        }
    }
    // Check O8: what was sent is told on one line.
    let reason = json!({"reason": "line\r\n\u{1b}[31mother"});
    let _ = ops.world.first("phone").await;
    let grant = ops.get("/grants").await.json()["items"][0]["id"].as_str().expect("an id").to_owned();
    problem(&ops.post(&format!("/grants/{grant}/end"), &reason).await, 422, "invalid");
}
