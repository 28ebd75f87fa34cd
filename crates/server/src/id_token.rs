//! Minting ID tokens: OpenID Connect Core sections 2, 3.1.3.6, 3.2.2.9, 3.2.2.10, 3.3.2.11 and 12.2. Off the writer, and after the commit; none
//! is ever stored.

use std::time::Duration;

use regrant_core::openid::{self, half_hash};
use regrant_core::{Client, Grant, OpenId, ResponseType, Scope, Timestamp};
use regrant_store::{Answer, Question, Unavailable, User};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::claims::{Attributes, MAX_CLAIMS};
use crate::encryption::Recipient;
use crate::keyring::schedule::algorithm;
use crate::subject;

/// How long an ID token says that it may be taken: it is looked at once, when the user comes back.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// Core section 2 names no type; the one of RFC 7519 section 5.1. An access token has another (RFC 9068 section 2.1).
pub(crate) const TYP: &str = "JWT";

/// What an ID token is made from.
pub(crate) struct IdToken<'a> {
    pub(crate) client: &'a Client,
    /// The user's own, whatever the client knows him by.
    pub(crate) subject: &'a str,
    pub(crate) openid: &'a OpenId,
    /// Left out of a refreshed token.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) session: Option<&'a [u8; 32]>,
    /// The access token beside it.
    pub(crate) access_token: Option<&'a str>,
    /// The code beside it.
    pub(crate) code: Option<&'a str>,
    /// What it says of the user.
    pub(crate) claims: Map<String, Value>,
    pub(crate) now: Timestamp,
    /// Whom it is encrypted to, if it is.
    pub(crate) recipient: Option<&'a Recipient>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    azp: &'a str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    acr: &'a str,
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_hash: Option<String>,
    /// Standard claims, none of which has a name of those above.
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// The text of an ID token; `None` if it cannot be made.
pub(crate) fn mint(app: &App, token: IdToken<'_>) -> Option<String> {
    let signed_with = token.client.id_token_algorithm;
    let issued_at = token.now.seconds();
    let claims = Claims {
        iss: app.issuer(),
        sub: &subject::told(app, token.client, token.subject),
        aud: token.client.id.as_str(),
        azp: token.client.id.as_str(),
        exp: issued_at.saturating_add(i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX)),
        iat: issued_at,
        auth_time: token.authenticated_at.seconds(),
        nonce: token.nonce,
        acr: &token.openid.acr,
        amr: &token.openid.amr,
        sid: token.session.map(|root| subject::sid(app, token.client, root)),
        at_hash: token.access_token.map(|text| half_hash(signed_with, text)),
        c_hash: token.code.map(|text| half_hash(signed_with, text)),
        more: token.claims,
    };
    let signed = app.signing().current.get(&algorithm(signed_with))?.sign(TYP, &claims).ok()?;
    // Core section 2: "If the ID Token is encrypted, it MUST be signed then encrypted, with the result being a Nested JWT".
    match token.recipient {
        Some(recipient) => recipient.nest(&signed),
        None => Some(signed),
    }
}

/// What the ID token of an answer of the authorization endpoint says of a user. `None` if it is more than a token may say: half of it
/// would be a lie.
pub(crate) fn claims_at_once(
    user: &User,
    response_type: ResponseType,
    scope: &Scope,
    openid: &OpenId,
) -> Result<Option<Map<String, Value>>, Unavailable> {
    said(user, openid::in_id_token(Some(response_type), scope, &openid.claims), openid)
}

/// What the ID token of an answer of the token endpoint says: it comes after the commit, so that what cannot be found now is left out.
/// Core section 5.5.1: that a claim is essential does not make it an error "to not return a Claim".
pub(crate) async fn claims_of_grant(app: &App, grant: &Grant, openid: &OpenId) -> Map<String, Value> {
    if openid.claims.id_token.is_empty() {
        return more(openid);
    }
    let names = openid::in_id_token(None, &grant.terms.scope, &openid.claims);
    let found = match app.engine.ask(Question::UserBySubject(grant.terms.subject.clone())).await {
        Ok(Answer::User(Some(user))) => said(&user, names, openid),
        Ok(_) => Ok(None),
        Err(trouble) => Err(trouble),
    };
    found
        .unwrap_or_else(|trouble| {
            tracing::warn!(%trouble, "claims are left out of an ID token");
            None
        })
        .unwrap_or_default()
}

/// What an application that shows the login or the consent said: none of our own names, and none of the standard claims.
pub(crate) fn more(openid: &OpenId) -> Map<String, Value> {
    serde_json::from_str(&openid.more).unwrap_or_default()
}

fn said<'a>(
    user: &User,
    names: impl Iterator<Item = &'a str>,
    openid: &OpenId,
) -> Result<Option<Map<String, Value>>, Unavailable> {
    let attributes = Attributes::stored(user)?;
    let mut claims = more(openid);
    claims.extend(names.filter_map(|name| attributes.of(user, name).map(|value| (name.to_owned(), value))));
    let bytes = serde_json::to_string(&claims).map_or(usize::MAX, |text| text.len());
    Ok((bytes <= MAX_CLAIMS).then_some(claims))
}
