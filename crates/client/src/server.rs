//! The authorization server as a client sees it: its metadata, its token endpoint, and how far its date is from ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::OnceCell;

use crate::answer::{self, Answer, PAUSE};
use crate::clock::Clock;
use crate::discovery::{self, Metadata};
use crate::dpop::{DpopKey, Nonces};
use crate::error::Error;
use crate::profile::Profile;
use crate::secret::Secret;
use crate::transport::{Call, Form, NoAnswer, Transport};

/// A server, and the client that speaks to it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Clock,
    pub(crate) profile: Profile,
    metadata: OnceCell<Metadata>,
    /// Its date less ours, in milliseconds, by the last answer that had one.
    skew: AtomicI64,
    /// Its nonces for proofs, and those of APIs.
    pub(crate) nonces: Nonces,
}

impl Server {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Clock, profile: Profile) -> Self {
        let metadata = OnceCell::new_with(profile.metadata.clone());
        Self { transport, clock, profile, metadata, skew: AtomicI64::new(0), nonces: Nonces::default() }
    }

    /// What the server says of itself, asked once.
    pub(crate) async fn metadata(&self) -> Result<&Metadata, Error> {
        self.metadata.get_or_try_init(|| discovery::discover(self, &self.profile.issuer)).await
    }

    /// Sends, and looks at the server's date on the way: ours may be wrong by a day, and assertions and ID tokens are judged by a date.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, NoAnswer> {
        let answer = self.transport.send(call).await?;
        if let Some(theirs) = answer.date.as_deref().and_then(answer::http_date) {
            self.skew.store(theirs.saturating_mul(1000) - self.clock.now().date, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Sends with a proof of a key. RFC 9449 section 8: an answer `use_dpop_nonce` brings the nonce that the next proof must have.
    pub(crate) async fn send_proved(&self, call: &Call, key: Option<&DpopKey>) -> Result<Answer, NoAnswer> {
        let Some(key) = key else { return self.send(call).await };
        let prove = || {
            let nonce = self.nonces.of(&call.url);
            let proof = key.proof("POST", &call.url, nonce.as_deref(), None, self.date());
            proof.map(|proof| Call { dpop: Some(proof), ..call.clone() }).map_err(|error| NoAnswer(error.to_string()))
        };
        let answer = self.send(&prove()?).await?;
        self.nonces.note(&call.url, answer.dpop_nonce.as_deref());
        if answer.dpop_nonce.is_none() || answer::error_code(&answer).as_deref() != Some("use_dpop_nonce") {
            return Ok(answer);
        }
        let answer = self.send(&prove()?).await?;
        self.nonces.note(&call.url, answer.dpop_nonce.as_deref());
        Ok(answer)
    }

    /// The server's date, in seconds, as far as it is known.
    pub(crate) fn date(&self) -> u64 {
        let millis = self.clock.now().date.saturating_add(self.skew.load(Ordering::Relaxed));
        u64::try_from(millis / 1000).unwrap_or(0)
    }

    /// A form to one of its endpoints, as the client that we are.
    pub(crate) fn call(&self, url: String, form: Form) -> Result<Call, Error> {
        let (form, authorization) = self.profile.authenticated(form, self.date())?;
        Ok(Call { url, form: Some(form), authorization, idempotency_key: None, dpop: None })
    }

    /// Gives a token back (RFC 7009 section 2.1).
    pub(crate) async fn give_back(&self, token: &Secret) -> Result<(), Error> {
        let Some(url) = self.metadata().await?.revocation_endpoint.clone() else {
            return Err(Error::Misconfigured(
                "the server takes no token back: it has no revocation_endpoint".to_owned(),
            ));
        };
        let form = vec![("token", token.expose().to_owned()), ("token_type_hint", "refresh_token".to_owned())];
        match self.send(&self.call(url, form)?).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(Error::Retry { after: PAUSE, cause: format!("status {}", answer.status) }),
            Err(no_answer) => Err(Error::Retry { after: PAUSE, cause: no_answer.to_string() }),
        }
    }
}
