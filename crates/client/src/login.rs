//! Logging in: a redirect and its answer, a device's code, or both ends on this machine.
//!
//! | who                                 | how                                                                                        |
//! |-------------------------------------|--------------------------------------------------------------------------------------------|
//! | a web back end                      | [`Login::begin`], keep what is [`Pending`] in the browser's session, redirect, [`Login::finish`] |
//! | a program on its user's machine     | [`Login::loopback`]: the same with a listener of its own (RFC 8252)                        |
//! | a device without a browser          | [`Login::device`] (RFC 8628)                                                               |
//! | a program that acts for itself      | none: [`Profile::with_client_credentials`](crate::Profile::with_client_credentials)         |
//! | who has a token already             | [`TokenAnswer::of_refresh_token`](crate::answer::TokenAnswer::of_refresh_token)             |
//!
//! What comes of it is a [`LoggedIn`], for [`Session::begin`](crate::Session::begin).

use std::sync::Arc;

use aws_lc_rs::digest;
use regrant_jose::base64url;
use serde::{Deserialize, Serialize};

use crate::answer::{self, PAUSE, TokenAnswer, Verdict};
use crate::chance;
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::id_token::{self, Identity};
use crate::profile::Profile;
use crate::secret::Secret;
use crate::server::Server;
use crate::session::Settings;
use crate::transport::Form;

mod device;
mod loopback;

pub use device::Device;
pub use loopback::Loopback;

/// Logs users in at one server, as one client. Clones are one.
#[derive(Clone, Debug)]
pub struct Login {
    server: Arc<Server>,
}

/// A login that was begun: where to send the browser, and what to remember until it returns.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The authorization request: redirect the browser there.
    pub url: String,
    /// What the answer is checked against. Keep it where only this browser's session can read it, and forget it after one use.
    pub pending: Pending,
}

/// What a login that was begun is recognized by. Its texts are secrets: who knows them could finish the login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// `state`: it ties the answer to the browser that asked (RFC 6749 section 10.12).
    pub state: Secret,
    /// `nonce`: it ties the ID token to the request (OpenID Connect Core 1.0 section 3.1.2.1).
    pub nonce: Secret,
    /// The verifier of PKCE (RFC 7636 section 4.1).
    pub verifier: Secret,
    /// Where the answer was asked for.
    pub redirect_uri: String,
    /// The key that the tokens will be bound to (RFC 9449).
    #[serde(default)]
    pub dpop_key: Option<Secret>,
}

/// Who logged in, and with which tokens.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedIn {
    /// The tokens.
    pub tokens: TokenAnswer,
    /// Who, if the server sent an ID token; it is verified.
    pub identity: Option<Identity>,
}

impl Login {
    /// For a client at a server.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the system's certificates cannot be read.
    pub fn new(profile: Profile) -> Result<Self, Error> {
        Ok(Self::with(profile, Settings::usual()?))
    }

    /// The same with other settings.
    #[must_use]
    pub fn with(profile: Profile, settings: Settings) -> Self {
        Self { server: Arc::new(Server::new(settings.transport, settings.clock, profile)) }
    }

    /// Begins a login whose answer comes to `redirect_uri`.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the server has no authorization endpoint; [`Error::Retry`] if it cannot be reached.
    pub async fn begin(&self, redirect_uri: impl Into<String>) -> Result<Begun, Error> {
        let endpoint = self.server.metadata().await?.authorization_endpoint.clone();
        let missing = || Error::Misconfigured("the server has no authorization_endpoint".to_owned());
        let mut url = url::Url::parse(&endpoint.ok_or_else(missing)?)
            .map_err(|error| Error::Misconfigured(format!("the server's authorization_endpoint: {error}")))?;
        let key = self.key()?;
        let pending = Pending {
            dpop_key: key.as_ref().map(|key| key.secret().clone()),
            state: Secret::new(chance::text()),
            nonce: Secret::new(chance::text()),
            verifier: Secret::new(chance::text()),
            redirect_uri: redirect_uri.into(),
        };
        let profile = &self.server.profile;
        // RFC 7636 section 4.2: "code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))"
        let hash = digest::digest(&digest::SHA256, pending.verifier.expose().as_bytes());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &profile.client_id)
            .append_pair("redirect_uri", &pending.redirect_uri)
            .append_pair("state", pending.state.expose())
            .append_pair("code_challenge", &base64url::encode(hash.as_ref()))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(profile.scope.iter().map(|scope| ("scope", scope)))
            .extend_pairs(profile.resource_parameters());
        if let Some(key) = key {
            url.query_pairs_mut().append_pair("dpop_jkt", key.thumbprint());
        }
        if self.is_openid() {
            url.query_pairs_mut().append_pair("nonce", pending.nonce.expose());
        }
        Ok(Begun { url: url.into(), pending })
    }

    /// Finishes a login with what came to the redirect URI: its query, without or with everything before it.
    ///
    /// # Errors
    /// [`Error::Refused`] if the user or the server said no; [`Error::Misconfigured`] if the answer is not one to this login, not this
    /// server's, or its ID token cannot be trusted; [`Error::Retry`] if there was no answer to the code.
    pub async fn finish(&self, pending: &Pending, query: &str) -> Result<LoggedIn, Error> {
        let query = query.split_once('?').map_or(query, |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let said = |name: &str| {
            let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let first = found.next().map(|(_, value)| value.into_owned());
            // A parameter that is there twice is none: two readers would read two answers.
            first.filter(|_| found.next().is_none())
        };
        let foreign =
            |why: &str| Err(Error::Misconfigured(format!("this is no answer to the login that was begun: {why}")));
        // RFC 6749 section 10.12: "The client MUST implement CSRF protection for its redirection URI."
        if said("state").as_deref() != Some(pending.state.expose()) {
            return foreign("its state is another");
        }
        let metadata = self.server.metadata().await?;
        // RFC 9207 section 2.4: "If the value does not match the expected issuer identifier, clients MUST reject the authorization
        // response and MUST NOT proceed with the authorization grant." And where the server announces it, "clients MUST reject
        // authorization responses without the iss parameter".
        match said("iss") {
            Some(issuer) if issuer != self.server.profile.issuer => return foreign("it is another server's"),
            None if metadata.authorization_response_iss_parameter_supported => return foreign("it names no server"),
            _ => {}
        }
        if let Some(error) = said("error") {
            let description = said("error_description").unwrap_or_default();
            return Err(Error::Refused(answer::shown(&error, &description)));
        }
        let Some(code) = said("code") else { return foreign("it has no code") };
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", pending.redirect_uri.clone()),
            ("code_verifier", pending.verifier.expose().to_owned()),
        ];
        self.redeem(form, pending).await
    }

    fn is_openid(&self) -> bool {
        let scope = self.server.profile.scope.as_deref();
        scope.is_some_and(|scope| scope.split(' ').any(|scope| scope == "openid"))
    }

    /// Asks the token endpoint once. A code is good once only, so nothing is repeated.
    async fn redeem(&self, mut form: Form, pending: &Pending) -> Result<LoggedIn, Error> {
        let key = pending.dpop_key.as_ref().map(DpopKey::kept).transpose()?;
        form.extend(self.server.profile.resource_parameters());
        let url = self.server.metadata().await?.token_endpoint.clone();
        let answer = self.server.send_proved(&self.server.call(url, form)?, key.as_ref()).await;
        let answer = answer.map_err(|no_answer| Error::Retry { after: PAUSE, cause: no_answer.to_string() })?;
        match answer::judge(&answer) {
            Verdict::Success(tokens) => self.logged_in(*tokens, Some(&pending.nonce), key.as_ref()).await,
            Verdict::Over(words) => Err(Error::Refused(words)),
            Verdict::Refused(words) => Err(Error::Misconfigured(words)),
            Verdict::Later { after, cause } => Err(Error::Retry { after, cause }),
        }
    }

    /// A key for the tokens to come, where they are to be bound.
    fn key(&self) -> Result<Option<DpopKey>, Error> {
        self.server.profile.is_dpop.then(DpopKey::generate).transpose()
    }

    async fn logged_in(
        &self,
        mut tokens: TokenAnswer,
        nonce: Option<&Secret>,
        key: Option<&DpopKey>,
    ) -> Result<LoggedIn, Error> {
        tokens.dpop_key = key.map(|key| key.secret().clone());
        // RFC 6749 section 5.1: scope is "OPTIONAL, if identical to the scope requested by the client".
        tokens.scope = tokens.scope.or_else(|| self.server.profile.scope.clone());
        let identity = match (&tokens.id_token, nonce) {
            (Some(id_token), Some(nonce)) if self.is_openid() => {
                let nonce = Some(nonce.expose());
                Some(id_token::verify(&self.server, id_token, nonce, &tokens.access_token).await?)
            }
            (Some(id_token), None) => Some(id_token::verify(&self.server, id_token, None, &tokens.access_token).await?),
            _ => None,
        };
        Ok(LoggedIn { tokens, identity })
    }
}
