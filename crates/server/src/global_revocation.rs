//! The global token revocation endpoint: draft-parecki-oauth-global-token-revocation. A security tool or an identity provider says that
//! everything of a user shall end: all grants with what was minted from them, and all browser sessions, so that the user must log in again.
//!
//! Who may say so is a client with `may_revoke_users`. A subject is named as RFC 9493 has it:
//!
//! | `format`  | members      | is                                                                          |
//! |-----------|--------------|-----------------------------------------------------------------------------|
//! | `iss_sub` | `iss`, `sub` | our issuer, and the `sub` of our tokens                                     |
//! | `opaque`  | `id`         | the `sub` of our tokens                                                     |
//! | `email`   | `email`      | the name to log in with, else the `email` that is known of a user, without case |

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use regrant_core::client::SUBJECT_PREFIX;
use regrant_core::grant::EndReason;
use regrant_core::{Client, Epoch, Event, EventKind, Selector};
use regrant_store::{Answer, EventRecord, Outcome, Question, Record, Unavailable, User};
use serde::Deserialize;

use crate::answer::Failure;
use crate::app::App;
use crate::claims::Attributes;
use crate::client_auth;
use crate::correlation::Correlation;
use crate::form::{Form, Malformed};
use crate::peer::Peer;
use crate::session::normalise;
use crate::sight;

/// The longest request, in bytes.
const MAX_REQUEST: usize = 8192;
/// Users asked for at once, where one is looked for by address.
const SLICE: u32 = 1000;

/// The draft's request.
#[derive(Deserialize)]
struct Asked {
    sub_id: Subject,
}

/// RFC 9493 section 3.2.
#[derive(Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
enum Subject {
    IssSub { iss: String, sub: String },
    Opaque { id: String },
    Email { email: String },
}

/// `POST /oauth2/global-revoke`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let peer = Peer::of(request.extensions());
    let mut client = None;
    let response = match answer(&app, request, &correlation, &mut client).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            response
        }
        Err(failure) => app.limits.failed(&app, peer, client.as_deref(), failure).answer(&app, &correlation),
    };
    correlation.mark(response)
}

async fn answer(
    app: &App,
    request: Request,
    correlation: &Correlation,
    known: &mut Option<Arc<Client>>,
) -> Result<(), Failure> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Failure::Method("POST"));
    }
    let body = read(&parts.headers, body).await?;
    let form = Form::parse(b"")?;
    let peer = Peer::of(&parts.extensions);
    let presented = client_auth::read(&parts.headers, &form)??;
    let client = presented.prove(app, &app.settings(), peer, "/oauth2/global-revoke", correlation).await?;
    *known = Some(Arc::clone(&client));
    if client.disabled || !client.may_revoke_users {
        return Err(Failure::MayNotRevoke);
    }
    let Asked { sub_id } = serde_json::from_slice(&body).map_err(|_| Malformed::Json)?;
    let subjects = subjects(app, sub_id).await?;
    if subjects.is_empty() {
        return Err(Failure::NoSuchSubject);
    }
    revoke(app, &client, subjects, correlation).await
}

/// One commit for all of it: 204 means that it is durable.
async fn revoke(app: &App, client: &Client, subjects: Vec<String>, correlation: &Correlation) -> Result<(), Failure> {
    let at = app.engine.now();
    let mut records = Vec::new();
    for subject in subjects {
        let event = Event {
            kind: EventKind::Admin,
            grant: None,
            client: Some(client.id.clone()),
            subject: Some(subject.clone()),
            detail: format!("everything of the user revoked by client {}", client.id),
        };
        let events = vec![EventRecord { at, event, correlation: correlation.as_str().to_owned() }];
        let epoch = Epoch {
            number: 0,
            at,
            selector: Selector { subject: Some(subject.clone()), ..Selector::default() },
            reason: EndReason::GlobalRevocation,
            detail: format!("by client {}", client.id),
            undo_until: None,
            undone_at: None,
        };
        records.extend([Record::Epoch { epoch, events }, Record::EndSessionsOf { subject, but: None }]);
    }
    let outcomes = app.engine.commit(records).await?;
    sight::outcome("user_revoked");
    // No room for one more: it must not be answered as if it were done.
    if outcomes.contains(&Outcome::Stale) { Err(Failure::Busy) } else { Ok(()) }
}

/// Whom it names: with an address perhaps more than one.
async fn subjects(app: &App, named: Subject) -> Result<Vec<String>, Unavailable> {
    match named {
        Subject::IssSub { iss, sub } if iss == app.issuer() => by_subject(app, sub).await,
        Subject::IssSub { .. } => Ok(Vec::new()),
        Subject::Opaque { id } => by_subject(app, id).await,
        Subject::Email { email } => by_email(app, &normalise(&email)).await,
    }
}

async fn by_subject(app: &App, subject: String) -> Result<Vec<String>, Unavailable> {
    if !subject.starts_with(SUBJECT_PREFIX) {
        return Ok(Vec::new());
    }
    let found = app.engine.ask(Question::UserBySubject(subject)).await?;
    Ok(if let Answer::User(Some(user)) = found { vec![user.subject] } else { Vec::new() })
}

async fn by_email(app: &App, email: &str) -> Result<Vec<String>, Unavailable> {
    if let Answer::User(Some(user)) = app.engine.ask(Question::UserByName(email.to_owned())).await? {
        return Ok(vec![user.subject]);
    }
    let has_it = |user: &User| {
        let attributes = Attributes::stored(user).ok();
        let known = attributes.and_then(|attributes| attributes.of(user, "email"));
        known.as_ref().and_then(serde_json::Value::as_str).is_some_and(|known| normalise(known) == email)
    };
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let question = Question::Users { after: after.clone(), limit: SLICE };
        let Answer::Users(users) = app.engine.ask(question).await? else { return Ok(found) };
        let Some(last) = users.last() else { return Ok(found) };
        after.clone_from(&last.name);
        found.extend(users.iter().filter(|user| has_it(user)).map(|user| user.subject.clone()));
    }
}

/// At most [`MAX_REQUEST`] bytes of `application/json`.
async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Malformed> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Malformed::Json);
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_REQUEST as u64) {
        return Err(Malformed::TooLarge);
    }
    let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() { Malformed::TooLarge } else { Malformed::Encoding }
    })?;
    Ok(body.to_bytes().to_vec())
}
