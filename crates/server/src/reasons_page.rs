//! `/reasons`: what each reason means, for the developer of a client that is told of them (RFC 6749 section 5.2, `error_uri`: "a
//! human-readable web page with information about the error"). The same list as `docs/reasons.md`, of this very program.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, Response};

use crate::reasons;

/// Where it is, below the issuer.
pub(crate) const PATH: &str = "/reasons";

static PAGE: LazyLock<String> = LazyLock::new(page);

/// `GET /reasons`. It says nothing of anybody.
pub(crate) async fn endpoint() -> Response<Body> {
    let mut response = Response::new(Body::from(PAGE.as_str()));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert("cache-control", HeaderValue::from_static("public, max-age=3600"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("content-security-policy", HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

fn page() -> String {
    let mut page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
        content=\"width=device-width\"><title>Why a request was refused</title><h1>Why a request was refused</h1>\
        <p>The correlation_id of the answer names the request in the server's log.</p><dl>"
        .to_owned();
    for reason in reasons::all() {
        let (happened, accepted) = (escaped(reason.happened), escaped(reason.accepted));
        // Writing into a text does not fail.
        let _ = write!(
            page,
            "<dt id=\"{0}\"><strong>{0}</strong>: {1} {2}</dt><dd>{happened}.<br>Would have been accepted: {accepted}.</dd>",
            reason.code, reason.status, reason.outside
        );
    }
    page.push_str("</dl></html>");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
