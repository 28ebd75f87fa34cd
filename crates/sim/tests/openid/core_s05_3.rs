//! OpenID Connect Core section 5.3, the userinfo endpoint:
//!
//! - "The UserInfo Endpoint MUST support the use of the HTTP GET and HTTP POST methods", "MUST accept Access Tokens as OAuth 2.0 Bearer Token
//!   Usage", "SHOULD support the use of Cross-Origin Resource Sharing".
//! - 5.3.2: "The sub (subject) Claim MUST always be returned in the UserInfo Response." "If a Claim is not returned, that Claim Name SHOULD be
//!   omitted". "The UserInfo Endpoint MUST return a content-type header […] application/json […] application/jwt if it is signed". "If
//!   signed, the UserInfo Response MUST contain the Claims iss (issuer) and aud (audience) as members."

use regrant_jose::{Typ, Unverified, VerifyingKey, check_audience, check_issuer};
use sim::wire::text;

use super::support::{id_token, tokens, userinfo, with, world};

#[tokio::test]
async fn the_token_comes_in_the_header_or_in_the_body() {
    let world = world().await;
    let answer = tokens(&world, &[("scope", "openid email")]).await;
    let token = text(&answer, "access_token");
    let bearer = format!("Bearer {token}");
    let (http, at) = (world.http(), "/oauth2/userinfo");
    let replies = [
        http.get(at, &[("authorization", &bearer)]).await,
        http.post_raw(at, "", "application/x-www-form-urlencoded", &[("authorization", &bearer)]).await,
        http.send(axum::http::Method::POST, at, &[("authorization", &bearer)], axum::body::Body::empty()).await,
        http.post(at, &[("access_token", &token)], &[]).await,
    ];
    let sub = id_token(&world, &answer).await["sub"].clone();
    for reply in replies {
        let reply = reply.expect_status(200);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!((&reply.json()["sub"], &reply.json()["email"]), (&sub, &serde_json::json!("alice@example.com")));
    }
}

/// RFC 6750 section 2.2: a token in the body wants the form's type. Libraries that post an empty JSON object beside the header are answered
/// as if they had posted nothing; without a token the challenge is there, whatever the body is.
#[tokio::test]
async fn a_body_of_another_type_says_nothing() {
    let world = world().await;
    let answer = tokens(&world, &[("scope", "openid")]).await;
    let bearer = format!("Bearer {}", text(&answer, "access_token"));
    let (http, at) = (world.http(), "/oauth2/userinfo");
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let reply = http.post_raw(at, "{}", kind, &[("authorization", &bearer)]).await.expect_status(200);
        assert!(reply.json()["sub"].is_string(), "{kind}");
        let reply = http.post_raw(at, "{}", kind, &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("www-authenticate").starts_with("Bearer ")),
            (401, true),
            "{kind}"
        );
    }
    let reply = http.post_raw(at, "access_token=a&access_token=b", "application/x-www-form-urlencoded", &[]).await;
    assert!(
        reply.header("www-authenticate").contains("error=\"invalid_request\""),
        "{}",
        reply.header("www-authenticate")
    );
}

#[tokio::test]
async fn only_a_users_token_is_answered() {
    let world = world().await;
    let token = text(&tokens(&world, &[("scope", "email")]).await, "access_token");
    let told = userinfo(&world, &token).await.expect_status(200).json();
    assert_eq!(told["email"], "alice@example.com", "the user allowed it, with OpenID Connect or without");
    let of_machine = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json();
    userinfo(&world, &text(&of_machine, "access_token")).await.expect_error(403, "insufficient_scope");
    userinfo(&world, "x").await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn an_answer_is_signed_for_clients_that_want_it() {
    for algorithm in ["RS256", "ES256", "EdDSA", "PS256"] {
        let world = with(&format!("userinfo_signed_response_alg = {algorithm:?}")).await;
        let answer = tokens(&world, &[("scope", "openid email")]).await;
        let reply = userinfo(&world, &text(&answer, "access_token")).await.expect_status(200);
        assert_eq!(reply.header("content-type"), "application/jwt");
        let keys = world.http().get("/oauth2/jwks", &[]).await;
        let set: regrant_jose::JwkSet = serde_json::from_slice(&keys.body).expect("a key set");
        let keys: Vec<VerifyingKey> = set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect();
        let body = reply.text();
        let read = Unverified::parse(&body).expect("a token").verify(Typ::JwtOrAbsent, &keys).expect("signed by us");
        assert_eq!(read.header.algorithm.as_str(), algorithm);
        check_issuer(&read.claims, &world.base).expect("iss");
        check_audience(&read.claims, "rp").expect("aud");
        assert_eq!(read.claims["email"], "alice@example.com");
        assert_eq!(read.claims["sub"], id_token(&world, &answer).await["sub"]);
    }
}
