//! OpenID Connect Core section 2, the ID token:
//!
//! - "iss REQUIRED", "sub REQUIRED […] MUST NOT exceed 255 ASCII characters in length", "aud REQUIRED […] MUST contain the OAuth 2.0
//!   client_id of the Relying Party", "exp REQUIRED", "iat REQUIRED".
//! - "auth_time […] When a max_age request is made or when auth_time is requested as an Essential Claim, then this Claim is REQUIRED".
//! - "nonce […] If present in the Authentication Request, Authorization Servers MUST include a nonce Claim in the ID Token with the Claim
//!   Value being the nonce value sent in the Authentication Request."
//! - "ID Tokens MUST be signed using JWS". Section 15.1: "OPs MUST support signing ID Tokens with the RSA SHA-256 algorithm".

use regrant_core::openid::ACR_PASSWORD;
use serde_json::json;
use sim::wire::{World, text};

use super::support::{BEGIN, NONCE, ask, ask_with, id_token, redeem, request, seconds, tokens, verified, with, world};

#[tokio::test]
async fn an_id_token_says_who_whose_for_whom_and_when() {
    let world = world().await;
    let mut browser = world.browser();
    let first = ask_with(&mut browser, &request("code", &[])).await;
    let _ = redeem(&world, "rp", first.of("code")).await;
    world.advance(seconds(100));
    let later = ask_with(&mut browser, &request("code", &[])).await;
    let claims = id_token(&world, &redeem(&world, "rp", later.of("code")).await).await;
    assert_eq!(claims["iss"], json!(world.base));
    assert!(claims["sub"].as_str().is_some_and(|sub| sub.starts_with("usr_") && sub.len() <= 255 && sub.is_ascii()));
    assert_eq!((&claims["aud"], &claims["azp"]), (&json!("rp"), &json!("rp")));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(BEGIN + 100), &json!(BEGIN + 100 + 3600)));
    assert_eq!(claims["auth_time"], json!(BEGIN), "when he logged in, not when he was asked again");
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!(ACR_PASSWORD), &json!(["pwd"])));
    assert_eq!(claims["nonce"], json!(NONCE));
    assert!(claims["sid"].as_str().is_some_and(|sid| !sid.is_empty()));
    let mut names: Vec<&str> = claims.keys().map(String::as_str).collect();
    names.sort_unstable();
    let all = ["acr", "amr", "at_hash", "aud", "auth_time", "azp", "exp", "iat", "iss", "nonce", "sid", "sub"];
    assert_eq!(names, all, "and nothing that nobody asked for");
}

/// Check F12: the nonce is the one of the request, byte for byte.
#[tokio::test]
async fn a_nonce_comes_back_as_it_was_sent_and_none_if_there_was_none() {
    let world = world().await;
    for nonce in ["x", "ä 🦀 \"'<>&=%+", &"n".repeat(1024)] {
        assert_eq!(id_token(&world, &tokens(&world, &[("nonce", nonce)]).await).await["nonce"], json!(nonce));
    }
    assert_eq!(id_token(&world, &tokens(&world, &[("nonce", "")]).await).await.get("nonce"), None);
    for bad in ["a\nb", &"n".repeat(1025)] {
        assert_eq!(ask(&world, &request("code", &[("nonce", bad)])).await.error(), "invalid_request");
    }
}

/// Section 3.1.2.1: without `openid` the request is one of OAuth 2.0 alone.
#[tokio::test]
async fn without_the_scope_openid_there_is_no_id_token() {
    let world = world().await;
    let answer = tokens(&world, &[("scope", "profile read")]).await;
    assert_eq!((answer.get("id_token"), text(&answer, "scope").as_str()), (None, "profile read"));
}

#[tokio::test]
async fn an_id_token_is_signed_with_the_algorithm_of_its_client() {
    for (setting, algorithm) in
        [("", "RS256"), ("RS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA"), ("PS256", "PS256")]
    {
        let more =
            if setting.is_empty() { String::new() } else { format!("id_token_signed_response_alg = {setting:?}") };
        let world = with(&more).await;
        let (header, claims) = verified(&world, "rp", &text(&tokens(&world, &[]).await, "id_token")).await;
        assert_eq!((header.algorithm.as_str(), header.kid.is_some()), (algorithm, true));
        assert_eq!(claims["nonce"], json!(NONCE));
    }
}

/// Section 15.1, before any client asks for it.
#[tokio::test]
async fn rs256_is_there_before_any_client_is() {
    let world = World::with("").await;
    let keys = world.http().get("/oauth2/jwks", &[]).await.json();
    let named: Vec<_> = keys["keys"].as_array().expect("keys").iter().map(|key| key["alg"].clone()).collect();
    assert!(named.contains(&json!("RS256")), "{named:?}");
}

/// An ID token is no access token, and an access token no ID token.
#[tokio::test]
async fn no_token_passes_for_another() {
    let world = world().await;
    let answer = tokens(&world, &[]).await;
    let (access, identity) = (text(&answer, "access_token"), text(&answer, "id_token"));
    assert_eq!(super::support::userinfo(&world, &identity).await.status, 401);
    assert_eq!(world.introspect(&identity).await["active"], false);
    let hint = ask(&world, &request("code", &[("id_token_hint", &access)])).await;
    assert_eq!(hint.error(), "invalid_request");
}
