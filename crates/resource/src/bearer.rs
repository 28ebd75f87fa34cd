//! Finding the token in a request: RFC 6750 section 2.1, the header and nothing else.
//!
//! Neither the form body (section 2.2) nor the query (section 2.3) is looked at: URLs end up in logs, and RFC 9700 section 4.3.2 says
//! not to.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::Refusal;

/// The token of `Authorization: Bearer`.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?;
    if values.next().is_some() {
        return Err(Refusal::BadRequest);
    }
    let value = value.to_str().map_err(|_| Refusal::BadRequest)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Refusal::NoToken);
    }
    let token = token.trim_matches(' ');
    if is_b64token(token) { Ok(token) } else { Err(Refusal::BadRequest) }
}

/// RFC 6750 section 2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}
