//! OpenID Connect Core section 3.1.3, the token answer:
//!
//! - 3.1.3.3: "the following parameters MUST be included in the response: id_token".
//! - 3.1.3.6: "at_hash […] the base64url encoding of the left-most half of the hash of the octets of the ASCII representation of the
//!   access_token value".

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use sim::wire::text;

use super::support::{id_token, tokens, with};

#[tokio::test]
async fn the_id_token_comes_with_the_access_token_and_names_it_by_its_hash() {
    for (algorithm, hash) in [("RS256", &SHA256), ("ES256", &SHA256), ("EdDSA", &SHA512)] {
        let world = with(&format!("id_token_signed_response_alg = {algorithm:?}")).await;
        let answer = tokens(&world, &[]).await;
        let claims = id_token(&world, &answer).await;
        let whole = digest(hash, text(&answer, "access_token").as_bytes());
        let half = &whole.as_ref()[..whole.as_ref().len() / 2];
        assert_eq!(claims["at_hash"], json!(BASE64_URL_SAFE_NO_PAD.encode(half)), "{algorithm}");
        assert_eq!((claims.get("c_hash"), text(&answer, "token_type").as_str()), (None, "Bearer"));
    }
}

/// A code that is redeemed twice gives nothing the second time, an ID token neither.
#[tokio::test]
async fn a_code_gives_one_id_token() {
    let world = super::support::world().await;
    let code = super::support::ask(&world, &super::support::request("code", &[])).await.of("code").to_owned();
    let _ = super::support::redeem(&world, "rp", &code).await;
    let again = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", sim::wire::CALLBACK)];
    world.token("rp", &again).await.expect_error(400, "invalid_grant");
}

/// The password grant is none of OpenID Connect: it says nothing of how the user logged in.
#[tokio::test]
async fn the_password_grant_gives_no_id_token() {
    let world = sim::wire::World::new().await;
    assert_eq!(world.grant("web").await.get("id_token"), None);
}
