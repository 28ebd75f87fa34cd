//! Introspection answers as JWT: RFC 9701. The answer is the one that was found already; here it is only put under a signature.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response};
use regrant_core::Client;
use regrant_store::{Cause, Unavailable};
use serde_json::{Value, json};

use crate::answer::Failure;
use crate::app::{App, Settings};
use crate::keyring::schedule::algorithm;
use crate::rotation;

const MEDIA_TYPE: &str = "application/token-introspection+jwt";
/// RFC 9701 section 5: "typ: MUST be set to the value token-introspection+jwt". So nobody can take it for an access token.
const TYP: &str = "token-introspection+jwt";

/// RFC 9701 section 4: a resource server asks for it "by including an Accept HTTP header with the value
/// application/token-introspection+jwt". Who says that JSON is dearer (RFC 9110 section 12.5.1) is told in JSON.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        let weights = ranges.filter_map(|range| {
            let (essence, parameters) = range.split_once(';').unwrap_or((range, ""));
            let given = parameters.split(';').find_map(|one| one.trim().strip_prefix("q=")?.parse::<f32>().ok());
            essence.trim().eq_ignore_ascii_case(wanted).then(|| given.unwrap_or(1.0))
        });
        weights.fold(0.0, f32::max)
    };
    let signed = weight(MEDIA_TYPE);
    signed > 0.0 && signed >= weight("application/json")
}

/// RFC 9701 section 5: `iss`, `aud`, `iat` and `token_introspection`, and nothing else at the top: no `sub` and no `exp`, by which
/// a careless reader could take it for a token.
pub(super) async fn answer(
    app: &App,
    settings: &Settings,
    told: &Value,
    caller: &Client,
) -> Result<Response<Body>, Failure> {
    let wanted = algorithm(caller.introspection_algorithm);
    if !app.signing().current.contains_key(&wanted) {
        // The first one who asks for it: only who has proved himself comes here. Its key stays.
        let lifetimes = settings.lifetimes().with(wanted);
        let _held = rotation::prepare(app, &lifetimes).await.map_err(|error| cannot(&error.to_string()))?;
    }
    let signing = app.signing();
    let key = signing.current.get(&wanted).ok_or_else(|| cannot("there is no key of this algorithm"))?;
    let claims = json!({
        "iss": app.issuer(),
        "aud": caller.id.as_str(),
        "iat": app.engine.now().seconds(),
        "token_introspection": told,
    });
    let token = key.sign(TYP, &claims).map_err(|error| cannot(&error.to_string()))?;
    let mut response = Response::new(Body::from(token));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("pragma", HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn cannot(detail: &str) -> Failure {
    Failure::Unavailable(Unavailable { cause: Cause::Full, detail: format!("the answer cannot be signed: {detail}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 section 12.5.1.
    #[test]
    fn what_is_dearer_is_told() {
        for (accept, is_signed) in [
            ("application/token-introspection+jwt", true),
            ("Application/Token-Introspection+JWT;q=0.1, */*", true),
            ("application/json, application/token-introspection+jwt", true),
            ("application/json, application/token-introspection+jwt;q=0.1", false),
            ("application/json;q=0.5, application/token-introspection+jwt; q=0.9", true),
            ("application/token-introspection+jwt;q=0", false),
            ("application/token-introspection+jwt;q=0.000, */*", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(is_wanted(&headers), is_signed, "{accept}");
        }
    }
}
