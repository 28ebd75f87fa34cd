//! A small protected resource: what a resource server must check of an RFC 9068 access token, and nothing else.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use regrant_jose::{Expected, VerifyingKey, verify};
use regrant_server::Clock;
use serde_json::json;

/// The resource indicator of the demonstration's API.
pub(super) const RESOURCE: &str = "https://api.demo.example/";

/// What it knows: whom it trusts, and by which keys.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) issuer: String,
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) clock: Clock,
}

/// `GET /things`.
pub(super) fn router(guard: Guard) -> Router {
    Router::new().route("/things", get(things)).with_state(guard)
}

async fn things(State(guard): State<Guard>, request: Request) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let json = |body: serde_json::Value| ([(CONTENT_TYPE, "application/json")], body.to_string());
    match token.and_then(|token| guard.accepts(token)) {
        Some(subject) => json(json!({"things": ["one", "two"], "seen_by": subject})).into_response(),
        None => {
            let challenge = [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
            (StatusCode::UNAUTHORIZED, challenge, json(json!({"error": "invalid_token"}))).into_response()
        }
    }
}

impl Guard {
    /// RFC 9068 section 4: type, signature, issuer, audience, time.
    fn accepts(&self, token: &str) -> Option<String> {
        let verified = verify(token, "at+jwt", &self.keys).ok()?;
        let now = u64::try_from(self.clock.now().seconds()).ok()?;
        let expected = Expected { issuer: &self.issuer, audience: RESOURCE, now, leeway: 0 };
        expected.check(&verified.claims).ok()?;
        verified.claims.get("sub")?.as_str().map(str::to_owned)
    }
}
