//! Request objects: OpenID Connect Core section 6, and RFC 9101 where it does not contradict. A client sends its authorization
//! request as a JWT, by value (`request`) or by reference (`request_uri`); here it becomes a list of parameters like any other,
//! before anything else looks at it.
//!
//! | rule                                                                              | because                                          |
//! |-----------------------------------------------------------------------------------|--------------------------------------------------|
//! | `request` and `request_uri` together are refused                                  | section 6.2                                      |
//! | signed by a key of the client; not at all only where it is registered so, or where a client that registered itself left that open | section 6.1, `request_object_signing_alg` |
//! | `client_id` and `response_type`, inside and outside, are the same                 | section 6.1, "MUST match"                        |
//! | what is inside wins; what is only outside stays                                   | section 6.1, "supersede"                         |
//! | encrypted to our key, or not; what is inside is judged as it would be without     | section 6.1, `request_object_encryption_alg`     |
//! | `request` and `request_uri` inside are refused                                    | section 6.1, "MUST NOT be included"              |
//! | `iss` is the client, `aud` names this server, `exp`, `nbf` and `iat` hold: each if it is there | RFC 9101 sections 4 and 5.2         |
//! | `sub`, if there, is not the client: that would be an assertion of its             | RFC 9101 section 10.8                            |
//! | a `request_uri` is one that was registered, with any fragment                     | OpenID Connect Registration section 2            |
//! | what a fragment is the SHA-256 of is held for a day; any other fragment says nothing | section 6.2                                   |
//!
//! After this the request is carried on as the parameters it has become: no later step reads the object again, and none fetches.

use std::sync::Arc;

use regrant_core::secret::Hash;
use regrant_core::{Client, ClientId};
use regrant_jose::{NONE, Typ, base64url, check_audience, check_issuer, check_times, peek, read_unsecured};
use serde_json::{Map, Value};

use crate::app::App;
use crate::authorize::Denied;
use crate::client_keys::{self, NotSigned};
use crate::config::ObjectAlgorithm;
use crate::correlation::Correlation;
use crate::encryption;
use crate::fetched::{Found, Missing, Wanted};
use crate::form::{self, Form};
use crate::outbound::{NoAnswer, check_url};
use crate::profile::Profile;

/// RFC 9101 section 10.8, and what was there before it.
const TYP: Typ<'static> = Typ::JwtOr("oauth-authz-req+jwt");
/// How much the clocks may differ, in seconds.
const LEEWAY: u64 = 30;
/// Claims of the JWT that are no parameters of the request.
const CLAIMS: [&str; 7] = ["iss", "aud", "exp", "iat", "nbf", "jti", "sub"];

/// What is wrong with a request object. Told to the client where its redirect URI is certain without the object.
pub(crate) const BAD_OBJECT: Denied = Denied {
    error: "invalid_request_object",
    description: "the request object is malformed, not signed by the client, or not for this server",
};
pub(crate) const BAD_URI: Denied = Denied {
    error: "invalid_request_uri",
    description: "the request_uri is not registered, or leads to no request object",
};
const BOTH: Denied =
    Denied { error: "invalid_request", description: "request and request_uri cannot be used together" };
const MISMATCH: Denied = Denied {
    error: "invalid_request_object",
    description: "client_id or response_type differs inside and outside of the request object",
};

/// The parameters of an authorization request as they are to be read: those of its request object over its own. `None` if there is no
/// request object, or the client is not known: then they are as they were sent.
pub(crate) async fn effective(app: &App, query: &str, correlation: &Correlation) -> Result<Option<String>, Denied> {
    let Ok(form) = Form::parse_repeated(query.as_bytes()) else { return Ok(None) };
    let (by_value, by_reference) = (form.credential("request"), form.credential("request_uri"));
    if by_value.is_none() && by_reference.is_none() {
        return Ok(None);
    }
    let is_repeated =
        ["client_id", "request", "request_uri", "response_type"].iter().any(|name| form.is_repeated(name));
    let settings = app.settings();
    let id = form.credential("client_id").and_then(ClientId::parse).filter(|_| !is_repeated);
    let known = id.and_then(|id| settings.clients.get(&id).zip(settings.clients.profile(&id)));
    // An unknown client is told so on a page, and nothing of it is fetched or verified.
    let Some((client, profile)) = known else { return Ok(None) };
    let object = match (by_value, by_reference) {
        (Some(_), Some(_)) => return Err(BOTH),
        (Some(object), None) => Arc::new(object.to_owned()),
        (None, Some(uri)) => referred(app, &profile, uri).await?,
        (None, None) => return Ok(None),
    };
    let opened = encryption::opened_object(app, &profile, object.trim()).map_err(|why| {
        tracing::debug!(%correlation, client = %client.id, %why, "a request object does not open");
        BAD_OBJECT
    })?;
    let claims = claims(app, &client, &profile, &opened, correlation).await?;
    check_claims(app, &client, &claims)?;
    merge(&form, &claims).map(Some)
}

/// Section 6.1: "If the Request Object is signed", by whom and with what was settled at registration; "none" only there.
async fn claims(
    app: &App,
    client: &Client,
    profile: &Profile,
    object: &str,
    correlation: &Correlation,
) -> Result<Map<String, Value>, Denied> {
    let said = peek(object).map_err(|_| BAD_OBJECT)?;
    let algorithm = match profile.object_algorithm {
        Some(ObjectAlgorithm::Unsigned) if said.algorithm == NONE => {
            return read_unsecured(object, TYP).map_err(|_| BAD_OBJECT);
        }
        // Registration section 2: "The default, if omitted, is that any algorithm supported by the OP and the RP MAY be used." That is what
        // whoever registers himself has read; for a client that an operator has declared the word is to be written. Nothing is lost:
        // unsigned it is worth what the parameters around it are, and this client may send those.
        None if said.algorithm == NONE && profile.registration.is_some() => {
            return read_unsecured(object, TYP).map_err(|_| BAD_OBJECT);
        }
        // Registration section 2: "All Request Objects from this Client MUST be rejected, if not signed with this algorithm."
        Some(ObjectAlgorithm::Unsigned) => return Err(BAD_OBJECT),
        Some(ObjectAlgorithm::Signed(algorithm)) => Some(algorithm),
        None => None,
    };
    let verified = client_keys::verify(app, client, profile, object, TYP, algorithm).await;
    verified.map(|verified| verified.claims).map_err(|why| {
        tracing::debug!(%correlation, client = %client.id, %why, "a request object is not signed by its client");
        match why {
            NotSigned::Token(_) | NotSigned::NoKeys => BAD_OBJECT,
            NotSigned::NoAnswer(_) | NotSigned::NotYet(_) => Denied::UNAVAILABLE,
        }
    })
}

/// RFC 9101 section 4: "If the Request Object is signed, it SHOULD contain the Authorization Request Object's Issuer (iss) and
/// Audience (aud)". Those that are there hold.
fn check_claims(app: &App, client: &Client, claims: &Map<String, Value>) -> Result<(), Denied> {
    if ["request", "request_uri"].iter().any(|name| claims.contains_key(*name)) {
        return Err(BAD_OBJECT);
    }
    let has = |name: &str| claims.contains_key(name);
    if has("iss") {
        check_issuer(claims, client.id.as_str()).map_err(|_| BAD_OBJECT)?;
    }
    if has("aud") {
        check_audience(claims, app.issuer()).map_err(|_| BAD_OBJECT)?;
    }
    // RFC 9101 section 10.8: "never use the client ID as the "sub" value in a Request Object", or it would prove the client as well.
    if claims.get("sub").and_then(Value::as_str) == Some(client.id.as_str()) {
        return Err(BAD_OBJECT);
    }
    let now = u64::try_from(app.engine.elsewhere().seconds()).unwrap_or(0);
    let mut timed = claims.clone();
    // `exp` is not required here; what is there is judged as everywhere.
    timed.entry("exp").or_insert_with(|| Value::from(now + 1));
    check_times(&timed, now, LEEWAY).map(|_| ()).map_err(|_| BAD_OBJECT)
}

/// Section 6.2: the object that a registered URI leads to.
async fn referred(app: &App, profile: &Profile, uri: &str) -> Result<Arc<String>, Denied> {
    let (base, fragment) = uri.split_once('#').map_or((uri, None), |(base, fragment)| (base, Some(fragment)));
    let is_registered = profile.request_uris.iter().any(|known| {
        // One that was registered with a fragment is that one alone.
        known == uri || known == base
    });
    let url = check_url(base).filter(|_| is_registered).ok_or(BAD_URI)?;
    // "the base64url-encoded SHA-256 hash of the file contents": what has it never changes, and need not be asked for again. What has
    // another one is taken as well, for a fragment is a word about a cache: "any cached value for that URI with the old fragment value
    // is no longer valid". So it is good for the minute in which nobody may be asked, and not while the URL does not answer.
    let hash = fragment.and_then(|fragment| base64url::decode(fragment).ok()).filter(|hash| hash.len() == 32);
    let clock = app.engine.clock().clone();
    let now = move || clock.ran();
    let is_named =
        |body: &str| hash.as_ref().is_some_and(|hash| Hash::of(body.as_bytes()).0.as_slice() == hash.as_slice());
    if let Some(held) = app.request_objects.held(base, now()).filter(|held| is_named(held)) {
        return Ok(held);
    }
    let (outbound, settings, of) = (Arc::clone(&app.outbound), app.settings(), url.clone());
    let ask = || async move {
        let accept = "application/oauth-authz-req+jwt, application/jwt, text/plain";
        let body = outbound.fetch(&settings.config.outbound, &of, accept).await?;
        String::from_utf8(body.to_vec()).map_err(|_| NoAnswer::Nonsense("it is no text".to_owned()))
    };
    let fetched = app.request_objects.get(base, Wanted::Newer, now, ask).await;
    let fetched = fetched.and_then(|Found { value, is_stale, again_in, .. }| {
        let why = || NoAnswer::Nonsense("what was read before is not what the fragment names".to_owned());
        if is_stale && hash.is_some() { Err(Missing { why: why(), again_in }) } else { Ok(value) }
    });
    fetched
        .inspect_err(|trouble| tracing::warn!(%url, %trouble, "a request object cannot be read"))
        .map_err(|_| BAD_URI)
}

/// Section 6.1: "the Authorization Request parameters are assembled […] those in the Request Object supersede those passed using the
/// OAuth 2.0 request syntax."
fn merge(form: &Form, claims: &Map<String, Value>) -> Result<String, Denied> {
    for name in ["client_id", "response_type"] {
        let outside = form.credential(name);
        if let (Some(outside), Some(inside)) = (outside, claims.get(name))
            && inside.as_str() != Some(outside)
        {
            return Err(MISMATCH);
        }
    }
    let is_parameter = |name: &str| !CLAIMS.contains(&name);
    let mut inside: Vec<(&str, String)> = Vec::new();
    for (name, value) in claims.iter().filter(|(name, _)| is_parameter(name)) {
        match value {
            // RFC 8707 section 2: more than one resource.
            Value::Array(items) if name == "resource" => {
                for item in items {
                    inside.push((name, item.as_str().ok_or(BAD_OBJECT)?.to_owned()));
                }
            }
            Value::String(text) => inside.push((name, text.clone())),
            Value::Null => {}
            // `max_age` is a number here, `claims` an object: as they are written outside.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                inside.push((name, value.to_string()));
            }
        }
    }
    let replaced =
        |name: &str| name == "request" || name == "request_uri" || (claims.contains_key(name) && is_parameter(name));
    let mut all: Vec<(&str, &str)> = Vec::new();
    for (name, value) in form.pairs().filter(|(name, _)| !replaced(name)) {
        all.push((name, value.ok_or(BAD_OBJECT)?));
    }
    all.extend(inside.iter().map(|(name, value)| (*name, value.as_str())));
    Ok(form::write(&all))
}
