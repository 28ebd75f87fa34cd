//! Client authentication, JWTs, and what clients say of themselves.

use regrant_jose::base64url;
use serde_json::{Value, json};
use sim::wire::assertion::{TYPE, claims, key, sign, sign_with_header};
use sim::wire::story::{next, refused, world, world_with};
use sim::wire::{CONFIG, SECRET, World, http};

const ROBOT: &str = r#"
[[client]]
id = "robot"
token_endpoint_auth_method = "private_key_jwt"
jwks = KEYS
grant_types = ["client_credentials"]
scopes = ["read"]
"#;

async fn robots() -> World {
    world_with(&format!("{CONFIG}{ROBOT}")).await
}

async fn ask(world: &World, assertion: &str) -> u16 {
    let form = [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", assertion)];
    world.http().post("/oauth2/token", &form, &[]).await.status.as_u16()
}

fn said(world: &World) -> Value {
    claims("robot", world.app.issuer(), world.clock.now().seconds())
}

/// Incident GHSA-3p3g-vpw6-4w66 (Hydra), GHSA-v3q9-2p3m-7g43 (Fosite): the `jti` of an assertion was not used up.
#[tokio::test]
async fn ghsa_3p3g_an_assertion_is_good_once() {
    let world = robots().await;
    let signed = sign(key(), &said(&world));
    assert_eq!((ask(&world, &signed).await, ask(&world, &signed).await), (200, 401));
}

/// Incident CVE-2025-27370 and CVE-2025-27371: an assertion made for another server was taken, for its audience was a list or another URL.
#[tokio::test]
async fn cve_2025_27370_the_audience_is_the_issuer_alone() {
    let world = robots().await;
    for audience in
        [json!(["https://evil.example", world.app.issuer()]), json!("https://evil.example"), json!([]), Value::Null]
    {
        let mut claims = said(&world);
        claims["aud"] = audience;
        assert_eq!(ask(&world, &sign(key(), &claims)).await, 401, "{claims}");
    }
}

/// Incident CVE-2026-118669 (OAuthLib): authenticated as one client, authorized by the parameter `client_id` as another.
#[tokio::test]
async fn cve_2026_118669_one_request_has_one_client() {
    let world = world().await;
    let token = world.first("web").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "web")];
    let basic = http::basic("web-single", SECRET);
    let reply = world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await;
    reply.expect_error(400, "invalid_request");
    let _ = next(world.refresh("web", &token).await);
}

/// Incident CVE-2026-73309 (XenForo): an empty `client_secret` skipped the check.
#[tokio::test]
async fn cve_2026_73309_an_empty_secret_is_no_secret() {
    let world = world().await;
    let token = world.first("web").await;
    for secret in ["", " ", "\u{0}"] {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str()),
            ("client_id", "web"),
            ("client_secret", secret),
        ];
        let status = world.http().post("/oauth2/token", &form, &[]).await.status.as_u16();
        assert!(matches!(status, 400 | 401), "{secret:?}: {status}");
    }
    let _ = next(world.refresh("web", &token).await);
}

/// Incident CVE-2026-75866 (Punk::OAuth2): grant types and scopes of the registration were not enforced.
#[tokio::test]
async fn cve_2026_75866_what_was_not_registered_is_not_given() {
    let world = world().await;
    let form = [("grant_type", "client_credentials")];
    refused(&world.token("web", &form).await, 400, "unauthorized_client", "grant_type_not_allowed");
    let form = [("grant_type", "client_credentials"), ("scope", "openid")];
    world.token("daemon", &form).await.expect_error(400, "invalid_scope");
}

/// Incident CVE-2026-11800 (Keycloak), GHSA-869p (node-jws): the header chose the algorithm: `none`, or a public key as a shared secret.
#[tokio::test]
async fn cve_2026_11800_the_key_has_its_algorithm() {
    let world = robots().await;
    for algorithm in ["none", "None", "nOnE", "HS256", "RS256", "ES384", ""] {
        let claims = said(&world);
        let forged = sign_with_header(key(), &json!({"alg": algorithm, "typ": "JWT"}), &claims);
        assert_eq!(ask(&world, &forged).await, 401, "{algorithm}");
        let encode = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let unsigned = format!("{}.{}.", encode(&json!({"alg": algorithm})), encode(&claims));
        assert_eq!(ask(&world, &unsigned).await, 401, "{algorithm}");
    }
}

/// Incident CVE-2026-25537 (jsonwebtoken): `exp` or `nbf` that is a text counted as absent.
#[tokio::test]
async fn cve_2026_25537_a_time_is_a_number() {
    let world = robots().await;
    for (name, value) in [
        ("exp", json!("1")),
        ("exp", Value::Null),
        ("exp", json!([])),
        ("nbf", json!("9999999999")),
        ("iat", json!({})),
    ] {
        let mut claims = said(&world);
        claims[name] = value;
        assert_eq!(ask(&world, &sign(key(), &claims)).await, 401, "{name}");
    }
}

/// Incident Kanidm's claim named `id`: a reserved name crashed the server. Here a name is taken or refused. All of them are in `token/claims.rs`.
#[tokio::test]
async fn kanidm_reserved_names_are_names_like_others() {
    for name in ["id", "iss", "sub", "__proto__", "constructor", "length"] {
        let is_taken = regrant_server::claims::check_name(name).is_ok();
        assert!(!(is_taken && matches!(name, "iss" | "sub" | "__proto__" | "constructor")), "{name}");
    }
}

/// Incident CVE-2026-22752 (Spring Authorization Server; likewise CVE-2020-10770, CVE-2026-1180 of Keycloak, CVE-2026-55671 of Zitadel): the metadata of a client that registered itself
/// made the server fetch what is inside of its own network, run scripts, or give scopes. At length in `clients/outbound.rs`.
#[tokio::test]
async fn cve_2026_22752_metadata_of_strangers_leads_nowhere() {
    let world = world_with(&format!("{CONFIG}\n[registration]\nmode = \"open\"\nscopes = [\"read\"]\n")).await;
    for (name, value) in [
        ("redirect_uris", json!(["javascript:alert(1)"])),
        ("jwks_uri", json!("http://169.254.169.254/")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("scope", json!("write")),
    ] {
        let mut metadata = json!({"redirect_uris": ["https://new.example/cb"], "token_endpoint_auth_method": "none"});
        metadata[name] = value;
        let reply = world.http().post_raw("/oauth2/register", &metadata.to_string(), "application/json", &[]).await;
        let scope = reply.json().get("scope").cloned().unwrap_or_default();
        assert!(
            reply.status.as_u16() == 400 || (name == "scope" && !scope.to_string().contains("write")),
            "{metadata}"
        );
    }
}
