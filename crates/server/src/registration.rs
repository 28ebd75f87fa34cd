//! Clients that register themselves: OpenID Connect Dynamic Client Registration 1.0, RFC 7591, and the management of RFC 7592.
//!
//! | request                         | who may                                              | answer                                  |
//! |---------------------------------|------------------------------------------------------|-----------------------------------------|
//! | `POST /oauth2/register`         | by `[registration] mode`: nobody, who has an initial access token, everybody | 201, all of it, with secret and token |
//! | `GET /oauth2/register/{id}`     | who has the client's registration access token        | 200, without the secret: the store has its hash |
//! | `PUT /oauth2/register/{id}`     | the same, unless `mode` is `off`                     | 200, with another token                 |
//! | `DELETE /oauth2/register/{id}`  | the same                                             | 204; grants end as when an operator removes it |
//!
//! A registration is a client of the store like any other, durable in one commit with the use of the token that let it in. The
//! token before the newest works until the newest is used: an answer that was lost locks no client out of its own registration. What a
//! PUT gives anew is derived from the token that asked ([`successor`]), so that the same PUT is told the same.
//!
//! How many there may be is bounded three times: by network and time (`registrations_per_network`), by `most` in all, and by the
//! sweep, which removes what has no living grant after `reap_after`. Changes are bounded at the same rate, by client and by network.

pub mod metadata;
mod successor;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use regrant_core::client::AuthMethod;
use regrant_core::one_time::{Kind, client_secret, client_secret_hash, registration_token, registration_token_hash};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, codec};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::admin::registration::Registered;
use crate::answer::{self, BearerFailure, Failure};
use crate::app::App;
use crate::chance;
use crate::config::{ClientDefinition, PlainSecret, Registration, RegistrationMode, hash_text, parse_hash_text};
use crate::correlation::Correlation;
use crate::form::Malformed;
use crate::outbound::NoAnswer;
use crate::peer::Peer;
use crate::sight;
pub use metadata::BadMetadata;
use metadata::{Understood, named, overlaid, understand};

/// The longest body.
const MAX_BODY: usize = 32 * 1024;
/// How the identifiers of registered clients begin: none that an operator wrote is mistaken for one.
const ID_PREFIX: &str = "dyn_";

/// `/oauth2/register`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let peer = Peer::of(request.extensions());
    let answered = register(&app, request, peer).await;
    respond(&app, peer, StatusCode::CREATED, answered, &correlation)
}

/// `/oauth2/register/{id}`.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    let correlation = sight::correlation();
    // What is no text is no client's name.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let peer = Peer::of(request.extensions());
    let answered = Box::pin(manage(&app, &id, request, peer)).await;
    let status = if matches!(answered, Ok(Value::Null)) { StatusCode::NO_CONTENT } else { StatusCode::OK };
    respond(&app, peer, status, answered, &correlation)
}

fn respond(
    app: &App,
    peer: Peer,
    status: StatusCode,
    answered: Result<Value, Failure>,
    correlation: &Correlation,
) -> Response<Body> {
    let response = match answered {
        Ok(Value::Null) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            response
        }
        Ok(body) => answer::json(status, &body),
        Err(failure) => app.limits.failed(app, peer, None, failure).answer(app, correlation),
    };
    correlation.mark(response)
}

async fn register(app: &Arc<App>, request: Request, peer: Peer) -> Result<Value, Failure> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Failure::Method("POST"));
    }
    let settings = app.settings();
    let setting = &settings.config.registration;
    let token = match setting.mode {
        RegistrationMode::Off => return Err(Failure::RegistrationOff),
        // RFC 7591 section 3: "the client or developer uses it as an OAuth 2.0 bearer token".
        RegistrationMode::Token => Some(bearer(&parts.headers, Kind::InitialAccess)?),
        RegistrationMode::Open => None,
    };
    if let Some(token) = &token
        && !app.admin().is_good_registration_token(&token.hash).await?
    {
        return Err(Failure::Bearer(BearerFailure::InvalidToken));
    }
    app.limits.registration(settings.config.limits.registrations_per_network, peer)?;
    let metadata = read(&parts.headers, body).await?;
    let Understood { definition, kept, sector } = understand(&metadata, setting)?;
    check_sector(app, sector.as_ref(), &definition).await?;
    let id = format!("{ID_PREFIX}{}", codec::encode_plain(&chance::bytes::<16>()));
    let now = app.engine.now().seconds();
    let made = registration_token(Kind::Registration, chance::bytes());
    let registration = Registration {
        token_hash: hash_text(&Hash::of(made.as_bytes())),
        issued_at: now,
        changed_at: now,
        metadata: kept,
        ..Registration::default()
    };
    let mut definition = ClientDefinition { id, registration: Some(registration), ..definition };
    let secret = give_secret(app, &mut definition, client_secret(chance::bytes()));
    let registered = app.admin().register(definition, token.map(|token| token.hash.0)).await?;
    Ok(described(app, &registered, secret.as_ref(), Some(&made)))
}

async fn manage(app: &Arc<App>, id: &str, request: Request, peer: Peer) -> Result<Value, Failure> {
    let (parts, body) = request.into_parts();
    let token = bearer(&parts.headers, Kind::Registration)?;
    // RFC 7592 section 2: "If the registration access token used to make this request is not valid, the server MUST respond with an
    // error": the same for another client's and for none at all.
    let unknown = || Failure::Bearer(BearerFailure::InvalidToken);
    let known = ClientId::parse(id).and_then(|id| own(app, &id, &token.hash)).ok_or_else(unknown)?;
    match parts.method {
        // RFC 7592 section 3: registration_access_token is "REQUIRED", and the one that was shown is still it. A client_secret is
        // "OPTIONAL" (RFC 7591 section 3.2.1), and is not given again: what is kept of it is its hash.
        Method::GET | Method::HEAD => {
            let known = arrived(app, known, &token.hash).await?;
            Ok(described(app, &known, None, Some(&token.text)))
        }
        Method::PUT => Box::pin(replace(app, known, &token, &parts.headers, body, peer)).await,
        Method::DELETE => {
            app.admin().unregister(&known.definition).await?;
            Ok(Value::Null)
        }
        _ => Err(Failure::Method("GET, PUT, DELETE")),
    }
}

/// The client, if it registered itself and this is its token, or the one before it.
fn own(app: &App, id: &ClientId, token: &Hash) -> Option<Registered> {
    let settings = app.settings();
    let client = settings.clients.get(id)?;
    let definition = settings.clients.added(id)?.clone();
    let registration = definition.registration.as_ref()?;
    let hashes = [Some(&registration.token_hash), registration.previous_token_hash.as_ref()];
    // Every one is compared, each in constant time.
    let fits = hashes.into_iter().flatten().fold(false, |fits, text| fits | (parse_hash_text(text) == Some(*token)));
    (fits && !client.disabled).then_some(Registered { client, definition })
}

/// The newest token has come to its client, who "MUST immediately discard its previous" one (RFC 7592 section 3): from now on that is
/// nobody's. It is written once for each change at most. A change by the newest token says the same in its own commit.
async fn arrived(app: &Arc<App>, known: Registered, token: &Hash) -> Result<Registered, Failure> {
    let mut definition = known.definition.clone();
    match &mut definition.registration {
        Some(registration)
            if registration.previous_token_hash.is_some()
                && parse_hash_text(&registration.token_hash) == Some(*token) =>
        {
            registration.previous_token_hash = None;
        }
        _ => return Ok(known),
    }
    app.admin().replace_registered(&known.definition, definition, None).await
}

/// RFC 7592 section 2.2.
async fn replace(
    app: &Arc<App>,
    known: Registered,
    token: &Shown,
    headers: &HeaderMap,
    body: Body,
    peer: Peer,
) -> Result<Value, Failure> {
    let settings = app.settings();
    let mut setting = settings.config.registration.clone();
    if setting.mode == RegistrationMode::Off {
        return Err(Failure::RegistrationOff);
    }
    app.limits.registration_change(settings.config.limits.registrations_per_network, &known.client.id, peer)?;
    let metadata = read(headers, body).await?;
    let before = &known.definition;
    check_update(app, before, &metadata)?;
    let registered = before.registration.clone().unwrap_or_default();
    // What an operator's hand has set is the most that it may have.
    setting.scopes = registered.scopes.clone().unwrap_or(setting.scopes);
    let Understood { definition, kept, sector } = understand(&metadata, &setting)?;
    check_sector(app, sector.as_ref(), &definition).await?;
    let made = successor::token(app, &known.client.id, &token.text);
    let registration = Registration {
        token_hash: hash_text(&Hash::of(made.as_bytes())),
        previous_token_hash: Some(hash_text(&token.hash)),
        metadata: kept,
        ..registered
    };
    let mut definition = overlaid(definition, before).ok_or(BadMetadata::Member("metadata"))?;
    definition.registration = Some(registration);
    let secret = give_secret(app, &mut definition, successor::secret(app, &known.client.id, &token.text));
    // The same once more, because its answer was lost: it is there already.
    if definition == *before {
        return Ok(described(app, &known, secret.as_ref(), Some(&made)));
    }
    if let Some(registration) = &mut definition.registration {
        registration.changed_at = app.engine.now().seconds();
    }
    let changed = app.admin().replace_registered(before, definition, Some("changed its registration")).await?;
    Ok(described(app, &changed, secret.as_ref(), Some(&made)))
}

/// RFC 7592 section 2.2: "The client MUST include its "client_id" field in the request, and it MUST be the same as its currently
/// issued client identifier." And what it "MUST NOT include".
fn check_update(app: &App, before: &ClientDefinition, metadata: &Map<String, Value>) -> Result<(), BadMetadata> {
    if metadata.get("client_id").and_then(Value::as_str) != Some(before.id.as_str()) {
        return Err(BadMetadata::Member("client_id"));
    }
    let never =
        ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];
    if let Some(name) = never.into_iter().find(|name| metadata.contains_key(*name)) {
        return Err(BadMetadata::Member(name));
    }
    // "If the client includes the "client_secret" field in the request, the value of this field MUST match the currently issued
    // client secret for that client."
    let Some(secret) = metadata.get("client_secret") else { return Ok(()) };
    let hash = secret.as_str().map(client_secret_hash);
    let by_hash = hash.is_some() && before.secret_hash.as_deref().and_then(parse_hash_text) == hash;
    let by_text = opened(app, before).is_some_and(|opened| hash == Some(Hash::of(&opened)));
    if by_hash || by_text { Ok(()) } else { Err(BadMetadata::Member("client_secret")) }
}

/// The client's secret, where it is told one: it had none that its method could use, or that is what this very request gave it before.
/// Another method's secrets are dropped; one that an operator replaced works until the time that was set.
fn give_secret(app: &App, definition: &mut ClientDefinition, fresh: Zeroizing<String>) -> Option<Zeroizing<String>> {
    let method = definition.token_endpoint_auth_method.as_deref().unwrap_or("client_secret_basic");
    let method = AuthMethod::ALL.into_iter().find(|known| known.as_str() == method)?;
    let has_hash = matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
    if !has_hash {
        definition.secret_hash = None;
        definition.previous_secret_hash = None;
        definition.previous_secret_expires_at = None;
    }
    if method != AuthMethod::ClientSecretJwt {
        definition.sealed_secret = None;
    }
    let hash = client_secret_hash(&fresh);
    let is_told = match method {
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
            let known = definition.secret_hash.get_or_insert_with(|| hash_text(&hash));
            parse_hash_text(known) == Some(hash)
        }
        AuthMethod::ClientSecretJwt => match opened(app, definition) {
            Some(known) => Hash::of(&known) == hash,
            None => {
                definition.sealed_secret = None;
                definition.shared_secret = Some(PlainSecret::new(fresh.clone()));
                true
            }
        },
        AuthMethod::PrivateKeyJwt | AuthMethod::None => false,
    };
    is_told.then_some(fresh)
}

/// The secret that is kept wrapped.
fn opened(app: &App, definition: &ClientDefinition) -> Option<Zeroizing<Vec<u8>>> {
    let (sealed, id) = definition.sealed_secret.as_deref().zip(ClientId::parse(&definition.id))?;
    app.secret_wrap.open(&id, sealed)
}

/// RFC 7591 section 3.2.1: "all registered metadata about this client".
fn described(
    app: &App,
    registered: &Registered,
    secret: Option<&Zeroizing<String>>,
    token: Option<&Zeroizing<String>>,
) -> Value {
    let Registered { client, definition } = registered;
    let mut body = definition.registration.as_ref().map(|known| known.metadata.clone()).unwrap_or_default();
    let whole = serde_json::to_value(definition).unwrap_or_default();
    for name in metadata::SETTINGS {
        body.extend(whole.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let issued_at = definition.registration.as_ref().map_or(0, |registration| registration.issued_at);
    let more = json!({
        "client_id": client.id.as_str(),
        "client_id_issued_at": issued_at,
        "client_name": client.name,
        "token_endpoint_auth_method": client.auth.as_str(),
        "grant_types": client.grant_types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "response_types": client.response_types,
        "id_token_signed_response_alg": client.id_token_algorithm.as_str(),
        "subject_type": if definition.subject_type.as_deref() == Some("pairwise") { "pairwise" } else { "public" },
        "scope": client.scopes.to_string(),
        "registration_client_uri": app.issuer.url(&format!("/oauth2/register/{}", client.id)),
    });
    body.extend(more.as_object().cloned().unwrap_or_default());
    // OpenID Connect Registration section 2: "The default, if omitted, is web." RFC 7591 section 3.2.1: "all registered metadata about this
    // client, including any fields provisioned by the authorization server itself".
    body.entry("application_type").or_insert_with(|| "web".into());
    if let Some(secret) = secret {
        body.insert("client_secret".to_owned(), secret.as_str().into());
        // "REQUIRED if "client_secret" is issued. […] or 0 if it will not expire."
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    if let Some(token) = token {
        body.insert("registration_access_token".to_owned(), token.as_str().into());
    }
    Value::Object(body)
}

/// OpenID Connect Registration section 5: "the values of the registered redirect_uris MUST be included in the elements of the array".
async fn check_sector(app: &App, sector: Option<&http::Uri>, definition: &ClientDefinition) -> Result<(), BadMetadata> {
    let Some(url) = sector else { return Ok(()) };
    let bad = BadMetadata::Member("sector_identifier_uri");
    let settings = app.settings();
    let fetched = app.outbound.fetch(&settings.config.outbound, url, "application/json").await;
    let body = fetched
        .inspect_err(|trouble: &NoAnswer| tracing::warn!(%url, %trouble, "a sector identifier cannot be read"))
        .map_err(|_| bad)?;
    let listed: Vec<String> = serde_json::from_slice(&body).map_err(|_| bad)?;
    if definition.redirect_uris.iter().all(|uri| listed.contains(uri)) { Ok(()) } else { Err(bad) }
}

/// A token as the request shows it, and what is kept of it.
struct Shown {
    text: Zeroizing<String>,
    hash: Hash,
}

/// The one bearer token of this kind that the request carries (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap, kind: Kind) -> Result<Shown, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Failure::Bearer(BearerFailure::NoToken)) };
    let malformed = || Failure::Bearer(BearerFailure::Malformed);
    if values.next().is_some() {
        return Err(malformed());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    let text = Zeroizing::new(token.trim().to_owned());
    let hash = registration_token_hash(kind, &text).ok_or(Failure::Bearer(BearerFailure::InvalidToken))?;
    Ok(Shown { text, hash })
}

/// A JSON object, no member twice.
async fn read(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Failure> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_json = match (types.next().and_then(|value| value.to_str().ok()), types.next()) {
        (Some(value), None) => value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json"),
        _ => false,
    };
    if !is_json {
        return Err(Malformed::JsonType.into());
    }
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() { Malformed::TooLarge } else { Malformed::Encoding }
    })?;
    regrant_jose::read_object(&body.to_bytes()).map_err(|_| BadMetadata::Member("metadata").into())
}

/// What a problem of the definition is called here.
pub(crate) fn refused(problems: &[crate::config::Problem]) -> Failure {
    Failure::Registration(named(problems))
}
