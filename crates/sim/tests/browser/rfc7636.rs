//! RFC 7636, Proof Key for Code Exchange, with RFC 9700 section 2.1.1:
//!
//! - 4.3: "code_challenge REQUIRED." "code_challenge_method OPTIONAL, defaults to "plain" if not present in the request."
//! - 4.4: "the server MUST associate the "code_challenge" and "code_challenge_method" values with the authorization code".
//! - 4.4.1: "If the server requires PKCE […] and the client does not send the "code_challenge" in the request, the authorization endpoint
//!   MUST return the authorization error response with the "error" value set to "invalid_request"."
//! - 4.6: "If the values are not equal, an error response indicating "invalid_grant" […] MUST be returned."
//! - RFC 9700 2.1.1: "Authorization servers MUST mitigate PKCE downgrade attacks by ensuring that a token request containing a
//!   "code_verifier" parameter is accepted only if a "code_challenge" parameter was present in the authorization request".

use regrant_core::secret::Hash;
use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, CHALLENGE, VERIFIER, World, authorization, text};

use super::support::{STATE, ask, assert_denied, config_with, is_login};

async fn redeemed_with(world: &World, client: &str, code: &str, verifier: Option<&str>) -> sim::wire::Reply {
    let mut parameters = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    parameters.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    world.token(client, &parameters).await
}

fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Hash::of(verifier.as_bytes()).0)
}

/// Check P1: missing, empty, wrong, too short, too long, of other characters: `invalid_grant`, and the code is still good for its owner.
#[tokio::test]
async fn a_code_needs_its_verifier() {
    let world = World::new().await;
    let code = world.code("phone").await;
    let long = "a".repeat(129);
    for wrong in [
        None,
        Some(""),
        Some(&VERIFIER[1..]),
        Some(CHALLENGE),
        Some(long.as_str()),
        Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"),
        Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk "),
        Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEj\u{e4}"),
    ] {
        redeemed_with(&world, "phone", &code, wrong).await.expect_error(400, "invalid_grant");
    }
    let tokens = redeemed_with(&world, "phone", &code, Some(VERIFIER)).await.expect_status(200).json();
    assert!(!text(&tokens, "refresh_token").is_empty(), "nothing was consumed");
}

/// Check P1: section 4.1: 43 to 128 unreserved characters, both ends included.
#[tokio::test]
async fn a_verifier_has_43_to_128_characters() {
    let world = World::new().await;
    for (verifier, status) in [
        ("a".repeat(42), 400),
        ("~".repeat(43), 200),
        ("-._~".repeat(32), 200),
        ("a".repeat(129), 400),
        ("+".repeat(43), 400),
    ] {
        let path = authorization("phone", &[("code_challenge", &challenge_of(&verifier))]);
        let code = world.browser().log_in_for_code(&path).await;
        assert_eq!(redeemed_with(&world, "phone", &code, Some(&verifier)).await.status, status, "{verifier}");
    }
}

/// Check P2: a challenge stripped from the request does not go unnoticed: a verifier without one is refused.
#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let world = World::with(&relaxed()).await;
    let path = authorization("relaxed", &[("code_challenge", ""), ("code_challenge_method", "")]);
    let code = world.browser().log_in_for_code(&path).await;
    redeemed_with(&world, "relaxed", &code, Some(VERIFIER)).await.expect_error(400, "invalid_grant");
    assert_eq!(redeemed_with(&world, "relaxed", &code, None).await.status, 200);
}

/// A client that need not use PKCE and does is held to it.
#[tokio::test]
async fn a_challenge_that_was_sent_is_enforced() {
    let world = World::with(&relaxed()).await;
    let code = world.browser().log_in_for_code(&authorization("relaxed", &[])).await;
    redeemed_with(&world, "relaxed", &code, None).await.expect_error(400, "invalid_grant");
    redeemed_with(&world, "relaxed", &code, Some("")).await.expect_error(400, "invalid_grant");
    assert_eq!(redeemed_with(&world, "relaxed", &code, Some(VERIFIER)).await.status, 200);
}

/// Checks P3, P4, P6: no method means `plain`, and `plain` is refused; the names are case-sensitive; a method alone is no challenge.
#[tokio::test]
async fn only_s256_is_a_method() {
    let world = World::new().await;
    for client in ["web", "phone"] {
        for method in ["", "plain", "PLAIN", "s256", "S256 ", "sha256", "S512", "none"] {
            let reply = ask(&world, &authorization(client, &[("code_challenge_method", method)])).await;
            let location = assert_denied(&reply, "invalid_request");
            assert_eq!(parameter(&location, "state").as_deref(), Some(STATE), "{method:?}");
        }
        assert_denied(&ask(&world, &authorization(client, &[("code_challenge", "")])).await, "invalid_request");
    }
    let alone = authorization("relaxed", &[("code_challenge", "")]);
    let world = World::with(&relaxed()).await;
    assert_denied(&ask(&world, &alone).await, "invalid_request");
}

/// Check P5: a public client cannot do without PKCE, in a request or in the configuration; nor can another, unless it was let off.
#[tokio::test]
async fn a_client_without_pkce_is_refused() {
    let world = World::with(&relaxed()).await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    for client in ["phone", "phone-strict", "once", "web", "web-single", "opaque"] {
        assert_denied(&ask(&world, &authorization(client, &without)).await, "invalid_request");
    }
    assert!(is_login(&ask(&world, &authorization("relaxed", &without)).await));
    let public = relaxed()
        .replace("token_endpoint_auth_method = \"client_secret_post\" #", "token_endpoint_auth_method = \"none\" #");
    let public =
        public.replace("secret_hash = \"HASH\" #\n", "").replace("HASH", &format!("sha256:{}", "0".repeat(64)));
    assert!(regrant_server::Config::parse(&public, "test.toml", std::path::Path::new(".")).is_err());
}

/// Check P7: a challenge is 43 characters of base64url that stand for 32 bytes, in their one spelling.
#[tokio::test]
async fn a_challenge_is_43_characters_of_base64url() {
    let world = World::new().await;
    let other_end = format!("{}N", &CHALLENGE[..42]);
    for bad in [
        "a",
        &CHALLENGE[..42],
        &format!("{CHALLENGE}A"),
        &format!("{CHALLENGE}="),
        &CHALLENGE.replace('-', "+"),
        &CHALLENGE.replace('-', "/"),
        &format!(" {}", &CHALLENGE[1..]),
        &other_end,
        &"A".repeat(4000),
        "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}a",
    ] {
        let reply = ask(&world, &authorization("phone", &[("code_challenge", bad)])).await;
        assert_denied(&reply, "invalid_request");
    }
}

/// Check P8: the metadata says `S256` and nothing else.
#[tokio::test]
async fn the_metadata_announces_s256_alone() {
    let world = World::new().await;
    let document = ask(&world, "/.well-known/oauth-authorization-server").await.json();
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

/// Section 7.1: the challenge of one request does not fit the code of another.
#[tokio::test]
async fn a_code_is_bound_to_its_own_challenge() {
    let world = World::new().await;
    let other = "z".repeat(43);
    let mut browser = world.browser();
    let mine = browser.log_in_for_code(&authorization("phone", &[])).await;
    let theirs = browser.log_in_for_code(&authorization("phone", &[("code_challenge", &challenge_of(&other))])).await;
    redeemed_with(&world, "phone", &mine, Some(&other)).await.expect_error(400, "invalid_grant");
    redeemed_with(&world, "phone", &theirs, Some(VERIFIER)).await.expect_error(400, "invalid_grant");
    assert_eq!(redeemed_with(&world, "phone", &theirs, Some(&other)).await.status, 200);
}

fn relaxed() -> String {
    config_with(
        "id = \"relaxed\"\nsecret_hash = \"HASH\" #\ntoken_endpoint_auth_method = \"client_secret_post\" #\n\
         redirect_uris = [\"https://app.example/cb\"]\nrequire_pkce = false\nscopes = [\"read\"]",
    )
}
