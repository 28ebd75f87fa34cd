//! Client authentication at the token, revocation and introspection endpoints: RFC 6749 section 2.3.
//!
//! "The client MUST NOT use more than one authentication method in each request", and the method must be the registered one.
//! A wrong secret, an unknown client and another method are one answer: `invalid_client` (section 5.2).

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regrant_core::client::AuthMethod;
use regrant_core::one_time::{Kind, MAX_SECRET_LEN, client_secret_hash};
use regrant_core::token::{Code, DeviceCode, RefreshToken};
use regrant_core::{Client, ClientId, Timestamp, Wiped};

use crate::answer::Failure;
use crate::app::{App, Clients, Settings};
use crate::client_assertion;
use crate::config;
use crate::correlation::Correlation;
use crate::form::{Form, Malformed};
use crate::peer::Peer;
use crate::sight;

/// What a request offered to prove who it is.
pub struct Presented {
    method: AuthMethod,
    /// A JWT, in place of all else: which of the two methods it stands for is for the client's registration to say.
    assertion: Option<Wiped<String>>,
    /// As it was sent, and form-decoded where that differs: RFC 6749 section 2.3.1 wants the latter and many clients send the
    /// former. Both are tried (check C12); identifiers of ours are the same in both readings.
    readings: Vec<(String, Wiped<String>)>,
    /// What came beside an assertion and may be a token of ours.
    beside: Option<Wiped<String>>,
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Why a client is not who it claims to be. The client hears `invalid_client`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAuthenticated {
    /// No client was named.
    NoClient,
    /// No such client.
    UnknownClient,
    /// Another method than the registered one.
    OtherMethod,
    /// The secret does not fit.
    WrongSecret,
    /// An authorization scheme other than Basic.
    UnknownScheme,
    /// A `client_assertion_type` other than that of JWTs.
    UnknownAssertionType,
    /// The assertion is no JWT of the client's: its form, kind, algorithm or signature.
    BadAssertion,
    /// The client has no keys.
    NoKeys,
    /// `iss`, `sub` or `jti` of the assertion.
    AssertionClaims,
    /// `aud` of the assertion.
    AssertionAudience,
    /// `exp`, `nbf` or `iat` of the assertion.
    AssertionTimes,
    /// The assertion was used before.
    AssertionReplayed,
}

impl NotAuthenticated {
    /// The stable reason code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoClient => "no_client",
            Self::UnknownClient => "unknown_client",
            Self::OtherMethod => "other_auth_method",
            Self::WrongSecret => "wrong_client_secret",
            Self::UnknownScheme => "unknown_auth_scheme",
            Self::UnknownAssertionType => "unknown_assertion_type",
            Self::BadAssertion => "bad_client_assertion",
            Self::NoKeys => "no_client_keys",
            Self::AssertionClaims => "client_assertion_claims",
            Self::AssertionAudience => "client_assertion_audience",
            Self::AssertionTimes => "client_assertion_times",
            Self::AssertionReplayed => "client_assertion_replayed",
        }
    }
}

/// Reads what was offered, without looking anything up: what is wrong here is a malformed request.
///
/// # Errors
/// [`Malformed`] for two authentications at once, a `client_id` that differs from the header's, or an unreadable header.
pub fn read(headers: &HeaderMap, form: &Form) -> Result<Result<Presented, NotAuthenticated>, Malformed> {
    let client_id = form.ascii("client_id", 255)?;
    let secret = form.credential("client_secret");
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    if ["client_assertion", "client_assertion_type"].iter().any(|name| form.credential(name).is_some()) {
        // Check C1.
        if secret.is_some() || authorizations.next().is_some() {
            return Err(Malformed::TwoAuthentications);
        }
        return assertion(form, client_id);
    }
    let Some(header) = authorizations.next() else {
        return Ok(match (client_id, secret) {
            (None, _) => Err(NotAuthenticated::NoClient),
            (Some(id), None) => Ok(Presented::one(AuthMethod::None, id, "")),
            (Some(id), Some(secret)) => Ok(Presented::one(AuthMethod::ClientSecretPost, id, secret)),
        });
    };
    if authorizations.next().is_some() || secret.is_some() {
        return Err(Malformed::TwoAuthentications);
    }
    let header = header.to_str().map_err(|_| Malformed::Authorization)?;
    let (scheme, credentials) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(Err(NotAuthenticated::UnknownScheme));
    }
    let presented = basic(credentials.trim_start_matches(' '))?;
    if client_id.is_some_and(|id| !presented.readings.iter().any(|(known, _)| known == id)) {
        return Err(Malformed::OtherClientId);
    }
    Ok(Ok(presented))
}

/// RFC 7523 section 2.2. An empty one is as an absent one (check C3), and proves nothing.
fn assertion(form: &Form, client_id: Option<&str>) -> Result<Result<Presented, NotAuthenticated>, Malformed> {
    let kind = form.credential("client_assertion_type").ok_or(Malformed::Missing("client_assertion_type"))?;
    let assertion = form.credential("client_assertion").ok_or(Malformed::Missing("client_assertion"))?;
    if kind != client_assertion::TYPE {
        return Ok(Err(NotAuthenticated::UnknownAssertionType));
    }
    let Some(claimed) = client_assertion::claimed(assertion) else {
        return Ok(Err(NotAuthenticated::BadAssertion));
    };
    // RFC 7521 section 4.2: "The value of the "client_id" parameter MUST identify the same client as is identified by the client
    // assertion." Check C10.
    if client_id.is_some_and(|id| id != claimed) {
        return Err(Malformed::OtherClientId);
    }
    let assertion = Some(Wiped::new(assertion.to_owned()));
    let beside = ["refresh_token", "code", "device_code", "token"].iter().find_map(|name| form.credential(name));
    let beside = beside.map(|token| Wiped::new(token.to_owned()));
    Ok(Ok(Presented { assertion, beside, ..Presented::one(AuthMethod::PrivateKeyJwt, &claimed, "") }))
}

fn basic(credentials: &str) -> Result<Presented, Malformed> {
    let bytes = Wiped::new(STANDARD.decode(credentials).map_err(|_| Malformed::Authorization)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Malformed::Authorization)?;
    let (id, secret) = text.split_once(':').ok_or(Malformed::Authorization)?;
    let mut readings = Vec::with_capacity(2);
    // Both readings are the same where nothing is encoded.
    let is_encoded = text.contains(['%', '+']);
    if is_encoded && let (Some(id), Some(secret)) = (form_decoded(id), form_decoded(secret)) {
        readings.push((id, Wiped::new(secret)));
    }
    if readings.first().is_none_or(|(known, decoded)| known != id || decoded.as_str() != secret) {
        readings.push((id.to_owned(), Wiped::new(secret.to_owned())));
    }
    Ok(Presented { method: AuthMethod::ClientSecretBasic, assertion: None, readings, beside: None })
}

fn form_decoded(text: &str) -> Option<String> {
    let pair = format!("v={}", text.replace('&', "%26"));
    let form = Form::parse(pair.as_bytes()).ok()?;
    Some(form.credential("v").unwrap_or_default().to_owned())
}

impl Presented {
    /// The client, if it is who it claims to be and has not asked too often. A guess is looked at however many there were: only
    /// what a failed one hears depends on that.
    ///
    /// # Errors
    /// [`Failure::Client`] or [`Failure::TooMany`]; [`Failure::Unavailable`] if it cannot be kept that an assertion was used.
    pub(crate) async fn prove(
        &self,
        app: &App,
        settings: &Settings,
        peer: Peer,
        endpoint: &str,
        correlation: &Correlation,
    ) -> Result<Arc<Client>, Failure> {
        let limits = &settings.config.limits;
        let proved = match &self.assertion {
            Some(assertion) => {
                // Check X10: a signature costs more than a hash.
                app.limits
                    .before_a_signature(app, peer)
                    .or_else(|over| app.limits.before_an_assertion(settings, peer, self.claimed()).ok_or(over))
                    .or_else(|over| self.vouched(app, limits).unwrap_or(Err(over)))?;
                client_assertion::verify(app, assertion, &app.issuer.url(endpoint), correlation).await
            }
            None => self.verify(&settings.clients, app.engine.now()).map_err(Failure::from),
        };
        match proved {
            Ok(client) => app.limits.client(limits.requests_per_client, &client).map(|()| client),
            Err(Failure::Client(refused)) => {
                tracing::debug!(%correlation, reason = refused.as_str(), "client authentication failed");
                if self.assertion.is_some() {
                    app.limits.wrong_assertion(settings, peer, self.claimed());
                }
                app.limits.wrong_secret(limits.wrong_secrets, peer, self.claimed())?;
                Err(refused.into())
            }
            // Whoever signs with keys that nobody knows may be guessing at a client's name.
            Err(unknown @ Failure::ClientKeyUnknown(_)) => {
                app.limits.wrong_assertion(settings, peer, self.claimed());
                app.limits.wrong_secret(limits.wrong_secrets, peer, self.claimed())?;
                Err(unknown)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whoever holds a token of ours is no stranger, whatever others send from his address (check B4): its tag, which costs one
    /// hash, is worth a signature. Each token's grant has a budget of them.
    fn vouched(&self, app: &App, limits: &config::Limits) -> Option<Result<(), Failure>> {
        let (text, keys) = (self.beside.as_ref()?, app.engine.keys());
        let grant = RefreshToken::open(text, &keys)
            .map(|token| token.grant)
            .or_else(|| Code::open(text, &keys).map(|code| code.grant))
            .or_else(|| DeviceCode::open(text, &keys).map(|code| code.grant()))?;
        Some(app.limits.vouched(limits.requests_per_grant, grant))
    }

    fn one(method: AuthMethod, id: &str, secret: &str) -> Self {
        let readings = vec![(id.to_owned(), Wiped::new(secret.to_owned()))];
        Self { method, assertion: None, readings, beside: None }
    }

    /// The client that was named, for the log: it has proved nothing yet. Whoever sends a secret or token of ours in its place has
    /// made a mistake that the log must not keep (law L6).
    #[must_use]
    pub fn claimed(&self) -> &str {
        match self.readings.first() {
            None => "",
            Some((id, _)) if Kind::of(id).is_some() => "(a credential in place of a name)",
            Some((id, _)) => id,
        }
    }

    /// The client, if it is who it claims to be at this moment.
    ///
    /// # Errors
    /// [`NotAuthenticated`].
    pub fn verify(&self, clients: &Clients, now: Timestamp) -> Result<Arc<Client>, NotAuthenticated> {
        let mut refused = NotAuthenticated::UnknownClient;
        for (id, secret) in &self.readings {
            let Some(client) = ClientId::parse(id).and_then(|id| clients.get(&id)) else { continue };
            sight::client(&client);
            refused = match self.fits(&client, secret, now) {
                Ok(()) => return Ok(client),
                Err(refused) => refused,
            };
        }
        Err(refused)
    }

    fn fits(&self, client: &Client, secret: &str, now: Timestamp) -> Result<(), NotAuthenticated> {
        if client.auth != self.method || self.assertion.is_some() {
            return Err(NotAuthenticated::OtherMethod);
        }
        if self.method == AuthMethod::None {
            return Ok(());
        }
        // An empty secret fits nothing, whatever the table holds (check C3).
        if secret.is_empty() || secret.len() > MAX_SECRET_LEN {
            return Err(NotAuthenticated::WrongSecret);
        }
        // Check C11: hashes are compared in constant time, and every one is compared.
        let hash = client_secret_hash(secret);
        let fits = client.secrets.iter().fold(false, |fits, known| fits | ((known.hash == hash) & known.is_live(now)));
        if fits { Ok(()) } else { Err(NotAuthenticated::WrongSecret) }
    }
}

#[cfg(test)]
mod tests;
