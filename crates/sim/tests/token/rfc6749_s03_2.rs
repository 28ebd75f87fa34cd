//! RFC 6749 section 3.2, the token endpoint, and section 3.3, the scope:
//!
//! - "The client MUST use the HTTP "POST" method when making access token requests."
//! - "Parameters sent without a value MUST be treated as if they were omitted from the request."
//! - "The authorization server MUST ignore unrecognized request parameters."
//! - "Request and response parameters MUST NOT be included more than once."
//! - 3.3: "If the issued access token scope is different from the one requested by the client, the authorization server MUST include
//!   the "scope" response parameter".

use axum::body::Body;
use axum::http::Method;
use sim::wire::{PASSWORD, USER, text};

use super::support::{next, refused, world};

/// "The client MUST use the HTTP "POST" method".
#[tokio::test]
async fn only_post_is_answered_with_tokens() {
    let world = world().await;
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth/v2/accessToken"] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let reply = world.http().send(method, path, &[], Body::empty()).await;
            refused(&reply, 405, "invalid_request", "method_not_allowed");
            assert!(reply.header("allow").contains("POST"), "{path}: {}", reply.header("allow"));
        }
        // RFC 9110 section 10.2.1: `Allow` lists what is supported, and nothing else.
        let told = world.http().send(Method::GET, path, &[], Body::empty()).await.header("allow").contains("OPTIONS");
        let preflight = world.http().send(Method::OPTIONS, path, &[], Body::empty()).await;
        assert_eq!(told, preflight.status != 405, "{path}: {}", preflight.status);
    }
}

/// Check I4: an empty parameter is an absent one: required ones are then missing, optional ones mean what their absence means, and no
/// check is skipped.
#[tokio::test]
async fn an_empty_parameter_is_an_absent_one() {
    let world = world().await;
    let first = world.first("phone").await;
    for (name, form) in [
        ("grant_type", vec![("grant_type", ""), ("refresh_token", first.as_str())]),
        ("refresh_token", vec![("grant_type", "refresh_token"), ("refresh_token", "")]),
        ("code", vec![("grant_type", "authorization_code"), ("code", "")]),
        ("username", vec![("grant_type", "password"), ("username", ""), ("password", PASSWORD)]),
        ("password", vec![("grant_type", "password"), ("username", USER), ("password", "")]),
    ] {
        refused(&world.token("phone", &form).await, 400, "invalid_request", &format!("malformed: Missing(\"{name}\")"));
    }
    for path in ["/oauth2/revoke", "/oauth2/introspect"] {
        let reply = world.post(path, "api", &[("token", "")], &[]).await;
        refused(&reply, 400, "invalid_request", "malformed: Missing(\"token\")");
    }
    let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("scope", ""), ("resource", "")];
    let answer = world.token("phone", &form).await.expect_status(200).json();
    assert_eq!(text(&answer, "scope"), "openid read write");
}

/// "The authorization server MUST ignore unrecognized request parameters", and those of other grant types.
#[tokio::test]
async fn what_is_not_known_is_ignored() {
    let world = world().await;
    let first = world.first("phone").await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
        ("colour", "green"),
        ("code", "rgk_x"),
        ("redirect_uri", "https://elsewhere.example/"),
        ("\u{0}", "\u{0}"),
        ("Refresh_Token", "names have case"),
    ];
    let _ = next(world.token("phone", &form).await);
}

/// Check I3: any parameter that comes twice is refused, known or not, empty or not, and nothing is consumed.
#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    let world = world().await;
    let first = world.first("web").await;
    let before = world.row(&first).await;
    let whole = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
        ("client_id", "web"),
        ("client_secret", sim::wire::SECRET),
        ("scope", "read"),
        ("colour", "green"),
    ];
    for (name, value) in whole {
        for second in [value, "", "other"] {
            let mut form = whole.to_vec();
            form.push((name, second));
            let reply = world.http().post("/oauth2/token", &form, &[]).await;
            refused(&reply, 400, "invalid_request", "malformed: Repeated");
        }
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(world.refresh("web", &first).await);
}

/// The article's own path is an alias of the token endpoint, the same to the letter.
#[tokio::test]
async fn the_alias_is_the_same_endpoint() {
    let world = world().await;
    let first = world.first("web-single").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
    let second = next(world.post("/oauth/v2/accessToken", "web-single", &form, &[]).await);
    world.advance(super::support::secs(60));
    assert_eq!(next(world.refresh("web-single", &first).await), second);
}

/// Section 3.3: "The authorization server MUST include the "scope" response parameter" where it differs; here it always stands there,
/// and the order of what was asked for means nothing.
#[tokio::test]
async fn the_issued_scope_is_always_told() {
    let world = world().await;
    for (asked, issued) in [("read", "read"), ("write read write", "read write"), ("", "openid read write")] {
        let form = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("scope", asked)];
        let answer = world.token("phone", &form).await.expect_status(200).json();
        assert_eq!(text(&answer, "scope"), issued);
    }
    for (bad, reason) in
        [("admin", "scope_not_allowed"), ("read  write", "malformed_scope"), ("r\u{e9}ad", "malformed_scope")]
    {
        let form = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("scope", bad)];
        refused(&world.token("phone", &form).await, 400, "invalid_scope", reason);
    }
}
