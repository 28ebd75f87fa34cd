//! The userinfo endpoint: OpenID Connect Core section 5.3, with the claims that the scope asks for (section 5.4) and those asked for by
//! name (section 5.5); RFC 6750 for its token. The values are those of this moment.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use regrant_core::Client;
use regrant_core::access::AccessToken;
use regrant_core::client::SUBJECT_PREFIX;
use regrant_core::openid::at_userinfo;
use regrant_store::{Answer, Question};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::answer::{self, BearerFailure, Failure};
use crate::app::{App, Settings};
use crate::claims::{Attributes, USERINFO_CLAIMS};
use crate::correlation::Correlation;
use crate::cors;
use crate::encryption::{self, Kind};
use crate::form::Malformed;
use crate::id_token;
use crate::introspect::{active, by_number, open_access_token};
use crate::keyring::schedule::algorithm;
use crate::peer::Peer;
use crate::request::{is_form, read_form};
use crate::sight;
use crate::subject;

/// `GET` and `POST /oauth2/userinfo`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    // One configuration from beginning to end.
    let settings = app.settings();
    let (mut response, client) = match answer(&app, &settings, request).await {
        Ok((claims, client)) => {
            let told = told(&app, &settings, claims, &client, &correlation).await;
            (told.unwrap_or_else(|failure| failure.answer(&app, &correlation)), Some(client))
        }
        Err(failure) => (app.limits.failed(&app, peer, None, failure).answer(&app, &correlation), None),
    };
    cors::allow(&mut response, origin.as_deref(), client.as_deref(), &settings.clients);
    correlation.mark(response)
}

async fn answer(
    app: &App,
    settings: &Settings,
    request: Request,
) -> Result<(Map<String, Value>, Arc<Client>), Failure> {
    let (parts, body) = request.into_parts();
    let header = from_header(&parts.headers)?;
    // RFC 6750 section 2.2: only a body of the form's type may carry a token. Another one says nothing, as that of a client which
    // posts an empty JSON object beside its header.
    let has_form = parts.method == Method::POST && is_form(&parts.headers);
    let form = if has_form { Some(read_form(&parts.headers, body).await.map_err(unreadable)?) } else { None };
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
    let token = active(app, settings, token).await?.ok_or(Failure::Bearer(BearerFailure::InvalidToken))?;
    // A user's token without the scope openid is told what it says itself, and the claims of its other scopes.
    if !token.subject.starts_with(SUBJECT_PREFIX) {
        return Err(Failure::Bearer(BearerFailure::InsufficientScope));
    }
    let client = settings.client(&token.client).ok_or(Failure::Bearer(BearerFailure::InvalidToken))?;
    let Answer::User(Some(user)) = app.engine.ask(Question::UserBySubject(token.subject.clone())).await? else {
        return Err(Failure::Bearer(BearerFailure::InvalidToken));
    };
    let (attributes, (asked, more)) = (Attributes::stored(&user)?, asked(app, &token).await?);
    let mut claims = more;
    claims.extend([("sub".to_owned(), json!(subject::told(app, &client, &token.subject)))]);
    for name in at_userinfo(&token.scope, &asked, &client.scopes) {
        // OpenID Connect Core section 5.3.2: "If a Claim is not returned, that Claim Name SHOULD be omitted".
        claims.extend(attributes.of(&user, name).map(|value| (name.to_owned(), value)));
    }
    Ok((claims, client))
}

/// RFC 6750 section 3: without a token "the resource server MUST include the HTTP "WWW-Authenticate" response header field".
fn unreadable(form: Malformed) -> Failure {
    match form {
        Malformed::TooLarge => form.into(),
        _ => Failure::Bearer(BearerFailure::Malformed),
    }
}

/// The claims that were asked for by name (section 5.5): the grant knows them, or a token without a grant carries them.
/// With what the application that showed the login or the consent said.
async fn asked(app: &App, token: &AccessToken) -> Result<(Vec<String>, Map<String, Value>), Failure> {
    if let Some((number, _)) = token.grant {
        let found = by_number(app, number).await?;
        let openid = found.and_then(|found| found.grant.terms.openid.clone());
        let more = openid.as_ref().map(id_token::more).unwrap_or_default();
        return Ok((openid.map(|openid| openid.claims.userinfo).unwrap_or_default(), more));
    }
    let carried: Map<String, Value> = serde_json::from_str(&token.more).unwrap_or_default();
    let names = carried.get(USERINFO_CLAIMS).and_then(Value::as_array);
    Ok((names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(), Map::new()))
}

/// Section 5.3.2: "If the UserInfo Response is signed […] the Claims are returned in a JWT and the content-type MUST be
/// application/jwt", with iss and aud.
/// And: "If the UserInfo Response is […] encrypted", the same; where both are, it is "signed then encrypted".
async fn told(
    app: &App,
    settings: &Settings,
    mut claims: Map<String, Value>,
    client: &Client,
    correlation: &Correlation,
) -> Result<Response<Body>, Failure> {
    let recipient = encryption::recipient(app, settings, client, Kind::Userinfo, correlation).await?;
    let Some(signed_with) = client.userinfo_algorithm else {
        let Some(recipient) = recipient else { return Ok(answer::json(StatusCode::OK, &Value::Object(claims))) };
        let claims = Value::Object(claims).to_string();
        return recipient.seal(claims.as_bytes()).map(jwt).ok_or(Failure::Busy);
    };
    claims.insert("iss".to_owned(), json!(app.issuer()));
    claims.insert("aud".to_owned(), json!(client.id.as_str()));
    let signing = app.signing();
    let key = signing.current.get(&algorithm(signed_with)).ok_or(Failure::Busy)?;
    let token = key.sign("JWT", &claims).map_err(|_| Failure::Busy)?;
    match recipient {
        Some(recipient) => recipient.nest(&token).map(jwt).ok_or(Failure::Busy),
        None => Ok(jwt(token)),
    }
}

fn jwt(token: String) -> Response<Body> {
    let mut response = Response::new(Body::from(token));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwt"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
