//! What the server announces: RFC 8414, OpenID Connect Discovery section 3, RFC 9207, and our retry rule. What is announced is
//! what is enforced.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response, StatusCode};
use regrant_core::Policy;
use regrant_jose::Algorithm;
use serde_json::{Value, json};

use crate::answer;
use crate::app::App;
use crate::config::{BUILT_IN_SCOPES, Readers};
use crate::cors;
use crate::feed;
use crate::keyring::schedule::JWKS_MAX_AGE;

/// `GET /.well-known/oauth-authorization-server` and `/.well-known/openid-configuration`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>) -> Response<Body> {
    public(&document(&app))
}

/// `GET /oauth2/jwks`: the public keys (RFC 7517 section 5).
pub(crate) async fn jwks(State(app): State<Arc<App>>) -> Response<Body> {
    match serde_json::to_value(&app.signing().published) {
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
    let mut document = whole_document(app);
    if let Value::Object(members) = &mut document {
        members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    document
}

fn whole_document(app: &App) -> Value {
    let settings = app.settings();
    let has_feed = settings.config.revocation_feed.readers != Readers::Nobody;
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    let url = |endpoint: &str| app.issuer.url(endpoint);
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    let confidential = ["client_secret_basic", "client_secret_post"];
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
        "response_types_supported": ["code", "token"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "password", "implicit"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": confidential,
        // No registered name; the field's own for what RFC 9068 section 2.1 leaves to the server.
        "access_token_signing_alg_values_supported": settings.lifetimes().algorithms().map(Algorithm::as_str).collect::<Vec<_>>(),
        // RFC 9701 section 7.
        "introspection_signing_alg_values_supported": algorithms,
        // Ours: the feed of what is over, and what the address of each status list begins with.
        "revocation_feed_endpoint": has_feed.then(|| url("/oauth2/revocations")),
        "status_list_endpoint": has_feed.then(|| feed::lists(app)),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "claims_supported": ["sub"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "protected_resources": settings.config.resources.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>(),
        // draft-ietf-oauth-refresh-token-expiration: the value of the second changed between drafts.
        "refresh_token_expiration_types_supported": ["authorization", "token_timeout", "credential"],
        // The defaults; a client may have others.
        "refresh_token_rotation": {"public": "single_use", "confidential": "reusable"},
        "refresh_token_retry_window": Policy::RETRY_WINDOW.as_secs(),
    })
}
