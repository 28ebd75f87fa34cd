//! OpenID Connect Core section 5.5, the `claims` parameter:
//!
//! - "userinfo: […] If present, it lists Claims to be returned from the UserInfo Endpoint"; "id_token: […] lists Claims to be returned in the
//!   ID Token". "Other members MAY be present. Any members used that are not understood MUST be ignored."
//! - 5.5.1: essential and voluntary claims; a claim that is not there is no error.
//!
//! And ours: nobody gets by name what he could not have by a scope, and the user is asked for it.

use serde_json::json;
use sim::wire::text;

use super::support::{
    ask, ask_with, at_home, heard, id_token, known, redeem, request, request_of, rp, tokens, userinfo, verified, world,
};

const CLAIMS: &str = r#"{"userinfo":{"name":{"essential":true},"picture":null},
    "id_token":{"email":{"essential":true},"auth_time":{"essential":true},"unheard_of":null},"x":1}"#;

#[tokio::test]
async fn claims_by_name_go_where_they_were_asked_for() {
    let world = world().await;
    let answer = tokens(&world, &[("claims", CLAIMS)]).await;
    let claims = id_token(&world, &answer).await;
    assert_eq!((&claims["email"], claims.get("name")), (&json!("alice@example.com"), None));
    assert!(claims["auth_time"].is_number());
    let told = userinfo(&world, &text(&answer, "access_token")).await.json();
    assert_eq!((&told["name"], &told["picture"]), (&json!("Alice Doe"), &json!("https://alice.example/me.png")));
    assert_eq!((told.get("email"), told.get("nickname")), (None, None), "{told}");
}

/// Also where there is no grant that could keep them: the access token carries their names, and shows them to nobody.
#[tokio::test]
async fn claims_by_name_reach_the_implicit_and_hybrid_flows() {
    for format in ["jwt", "opaque"] {
        let world = super::support::with(&format!("access_token_format = {format:?}")).await;
        for kind in ["id_token token", "code token", "code id_token token"] {
            let answer = ask(&world, &request(kind, &[("claims", CLAIMS)])).await;
            let token = answer.of("access_token");
            let told = userinfo(&world, token).await.expect_status(200).json();
            assert_eq!((&told["name"], told.get("email")), (&json!("Alice Doe"), None), "{format} {kind}");
            assert_eq!(world.introspect(token).await.get("userinfo_claims"), None);
            if answer.has("id_token") {
                let (_, claims) = verified(&world, "rp", answer.of("id_token")).await;
                assert_eq!(claims["email"], "alice@example.com", "{format} {kind}");
            }
        }
    }
}

#[tokio::test]
async fn the_user_is_asked_for_what_is_asked_for_by_name() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let path = request("code", &[("claims", CLAIMS)]);
    let page = browser.get(&path).await;
    let text = page.text();
    assert!(text.contains("See your email address") && text.contains("See your profile"), "{text}");
    let reply = browser.submit(&page, &[("decision", "allow")]).await;
    assert!(heard(&reply).has("code"));
    assert!(heard(&browser.get(&path).await).has("code"), "and it is remembered");
    assert_eq!(
        heard(
            &browser.get(&request("code", &[("claims", r#"{"userinfo":{"address":null}}"#), ("prompt", "none")])).await
        )
        .error(),
        "consent_required"
    );
}

#[tokio::test]
async fn nobody_gets_by_name_what_he_could_not_have_by_a_scope() {
    let world = known(&rp("").replace(
        "\"openid\", \"profile\", \"email\", \"address\", \"phone\", \"offline_access\", \"read\"",
        "\"openid\", \"profile\"",
    ))
    .await;
    let claims =
        r#"{"userinfo":{"email":{"essential":true},"department":null,"groups":null},"id_token":{"email":null}}"#;
    let answer = tokens(&world, &[("claims", claims)]).await;
    let told = userinfo(&world, &text(&answer, "access_token")).await.json();
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(1), "{told}");
    assert_eq!(id_token(&world, &answer).await.get("email"), None);
}

/// An ID token of a refresh says what was asked for, too, with the values of that moment.
#[tokio::test]
async fn claims_by_name_are_in_refreshed_id_tokens() {
    let world = world().await;
    let first = tokens(&world, &[("claims", CLAIMS)]).await;
    let change = regrant_server::claims::attributes::UserChange {
        texts: vec![("email".to_owned(), "new@example.com".to_owned())],
        ..Default::default()
    };
    world.app.admin().set_user(sim::wire::USER, &change).await.expect("a change");
    let next = world.refresh("rp", &text(&first, "refresh_token")).await.expect_status(200).json();
    assert_eq!(id_token(&world, &next).await["email"], "new@example.com");
    assert_eq!(userinfo(&world, &text(&next, "access_token")).await.json()["name"], "Alice Doe");
}

#[tokio::test]
async fn a_request_without_the_scope_openid_gets_nothing_by_name() {
    let world = world().await;
    let mut browser = world.browser();
    let path = request_of("rp", "code", &[("scope", "read"), ("claims", CLAIMS)]);
    let code = ask_with(&mut browser, &path).await;
    let answer = redeem(&world, "rp", code.of("code")).await;
    assert_eq!(answer.get("id_token"), None);
    let told = userinfo(&world, &text(&answer, "access_token")).await.expect_status(200).json();
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(1), "{told}");
}
