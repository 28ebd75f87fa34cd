//! What signs JWT access tokens, per client: a key for each algorithm in use is made by itself; key set and metadata tell (RFC 7518
//! section 3.1, RFC 8037 section 3.1, RFC 9068 section 2.1).

use regrant_server::Config;
use regrant_server::config::ClientDefinition;
use serde_json::json;
use sim::wire::{CONFIG, SECRET, World, config, http, log, text};

use super::support::{
    DAY, header, is_active, kid, machine_token, published, secs, statuses, tend, with_setting, world,
};

const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "PS256", "RS256"];

fn signed_with(algorithm: &str) -> String {
    with_setting("daemon", &format!("access_token_signed_response_alg = \"{algorithm}\""))
}

/// The token's algorithm is the client's, a resource server verifies it with the published key set alone, and the metadata names it.
#[tokio::test]
async fn each_client_has_its_algorithm() {
    log::listen();
    for algorithm in ALGORITHMS {
        let world = World::with(&signed_with(algorithm)).await;
        let token = machine_token(&world).await;
        assert_eq!(header(&token)["alg"], algorithm);
        let set = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
        let set: regrant_jose::JwkSet = serde_json::from_slice(&set.body).expect("a key set");
        // ES256 and RS256 are always there, and what request objects are encrypted to.
        let signing = set.keys.iter().filter(|key| key.usage.as_deref() == Some("sig")).count();
        assert_eq!(signing, if matches!(algorithm, "ES256" | "RS256") { 2 } else { 3 });
        let published = set.keys.iter().find(|key| key.kid.as_deref() == Some(&kid(&token))).expect("its key");
        assert_eq!(published.alg.as_deref(), Some(algorithm));
        let key = regrant_jose::VerifyingKey::from_jwk(published).expect("a key");
        assert!(regrant_jose::verify(&token, "at+jwt", &[key]).is_ok());
        assert!(is_active(&world, &token).await);
        let metadata = world.http().get("/.well-known/oauth-authorization-server", &[]).await.json();
        let expected = if algorithm == "ES256" { json!(["ES256"]) } else { json!(["ES256", algorithm]) };
        assert_eq!(metadata["access_token_signing_alg_values_supported"], expected);
    }
}

/// A client that is added to a running server, or comes by a reload, has its key before it has its first token.
#[tokio::test]
async fn a_new_client_brings_its_algorithm() {
    let world = world().await;
    let definition = ClientDefinition {
        id: "added".to_owned(),
        secret_hash: Some(regrant_server::config::hash_text(&regrant_core::one_time::client_secret_hash(SECRET))),
        grant_types: Some(vec!["client_credentials".to_owned()]),
        access_token_signed_response_alg: Some("RS256".to_owned()),
        ..ClientDefinition::default()
    };
    let _ = world.app.admin().add_client(definition).await.expect("added");
    let form = [("grant_type", "client_credentials")];
    let basic = http::basic("added", SECRET);
    let answer =
        world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await.expect_status(200).json();
    assert_eq!(header(&text(&answer, "access_token"))["alg"], "RS256");
    let issuer = Some(world.base.clone());
    let changed = Config { issuer, ..config(&signed_with("EdDSA")) };
    let _ = world.app.replace_config(changed).await.expect("a good configuration");
    assert_eq!(header(&machine_token(&world).await)["alg"], "EdDSA");
    assert_eq!((published(&world).await.0.len(), statuses(&world, "signing").await.len()), (2, 2));
}

/// Each algorithm rotates by itself, each token goes on under the key that signed it; one that no client uses any more ends.
#[tokio::test]
async fn each_algorithm_rotates_by_itself() {
    log::listen();
    let world = World::with(&signed_with("EdDSA")).await;
    assert_eq!(statuses(&world, "signing").await, ["current", "current"]);
    world.advance(secs(89 * DAY));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await, ["current", "current", "next", "next"]);
    world.advance(secs(DAY));
    let token = machine_token(&world).await;
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await, ["verify", "verify", "current", "current"]);
    assert!(is_active(&world, &token).await);
    assert_ne!(kid(&token), kid(&machine_token(&world).await));
    let world = world.restart_with(Some(CONFIG)).await;
    world.advance(secs(90 * DAY));
    let _ = tend(&world).await;
    world.advance(secs(2 * DAY));
    let _ = tend(&world).await;
    let _ = tend(&world).await;
    let mut left = statuses(&world, "signing").await;
    left.retain(|status| status == "current");
    assert_eq!(left, ["current"], "EdDSA is in nobody's use");
}
