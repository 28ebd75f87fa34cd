//! Reading a request to one of the back-channel endpoints: method, content type, size, parameters.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Limited};

use regrant_core::Wiped;

use crate::answer::Failure;
use crate::form::{Form, MAX_BODY, Malformed};

/// What must never stand in a URI (RFC 6749 section 2.3.1): URIs end up in logs and histories.
const NEVER_IN_QUERY: [&str; 15] = [
    "client_secret",
    "client_id",
    "refresh_token",
    "access_token",
    "code",
    "code_verifier",
    "device_code",
    "username",
    "password",
    "token",
    "grant_type",
    "client_assertion",
    "scope",
    "resource",
    "redirect_uri",
];

/// Takes a `POST` with form parameters apart. `allow` is what the endpoint takes: `OPTIONS` too, where scripts may call it.
///
/// # Errors
/// [`Failure::Method`] or [`Failure::Malformed`].
pub(crate) async fn post_form(request: Request, allow: &'static str) -> Result<(Parts, Form), Failure> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Failure::Method(allow));
    }
    if let Some(query) = parts.uri.query()
        && Form::parse_repeated(query.as_bytes()).map_or(true, |form| form.has_any(&NEVER_IN_QUERY))
    {
        return Err(Malformed::InQuery.into());
    }
    let form = read_form(&parts.headers, body).await?;
    Ok((parts, form))
}

/// Reads a form body: at most [`MAX_BODY`] bytes of `application/x-www-form-urlencoded`. What is larger is cut off at the limit
/// and never held.
///
/// # Errors
/// [`Malformed`].
pub(crate) async fn read_form(headers: &HeaderMap, body: Body) -> Result<Form, Malformed> {
    if !is_form(headers) {
        return Err(Malformed::ContentType);
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Malformed::TooLarge);
    }
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() { Malformed::TooLarge } else { Malformed::Encoding }
    })?;
    let bytes = Wiped::new(body.to_bytes().to_vec());
    Form::parse(&bytes)
}

/// The media type, with no parameter but `charset=utf-8`; sent once. RFC 9110 section 5.6.6: a parameter may be empty.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let mut parameters = parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty());
    let (parameter, None) = (parameters.next(), parameters.next()) else { return false };
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parameter.is_none_or(|parameter| {
            ["charset=utf-8", "charset=\"utf-8\""].iter().any(|known| parameter.eq_ignore_ascii_case(known))
        })
}
