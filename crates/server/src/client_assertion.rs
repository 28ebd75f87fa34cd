//! Clients that prove themselves with a JWT: `private_key_jwt` and `client_secret_jwt` (OpenID Connect Core section 9, RFC 7523
//! sections 2.2 and 3, draft-ietf-oauth-rfc7523bis).
//!
//! | claim        | must be                                                                       | check |
//! |--------------|-------------------------------------------------------------------------------|-------|
//! | `iss`, `sub` | both the client                                                               | C7    |
//! | `aud`        | one text, not a list: the issuer, or the token endpoint by any of its paths, or the endpoint asked | C5, C6 |
//! | `exp`        | a number, to come, and at most an hour away                                   | C8    |
//! | `jti`        | a text of 1 to 255 characters, of this client never seen before               | C4    |
//! | `nbf`, `iat` | if there, a number that is not to come                                        | J     |
//! | `response_type`, `redirect_uri`, `client_id` | not there: it would be a request object (RFC 9101 section 10.8) | |
//!
//! The list is refused because whoever is named in it beside us could use the assertion here (CVE-2025-27370); the endpoints are
//! taken because OpenID Connect Core section 9 tells clients to name the token endpoint.
//!
//! Once everything else is right the `jti` is used up, durably, in a commit of its own before anything is answered. What fails
//! later consumes the assertion and nothing else: the client makes another. A row is kept until its assertion has expired: the most
//! there are is what `requests_per_client` lets a client ask in an hour.

use std::sync::Arc;

use regrant_core::client::AuthMethod;
use regrant_core::secret::Hash;
use regrant_core::{Client, ClientId, Timestamp};
use regrant_jose::{HS256, Typ, check_times, peek, verify_shared};
use regrant_store::{Outcome, Record};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::answer::Failure;
use crate::app::App;
use crate::client_auth::NotAuthenticated;
use crate::client_keys::{self, NotSigned};
use crate::correlation::Correlation;
use crate::profile::{Profile, Secret};
use crate::sight;

/// RFC 7523 section 2.2.
pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The `typ` that draft-ietf-oauth-rfc7523bis gives it.
const TYP: Typ<'static> = Typ::JwtOr("client-authentication+jwt");
/// How far away `exp` may be.
const LONGEST: u64 = 3600;
/// How much the clocks may differ.
const LEEWAY: u64 = 30;
/// What an authorization request says and no assertion.
const REQUEST_CLAIMS: [&str; 3] = ["response_type", "redirect_uri", "client_id"];
/// The longest `jti`.
const MAX_JTI: usize = 255;

/// The client that an assertion says it is from, which it has not proved.
pub(crate) fn claimed(assertion: &str) -> Option<String> {
    let peeked = peek(assertion).ok()?;
    peeked.claims.get("sub").and_then(Value::as_str).map(str::to_owned)
}

/// The client, if the assertion is its own and was never seen before.
pub(crate) async fn verify(
    app: &App,
    assertion: &str,
    endpoint: &str,
    correlation: &Correlation,
) -> Result<Arc<Client>, Failure> {
    let refused = |why: NotAuthenticated| Failure::Client(why);
    let said = peek(assertion).map_err(|_| refused(NotAuthenticated::BadAssertion))?;
    let id = said.claims.get("sub").and_then(Value::as_str).and_then(ClientId::parse);
    let id = id.ok_or(refused(NotAuthenticated::BadAssertion))?;
    let settings = app.settings();
    let (client, profile) =
        settings.clients.get(&id).zip(settings.clients.profile(&id)).ok_or(refused(NotAuthenticated::UnknownClient))?;
    sight::client(&client);
    let claims = match (client.auth, said.algorithm.as_str()) {
        // Check C9: which of the two it is was settled at registration, never by the header.
        (AuthMethod::ClientSecretJwt, HS256) => by_secret(app, &client, &profile, assertion).map_err(refused),
        (AuthMethod::PrivateKeyJwt, _) => {
            let verified =
                client_keys::verify(app, &client, &profile, assertion, TYP, profile.assertion_algorithm).await;
            verified.map(|verified| verified.claims).map_err(|why| {
                tracing::debug!(%correlation, client = %client.id, %why, "a client's assertion is not signed by it");
                unsigned(&why)
            })
        }
        (AuthMethod::ClientSecretJwt, _) => Err(refused(NotAuthenticated::BadAssertion)),
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::None, _) => {
            Err(refused(NotAuthenticated::OtherMethod))
        }
    }?;
    let expires_at =
        judge(app, &client, &claims, endpoint, &settings.config.token_endpoint_aliases).map_err(refused)?;
    use_up(app, &client, &claims, expires_at).await?;
    Ok(client)
}

/// `invalid_client` is for what was examined: whoever hears it does not come again. Where the keys could not be looked at, the same
/// assertion may be good in a moment, for nothing of it was used up. Why they could not is for the log (check S10).
fn unsigned(why: &NotSigned) -> Failure {
    match why {
        NotSigned::Token(_) => NotAuthenticated::BadAssertion.into(),
        NotSigned::NoKeys => NotAuthenticated::NoKeys.into(),
        NotSigned::NoAnswer(missing) => Failure::ClientKeysUnread(missing.again_in),
        NotSigned::NotYet(again_in) => Failure::ClientKeyUnknown(*again_in),
    }
}

fn by_secret(
    app: &App,
    client: &Client,
    profile: &Profile,
    assertion: &str,
) -> Result<Map<String, Value>, NotAuthenticated> {
    let secret = match &profile.secret {
        Some(Secret::Plain(secret)) => Some(Zeroizing::new(secret.expose().as_bytes().to_vec())),
        Some(Secret::Sealed(sealed)) => app.secret_wrap.open(&client.id, sealed),
        None => None,
    };
    let secret = secret.ok_or(NotAuthenticated::NoKeys)?;
    verify_shared(assertion, TYP, &secret).map_err(|_| NotAuthenticated::BadAssertion)
}

/// The claims of a signature that holds; when the assertion is over.
fn judge(
    app: &App,
    client: &Client,
    claims: &Map<String, Value>,
    endpoint: &str,
    aliases: &[String],
) -> Result<Timestamp, NotAuthenticated> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // RFC 7523 section 3: "For client authentication, the subject MUST be the client_id of the OAuth client."
    if [text("iss"), text("sub")] != [Some(client.id.as_str()); 2] {
        return Err(NotAuthenticated::AssertionClaims);
    }
    // RFC 9101 section 10.8, the other way round: without a `typ` only its claims tell a request object, which goes through browsers.
    if REQUEST_CLAIMS.iter().any(|name| claims.contains_key(*name)) {
        return Err(NotAuthenticated::AssertionClaims);
    }
    let audience = text("aud").ok_or(NotAuthenticated::AssertionAudience)?;
    let is_token_endpoint = |path: &str| app.issuer.url(path) == audience;
    let names_us = [app.issuer(), endpoint].contains(&audience)
        || is_token_endpoint("/oauth2/token")
        || aliases.iter().any(|alias| is_token_endpoint(alias));
    if !names_us {
        return Err(NotAuthenticated::AssertionAudience);
    }
    let (own, clock) = (app.engine.now(), app.engine.elsewhere());
    let now = u64::try_from(clock.seconds()).unwrap_or(0);
    let times = check_times(claims, now, LEEWAY).map_err(|_| NotAuthenticated::AssertionTimes)?;
    // RFC 7523 section 3: "The authorization server may reject JWTs with an "exp" claim value that is unreasonably far in the
    // future."
    if times.expires_at > now + LONGEST + LEEWAY {
        return Err(NotAuthenticated::AssertionTimes);
    }
    let has_jti = text("jti").is_some_and(|jti| (1..=MAX_JTI).contains(&jti.len()));
    if !has_jti {
        return Err(NotAuthenticated::AssertionClaims);
    }
    // After this it would be refused for its time: by our own time, in which it is kept that it was used.
    let over = times.expires_at.saturating_add(LEEWAY);
    let over = Timestamp::from_millis(i64::try_from(over).unwrap_or(i64::MAX / 1000).saturating_mul(1000));
    Ok(over.plus(own.since(clock)))
}

/// OpenID Connect Core section 9: "These tokens MUST only be used once". Durable when it returns, whatever happens to the process.
async fn use_up(app: &App, client: &Client, claims: &Map<String, Value>, expires_at: Timestamp) -> Result<(), Failure> {
    let jti = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
    // No client id holds a zero byte: two pairs are never one text.
    let key = Hash::of(format!("regrant assertion\0{}\0{jti}", client.id).as_bytes()).0;
    match app.engine.commit(vec![Record::UseOnce { key, expires_at }]).await?.first() {
        Some(Outcome::Committed) => Ok(()),
        Some(Outcome::Stale) | None => Err(NotAuthenticated::AssertionReplayed.into()),
    }
}
