//! `/reasons`: what each reason means, for the developer of a client that is told of them (RFC 6749 section 5.2, `error_uri`: "a
//! human-readable web page with information about the error"). The same list as `docs/reasons.md`, of this very program.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};

use crate::app::App;
use crate::interaction::{html, voice};
use crate::pages;
use crate::reasons;

/// Where it is, below the issuer.
pub(crate) const PATH: &str = "/reasons";

/// `GET /reasons`. It says nothing of anybody.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let page = pages::Reasons { base: app.issuer.path(), reasons: &reasons::all() };
    html(StatusCode::OK, voice(&app, &headers, "").reasons(&page), "")
}
