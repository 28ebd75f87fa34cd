//! OpenID Connect Core section 5.4, claims by scope:
//!
//! - "The Claims requested by the profile, email, address, and phone scope values are returned from the UserInfo Endpoint […] when a
//!   response_type value is used that results in an Access Token being issued. However, when no Access Token is issued (which is the case for
//!   the response_type value id_token), the resulting Claims are returned in the ID Token."
//! - 5.1: email_verified and phone_number_verified are booleans, updated_at a number, address an object.

use regrant_core::openid::claims_of;
use serde_json::json;
use sim::wire::text;

use super::support::{ask, id_token, request, tokens, userinfo, verified, world};

const ALL: &str = "openid profile email address phone";

#[tokio::test]
async fn each_scope_brings_its_claims_and_no_other() {
    let world = world().await;
    for scope in ["profile", "email", "address", "phone"] {
        let answer = tokens(&world, &[("scope", &format!("openid {scope}"))]).await;
        let told = userinfo(&world, &text(&answer, "access_token")).await.expect_status(200).json();
        let mut names: Vec<&str> = told.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut expected = claims_of(scope).to_vec();
        expected.push("sub");
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "{scope}");
    }
}

#[tokio::test]
async fn each_claim_has_its_type() {
    let world = world().await;
    let answer = tokens(&world, &[("scope", ALL)]).await;
    let told = userinfo(&world, &text(&answer, "access_token")).await.json();
    assert_eq!((&told["email_verified"], &told["phone_number_verified"]), (&json!(true), &json!(false)));
    assert!(told["updated_at"].is_number());
    assert_eq!(told["address"], json!({"country": "DE", "locality": "Berlin"}));
    assert_eq!(told["preferred_username"], "alice", "the name to log in with, where no other was set");
}

#[tokio::test]
async fn the_claims_of_scopes_are_in_the_id_token_only_where_there_is_no_access_token() {
    let world = world().await;
    let alone = ask(&world, &request("id_token", &[("scope", ALL)])).await;
    let (_, claims) = verified(&world, "rp", alone.of("id_token")).await;
    for scope in ["profile", "email", "address", "phone"] {
        assert!(claims_of(scope).iter().all(|name| claims.contains_key(*name)), "{scope}: {claims:?}");
    }
    for kind in ["id_token token", "code id_token", "code id_token token"] {
        let answer = ask(&world, &request(kind, &[("scope", ALL)])).await;
        let (_, claims) = verified(&world, "rp", answer.of("id_token")).await;
        assert!(!claims.contains_key("email") && !claims.contains_key("name"), "{kind}: {claims:?}");
    }
    let claims = id_token(&world, &tokens(&world, &[("scope", ALL)]).await).await;
    assert!(!claims.contains_key("email") && !claims.contains_key("name"), "{claims:?}");
}

/// 3.1.2.1: the order of scopes means nothing.
#[tokio::test]
async fn scopes_may_stand_in_any_order() {
    let world = world().await;
    let answer = tokens(&world, &[("scope", "email profile openid")]).await;
    assert!(answer["id_token"].is_string());
}
