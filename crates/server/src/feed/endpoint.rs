//! The two endpoints: who may read, conditional requests (RFC 9110 section 13.1.2), and signatures that are made once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use regrant_core::Timestamp;
use regrant_core::secret::Hash;
use regrant_core::status::block_of;
use regrant_jose::{Algorithm, SigningKey, base64url};
use regrant_store::{Cause, Unavailable};
use serde_json::{Value, json};

use super::index::{About, Index, Signed};
use super::{told, window};
use crate::answer::Failure;
use crate::app::App;
use crate::client_auth;
use crate::config::Readers;
use crate::correlation::Correlation;
use crate::cors;
use crate::form::Form;
use crate::peer::Peer;
use crate::sight;

/// How long the lines of one page may be, in bytes of JSON: signed it is no larger than a token may be.
const PAGE_LENGTH: usize = 7_000;
/// The same with the last row, which may be of many lines; a longer one begins a page.
const MOST_LENGTH: usize = 8_500;
/// How long a signed answer is given again.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// `GET /oauth2/revocations`.
pub(crate) async fn feed(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    answered(&app, &parts, "application/revocations+jwt", || {
        let since = Form::parse(query.as_bytes())?.ascii("since", 40)?.map(str::to_owned);
        let mut index = app.feed.index();
        let cursor = since.and_then(|since| position(&since, index.era())).unwrap_or(0);
        let from = index.position(cursor);
        signed(&app, &mut index, About::Since(from), "revocations+jwt", |index, now| page(&app, index, from, now))
    })
    .await
}

/// `GET /oauth2/status-lists/{name}`.
pub(crate) async fn status_list(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let Some(block) = block_of(&name, &app.engine.keys()) else { return nothing() };
    answered(&app, &parts, "application/statuslist+jwt", || {
        let mut index = app.feed.index();
        signed(&app, &mut index, About::List(block), "statuslist+jwt", |index, now| {
            let bits = index.bits(block, now.minus(window(&app)));
            let max_age = app.settings().config.revocation_feed.max_age;
            told::list(app.issuer(), &format!("{}{name}", lists(&app)), &bits, max_age, now)
        })
    })
    .await
}

/// What every status list's address begins with.
pub(crate) fn lists(app: &App) -> String {
    app.issuer.url("/oauth2/status-lists/")
}

/// The reader is let in, the copy is caught up with, and what was signed is sent, unless the reader has it.
async fn answered(
    app: &App,
    parts: &Parts,
    media_type: &'static str,
    told: impl FnOnce() -> Result<Signed, Failure>,
) -> Response<Body> {
    let correlation = sight::correlation();
    let peer = Peer::of(&parts.extensions);
    let setting = app.settings().config.revocation_feed.clone();
    let signed = match setting.readers {
        Readers::Nobody => return nothing(),
        Readers::Public => Ok(()),
        Readers::ResourceServers => let_in(app, &parts.headers, peer, &correlation).await,
    };
    let signed = match signed {
        Ok(()) => app.feed.catch_up(app).await.map_err(Failure::from).and_then(|()| told()),
        Err(failure) => Err(failure),
    };
    let signed = match signed {
        Ok(signed) => signed,
        Err(failure) => {
            return correlation.mark(app.limits.failed(app, peer, None, failure).answer(app, &correlation));
        }
    };
    let is_held = has(&parts.headers, &signed.etag);
    let mut response = Response::new(if is_held { Body::empty() } else { Body::from(signed.body) });
    if is_held {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let shared = if setting.readers == Readers::Public { "public" } else { "private" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let held = HeaderValue::try_from(format!("{shared}, max-age={}", setting.max_age.as_secs()));
    for (name, value) in [(CACHE_CONTROL, held), (ETAG, HeaderValue::try_from(signed.etag))] {
        headers.extend(value.ok().map(|value| (name, value)));
    }
    if setting.readers == Readers::Public {
        cors::allow_all(&mut response);
    }
    correlation.mark(response)
}

/// Clients that may introspect could ask about each token; here they hear of those that are over.
async fn let_in(app: &App, headers: &HeaderMap, peer: Peer, correlation: &Correlation) -> Result<(), Failure> {
    let presented = client_auth::read(headers, &Form::parse(b"")?)??;
    let caller = presented.prove(app, &app.settings(), peer, "/oauth2/revocations", correlation).await?;
    if caller.disabled || !caller.may_introspect { Err(Failure::NotAReader) } else { Ok(()) }
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// RFC 9110 section 13.1.2: "If-None-Match", by the weak comparison; `*` is anything there is.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// A cursor of ours: era and position. Positions of another era are those of another history.
fn position(cursor: &str, era: u16) -> Option<u64> {
    let (its_era, position) = cursor.split_once('.')?;
    (its_era.parse() == Ok(era)).then(|| position.parse().ok()).flatten()
}

fn page(app: &App, index: &Index, from: u64, now: Timestamp) -> Value {
    let (keys, window) = (app.engine.keys(), window(app));
    let (mut lines, mut taken_back, mut length, mut until) = (Vec::new(), Vec::new(), 0, from);
    let mut rows = index.after(from).peekable();
    while length < PAGE_LENGTH
        && let Some((position, told)) = rows.peek()
    {
        let alive = told.iter().filter(|told| !told.at().plus(window).is_over(now));
        let of_row: Vec<_> = alive.map(|told| (told, told::line(told, window, &keys))).collect();
        let more: usize = of_row.iter().map(|(_, line)| line.to_string().len() + 1).sum();
        if length > 0 && length + more > MOST_LENGTH {
            break;
        }
        (until, length) = (*position, length + more);
        for (told, line) in of_row {
            // Beside the lines: whoever does not know of it refuses more than he must, and nothing less.
            if told.taken_back().is_some() { &mut taken_back } else { &mut lines }.push(line);
        }
        let _ = rows.next();
    }
    let has_more = rows.peek().is_some();
    let until = if has_more { until } else { index.last() };
    json!({
        "iss": app.issuer(),
        "iat": now.seconds(),
        "exp": now.seconds().saturating_add(told::EXPIRES_IN),
        "cursor": format!("{}.{until}", index.era()),
        "more": has_more,
        "status_lists": lists(app),
        "revocations": lines,
        "taken_back": taken_back,
    })
}

/// What was signed of it, or is signed now.
fn signed(
    app: &App,
    index: &mut Index,
    about: About,
    typ: &str,
    claims: impl FnOnce(&mut Index, Timestamp) -> Value,
) -> Result<Signed, Failure> {
    let trouble = |detail: &str| Failure::Unavailable(Unavailable { cause: Cause::Full, detail: detail.to_owned() });
    if index.is_full() {
        return Err(trouble("more was revoked within the life of an access token than the feed can hold"));
    }
    let now = app.engine.now();
    let signing = app.signing();
    let key: &Arc<SigningKey> = Algorithm::ALL
        .iter()
        .find_map(|algorithm| signing.current.get(algorithm))
        .ok_or_else(|| trouble("there is no key to sign the feed with"))?;
    if let Some(held) = index.signed(about, key.kid(), now.minus(SIGNED_FOR)) {
        return Ok(held);
    }
    let token = key.sign(typ, &claims(index, now)).map_err(|error| trouble(&error.to_string()))?;
    let etag = format!("\"{}\"", base64url::encode(&Hash::of(token.as_bytes()).0[..12]));
    let signed = Signed { body: Bytes::from(token), etag, key: key.kid().to_owned(), at: now };
    index.keep(about, signed.clone());
    Ok(signed)
}
