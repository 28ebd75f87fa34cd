//! Asking the authorization server about one token: RFC 7662. The answer is not kept.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use regrant_jose::{check_audience, check_issuer, check_times};
use serde_json::{Map, Value};

use crate::builder::form_encoded;
use crate::judge::Parts;
use crate::metadata::{Endpoints, MAX_DOCUMENT};
use crate::{AccessToken, Refusal};

/// What the authorization server says of this token, now.
pub(crate) async fn introspect(parts: &Parts, endpoints: &Endpoints, token: &str) -> Result<AccessToken, Refusal> {
    let unknown = |cause: &str| Refusal::Unknown(cause.to_owned());
    let credentials = parts.credentials.as_deref().ok_or(Refusal::Malformed)?;
    let url = endpoints.introspection.as_deref().ok_or_else(|| unknown("the server has no introspection endpoint"))?;
    let request = Request::post(url)
        .header(AUTHORIZATION, credentials)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(format!("token={}&token_type_hint=access_token", form_encoded(token))))
        .map_err(|error| unknown(&error.to_string()))?;
    let response = parts.client.send(request, MAX_DOCUMENT).await.map_err(|error| unknown(&error.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(Refusal::Unknown(format!("introspection answers {}", response.status())));
    }
    let told = regrant_jose::read_object(response.body())
        .map_err(|fault| Refusal::Unknown(format!("introspection {fault}")))?;
    accept(parts, told)
}

/// RFC 7662 section 2.2: `active` is REQUIRED, and a boolean.
fn accept(parts: &Parts, told: Map<String, Value>) -> Result<AccessToken, Refusal> {
    match told.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Refusal::Inactive),
        _ => return Err(Refusal::Unknown("introspection does not say whether the token is active".to_owned())),
    }
    // A refresh token is no access token, whoever asks.
    if told.get("token_use").is_some_and(|kind| kind != "access_token") {
        return Err(Refusal::Inactive);
    }
    // Both are OPTIONAL there; what is said must fit, and for whom it is must be said.
    if told.contains_key("iss") {
        check_issuer(&told, &parts.issuer).map_err(|_| Refusal::OtherClaims)?;
    }
    check_audience(&told, &parts.audience).map_err(|_| Refusal::OtherClaims)?;
    let times = check_times(&told, parts.clock.date(), parts.leeway).map_err(|_| Refusal::OtherClaims)?;
    AccessToken::of(told, times.expires_at)
}
