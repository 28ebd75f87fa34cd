//! Two live secrets while one is replaced (OAuth 2.1 leaves it to the server; RFC 7591 section 3.2.1 knows only
//! `client_secret_expires_at`): the new one works at once, the old one until the overlap ends.

use std::time::Duration;

use regrant_core::ClientId;
use regrant_core::client::AuthMethod;
use regrant_store::{Before, Outcome, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clients::is_being_changed;
use super::users::MAX_ATTEMPTS;
use super::{Admin, AdminError, rfc3339};
use crate::cascade::Happened;
use crate::config::duration;

/// The longest time for which the secret before this one works.
const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 86_400);

/// What became of a client's secrets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SecretReplaced {
    /// The client.
    pub client: String,
    /// RFC 3339: until when the secret before this one works; `None` if it is dead already.
    pub previous_works_until: Option<String>,
    /// Whether a still older secret, which was to work longer, is dead from now on.
    pub dropped_an_older_one: bool,
}

impl Admin {
    /// Gives a client of the store another secret, of which this is the hash (`sha256:` and 64 digits). The one before works on
    /// for the overlap; one before that is dead at once.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::Invalid`] for a client of the file or without a secret.
    pub async fn rotate_client_secret(
        &self,
        id: &str,
        secret_hash: &str,
        overlap: Duration,
    ) -> Result<SecretReplaced, AdminError> {
        if overlap > LONGEST_OVERLAP {
            let longest = duration::write(LONGEST_OVERLAP);
            return Err(AdminError::Invalid(format!("the overlap may be at most {longest}")));
        }
        let _changing = self.app.changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let before = self.held(id).await?;
            if let Some(replaced) = self.secret_over(before, (id, secret_hash), overlap).await? {
                return Ok(replaced);
            }
        }
        Err(is_being_changed(id))
    }

    /// `None` if another node has changed the client meanwhile.
    async fn secret_over(
        &self,
        before: Before<String>,
        (id, secret_hash): (&str, &str),
        overlap: Duration,
    ) -> Result<Option<SecretReplaced>, AdminError> {
        let settings = self.app.settings();
        let missing = || AdminError::NotFound(format!("there is no client {id}"));
        let known = ClientId::parse(id).ok_or_else(missing)?;
        let (client, definition) =
            settings.clients.iter().find(|(client, _)| client.id == known).ok_or_else(missing)?;
        self.acting.check(&format!("client {id}"), self.known_client(id).as_ref())?;
        let definition = definition.ok_or_else(|| {
            AdminError::Invalid(format!(
                "client {id} is declared in the configuration file: move its secret there to previous_secret_hash (or \
                 previous_secret_file) with previous_secret_expires_at, write the new one as secret_hash, and reload"
            ))
        })?;
        match client.auth {
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {}
            AuthMethod::None => return Err(AdminError::Invalid(format!("client {id} is public: it has no secret"))),
            AuthMethod::PrivateKeyJwt => {
                return Err(AdminError::Invalid(format!("client {id} has keys and no secret: it rotates them itself")));
            }
            AuthMethod::ClientSecretJwt => {
                return Err(AdminError::Invalid(format!(
                    "client {id} is of client_secret_jwt, which has one secret at a time: replace the client with its new secret"
                )));
            }
        }
        let now = self.app.engine.now();
        let dropped_an_older_one =
            client.secrets.iter().any(|secret| secret.expires_at.is_some() && secret.is_live(now));
        let previous_works_until = (!overlap.is_zero()).then(|| rfc3339(now.plus(overlap)));
        let mut changed = definition.clone();
        changed.previous_secret_hash = changed.secret_hash.take().filter(|_| previous_works_until.is_some());
        changed.previous_secret_expires_at.clone_from(&previous_works_until);
        changed.secret_hash = Some(secret_hash.to_owned());
        // A client that goes without what is no longer declared can have its secret replaced all the same.
        let (served, _) = changed.within(&settings.config.client_context());
        self.app.resolve_added(&served).map_err(AdminError::Invalid)?;
        let text = serde_json::to_string(&changed).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let put = Record::PutClient { id: id.to_owned(), before, definition: text };
        let until = previous_works_until.as_deref().unwrap_or("now");
        let note = self.note(format!("client {id} has a new secret; the one before works until {until}"));
        let follows = self.follows(&Happened::ClientSecretRotated(client.id.clone()));
        let done = self.commit(put.entailing([note].into_iter().chain(follows))).await?;
        if done.outcomes.first() != Some(&Outcome::Committed) {
            return Ok(None);
        }
        self.app.put_client(&client.id, &changed);
        done.ended?;
        Ok(Some(SecretReplaced { client: id.to_owned(), previous_works_until, dropped_an_older_one }))
    }
}
