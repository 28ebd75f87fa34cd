//! RFC 9701, introspection answers as JWT:
//!
//! - 4: asked for by `Accept: application/token-introspection+jwt`.
//! - 5: `typ` MUST be `token-introspection+jwt`; `iss`, `aud` and `iat` are there, what RFC 7662 says is in `token_introspection`. "If the
//!   access token is invalid, expired, revoked, or not intended to be consumed by the calling resource server (audience), the
//!   authorization server MUST set the value of the active member in the token_introspection claim to false and MUST NOT include other
//!   members."
//! - 6: `introspection_signed_response_alg`, "default value is RS256".

use base64::Engine as _;
use serde_json::{Value, json};
use sim::wire::{CONFIG, World, text};

use super::support::{refused, secs, verified, with_setting, world, world_with};

const ACCEPT: (&str, &str) = ("accept", "application/token-introspection+jwt");

async fn ask(world: &World, caller: &str, token: &str) -> String {
    let reply = world.post("/oauth2/introspect", caller, &[("token", token)], &[ACCEPT]).await.expect_status(200);
    assert_eq!(
        (reply.header("content-type").as_str(), reply.header("cache-control").as_str()),
        ("application/token-introspection+jwt", "no-store")
    );
    reply.text()
}

/// Its claims, verified with the published keys.
async fn told(world: &World, caller: &str, token: &str) -> Value {
    let claims = verified(world, &ask(world, caller, token).await, "token-introspection+jwt").await;
    let names: Vec<&str> = claims.keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "iat", "iss", "token_introspection"], "nothing by which it could pass for a token");
    assert_eq!(claims["aud"].as_str(), Some(caller));
    claims["token_introspection"].clone()
}

fn algorithm(token: &str) -> Value {
    let header = token.split('.').next().expect("a header");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
    serde_json::from_slice::<Value>(&bytes).expect("JSON")["alg"].clone()
}

/// Both forms say the same.
#[tokio::test]
async fn an_answer_is_signed_on_request() {
    let world = world().await;
    let grant = world.grant("phone").await;
    let access = text(&grant, "access_token");
    assert_eq!(told(&world, "api", &access).await, world.introspect(&access).await);
    assert_eq!(algorithm(&ask(&world, "api", &access).await), "RS256");
    for accept in ["application/json", "*/*", "application/token-introspection+jwt;q=0"] {
        let reply = world.post("/oauth2/introspect", "api", &[("token", &access)], &[("accept", accept)]).await;
        assert_eq!(reply.expect_status(200).json()["active"], true, "{accept}");
    }
    let metadata = world.http().get("/.well-known/oauth-authorization-server", &[]).await.json();
    assert_eq!(metadata["introspection_signing_alg_values_supported"], json!(["ES256", "EdDSA", "PS256", "RS256"]));
}

/// Check O1, in this form: who does not authenticate hears no more than 401; whose name proves nothing gets no signature.
#[tokio::test]
async fn the_caller_of_a_signed_answer_authenticates() {
    let world = world().await;
    let access = text(&world.grant("phone").await, "access_token");
    let reply = world.http().post("/oauth2/introspect", &[("token", &access)], &[ACCEPT]).await;
    refused(&reply, 401, "invalid_client", "no_client");
    let reply = world.post("/oauth2/introspect", "phone", &[("token", &access)], &[ACCEPT]).await.expect_status(200);
    assert_eq!(reply.text(), "{\"active\":false}");
}

/// Check O2, in this form: exactly `{"active":false}` for whoever may not ask, for another's audience (the check that was missing at the
/// second door in CVE-2026-18208), and for what is over.
#[tokio::test]
async fn what_is_inactive_is_exactly_that_in_a_signed_answer() {
    let world = world_with(&with_setting("api", "resources = [\"https://files.example/\"]")).await;
    let first = world.first("web").await;
    let inactive = json!({"active": false});
    for (resource, shown) in [("https://files.example/", true), ("https://api.example/", false)] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("resource", resource)];
        let access = text(&world.token("web", &form).await.json(), "access_token");
        let told = told(&world, "api", &access).await;
        assert_eq!((told["active"].as_bool(), told == inactive), (Some(shown), !shown), "{resource}");
        for caller in ["web", "web-single", "daemon"] {
            assert_eq!(self::told(&world, caller, &access).await, inactive, "{caller}");
        }
    }
    for token in ["x", &first] {
        assert_eq!(told(&world, "api", token).await, inactive);
    }
    let world = super::support::world().await;
    let grant = world.grant("phone").await;
    let access = text(&grant, "access_token");
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &text(&grant, "refresh_token"))], &[]).await;
    assert_eq!(told(&world, "api", &access).await, inactive);
    world.advance(secs(7200));
    assert_eq!(told(&world, "api", &text(&world.grant("phone").await, "access_token")).await["active"], true);
}

/// Check O3, in this form: a refresh token is shown to its own client only.
#[tokio::test]
async fn a_refresh_token_is_signed_for_its_own_client_only() {
    let world = world().await;
    let token = world.first("opaque").await;
    assert_eq!(told(&world, "opaque", &token).await["token_use"], "refresh_token");
    assert_eq!(told(&world, "api", &token).await, json!({"active": false}));
}

/// What a client has registered is what signs.
#[tokio::test]
async fn the_registered_algorithm_signs() {
    for wanted in ["ES256", "EdDSA", "PS256"] {
        let setting = format!("introspection_signed_response_alg = \"{wanted}\"");
        let world = world_with(&with_setting("api", &setting)).await;
        let access = text(&world.grant("phone").await, "access_token");
        assert_eq!(algorithm(&ask(&world, "api", &access).await), wanted);
        assert_eq!(told(&world, "api", &access).await["active"], true);
    }
    assert!(!CONFIG.contains("introspection_signed_response_alg"));
}

/// It is no access token, wherever one is asked for.
#[tokio::test]
async fn a_signed_answer_is_no_token() {
    let world = world().await;
    let answer = ask(&world, "api", &text(&world.grant("phone").await, "access_token")).await;
    let bearer = format!("Bearer {answer}");
    let reply = world.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await;
    assert_eq!(reply.status.as_u16(), 401);
    assert_eq!(world.introspect(&answer).await, json!({"active": false}));
}
