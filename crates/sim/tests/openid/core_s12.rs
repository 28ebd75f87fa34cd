//! OpenID Connect Core section 12.2, an ID token in the answer to a refresh:
//!
//! - "its iss Claim Value MUST be the same as in the ID Token issued when the original authentication occurred", so are `sub`, `aud` ("MUST
//!   include the value in the original") and `azp`; "its iat Claim MUST represent the time that the new ID Token is issued"; "if the ID Token
//!   contains an auth_time Claim, its value MUST represent the time of the original authentication"; "it SHOULD NOT have a nonce Claim".

use serde_json::json;
use sim::wire::text;

use super::support::{BEGIN, id_token, seconds, tokens, world};

#[tokio::test]
async fn a_refreshed_id_token_says_the_same_of_the_login_at_a_new_time() {
    let world = world().await;
    let answer = tokens(&world, &[]).await;
    let first = id_token(&world, &answer).await;
    world.advance(seconds(5000));
    let next = world.refresh("rp", &text(&answer, "refresh_token")).await.expect_status(200).json();
    let second = id_token(&world, &next).await;
    for same in ["iss", "sub", "aud", "azp", "auth_time", "acr", "amr", "sid"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_eq!((&second["iat"], &second["exp"]), (&json!(BEGIN + 5000), &json!(BEGIN + 8600)));
    assert_eq!(second.get("nonce"), None);
    assert_ne!(second["at_hash"], first["at_hash"]);
}

/// Restarted on what the store kept, by a retry, and under a narrowed scope.
#[tokio::test]
async fn what_an_id_token_says_is_kept_with_the_grant() {
    let place = sim::process::Scratch::new("openid-kept");
    let world = sim::wire::World::on_sqlite(&place.path().join("regrant.db")).await;
    let path = sim::wire::authorization("web", &[("scope", "openid read"), ("nonce", "n")]);
    let code = world.browser().log_in_for_code(&path).await;
    let world = world.restart().await;
    let answer = world.redeem("web", &code).await.expect_status(200).json();
    let (_, first) = super::support::verified(&world, "web", &text(&answer, "id_token")).await;
    assert_eq!(first["nonce"], "n");
    let world = world.restart().await;
    let refresh = text(&answer, "refresh_token");
    let next = world.refresh("web", &refresh).await.expect_status(200).json();
    let (_, second) = super::support::verified(&world, "web", &text(&next, "id_token")).await;
    assert_eq!((&first["sub"], &first["acr"], &first["sid"]), (&second["sub"], &second["acr"], &second["sid"]));
    let narrowed = [("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("scope", "read")];
    assert_eq!(world.token("web", &narrowed).await.expect_status(200).json().get("id_token"), None);
}
