//! OpenID Connect Core section 3.2, the implicit flow:
//!
//! - 3.2.2.1: "nonce REQUIRED."
//! - 3.2.2.5: "access_token […] returned unless the response_type value used is id_token." "the Authorization Server MUST NOT return a
//!   refresh token". "all response parameters are added to the fragment component".
//! - 3.2.2.6: "the Authorization Error Response is returned in the fragment component".
//! - 3.2.2.9 and 3.2.2.10: "at_hash […] If the ID Token is issued with an access_token in an Implicit Flow, this is REQUIRED".

use regrant_core::client::SignatureAlgorithm;
use regrant_core::openid::half_hash;
use serde_json::json;

use sim::wire::Browser;

use super::support::{NONCE, ask, ask_with, heard, known, request, rp, userinfo, verified, world};

#[tokio::test]
async fn id_token_alone_comes_in_the_fragment_with_nothing_else() {
    let world = world().await;
    let answer = ask(&world, &request("id_token", &[])).await;
    assert_eq!(answer.mode, "fragment");
    let names: Vec<&str> = answer.parameters.keys().map(String::as_str).collect();
    assert_eq!(names, ["id_token", "iss", "session_state", "state"]);
    let (_, claims) = verified(&world, "rp", answer.of("id_token")).await;
    assert_eq!((&claims["nonce"], claims.get("at_hash"), claims.get("c_hash")), (&json!(NONCE), None, None));
}

#[tokio::test]
async fn id_token_and_token_come_together_and_no_refresh_token() {
    let world = world().await;
    for order in ["id_token token", "token id_token"] {
        let answer = ask(&world, &request(order, &[])).await;
        assert_eq!((answer.mode, answer.has("refresh_token"), answer.has("code")), ("fragment", false, false));
        assert_eq!(
            (answer.of("token_type"), answer.of("expires_in"), answer.of("scope")),
            ("Bearer", "3600", "openid")
        );
        let (_, claims) = verified(&world, "rp", answer.of("id_token")).await;
        assert_eq!(claims["at_hash"], json!(half_hash(SignatureAlgorithm::Rs256, answer.of("access_token"))));
        let told = userinfo(&world, answer.of("access_token")).await.expect_status(200).json();
        assert_eq!(told["sub"], claims["sub"]);
    }
}

/// Check T26: such a token belongs to no grant; where a logout ends grants it ends with its session, JWT or opaque, and that of another session
/// goes on.
#[tokio::test]
async fn an_access_token_of_a_browser_ends_with_its_session() {
    for (policy, format, lives) in
        [("end", "jwt", false), ("end", "opaque", false), ("end_online", "jwt", false), ("keep", "jwt", true)]
    {
        let client = rp(&format!("access_token_format = {format:?}"));
        let world = known(&format!("[revocation]\non_logout = {policy:?}\n{client}")).await;
        let (mut one, mut other) = (world.browser(), world.browser());
        let token = async |browser: &mut Browser| {
            ask_with(browser, &request("id_token token", &[])).await.of("access_token").to_owned()
        };
        let (ended, kept) = (token(&mut one).await, token(&mut other).await);
        let _ = userinfo(&world, &ended).await.expect_status(200);
        let page = one.get("/logout").await;
        let _ = one.submit(&page, &[]).await.expect_status(200);
        assert_eq!(userinfo(&world, &ended).await.status, if lives { 200 } else { 401 }, "{policy} {format}");
        assert_eq!(userinfo(&world, &kept).await.status, 200, "{policy} {format}");
    }
}

#[tokio::test]
async fn a_request_without_a_nonce_is_refused() {
    let world = world().await;
    for kind in ["id_token", "id_token token", "code id_token", "code id_token token"] {
        let answer = heard(&world.browser().get(&request(kind, &[("nonce", "")])).await);
        assert_eq!((answer.mode, answer.error()), ("fragment", "invalid_request"), "{kind}");
    }
    for kind in ["code", "token", "code token"] {
        let answer = ask(&world, &request(kind, &[("nonce", "")])).await;
        assert!(!answer.has("error"), "{kind}: there is no ID token in front of the user");
    }
}

#[tokio::test]
async fn an_id_token_needs_the_scope_openid() {
    let world = world().await;
    let answer = heard(&world.browser().get(&request("id_token", &[("scope", "email")])).await);
    assert_eq!((answer.mode, answer.error()), ("fragment", "invalid_request"));
}
