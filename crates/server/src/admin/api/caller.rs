//! Who may use the admin API: the one door before every operation, on whatever listener (checks O6, M1).
//!
//! An access token (RFC 6750, in the header alone) of a client that acts for itself, for this resource and no other: a token that
//! other APIs are shown as well is as good as theirs. The client must have the scope, the resource and the grant type still. There
//! is no password, no default and no network that is trusted. With `regrant.admin.read` alone it may look, but at no hash of a password,
//! and change nothing; with
//! `regrant.interactions` alone it may answer interactions, and nothing else.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use regrant_core::Client;
use regrant_core::client::GrantType;

use super::problem::{Kind, Problem};
use crate::answer::{BearerFailure, Failure};
use crate::app::App;
use crate::config::{ADMIN_READ_SCOPE, ADMIN_RESOURCE, ADMIN_SCOPE, INTERACTIONS_SCOPE};
use crate::introspect::{active, open_access_token};
use crate::peer::Peer;
use crate::sight;

/// Who asks.
pub(super) struct Caller {
    pub(super) client: Arc<Client>,
    /// Whether it may change things, and not look alone.
    pub(super) may_change: bool,
}

/// The client that asks.
///
/// # Errors
/// Why it may not: told to it, and counted where it proves nothing.
pub(super) async fn prove(app: &App, opening: &[&str], headers: &HeaderMap, peer: Peer) -> Result<Caller, Problem> {
    proved(app, opening, headers, peer).await.map_err(|failure| refused(&app.limits.failed(app, peer, None, failure)))
}

/// The scopes of which one opens an operation. What is below `/interactions` is for applications that show pages, and may do no more.
pub(super) fn opening(method: &Method, path: &str) -> &'static [&'static str] {
    if path.starts_with("/interactions/") {
        return &[ADMIN_SCOPE, INTERACTIONS_SCOPE];
    }
    // RFC 9110 section 9.2.1: what is asked for by GET changes nothing.
    if method == Method::GET { &[ADMIN_SCOPE, ADMIN_READ_SCOPE] } else { &[ADMIN_SCOPE] }
}

async fn proved(app: &App, opening: &[&str], headers: &HeaderMap, peer: Peer) -> Result<Caller, Failure> {
    let token = bearer(headers).map_err(Failure::Bearer)?;
    app.limits.before_a_signature(app, peer)?;
    let invalid = || Failure::Bearer(BearerFailure::InvalidToken);
    let token = open_access_token(app, token).ok_or_else(invalid)?;
    // As it was minted, before what its client has lost since is left out: whoever runs another of its resources holds it, too
    // (RFC 8707 section 3).
    let is_for_this = token.audience == [ADMIN_RESOURCE];
    let token = active(app, &app.settings(), token).await?.ok_or_else(invalid)?;
    let client = app.client(&token.client).ok_or_else(invalid)?;
    let is_its_own = token.grant.is_none() && token.subject == token.client;
    let was_given = |scope: &&str| token.scope.split(' ').any(|given| given == *scope) && client.scopes.contains(scope);
    let may_now = opening.iter().any(was_given)
        && client.resources.contains(ADMIN_RESOURCE)
        && client.may_use(GrantType::ClientCredentials);
    if !(is_for_this && is_its_own && may_now) {
        return Err(Failure::Bearer(BearerFailure::InsufficientScope));
    }
    sight::client(&client);
    app.limits.client(app.settings().config.limits.requests_per_client, &client)?;
    Ok(Caller { may_change: was_given(&ADMIN_SCOPE), client: Arc::clone(&client) })
}

/// Its token opens the operation, and not what was asked of it.
pub(super) fn may_not() -> Problem {
    refused(&Failure::Bearer(BearerFailure::InsufficientScope))
}

fn bearer(headers: &HeaderMap) -> Result<&str, BearerFailure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(BearerFailure::NoToken) };
    let text = value.to_str().map_err(|_| BearerFailure::Malformed)?;
    if values.next().is_some() {
        return Err(BearerFailure::Malformed);
    }
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(BearerFailure::NoToken),
    }
}

fn refused(failure: &Failure) -> Problem {
    match failure {
        Failure::TooMany(_, wait) => Problem::new(Kind::TooMany, "Come again when Retry-After is over.").after(*wait),
        Failure::Unavailable(trouble) => crate::admin::AdminError::from(trouble.clone()).into(),
        Failure::Bearer(BearerFailure::Malformed) => {
            Problem::at("Authorization", "it is there twice, or cannot be read", "Send \"Bearer\" and the token, once.")
        }
        Failure::Bearer(BearerFailure::NoToken) => Problem::new(
            Kind::NoToken,
            "Send \"Authorization: Bearer\" and an access token of a client with the scope regrant.admin.",
        ),
        Failure::Bearer(BearerFailure::InsufficientScope) => Problem::new(
            Kind::Forbidden,
            "It takes a token by client credentials, with the scope regrant.admin (to look: regrant.admin.read; to answer interactions: regrant.interactions), for the resource urn:regrant:admin and no \
             other, of a client that has both still.",
        ),
        _ => Problem::new(Kind::InvalidToken, "Ask the token endpoint for another one."),
    }
}
