//! How large a request may be, and what it may be made of.

use axum::body::Body;
use axum::http::Method;
use sim::wire::World;

use crate::edge::support::{address, raw, status, world};

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n")
}

/// A long target, a large head and many headers are refused for what they are; what is within the limits is not.
#[tokio::test]
async fn a_request_has_its_sizes() {
    let world = world("[http]\nmax_uri_length = 2000\nmax_head_size = 16384\nmax_headers = 20").await;
    let many = |count: usize| -> String { (0..count).map(|number| format!("x-{number}: y\r\n")).collect() };
    for (request, expected) in [
        (get(&format!("/healthz?{}", "a".repeat(1900)), ""), 200),
        (get(&format!("/healthz?{}", "a".repeat(2000)), ""), 414),
        (get(&format!("/healthz?{}", "a".repeat(15_000)), ""), 414),
        (get("/healthz", &many(18)), 200),
        (get("/healthz", &many(30)), 431),
        (get("/healthz", &format!("x: {}\r\n", "a".repeat(10_000))), 200),
        (get("/healthz", &format!("x: {}\r\n", "a".repeat(20_000))), 431),
    ] {
        let answer = raw(&world.base, &request).await;
        assert_eq!(status(&answer), expected, "{}", &request[..60.min(request.len())]);
    }
}

/// Check X15: a compressed body is refused before anything is unpacked, in whatever words it is said.
#[tokio::test]
async fn compressed_bodies_are_refused() {
    let world = World::new().await;
    let token = world.first("phone").await;
    let body = format!("grant_type=refresh_token&client_id=phone&refresh_token={token}");
    for encoding in ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", ""] {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("content-encoding", encoding)];
        for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/login"] {
            let reply = world.http().send(Method::POST, path, &headers, Body::from(body.clone())).await;
            assert_eq!(reply.status, 415, "{path} {encoding:?}: {}", reply.text());
            assert_eq!(reply.header("accept-encoding"), "identity");
        }
    }
    let _ = world.refresh("phone", &token).await.expect_status(200);
}

/// Check H5: TRACE, CONNECT and methods that nobody knows are refused with 405 wherever there is something, and give nothing back.
#[tokio::test]
async fn odd_methods_are_refused_and_nothing_is_given_back() {
    let world = World::new().await;
    for path in ["/oauth2/token", "/oauth2/authorize", "/oauth2/introspect", "/oauth2/jwks", "/healthz", "/"] {
        for method in ["TRACE", "BREW", "PROPFIND", "get", "X"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nx-secret: canary\r\nconnection: close\r\n\r\n");
            let answer = raw(&world.base, &request).await;
            assert_eq!(status(&answer), 405, "{method} {path}: {answer}");
            assert!(!answer.contains("canary") && answer.contains("\r\nallow: "), "{method} {path}: {answer}");
        }
    }
    for target in ["id.example:443", address(&world.base)] {
        let answer =
            raw(&world.base, &format!("CONNECT {target} HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n")).await;
        assert_eq!((status(&answer), answer.matches("HTTP/1.1").count()), (405, 1), "{answer}");
    }
    let answer =
        raw(&world.base, "TRACE /nowhere HTTP/1.1\r\nhost: x\r\nx-secret: canary\r\nconnection: close\r\n\r\n").await;
    assert!(status(&answer) == 404 && !answer.contains("canary"), "{answer}");
}
