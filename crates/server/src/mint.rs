//! Minting access tokens, after the commit and off the writer: RFC 9068 JWTs, or sealed opaque ones.

use std::time::Duration;

use regrant_core::access::{AccessToken, seal_jti};
use regrant_core::client::AccessTokenFormat;
use regrant_core::status::Place;
use regrant_core::{Client, Grant, Keys, Resources, Scope, Timestamp};
use regrant_store::{Answer, Question, Unavailable};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::{App, Settings};
use crate::chance;
use crate::claims::TokenClaims;
use crate::feed;
use crate::keyring::schedule::algorithm;
use crate::session;

/// What an access token is minted from.
pub(crate) struct Access<'a> {
    /// Number and generation of its grant, with the first half of the grant's random half; `None` without a grant.
    pub(crate) grant: Option<&'a Grant>,
    pub(crate) client: &'a Client,
    pub(crate) subject: &'a str,
    pub(crate) scope: &'a Scope,
    pub(crate) resources: &'a Resources,
    /// The browser session that it is given in, where it has no grant that knows it.
    pub(crate) session: Option<[u8; 32]>,
    pub(crate) authenticated_at: Option<Timestamp>,
    /// What it says beside that.
    pub(crate) claims: &'a TokenClaims,
    pub(crate) expires_in: u64,
    pub(crate) now: Timestamp,
}

/// RFC 9068 section 2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// Of a token that a browser carries: which session it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// Section 2.2.3. No name in it is one of those above.
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

/// draft-ietf-oauth-status-list, section 6.1: which bit of which list says whether the grant has ended.
#[derive(Serialize)]
struct Status {
    status_list: StatusList,
}

#[derive(Serialize)]
struct StatusList {
    idx: u16,
    uri: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

/// The text of an access token. `None` if it cannot be made, which leaves the refresh token as it is: the client asks again.
pub(crate) fn access_token(app: &App, settings: &Settings, access: &Access<'_>) -> Option<String> {
    let keys = app.engine.keys();
    // Chance is asked once for all that it is needed for.
    let (jti, nonce) = halves(chance::bytes());
    let token = contents(app, access, jti, &keys);
    match access.client.policy.access_token_format {
        AccessTokenFormat::Opaque => token.seal(nonce, &keys),
        AccessTokenFormat::Jwt => {
            let claims = Claims {
                iss: app.issuer(),
                sub: &token.subject,
                aud: match token.audience.as_slice() {
                    [one] => Audience::One(one),
                    many => Audience::Many(many),
                },
                client_id: &token.client,
                iat: token.issued_at,
                exp: token.expires_at,
                jti: &token.jti,
                scope: &token.scope,
                auth_time: token.authenticated_at,
                status: status(app, settings, access.grant, &keys),
                sid: token.session.as_ref().map(session::sid),
                more: &access.claims.all,
            };
            let algorithm = algorithm(access.client.policy.access_token_algorithm);
            app.signing().current.get(&algorithm)?.sign("at+jwt", &claims).ok()
        }
    }
}

/// The same for a token of no grant, asked for when the count of wide revocations was `epoch`. Such a token knows of them by the second in
/// which it was issued (`Epoch::covers_access`), so one that would be dead at its birth by an older one is made in the next second: what is
/// asked for after a revocation was answered is never touched by it. What was under way when one came is.
pub(crate) async fn without_grant(
    app: &App,
    settings: &Settings,
    access: Access<'_>,
    epoch: u64,
) -> Result<Option<String>, Unavailable> {
    let is_the_count = || app.engine.epoch() == epoch;
    let mut access = access;
    if is_the_count() && app.is_revocation_young(epoch) && is_covered(app, &access).await? {
        let millis = access.now.millis().rem_euclid(1000).unsigned_abs();
        tokio::time::sleep(Duration::from_millis(1000 - millis)).await;
        let now = app.engine.now();
        if is_the_count() {
            access = Access { now, ..access };
        }
    }
    Ok(access_token(app, settings, &access))
}

async fn is_covered(app: &App, access: &Access<'_>) -> Result<bool, Unavailable> {
    let token = contents(app, access, [0; 12], &app.engine.keys());
    let answer = app.engine.ask(Question::CoveredAccess(Box::new(token))).await?;
    Ok(matches!(answer, Answer::CoveredAccess(Some(_))))
}

fn status(app: &App, settings: &Settings, grant: Option<&Grant>, keys: &Keys) -> Option<Status> {
    let grant = grant.filter(|_| settings.config.revocation_feed.status_claim)?;
    let place = Place::of(grant.id.number, keys);
    let uri = format!("{}{}", feed::lists(app), place.list(keys));
    Some(Status { status_list: StatusList { idx: place.index, uri } })
}

fn halves(chance: [u8; 24]) -> ([u8; 12], [u8; 12]) {
    let (mut first, mut second) = ([0; 12], [0; 12]);
    first.copy_from_slice(&chance[..12]);
    second.copy_from_slice(&chance[12..]);
    (first, second)
}

fn contents(app: &App, access: &Access<'_>, chance: [u8; 12], keys: &Keys) -> AccessToken {
    let grant = access.grant.map(|grant| (grant.id.number, grant.generation));
    let issued_at = access.now.seconds();
    let audience = if access.resources.is_empty() {
        vec![app.issuer().to_owned()]
    } else {
        access.resources.iter().map(str::to_owned).collect()
    };
    // Introspection of an opaque token looks up again what can be looked up; what the hook said cannot.
    let sealed = &access.claims.from_hook;
    let more = if sealed.is_empty() { String::new() } else { serde_json::to_string(sealed).unwrap_or_default() };
    AccessToken {
        grant,
        client: access.client.id.as_str().to_owned(),
        subject: access.subject.to_owned(),
        scope: access.scope.to_string(),
        audience,
        issued_at,
        expires_at: issued_at.saturating_add(i64::try_from(access.expires_in).unwrap_or(i64::MAX)),
        authenticated_at: access.authenticated_at.map(Timestamp::seconds),
        jti: seal_jti(grant, chance, keys),
        session: access.session,
        more,
    }
}
