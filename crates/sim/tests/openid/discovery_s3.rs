//! OpenID Connect Discovery section 3: what is announced, by the words of the specification, and that it is so.
//!
//! - "issuer REQUIRED", "authorization_endpoint REQUIRED", "jwks_uri REQUIRED", "response_types_supported REQUIRED. Dynamic OpenID Providers MUST
//!   support the code, id_token, and the id_token token Response Type values." "subject_types_supported REQUIRED".
//!   "id_token_signing_alg_values_supported REQUIRED. […] The algorithm RS256 MUST be included."
//! - "request_uri_parameter_supported […] If omitted, the default value is true": so that it is said.

use regrant_core::openid::{ACR_PASSWORD, SCOPES};
use serde_json::{Value, json};

use super::support::{RESPONSE_TYPES, ask, id_token, request, tokens, with, world};

async fn document(world: &sim::wire::World) -> Value {
    world.http().get("/.well-known/openid-configuration", &[]).await.expect_status(200).json()
}

fn words(document: &Value, name: &str) -> Vec<String> {
    let list = document[name].as_array().unwrap_or_else(|| panic!("no list {name}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[tokio::test]
async fn everything_required_is_there() {
    let world = world().await;
    let document = document(&world).await;
    assert_eq!(document["issuer"], json!(world.base));
    for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        assert!(document[name].as_str().is_some_and(|url| url.starts_with(&world.base)), "{name}");
    }
    assert_eq!(words(&document, "response_types_supported"), RESPONSE_TYPES);
    assert_eq!(words(&document, "response_modes_supported"), ["query", "fragment", "form_post"]);
    assert_eq!(words(&document, "subject_types_supported"), ["public", "pairwise"]);
    assert_eq!(words(&document, "id_token_signing_alg_values_supported"), ["ES256", "EdDSA", "PS256", "RS256"]);
    for scope in ["openid", "profile", "email", "address", "phone", "offline_access"] {
        assert!(words(&document, "scopes_supported").iter().any(|known| known == scope), "{scope}");
    }
    for (name, value) in [
        ("claims_parameter_supported", true),
        ("request_parameter_supported", true),
        ("request_uri_parameter_supported", true),
    ] {
        assert_eq!(document[name], json!(value), "{name}");
    }
    assert_eq!(document["prompt_values_supported"], json!(["none", "login", "consent", "select_account"]));
    assert_eq!(document["acr_values_supported"], json!([ACR_PASSWORD]));
    assert_eq!(
        (&document["display_values_supported"], &document["ui_locales_supported"]),
        (&json!(["page"]), &json!(["en", "de", "fr", "es", "zh", "ja"]))
    );
    assert_eq!(document["claim_types_supported"], json!(["normal"]));
}

#[tokio::test]
async fn every_announced_response_type_and_mode_works() {
    let world = world().await;
    let document = document(&world).await;
    for kind in words(&document, "response_types_supported") {
        for mode in words(&document, "response_modes_supported") {
            let answer = ask(&world, &request(&kind, &[("response_mode", &mode)])).await;
            match (kind.as_str(), mode.as_str()) {
                ("code", _) | (_, "fragment" | "form_post") => {
                    assert_eq!((answer.mode, answer.has("error")), (mode.as_str(), false), "{kind} {mode}");
                }
                _ => assert_eq!((answer.mode, answer.error()), ("fragment", "invalid_request"), "{kind} {mode}"),
            }
        }
    }
}

#[tokio::test]
async fn every_announced_signature_algorithm_signs() {
    for algorithm in words(&document(&world().await).await, "id_token_signing_alg_values_supported") {
        let world = with(&format!("id_token_signed_response_alg = {algorithm:?}")).await;
        assert_eq!(id_token(&world, &tokens(&world, &[]).await).await["aud"], "rp");
    }
}

#[tokio::test]
async fn every_announced_claim_is_told_where_it_is_asked_for() {
    let world = world().await;
    let announced = words(&document(&world).await, "claims_supported");
    for (_, claims) in SCOPES {
        assert!(claims.iter().all(|claim| announced.iter().any(|known| known == claim)));
    }
    let scope = "openid profile email address phone";
    let alone = ask(&world, &request("id_token", &[("scope", scope)])).await;
    let all = ask(&world, &request("code id_token token", &[])).await;
    let (_, of_user) = super::support::verified(&world, "rp", alone.of("id_token")).await;
    let (_, of_login) = super::support::verified(&world, "rp", all.of("id_token")).await;
    for claim in announced {
        assert!(of_user.contains_key(&claim) || of_login.contains_key(&claim), "{claim}");
    }
}
