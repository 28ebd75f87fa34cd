//! Cross-origin requests: the token, revocation and metadata endpoints may be called by scripts of registered origins; the
//! authorization endpoint never (RFC 9700 section 2.6). Credentials (cookies) never travel.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use regrant_core::Client;
use std::sync::Arc;

use crate::app::{App, Clients};

/// The `Origin` of a request.
pub(crate) fn origin(headers: &HeaderMap) -> Option<String> {
    headers.get(ORIGIN)?.to_str().ok().map(str::to_owned)
}

/// Lets the script at `origin` read the answer if the client lists it. Before the client is known, any client's origin may
/// read what went wrong: the answer says nothing of a client.
pub(crate) fn allow(response: &mut Response<Body>, origin: Option<&str>, client: Option<&Client>, clients: &Clients) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    let allowed = match client {
        Some(client) => client.allowed_origins.iter().any(|known| known == origin),
        None => clients.any_allows(origin),
    };
    if let (true, Ok(value)) = (allowed, HeaderValue::from_str(origin)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-correlation-id, retry-after"));
    }
}

/// Lets every script read: what is public anyway (metadata, keys).
pub(crate) fn allow_all(response: &mut Response<Body>) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// The preflight of the token and revocation endpoints: no client is named yet, so any client's origin may go on to ask.
pub(crate) async fn preflight(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let origin = origin(request.headers());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    allow(&mut response, origin.as_deref(), None, &app.settings().clients);
    if response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, idempotency-key"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}
