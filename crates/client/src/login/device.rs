//! A device without a browser: RFC 8628 as its client. The user enters a short code on another device; we ask until he has.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{LoggedIn, Login};
use crate::answer::{self, PAUSE, Verdict};
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::secret::Secret;

/// RFC 8628 section 3.4.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The longest time that a code is waited for, whatever the server says.
const LONGEST: u64 = 3600;

/// What to show to the user.
#[derive(Clone, Debug)]
pub struct Device {
    login: Login,
    /// What he enters.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// Where without entering anything: for a QR code.
    pub verification_uri_complete: Option<String>,
    /// How long the code is good.
    pub expires_in: Duration,
    code: Secret,
    key: Option<Arc<DpopKey>>,
    interval: Duration,
}

/// RFC 8628 section 3.2.
#[derive(Deserialize)]
struct Answered {
    device_code: Secret,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    // "If no value is provided, clients MUST use 5 as the default."
    #[serde(default = "five")]
    interval: u64,
}

const fn five() -> u64 {
    5
}

impl Login {
    /// Asks for a code that a user can enter on another device. Show it, then [`Device::wait`].
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the server has no such endpoint or refuses the client; [`Error::Retry`] if it cannot be reached.
    pub async fn device(&self) -> Result<Device, Error> {
        let server = &self.server;
        let Some(url) = server.metadata().await?.device_authorization_endpoint.clone() else {
            return Err(Error::Misconfigured("the server has no device_authorization_endpoint".to_owned()));
        };
        let scope = server.profile.scope.clone().map(|scope| ("scope", scope));
        let form = scope.into_iter().chain(server.profile.resource_parameters()).collect();
        let answer = server.send(&server.call(url, form)?).await;
        let answer = answer.map_err(|no_answer| Error::Retry { after: PAUSE, cause: no_answer.to_string() })?;
        let told = serde_json::from_slice::<Answered>(&answer.body).ok().filter(|_| answer.status == 200);
        let Some(told) = told else {
            return Err(match answer::judge(&answer) {
                Verdict::Over(words) | Verdict::Refused(words) => Error::Misconfigured(words),
                Verdict::Later { after, cause } => Error::Retry { after, cause },
                Verdict::Success(_) => Error::Misconfigured("the server answers tokens for a device code".to_owned()),
            });
        };
        Ok(Device {
            login: self.clone(),
            user_code: told.user_code,
            verification_uri: told.verification_uri,
            verification_uri_complete: told.verification_uri_complete,
            expires_in: Duration::from_secs(told.expires_in.min(LONGEST)),
            code: told.device_code,
            key: self.key()?.map(Arc::new),
            interval: Duration::from_secs(told.interval.clamp(1, 60)),
        })
    }
}

impl Device {
    /// Waits until the user has answered, at the pace that the server asks for.
    ///
    /// # Errors
    /// [`Error::Refused`] if he said no or the code is over; [`Error::Misconfigured`] if the server refuses the client.
    pub async fn wait(mut self) -> Result<LoggedIn, Error> {
        let mut waited = Duration::ZERO;
        loop {
            tokio::time::sleep(self.interval).await;
            waited += self.interval;
            if let Some(done) = self.ask().await? {
                return Ok(done);
            }
            if waited >= self.expires_in {
                return Err(Error::Refused("nobody has answered while the code was good".to_owned()));
            }
        }
    }

    /// Asks once: `None` if the user has not answered yet. The pace of the next question may have changed: [`Device::interval`].
    ///
    /// # Errors
    /// As [`Device::wait`].
    pub async fn ask(&mut self) -> Result<Option<LoggedIn>, Error> {
        let server = &self.login.server;
        let url = server.metadata().await?.token_endpoint.clone();
        let form = vec![("grant_type", GRANT_TYPE.to_owned()), ("device_code", self.code.expose().to_owned())];
        let Ok(answer) = server.send_proved(&server.call(url, form)?, self.key.as_deref()).await else {
            // RFC 8628 section 3.5: "On encountering a connection timeout, clients MUST unilaterally reduce their polling frequency
            // before retrying."
            self.interval = (self.interval * 2).min(Duration::from_secs(60));
            return Ok(None);
        };
        match answer::error_code(&answer).as_deref() {
            Some("authorization_pending") => return Ok(None),
            // The same: "the interval MUST be increased by 5 seconds for this and all subsequent requests."
            Some("slow_down") => {
                self.interval += Duration::from_secs(5);
                return Ok(None);
            }
            Some("access_denied") => return Err(Error::Refused("the user said no".to_owned())),
            Some("expired_token") => {
                return Err(Error::Refused("nobody has answered while the code was good".to_owned()));
            }
            _ => {}
        }
        match answer::judge(&answer) {
            Verdict::Success(tokens) => self.login.logged_in(*tokens, None, self.key.as_deref()).await.map(Some),
            Verdict::Over(words) => Err(Error::Refused(words)),
            Verdict::Refused(words) => Err(Error::Misconfigured(words)),
            Verdict::Later { .. } => Ok(None),
        }
    }

    /// How long to wait before the next question.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }
}
