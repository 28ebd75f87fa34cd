//! RFC 8414, authorization server metadata:
//!
//! - 2: "issuer REQUIRED." "authorization_endpoint […] REQUIRED unless no grant types are supported that use the authorization endpoint."
//! - 3.1: "If the issuer identifier value contains a path component, any terminating "/" MUST be removed before inserting "/.well-known/"
//!   and the well-known URI suffix between the host component and the path component."
//! - 3.2: "A successful response MUST use the 200 OK HTTP status code and return a JSON object using the "application/json" content type".
//!   "Claims that return multiple values are represented as JSON arrays. Claims with zero elements MUST be omitted from the response."
//! - 3.3: "The "issuer" value returned MUST be identical to the authorization server's issuer identifier value".
//!
//! And ours: what is announced is enforced, and what is not announced is not there.

use serde_json::{Value, json};
use sim::wire::{CONFIG, SECRET, USER, World, authorization, http, text};

use super::support::{ask, assert_denied};

const PLACES: [&str; 2] = ["oauth-authorization-server", "openid-configuration"];

/// Every member, so that a new one comes with its test.
const MEMBERS: [&str; 54] = [
    "access_token_signing_alg_values_supported",
    "acr_values_supported",
    "authorization_endpoint",
    "authorization_response_iss_parameter_supported",
    "backchannel_logout_session_supported",
    "backchannel_logout_supported",
    "check_session_iframe",
    "claim_types_supported",
    "claims_parameter_supported",
    "claims_supported",
    "code_challenge_methods_supported",
    "device_authorization_endpoint",
    "display_values_supported",
    "end_session_endpoint",
    "frontchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "grant_types_supported",
    "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported",
    "id_token_signing_alg_values_supported",
    "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "introspection_signing_alg_values_supported",
    "issuer",
    "jwks_uri",
    "prompt_values_supported",
    "protected_resources",
    "refresh_token_expiration_types_supported",
    "refresh_token_retry_window",
    "refresh_token_rotation",
    "request_object_encryption_alg_values_supported",
    "request_object_encryption_enc_values_supported",
    "request_object_signing_alg_values_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "response_modes_supported",
    "response_types_supported",
    "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
    "revocation_feed_endpoint",
    "scopes_supported",
    "status_list_endpoint",
    "subject_types_supported",
    "token_endpoint",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "ui_locales_supported",
    "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported",
    "userinfo_endpoint",
    "userinfo_signing_alg_values_supported",
];

async fn document(world: &World) -> Value {
    ask(world, "/.well-known/oauth-authorization-server").await.expect_status(200).json()
}

fn words(document: &Value, name: &str) -> Vec<String> {
    let list = document[name].as_array().unwrap_or_else(|| panic!("no list {name}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// Section 3.1: between the host and the path, and at the end of the path too, where OpenID Connect Discovery looks.
#[tokio::test]
async fn the_metadata_is_where_both_specifications_look() {
    for path in ["", "/op", "/tenants/a.b"] {
        let world = World::at_path(path).await;
        let mut seen: Option<Value> = None;
        for place in PLACES {
            for at in [format!("/.well-known/{place}{path}"), format!("{path}/.well-known/{place}")] {
                let reply = ask(&world, &at).await.expect_status(200);
                assert_eq!(reply.header("content-type"), "application/json");
                let document = reply.json();
                assert_eq!(document["issuer"], format!("{}{path}", world.base), "{at}");
                assert_eq!(seen.get_or_insert_with(|| document.clone()), &document);
            }
        }
        if !path.is_empty() {
            assert_eq!(ask(&world, "/.well-known/oauth-authorization-server").await.status, 404, "another issuer");
            assert_eq!(ask(&world, "/oauth2/jwks").await.status, 404, "everything is under the path");
        }
    }
}

/// Section 3.2: "Claims with zero elements MUST be omitted from the response."
#[tokio::test]
async fn what_has_no_elements_is_left_out() {
    let world = World::with("").await;
    let document = document(&world).await;
    for (name, value) in document.as_object().expect("an object") {
        assert!(value.as_array().is_none_or(|list| !list.is_empty()), "{name} is empty");
    }
    assert_eq!(document["protected_resources"], Value::Null);
}

#[tokio::test]
async fn nothing_is_announced_that_no_test_looks_at() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut members: Vec<&str> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, MEMBERS);
    assert_eq!(document["access_token_signing_alg_values_supported"], json!(["ES256"]));
    assert_eq!(document["protected_resources"], json!(["https://api.example/", "https://files.example/"]));
    assert_eq!(document["refresh_token_retry_window"], 60);
    assert_eq!(document["refresh_token_rotation"], json!({"public": "single_use", "confidential": "reusable"}));
}

#[tokio::test]
async fn every_announced_endpoint_answers_as_itself() {
    for path in ["", "/op"] {
        let world = World::at_path(path).await;
        let document = ask(&world, &format!("/.well-known/oauth-authorization-server{path}")).await.json();
        let at = |name: &str| text(&document, name);
        for (name, url) in document.as_object().expect("an object") {
            let is_place = (name.ends_with("_endpoint") || name.ends_with("_uri")) && url.is_string();
            assert!(!is_place || text(&document, name).starts_with(&format!("{}{path}/", world.base)), "{name}");
        }
        assert_eq!(ask(&world, &at("authorization_endpoint")).await.status, 400, "a page");
        assert_eq!(ask(&world, &at("userinfo_endpoint")).await.status, 401, "without a token");
        for (endpoint, error) in [("token_endpoint", "invalid_request"), ("revocation_endpoint", "invalid_request")] {
            world.http().post(&at(endpoint), &[], &[]).await.expect_error(400, error);
        }
        let grant = [("grant_type", "client_credentials")];
        let basic = http::basic("daemon", SECRET);
        let tokens = world.http().post(&at("token_endpoint"), &grant, &[("authorization", &basic)]).await.json();
        let token = text(&tokens, "access_token");
        let basic = http::basic("api", SECRET);
        let seen =
            world.http().post(&at("introspection_endpoint"), &[("token", &token)], &[("authorization", &basic)]).await;
        assert_eq!(seen.json()["active"], true);
        let keys = ask(&world, &at("jwks_uri")).await.expect_status(200).json();
        assert!(
            keys["keys"].as_array().is_some_and(|keys| !keys.is_empty() && keys.iter().all(|key| key["d"].is_null()))
        );
    }
}

/// A client of the implicit grant, one of the password grant and so on: each announced grant type gives tokens; no other is understood.
#[tokio::test]
async fn every_announced_grant_type_works_and_no_other() {
    let world = World::new().await;
    let announced = words(&document(&world).await, "grant_types_supported");
    for grant_type in &announced {
        match grant_type.as_str() {
            "authorization_code" => {
                let code = world.code("web").await;
                assert_eq!(world.redeem("web", &code).await.status, 200);
            }
            "refresh_token" => {
                let first = world.first("web").await;
                assert_eq!(world.refresh("web", &first).await.status, 200);
            }
            "client_credentials" => {
                assert_eq!(world.token("daemon", &[("grant_type", "client_credentials")]).await.status, 200);
            }
            "password" => {
                world.grant("web").await;
            }
            "implicit" => {
                let path = authorization("spa-old", &[("response_type", "token")]);
                assert!(world.browser().authorize_as(&path, USER).await.contains("#access_token="));
            }
            // Its own test: `sessions/rfc8628.rs`.
            "urn:ietf:params:oauth:grant-type:device_code" => {}
            other => panic!("{other} is announced"),
        }
    }
    for other in [
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "implicit",
        "PASSWORD",
    ] {
        world.token("web", &[("grant_type", other)]).await.expect_error(400, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn response_types_and_modes_are_those_announced() {
    let world = World::new().await;
    let document = document(&world).await;
    // Those of OpenID Connect have their own test (`openid/discovery_s3.rs`).
    for (name, word) in [("types", "code"), ("types", "token"), ("modes", "query"), ("modes", "fragment")] {
        assert!(words(&document, &format!("response_{name}_supported")).iter().any(|known| known == word), "{word}");
    }
    for (client, response_type, mode, mark) in
        [("opaque", "code", "query", "?code="), ("spa-old", "token", "fragment", "#access_token=")]
    {
        let path = authorization(client, &[("response_type", response_type), ("response_mode", mode)]);
        let location = world.browser().authorize_as(&path, USER).await;
        assert!(location.contains(mark), "{location}");
    }
    for mode in ["query.jwt", "jwt", "web_message"] {
        assert_denied(&ask(&world, &authorization("web", &[("response_mode", mode)])).await, "invalid_request");
    }
    for (name, value, error) in
        [("request", "x", "invalid_request_object"), ("request_uri", "urn:x", "invalid_request_uri")]
    {
        assert_eq!(document[format!("{name}_parameter_supported")], true);
        assert_denied(&ask(&world, &authorization("web", &[(name, value)])).await, error);
    }
}

#[tokio::test]
async fn clients_authenticate_as_announced_and_not_otherwise() {
    let world = World::new().await;
    let document = document(&world).await;
    // The JWTs have their own tests (`clients/openid_core_s9.rs`).
    let all = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"];
    assert_eq!(words(&document, "token_endpoint_auth_methods_supported"), all);
    assert_eq!(words(&document, "revocation_endpoint_auth_methods_supported"), all);
    assert_eq!(words(&document, "introspection_endpoint_auth_methods_supported"), all[..4]);
    for client in ["web-single", "web", "phone"] {
        let token = world.first(client).await;
        assert_eq!(world.refresh(client, &token).await.status, 200);
        let reply = world.post("/oauth2/revoke", client, &[("token", &token)], &[]).await;
        assert_eq!(reply.status, 200, "{client}");
    }
    let token = text(&world.grant("web").await, "access_token");
    for (client, active) in [("api", true), ("opaque", true), ("phone", false)] {
        let reply = world.post("/oauth2/introspect", client, &[("token", &token)], &[]).await;
        assert_eq!(reply.json()["active"], active, "{client}");
    }
    let assertion = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "e30.e30.x"),
    ];
    let reply = world.http().post("/oauth2/token", &assertion, &[]).await;
    assert!(reply.status.is_client_error(), "an assertion that is none");
}

#[tokio::test]
async fn the_scopes_are_those_that_clients_can_have() {
    let world = World::new().await;
    let announced = words(&document(&world).await, "scopes_supported");
    for scope in ["read", "write", "files", "openid"] {
        assert!(announced.iter().any(|known| known == scope), "{scope}");
    }
    let config =
        CONFIG.replacen("scopes = [\"openid\", \"read\", \"write\", \"files\"]", "scopes = [\"unannounced\"]", 1);
    let config = config.replace("HASH", &format!("sha256:{}", "0".repeat(64)));
    let parsed = regrant_server::Config::parse(&config, "test.toml", std::path::Path::new("."));
    assert!(parsed.is_err(), "a client cannot have a scope that is not announced");
}

/// Metadata and keys may be kept for some minutes, by any script of any origin, and hold no cookie.
#[tokio::test]
async fn metadata_and_keys_are_public() {
    let world = World::new().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth2/jwks"] {
        let reply = world.http().get(path, &[("origin", "https://anybody.example")]).await.expect_status(200);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("cache-control"), "public, max-age=300");
        assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 0);
    }
}
