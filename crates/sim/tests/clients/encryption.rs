//! Clients whose encryption keys are at their `jwks_uri`: OpenID Connect Core section 10.2.1 ("The encrypting party […] retrieve[s] the
//! keys"), and law L1.

use std::time::Duration;

use regrant_jose::jwe::{DecryptingKey, decrypt};
use serde_json::json;
use sim::wire::log::reason;
use sim::wire::{Act, Hook, World, authorization, text};

use super::support::{publishes, site};

fn key(number: u8) -> DecryptingKey {
    DecryptingKey::from_p256(&[number; 32]).expect("a key")
}

fn set(key: &DecryptingKey) -> serde_json::Value {
    json!({"keys": [key.public_jwk()]})
}

async fn world() -> (World, Hook) {
    let (site, setting) = site().await;
    let client = format!(
        "[[client]]\nid = \"secretive\"\nsecret_hash = \"HASH\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         jwks_uri = {:?}\nid_token_encrypted_response_alg = \"ECDH-ES\"\nredirect_uris = [\"https://app.example/cb\"]\n\
         scopes = [\"openid\", \"email\"]\nrotation = \"single_use\"\ntell_reason = true\n",
        site.url()
    );
    (World::with(&format!("{setting}{client}")).await, site)
}

async fn code(world: &World) -> String {
    world.browser().log_in_for_code(&authorization("secretive", &[("scope", "openid")])).await
}

/// Law L1: where the client's keys cannot be read, or hold none to encrypt to, the code and the refresh token are as good as before.
#[tokio::test]
async fn without_the_clients_key_nothing_is_consumed() {
    sim::wire::log::listen();
    let (world, site) = world().await;
    site.does(Act::Answer(500, Vec::new(), String::new()));
    let first = code(&world).await;
    let refused = world.redeem("secretive", &first).await;
    assert_eq!(reason(&refused), "no_encryption_key");
    assert_eq!(refused.json()["reason"], "no_encryption_key");
    refused.expect_error(503, "temporarily_unavailable");
    publishes(&site, &json!({"keys": [{"kty": "EC", "use": "sig"}]}));
    world.advance(Duration::from_secs(60));
    let second = code(&world).await;
    world.redeem("secretive", &second).await.expect_error(503, "temporarily_unavailable");
    world.advance(Duration::from_secs(59));
    publishes(&site, &set(&key(1)));
    world.advance(Duration::from_secs(2));
    let third = code(&world).await;
    let answer = world.redeem("secretive", &third).await.expect_status(200).json();
    let opened = decrypt(&text(&answer, "id_token"), &[key(1)]).expect("for the client");
    assert_eq!(opened.header["cty"], "JWT");
    let refreshed = world.refresh("secretive", &text(&answer, "refresh_token")).await.expect_status(200).json();
    assert!(decrypt(&text(&refreshed, "id_token"), &[key(1)]).is_ok());
}
