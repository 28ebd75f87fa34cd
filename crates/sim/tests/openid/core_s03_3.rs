//! OpenID Connect Core section 3.3, the hybrid flow:
//!
//! - 3.3.2.5: code always; "access_token […] returned when the response_type value used is code token, or code id_token token"; "id_token […]
//!   code id_token or code id_token token".
//! - 3.3.2.11: "at_hash […] If the ID Token is issued from the Authorization Endpoint with an access_token value, which is the case for the
//!   response_type value code id_token token, this is REQUIRED". "c_hash […] this is REQUIRED" with a code.
//! - 3.3.3.6: "If an ID Token is returned from both the Authorization Endpoint and from the Token Endpoint […] the iss and sub Claim Values
//!   MUST be identical in both ID Tokens." "All Claims about the Authentication event present in either SHOULD be present in both."

use regrant_core::client::SignatureAlgorithm;
use regrant_core::openid::half_hash;
use serde_json::json;
use sim::wire::text;

use super::support::{NONCE, ask, id_token, redeem, request, userinfo, verified, world};

#[tokio::test]
async fn each_hybrid_type_gives_what_its_words_say() {
    let world = world().await;
    for kind in ["code id_token", "code token", "code id_token token", "token code id_token"] {
        let answer = ask(&world, &request(kind, &[])).await;
        assert_eq!(answer.mode, "fragment");
        let has = |word: &str| kind.split(' ').any(|known| known == word);
        assert_eq!(answer.has("access_token"), has("token"), "{kind}");
        assert_eq!(answer.has("id_token"), has("id_token"), "{kind}");
        assert!(!answer.has("refresh_token"));
        let hash = |text: &str| json!(half_hash(SignatureAlgorithm::Rs256, text));
        let second = redeem(&world, "rp", answer.of("code")).await;
        let after = id_token(&world, &second).await;
        assert_eq!(after["nonce"], json!(NONCE));
        if answer.has("access_token") {
            assert_eq!(userinfo(&world, answer.of("access_token")).await.json()["sub"], after["sub"]);
        }
        if !answer.has("id_token") {
            continue;
        }
        let (_, before) = verified(&world, "rp", answer.of("id_token")).await;
        assert_eq!(before["c_hash"], hash(answer.of("code")), "{kind}");
        let at_hash = answer.parameters.get("access_token").map(|token| hash(token));
        assert_eq!(before.get("at_hash").cloned(), at_hash, "{kind}");
        for same in ["iss", "sub", "aud", "azp", "nonce", "auth_time", "acr", "amr", "sid"] {
            assert_eq!(before[same], after[same], "{kind}: {same}");
        }
        assert_eq!(after["at_hash"], hash(&text(&second, "access_token")), "{kind}: of the second access token");
    }
}

/// The code of a hybrid answer is a code: with PKCE where that is sent, and with a refresh token behind it.
#[tokio::test]
async fn the_code_of_a_hybrid_answer_is_a_code() {
    let world = world().await;
    let pkce = [("code_challenge", sim::wire::CHALLENGE), ("code_challenge_method", "S256")];
    let answer = ask(&world, &request("code id_token", &pkce)).await;
    let tokens = world.redeem("rp", answer.of("code")).await.expect_status(200).json();
    assert!(tokens["refresh_token"].is_string());
}
