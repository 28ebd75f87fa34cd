//! The introspection endpoint: RFC 7662. Reads, never writes; what is not active is `{"active": false}` and nothing else.

mod signed;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use regrant_core::access::{ACCESS_PREFIX, AccessToken, open_jti};
use regrant_core::issue::SubjectStatus;
use regrant_core::recovery::{self, Doubt};
use regrant_core::secret::Hash;
use regrant_core::token::RefreshToken;
use regrant_core::{Client, Timestamp, codec, introspect};
use regrant_store::{Answer, Loaded, Question, Unavailable};
use serde_json::{Map, Value, json};

use crate::answer::{self, Failure};
use crate::app::{App, Settings};
use crate::claims::{RESERVED, USERINFO_CLAIMS, prepare};
use crate::client_auth;
use crate::correlation::Correlation;
use crate::form::Malformed;
use crate::peer::Peer;
use crate::request::post_form;
use crate::sight;
use crate::subject;

/// `POST /oauth2/introspect`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let peer = Peer::of(request.extensions());
    let wants_jwt = signed::is_wanted(request.headers());
    // One configuration from beginning to end.
    let settings = app.settings();
    let response = match answer(&app, &settings, request, &correlation).await {
        // Signed or not, it is the same answer: no check stands at one of the two doors alone (check O2).
        Ok((body, caller)) if wants_jwt && !caller.is_public() => {
            match signed::answer(&app, &settings, &body, &caller).await {
                Ok(response) => response,
                Err(failure) => failure.answer(&app, &correlation),
            }
        }
        Ok((body, _)) => answer::json(StatusCode::OK, &body),
        Err(failure) => app.limits.failed(&app, peer, None, failure).answer(&app, &correlation),
    };
    correlation.mark(response)
}

async fn answer(
    app: &App,
    settings: &Settings,
    request: Request,
    correlation: &Correlation,
) -> Result<(Value, Arc<Client>), Failure> {
    let (parts, form) = post_form(request, "POST").await?;
    let peer = Peer::of(&parts.extensions);
    let token = form.credential("token").ok_or(Malformed::Missing("token"))?;
    // RFC 7662 section 2.1: "the authorization server MUST require authentication".
    let presented = client_auth::read(&parts.headers, &form)??;
    let caller = presented.prove(app, settings, peer, "/oauth2/introspect", correlation).await?;
    let told = told(app, settings, token, &caller).await?;
    Ok((told.unwrap_or(json!({"active": false})), caller))
}

/// What this caller is told of this token; `None` if it is not active, or none of his business.
async fn told(app: &App, settings: &Settings, token: &str, caller: &Client) -> Result<Option<Value>, Unavailable> {
    if caller.disabled || !caller.may_introspect {
        return Ok(None);
    }
    if let Some(token) = RefreshToken::open(token, &app.engine.keys()) {
        return refresh_token(app, &token, caller).await;
    }
    // An opaque token holds of its claims only what could not be looked up again.
    let is_sealed = token.starts_with(ACCESS_PREFIX);
    let Some(token) = open_access_token(app, token).filter(|token| is_shown_to(token, caller, app)) else {
        return Ok(None);
    };
    let Some(token) = active(app, settings, token).await? else { return Ok(None) };
    let Some(client) = settings.client(&token.client) else { return Ok(None) };
    let known = if is_sealed { known_now(app, settings, &client, &token).await? } else { Map::new() };
    Ok(Some(described(app, &client, &token, known)))
}

/// What the user's record and the configuration say of this token now: whoever was taken out of a group is out of it in the
/// next answer. A JWT says for as long as it lives what it said when it was made.
async fn known_now(
    app: &App,
    settings: &Settings,
    client: &Client,
    token: &AccessToken,
) -> Result<Map<String, Value>, Unavailable> {
    let audience: Vec<&str> = token.audience.iter().map(String::as_str).collect();
    prepare::looked_up(app, settings, client, &token.subject, &audience).await
}

/// A refresh token is shown only to its own client (check O3).
async fn refresh_token(app: &App, token: &RefreshToken, caller: &Client) -> Result<Option<Value>, Unavailable> {
    sight::grant(token.grant);
    let Some(Loaded { grant, subject, .. }) = app.engine.load(token.grant).await? else { return Ok(None) };
    let now = app.engine.now();
    // One that a refresh would end, because it may have been replaced in the time that a restored store has lost, is not live.
    let keys = app.engine.keys();
    let is_known = recovery::doubt(keys.recovery(), keys.era(), token, &grant, &caller.policy) == Doubt::None;
    let yields = introspect::refresh_yields(token, &grant, subject, caller, now).filter(|_| is_known);
    Ok(yields.map(|granted| {
        json!({
            "active": true,
            "client_id": grant.terms.client.as_str(),
            "sub": subject::told(app, caller, &grant.terms.subject),
            "scope": granted.scope.to_string(),
            "iat": grant.rotated_at.seconds(),
            "exp": grant.ends_at().seconds(),
            "iss": app.issuer(),
            "token_use": "refresh_token",
        })
    }))
}

/// RFC 7662 section 4: a resource server sees the tokens that are meant for it; one that names no resources is trusted with all.
fn is_shown_to(token: &AccessToken, caller: &Client, app: &App) -> bool {
    token.client == caller.id.as_str()
        || caller.resources.is_empty()
        || token.audience.iter().any(|audience| audience == app.issuer() || caller.resources.contains(audience))
}

fn described(app: &App, client: &Client, token: &AccessToken, known: Map<String, Value>) -> Value {
    let mut body = json!({
        "active": true,
        "token_type": "Bearer",
        "client_id": token.client,
        // As its client knows him.
        "sub": subject::told(app, client, &token.subject),
        "iat": token.issued_at,
        "exp": token.expires_at,
        "iss": app.issuer(),
        "jti": token.jti,
        "aud": match token.audience.as_slice() {
            [one] => json!(one),
            many => json!(many),
        },
    });
    if let Value::Object(members) = &mut body {
        if !token.scope.is_empty() {
            members.insert("scope".to_owned(), json!(token.scope));
        }
        if let Some(at) = token.authenticated_at {
            members.insert("auth_time".to_owned(), json!(at));
        }
        // RFC 7662 section 2.2: "Specific implementations MAY extend this structure with their own service-specific response
        // names". None of them replaces one of the above.
        let carried: Map<String, Value> = serde_json::from_str(&token.more).unwrap_or_default();
        let mut more = known;
        more.extend(carried);
        more.remove(USERINFO_CLAIMS);
        for (name, value) in more {
            members.entry(name).or_insert(value);
        }
    }
    body
}

/// Reads an access token of ours, opaque or JWT: `None` if it is neither. That it is active is another question.
pub(crate) fn open_access_token(app: &App, text: &str) -> Option<AccessToken> {
    let keys = app.engine.keys();
    if let Some(token) = AccessToken::open(text, &keys) {
        return Some(token);
    }
    // RFC 9068 section 4: the type, the signature with a key of ours, the issuer.
    let claims = regrant_jose::verify(text, "at+jwt", &app.signing().verifying).ok()?.claims;
    regrant_jose::check_issuer(&claims, app.issuer()).ok()?;
    let word = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let jti = word("jti")?;
    Some(AccessToken {
        grant: open_jti(&jti, &keys)?,
        client: word("client_id")?,
        subject: word("sub")?,
        scope: word("scope").unwrap_or_default(),
        audience: match claims.get("aud")? {
            Value::String(one) => vec![one.clone()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return None,
        },
        issued_at: claims.get("iat")?.as_i64()?,
        expires_at: claims.get("exp")?.as_i64()?,
        authenticated_at: claims.get("auth_time").and_then(Value::as_i64),
        jti,
        session: match claims.get("sid") {
            None => None,
            Some(sid) => Some(sid.as_str().and_then(codec::decode_plain::<32>)?),
        },
        more: more_of(claims),
    })
}

/// The claims of a token beside those that RFC 9068 section 2.2 prescribes.
fn more_of(mut claims: Map<String, Value>) -> String {
    claims.retain(|name, _| name == USERINFO_CLAIMS || !RESERVED.contains(&name.as_str()));
    if claims.is_empty() { String::new() } else { serde_json::to_string(&claims).unwrap_or_default() }
}

/// What we vouch for of a token now: what its client may have still, if its own time, its grant, its user and its client let it live, and
/// it was not revoked by itself.
pub(crate) async fn active(
    app: &App,
    settings: &Settings,
    token: AccessToken,
) -> Result<Option<AccessToken>, Unavailable> {
    if !is_active(app, settings, &token).await? {
        return Ok(None);
    }
    let client = settings.client(&token.client);
    Ok(client.and_then(|client| introspect::shrunk(token, &client, app.issuer())))
}

async fn is_active(app: &App, settings: &Settings, token: &AccessToken) -> Result<bool, Unavailable> {
    let now = app.engine.now();
    if Timestamp::from_millis(token.expires_at.saturating_mul(1000)).is_over(now) {
        return Ok(false);
    }
    // A client that was removed or switched off takes its tokens with it.
    if settings.client(&token.client).is_none_or(|client| client.disabled) {
        return Ok(false);
    }
    let jti = Hash::of(token.jti.as_bytes()).0;
    if matches!(app.engine.ask(Question::AccessDenied(jti)).await?, Answer::AccessDenied(true)) {
        return Ok(false);
    }
    let (grant, subject) = match token.grant {
        Some((number, _)) => match by_number(app, number).await? {
            Some(found) => (Some(found.grant), found.subject),
            None => return Ok(false),
        },
        None if is_covered(app, token).await? => return Ok(false),
        None if token.subject == token.client => (None, SubjectStatus::None),
        None => (None, user_status(app, &token.subject).await?),
    };
    Ok(introspect::access_is_active(token, grant.as_ref(), subject, now))
}

/// Whether a wide revocation ends a token that belongs to no grant.
async fn is_covered(app: &App, token: &AccessToken) -> Result<bool, Unavailable> {
    let question = Question::CoveredAccess(Box::new(token.clone()));
    Ok(matches!(app.engine.ask(question).await?, Answer::CoveredAccess(Some(_))))
}

/// The grant of this number, if its row is intact.
pub(crate) async fn by_number(app: &App, number: u64) -> Result<Option<Loaded>, Unavailable> {
    let Some(after) = number.checked_sub(1) else { return Ok(None) };
    let question = Question::Grants { client: None, subject: None, after, limit: 1 };
    let Answer::Grants(mut grants) = app.engine.ask(question).await? else { return Ok(None) };
    let keys = app.engine.keys();
    Ok(grants.pop().filter(|found| found.grant.id.number == number).and_then(|found| found.believed(&keys)))
}

async fn user_status(app: &App, subject: &str) -> Result<SubjectStatus, Unavailable> {
    let Answer::User(user) = app.engine.ask(Question::UserBySubject(subject.to_owned())).await? else {
        return Ok(SubjectStatus::Gone);
    };
    Ok(match user {
        None => SubjectStatus::Gone,
        Some(user) if user.disabled_at.is_some() => SubjectStatus::Disabled,
        Some(_) => SubjectStatus::Enabled,
    })
}
