//! The userinfo endpoint: OpenID Connect Core section 5.3, with the claims that the scope asks for (section 5.4); RFC 6750 for
//! its token. The values are those of this moment.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use regrant_core::client::SUBJECT_PREFIX;
use regrant_store::{Answer, Question};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::answer::{self, BearerFailure, Failure};
use crate::app::App;
use crate::claims::Attributes;
use crate::cors;
use crate::introspect::{active, open_access_token};
use crate::peer::Peer;
use crate::request::read_form;
use crate::sight;

/// `GET` and `POST /oauth2/userinfo`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    let mut response = match answer(&app, request).await {
        Ok(body) => answer::json(StatusCode::OK, &body),
        Err(failure) => app.limits.failed(&app, peer, None, failure).answer(&app, &correlation),
    };
    cors::allow(&mut response, origin.as_deref(), None, &app.settings().clients);
    correlation.mark(response)
}

async fn answer(app: &App, request: Request) -> Result<Value, Failure> {
    let (parts, body) = request.into_parts();
    let header = from_header(&parts.headers)?;
    let has_form = parts.method == Method::POST && parts.headers.contains_key(CONTENT_TYPE);
    let form = if has_form { Some(read_form(&parts.headers, body).await?) } else { None };
    let in_body = form.as_ref().and_then(|form| form.credential("access_token"));
    // RFC 6750 section 2: "Clients MUST NOT use more than one method to transmit the token in each request."
    let token = match (header, in_body) {
        (Some(_), Some(_)) => return Err(Failure::Bearer(BearerFailure::Malformed)),
        (Some(token), None) => token,
        (None, Some(token)) => Zeroizing::new(token.to_owned()),
        (None, None) => return Err(Failure::Bearer(BearerFailure::NoToken)),
    };
    app.limits.before_a_signature(app, Peer::of(&parts.extensions))?;
    let token = open_access_token(app, &token).ok_or(Failure::Bearer(BearerFailure::InvalidToken))?;
    let token = active(app, token).await?.ok_or(Failure::Bearer(BearerFailure::InvalidToken))?;
    if !token.subject.starts_with(SUBJECT_PREFIX) {
        return Err(Failure::Bearer(BearerFailure::InsufficientScope));
    }
    let Answer::User(Some(user)) = app.engine.ask(Question::UserBySubject(token.subject.clone())).await? else {
        return Err(Failure::Bearer(BearerFailure::InvalidToken));
    };
    let attributes = Attributes::stored(&user)?;
    let mut claims = Map::from_iter([("sub".to_owned(), json!(token.subject))]);
    for name in token.scope.split(' ').flat_map(claims_of) {
        // OpenID Connect Core section 5.3.2: "If a Claim is not returned, that Claim Name SHOULD be omitted".
        claims.extend(attributes.of(&user, name).map(|value| ((*name).to_owned(), value)));
    }
    Ok(Value::Object(claims))
}

/// OpenID Connect Core section 5.4.
fn claims_of(scope: &str) -> &'static [&'static str] {
    match scope {
        "profile" => &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
        "email" => &["email", "email_verified"],
        "address" => &["address"],
        "phone" => &["phone_number", "phone_number_verified"],
        _ => &[],
    }
}

fn from_header(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Failure::Bearer(BearerFailure::Malformed))?;
    if values.next().is_some() {
        return Err(Failure::Bearer(BearerFailure::Malformed));
    }
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(Zeroizing::new(token.trim().to_owned())))
        }
        _ => Err(Failure::Bearer(BearerFailure::NoToken)),
    }
}
