//! What the server announces: RFC 8414, OpenID Connect Discovery section 3, RFC 9207, and our retry rule. What is announced is
//! what is enforced.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response, StatusCode};
use regrant_core::client::{AccessTokenFormat, AuthMethod, GrantType};
use regrant_core::openid::SCOPES;
use regrant_core::prompt::Prompt;
use regrant_core::{Policy, ResponseMode, ResponseType};
use regrant_jose::jwe::{ContentAlgorithm, KeyAlgorithm};
use regrant_jose::{Algorithm, HS256, NONE};
use serde_json::{Value, json};

use crate::answer;
use crate::app::{App, Settings};
use crate::config::{BUILT_IN_SCOPES, Readers, RegistrationMode};
use crate::cors;
use crate::feed;
use crate::keyring::schedule::{JWKS_MAX_AGE, algorithm};
use crate::pages::Language;

/// `GET /.well-known/oauth-authorization-server` and `/.well-known/openid-configuration`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>) -> Response<Body> {
    public(&document(&app))
}

/// `GET /oauth2/jwks`: the public keys (RFC 7517 section 5).
pub(crate) async fn jwks(State(app): State<Arc<App>>) -> Response<Body> {
    let mut set = app.signing().published.clone();
    // Clients encrypt to this one; it verifies nothing.
    set.keys.push(app.decrypting.public_jwk());
    match serde_json::to_value(&set) {
        Ok(keys) => public(&keys),
        Err(_) => answer::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "server_error"})),
    }
}

/// Public, and good for as long as a signing key is published before it signs, at the least.
fn public(body: &Value) -> Response<Body> {
    let mut response = answer::json(StatusCode::OK, body);
    let headers = response.headers_mut();
    if let Ok(held) = HeaderValue::try_from(format!("public, max-age={}", JWKS_MAX_AGE.as_secs())) {
        headers.insert(CACHE_CONTROL, held);
    }
    headers.remove("pragma");
    cors::allow_all(&mut response);
    response
}

/// RFC 8414 section 3.2: "Claims with zero elements MUST be omitted from the response."
fn document(app: &App) -> Value {
    let mut document = oauth(app);
    for more in [openid(app), sessions_and_devices(app)] {
        if let (Value::Object(members), Value::Object(more)) = (&mut document, more) {
            members.extend(more);
        }
    }
    if let Value::Object(members) = &mut document {
        members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    document
}

/// RFC 8414 section 2, and what later specifications add to it.
fn oauth(app: &App) -> Value {
    let settings = app.settings();
    let has_feed = settings.config.revocation_feed.readers != Readers::Nobody;
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    let url = |endpoint: &str| app.issuer.url(endpoint);
    let methods = AuthMethod::ALL.map(AuthMethod::as_str);
    let confidential: Vec<&str> =
        AuthMethod::ALL.into_iter().filter(|method| *method != AuthMethod::None).map(AuthMethod::as_str).collect();
    // RFC 8414 section 2: of private_key_jwt and client_secret_jwt; "none" MUST NOT be among them.
    let assertions: Vec<&str> = algorithms.into_iter().chain([HS256]).collect();
    let is_registered = settings.config.registration.mode != RegistrationMode::Off;
    let declared = settings.config.scopes.iter().map(|scope| scope.name.as_str());
    let mut scopes: Vec<&str> = BUILT_IN_SCOPES.into_iter().chain(declared).collect();
    scopes.sort_unstable();
    scopes.dedup();
    json!({
        "issuer": app.issuer(),
        "authorization_endpoint": url("/oauth2/authorize"),
        "token_endpoint": url("/oauth2/token"),
        "revocation_endpoint": url("/oauth2/revoke"),
        "introspection_endpoint": url("/oauth2/introspect"),
        // draft-parecki-oauth-global-token-revocation; announced where a client may use it.
        "global_token_revocation_endpoint": settings.clients.all().any(|client| client.may_revoke_users)
            .then(|| url("/oauth2/global-revoke")),
        // Section 5 of its text of February 2026.
        "global_token_revocation_endpoint_auth_methods_supported":
            settings.clients.all().any(|client| client.may_revoke_users).then_some(["client_secret_basic"]),
        "userinfo_endpoint": url("/oauth2/userinfo"),
        "jwks_uri": url("/oauth2/jwks"),
        "scopes_supported": scopes,
        "response_types_supported": ResponseType::ALL.map(ResponseType::as_str),
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "password", "implicit", GrantType::DeviceCode.as_str()],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": confidential,
        "token_endpoint_auth_signing_alg_values_supported": assertions,
        "revocation_endpoint_auth_signing_alg_values_supported": assertions,
        "introspection_endpoint_auth_signing_alg_values_supported": assertions,
        "registration_endpoint": is_registered.then(|| url("/oauth2/register")),
        // No registered name; the field's own for what RFC 9068 section 2.1 leaves to the server.
        "access_token_signing_alg_values_supported": access_token_algorithms(&settings),
        // RFC 9701 section 7.
        "introspection_signing_alg_values_supported": algorithms,
        // Ours: the feed of what is over, and what the address of each status list begins with.
        "revocation_feed_endpoint": has_feed.then(|| url("/oauth2/revocations")),
        "status_list_endpoint": has_feed.then(|| feed::lists(app)),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "protected_resources": settings.config.resources.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>(),
        // draft-ietf-oauth-refresh-token-expiration: the value of the second changed between drafts.
        "refresh_token_expiration_types_supported": ["authorization", "token_timeout", "credential"],
        // The defaults; a client may have others.
        "refresh_token_rotation": {"public": "single_use", "confidential": "reusable"},
        "refresh_token_retry_window": Policy::RETRY_WINDOW.as_secs(),
    })
}

/// OpenID Connect Discovery section 3.
fn openid(app: &App) -> Value {
    let settings = app.settings();
    let acr_values = settings.config.interactions.all_acr_values();
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    let objects: Vec<&str> = algorithms.into_iter().chain([NONE]).collect();
    let (keys, contents) =
        (KeyAlgorithm::ALL.map(KeyAlgorithm::as_str), ContentAlgorithm::ALL.map(ContentAlgorithm::as_str));
    let of_tokens =
        ["sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "c_hash"];
    let claims: Vec<&str> =
        of_tokens.into_iter().chain(SCOPES.into_iter().flat_map(|(_, claims)| claims).copied()).collect();
    json!({
        // RS256 "MUST be included".
        "id_token_signing_alg_values_supported": algorithms,
        "userinfo_signing_alg_values_supported": algorithms,
        "subject_types_supported": ["public", "pairwise"],
        "claims_supported": claims,
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": true,
        "acr_values_supported": acr_values,
        "prompt_values_supported": Prompt::NAMES,
        "display_values_supported": ["page"],
        "ui_locales_supported": Language::ALL.map(Language::tag),
        "request_parameter_supported": true,
        "request_uri_parameter_supported": true,
        // OpenID Connect Discovery section 3: whether "any request_uri values used" must be "pre-registered".
        "require_request_uri_registration": true,
        "request_object_signing_alg_values_supported": objects,
        "request_object_encryption_alg_values_supported": KeyAlgorithm::ECDH.map(KeyAlgorithm::as_str),
        "request_object_encryption_enc_values_supported": contents,
        "id_token_encryption_alg_values_supported": keys,
        "id_token_encryption_enc_values_supported": contents,
        "userinfo_encryption_alg_values_supported": keys,
        "userinfo_encryption_enc_values_supported": contents,
    })
}

/// What access tokens of today's clients are signed with, the preferred first.
fn access_token_algorithms(settings: &Settings) -> Vec<&'static str> {
    let is_used = |wanted: &Algorithm| {
        *wanted == Algorithm::Es256
            || settings.clients.all().map(|client| &client.policy).any(|policy| {
                policy.access_token_format == AccessTokenFormat::Jwt
                    && algorithm(policy.access_token_algorithm) == *wanted
            })
    };
    Algorithm::ALL.into_iter().filter(is_used).map(Algorithm::as_str).collect()
}

fn sessions_and_devices(app: &App) -> Value {
    let url = |endpoint: &str| app.issuer.url(endpoint);
    json!({
        // RFC 8628 section 4.
        "device_authorization_endpoint": url("/oauth2/device_authorization"),
        // OpenID Connect RP-Initiated Logout section 2.1, Session Management section 3.3, Back-Channel Logout section 2.1, Front-Channel
        // Logout section 3.
        "end_session_endpoint": url("/oauth2/logout"),
        "check_session_iframe": url("/oauth2/check-session"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
    })
}
