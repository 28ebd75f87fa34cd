//! OpenID Connect Core section 8, subject identifier types:
//!
//! - "public: This provides the same sub value to all Clients." "pairwise: This provides a different sub value to each Client, so as not to
//!   enable Clients to correlate the End-User's activities without permission."
//! - 8.1: "each Sector Identifier […] The Subject Identifier value MUST NOT be reversible by any party other than the OpenID Provider. Distinct
//!   Sector Identifier values MUST result in distinct Subject Identifier values. The algorithm MUST be deterministic."

use serde_json::Value;
use sim::wire::{CALLBACK, CHALLENGE, USER, World, text};

use super::support::{ask_with, heard, known, request_of, rp, userinfo, verified};

/// Two clients of one sector, one of another, and one that has every response type.
fn config() -> String {
    let client = |id: &str, uri: &str, more: &str| {
        format!(
            "[[client]]\nid = \"{id}\"\nsecret_hash = \"HASH\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
             redirect_uris = [\"{uri}\"]\nscopes = [\"openid\"]\nsubject_type = \"pairwise\"\nmay_introspect = true\n{more}\n"
        )
    };
    [
        rp("subject_type = \"pairwise\""),
        client("one", CALLBACK, "sector_identifier_uri = \"https://group.example/uris.json\""),
        client("two", CALLBACK, "sector_identifier_uri = \"https://group.example:443/others.json\""),
        client("apart", CALLBACK, "sector_identifier_uri = \"https://apart.example/\""),
    ]
    .concat()
}

async fn granted(world: &World, client: &str) -> Value {
    let more = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let answer = ask_with(&mut world.browser(), &request_of(client, "code", &more)).await;
    world.redeem(client, answer.of("code")).await.expect_status(200).json()
}

async fn sub(world: &World, client: &str) -> String {
    let (_, claims) = verified(world, client, &text(&granted(world, client).await, "id_token")).await;
    claims["sub"].as_str().expect("a sub").to_owned()
}

#[tokio::test]
async fn each_sector_knows_a_user_by_a_sub_of_its_own() {
    let world = known(&config()).await;
    let true_sub = sub(&world, "web").await;
    let (one, two, apart) = (sub(&world, "one").await, sub(&world, "two").await, sub(&world, "apart").await);
    assert_eq!(one, two, "the same sector");
    assert_eq!(one, sub(&world, "one").await, "always the same");
    assert!(one != apart && one != true_sub && apart != true_sub);
    assert_eq!(sub(&world, "phone").await, true_sub, "public: the same for all clients");
}

#[tokio::test]
async fn id_token_userinfo_and_introspection_agree() {
    let world = known(&config()).await;
    let answer = granted(&world, "one").await;
    let (_, claims) = verified(&world, "one", &text(&answer, "id_token")).await;
    let token = text(&answer, "access_token");
    assert!(token.starts_with("rga_"), "opaque, so that nobody reads in it whom it is about");
    assert_eq!(userinfo(&world, &token).await.expect_status(200).json()["sub"], claims["sub"]);
    assert_eq!(world.introspect(&token).await["sub"], claims["sub"]);
    let refresh = text(&answer, "refresh_token");
    let seen = world.post("/oauth2/introspect", "one", &[("token", &refresh)], &[]).await.json();
    assert_eq!((&seen["active"], &seen["sub"]), (&Value::Bool(true), &claims["sub"]));
    let next = world.refresh("one", &refresh).await.expect_status(200).json();
    let (_, again) = verified(&world, "one", &text(&next, "id_token")).await;
    assert_eq!(again["sub"], claims["sub"]);
}

#[tokio::test]
async fn a_token_without_a_grant_has_the_same_sub() {
    let world = known(&config()).await;
    let answer = ask_with(&mut world.browser(), &request_of("rp", "id_token token", &[])).await;
    let (_, claims) = verified(&world, "rp", answer.of("id_token")).await;
    assert_eq!(userinfo(&world, answer.of("access_token")).await.json()["sub"], claims["sub"]);
}

/// What ends a user's tokens knows who he is.
#[tokio::test]
async fn a_revocation_knows_the_user_behind_a_pairwise_sub() {
    let world = known(&config()).await;
    let answer = granted(&world, "one").await;
    let front = ask_with(&mut world.browser(), &request_of("rp", "id_token token", &[])).await;
    world.app.admin().set_user_disabled(USER, true).await.expect("switched off");
    for token in [&text(&answer, "access_token"), front.of("access_token")] {
        assert_eq!(userinfo(&world, token).await.status, 401);
    }
    world.refresh("one", &text(&answer, "refresh_token")).await.expect_error(400, "invalid_grant");
}

/// Nor do two sectors know a session by one name: they could find out by it that their users are one.
#[tokio::test]
async fn each_sector_knows_a_session_by_a_name_of_its_own() {
    let world = known(&config()).await;
    let mut browser = world.browser();
    let more = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let mut sids = Vec::new();
    for client in ["one", "two", "apart", "web", "phone", "one"] {
        let answer = ask_with(&mut browser, &request_of(client, "code", &more)).await;
        let tokens = world.redeem(client, answer.of("code")).await.expect_status(200).json();
        sids.push(verified(&world, client, &text(&tokens, "id_token")).await.1["sid"].clone());
    }
    assert!(sids[0] == sids[1] && sids[0] == sids[5] && sids[3] == sids[4], "{sids:?}");
    assert!(sids[0] != sids[2] && sids[0] != sids[3] && sids[2] != sids[3], "{sids:?}");
}

/// A hint names the user as its client knows him.
#[tokio::test]
async fn a_hint_of_a_pairwise_client_is_understood() {
    let world = known(&config()).await;
    let mut browser = world.browser();
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let answer = ask_with(&mut browser, &request_of("one", "code", &pkce)).await;
    let hint = text(&world.redeem("one", answer.of("code")).await.json(), "id_token");
    let more = [pkce[0], pkce[1], ("id_token_hint", hint.as_str()), ("prompt", "none")];
    assert!(heard(&browser.get(&request_of("one", "code", &more)).await).has("code"));
}
