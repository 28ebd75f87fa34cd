//! RFC 9068, JWT access tokens:
//!
//! - 2.1: "The "typ" value used SHOULD be "at+jwt"." "JWT access tokens MUST be signed."
//! - 2.2: `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are REQUIRED; `auth_time` where the user logged in.
//! - 4: a resource server "MUST verify that the "typ" header value is "at+jwt"", that `iss` matches exactly, that `aud` contains itself,
//!   the signature, "MUST reject any JWT in which the value of "alg" is "none"", and "the current time MUST be before the time
//!   represented by the "exp" claim".

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sim::wire::{Browser, START, USER, World, authorization, text};

use super::support::{claims, header, is_active, next, secs, userinfo, with_client, world, world_with};

async fn access(world: &World, client: &str) -> String {
    text(&world.grant(client).await, "access_token")
}

/// Checks F6, F7: the header and the claims that the sections require, for a user's token and a client's own.
#[tokio::test]
async fn a_jwt_has_the_claims_of_the_profile() {
    let world = world().await;
    let now = START / 1000;
    let daemon = text(&world.token("daemon", &[("grant_type", "client_credentials")]).await.json(), "access_token");
    for (client, token) in
        [("web", access(&world, "web").await), ("phone", access(&world, "phone").await), ("daemon", daemon)]
    {
        assert_eq!((header(&token)["typ"].as_str(), header(&token)["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
        let claims = claims(&token);
        let names: BTreeSet<&str> = claims.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut required = BTreeSet::from(["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"]);
        if client != "daemon" {
            required.extend(["auth_time", "status"]);
        }
        assert_eq!(names, required, "{client}");
        assert_eq!((claims["iss"].as_str(), claims["client_id"].as_str()), (Some(world.base.as_str()), Some(client)));
        assert_eq!(claims["iat"].as_i64(), Some(now));
        assert!((now + 1..=now + 3600).contains(&claims["exp"].as_i64().expect("a number")));
    }
    assert_eq!(claims(&access(&world, "web").await)["aud"], json!(["https://api.example/", "https://files.example/"]));
    assert_eq!(
        claims(&access(&world, "phone").await)["aud"].as_str(),
        Some(world.base.as_str()),
        "without a resource, our own"
    );
}

/// A resource server verifies it with nothing but the published key set.
#[tokio::test]
async fn the_published_keys_verify_it() {
    let world = world().await;
    let keys = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let set: regrant_jose::JwkSet = serde_json::from_slice(&keys.body).expect("a key set");
    let verifying: Vec<_> = set.keys.iter().filter_map(|key| regrant_jose::VerifyingKey::from_jwk(key).ok()).collect();
    let token = access(&world, "phone").await;
    let verified = regrant_jose::verify(&token, "at+jwt", &verifying).expect("a good signature");
    assert_eq!(verified.claims.get("client_id").and_then(|id| id.as_str()), Some("phone"));
    assert!(!keys.text().contains("\"d\""), "the private half is published");
}

/// `jti` is REQUIRED and unique, also among the answers of one refresh; it names neither grant nor user.
#[tokio::test]
async fn every_token_has_its_own_jti() {
    let world = world().await;
    let first = world.first("web").await;
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let answer = world.refresh("web", &first).await.expect_status(200).json();
        assert!(seen.insert(text(&claims(&text(&answer, "access_token")), "jti")));
    }
}

/// Section 4, check F7: altered, unsigned, re-typed and foreign tokens are refused at our own resource and at introspection.
#[tokio::test]
async fn what_is_not_signed_by_us_is_refused() {
    let (world, other) = (world().await, world().await);
    let good = access(&world, "phone").await;
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (head, body) = (header(&good), claims(&good));
    let with = |name: &str, value: serde_json::Value, of: &serde_json::Value| {
        let mut of = of.clone();
        of[name] = value;
        encode(&of)
    };
    let mut bad = vec![
        access(&other, "phone").await,
        format!("{}.{}.", with("alg", json!("none"), &head), parts[1]),
        format!("{}.{}.{}", with("alg", json!("none"), &head), parts[1], parts[2]),
        format!("{}.{}.{}", with("alg", json!("HS256"), &head), parts[1], parts[2]),
        format!("{}.{}.{}", with("typ", json!("JWT"), &head), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], with("sub", json!("usr_mallory"), &body), parts[2]),
        format!("{}.{}.{}", parts[0], with("exp", json!(i64::MAX), &body), parts[2]),
        format!("{}.{}.{}", parts[0], with("scope", json!("admin"), &body), parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}="),
        format!("{good}A"),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)),
    ];
    for position in (0..good.len()).step_by(7).filter(|at| good.as_bytes()[*at] != b'.') {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for token in &bad {
        userinfo(&world, token).await.expect_error(401, "invalid_token");
        assert!(!is_active(&world, token).await, "{token}");
    }
    let _ = userinfo(&world, &good).await.expect_status(200);
}

/// `sub` is the user's, the same from every client, and `auth_time` the login's, however often it is refreshed.
#[tokio::test]
async fn the_subject_and_the_login_time_stay() {
    let world = world().await;
    let code = Browser::new(&world.base).log_in_for_code(&authorization("phone", &[])).await;
    let answer = world.redeem("phone", &code).await.expect_status(200).json();
    let first = claims(&text(&answer, "access_token"));
    let mut token = text(&answer, "refresh_token");
    for _ in 0..3 {
        world.advance(secs(3600));
        let answer = world.refresh("phone", &token).await.expect_status(200).json();
        token = text(&answer, "refresh_token");
        let later = claims(&text(&answer, "access_token"));
        for name in ["iss", "sub", "aud", "auth_time", "client_id"] {
            assert_eq!(later[name], first[name], "{name}");
        }
    }
    assert_eq!(claims(&access(&world, "web").await)["sub"], first["sub"]);
    world.add_user("bob").await;
    let form = [("grant_type", "password"), ("username", "bob"), ("password", sim::wire::PASSWORD)];
    let bobs = text(&world.token("web", &form).await.json(), "access_token");
    assert_ne!(claims(&bobs)["sub"], first["sub"]);
    assert_ne!(claims(&bobs)["sub"], USER, "the name to log in with stays inside");
}

/// Check F9: no client can be named like a subject, so that `sub` tells which of the two it is.
#[tokio::test]
async fn a_client_cannot_be_named_like_a_user() {
    let config = sim::wire::CONFIG
        .replace("id = \"daemon\"", "id = \"usr_daemon\"")
        .replace("HASH", &format!("sha256:{}", "0".repeat(64)));
    let errors = regrant_server::Config::parse(&config, "test.toml", std::path::Path::new(".")).expect_err("refused");
    assert!(errors.to_string().contains("usr_"), "{errors}");
    let world = world().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "usr_x")];
    world.http().post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
}

/// A signing key outlives a restart: what was issued before is taken after.
#[tokio::test]
async fn a_restart_keeps_the_signing_key() {
    let config = with_client("phone", "scopes", "access_token_lifetime = \"30d\"\nscopes");
    let world = world_with(&config).await;
    let grant = world.grant("phone").await;
    let keys = world.http().get("/oauth2/jwks", &[]).await.text();
    let world = world.restart().await;
    assert_eq!(world.http().get("/oauth2/jwks", &[]).await.text(), keys);
    let _ = userinfo(&world, &text(&grant, "access_token")).await.expect_status(200);
    let _ = next(world.refresh("phone", &text(&grant, "refresh_token")).await);
}
