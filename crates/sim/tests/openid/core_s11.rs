//! OpenID Connect Core section 11, offline access:
//!
//! - "MUST ignore the offline_access request unless the Client is using a response_type value that would result in an Authorization Code being
//!   returned".
//! - "MUST explicitly receive or have consent for all Clients when the registered application_type is web".
//! - "The use of Refresh Tokens is not exclusive to the offline_access use case. The Authorization Server MAY grant Refresh Tokens in other
//!   contexts": by default every client of the grant type `refresh_token` gets one.

use sim::wire::text;

use super::support::{ask, heard, request, tokens, with, world};

#[tokio::test]
async fn a_refresh_token_comes_always_or_with_offline_access_as_the_client_is_set() {
    let world = world().await;
    assert!(tokens(&world, &[]).await["refresh_token"].is_string());
    let strict = with("refresh_tokens = \"offline_access\"").await;
    assert_eq!(tokens(&strict, &[]).await.get("refresh_token"), None);
    let offline = tokens(&strict, &[("scope", "openid offline_access"), ("prompt", "consent")]).await;
    let next = strict.refresh("rp", &text(&offline, "refresh_token")).await.expect_status(200).json();
    assert!(next["id_token"].is_string());
}

#[tokio::test]
async fn offline_access_is_ignored_where_there_is_no_code() {
    let world = world().await;
    let answer = ask(&world, &request("id_token token", &[("scope", "openid offline_access")])).await;
    assert_eq!((answer.of("scope"), answer.has("refresh_token")), ("openid", false));
    let hybrid = ask(&world, &request("code token", &[("scope", "openid offline_access")])).await;
    assert_eq!(hybrid.of("scope"), "offline_access openid");
}

#[tokio::test]
async fn offline_access_needs_the_users_consent() {
    let world = with("refresh_tokens = \"offline_access\"").await;
    let mut browser = super::support::at_home(&world, "openid").await;
    let path = |prompt| request("code", &[("scope", "openid offline_access"), ("prompt", prompt)]);
    assert_eq!(heard(&browser.get(&path("none")).await).error(), "consent_required");
    let page = browser.get(&path("")).await;
    assert!(page.text().contains("Stay connected while you are away"), "{}", page.text());
    // A client whose users are not asked has nobody's consent to stay: it must let them be asked.
    let trusted = with("refresh_tokens = \"offline_access\"\nskip_consent = true").await;
    let silent = tokens(&trusted, &[("scope", "openid offline_access")]).await;
    assert_eq!((silent.get("refresh_token"), text(&silent, "scope").as_str()), (None, "openid"));
    let asked = tokens(&trusted, &[("scope", "openid offline_access"), ("prompt", "consent")]).await;
    assert!(asked["refresh_token"].is_string());
}
