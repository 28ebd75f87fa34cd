//! Clients that register themselves, and the tokens with which operators let them: what is done to the store for both.

use std::sync::Arc;
use std::time::Duration;

use regrant_core::decision::Event;
use regrant_core::one_time::{Kind, registration_token};
use regrant_core::secret::Hash;
use regrant_core::{Client, ClientId, EventKind};
use regrant_store::{Answer, EventRecord, Outcome, Question, Record, RegistrationToken};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, rfc3339};
use crate::answer::{BearerFailure, Failure};
use crate::cascade::{self, Happened};
use crate::chance;
use crate::config::ClientDefinition;
use crate::registration::refused;
use crate::to_the_end::to_the_end;

/// The longest life of a token, and the most uses.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);
const MOST_USES: u32 = 1_000_000;
/// The most tokens there may be.
const MOST_TOKENS: usize = 1000;
const MAX_LABEL: usize = 200;

/// A client with what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) client: Arc<Client>,
    pub(crate) definition: ClientDefinition,
}

/// An initial access token as it is shown: the token itself is told once, when it is made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationTokenView {
    /// For commands: what the hash of the token begins with.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// How many clients can still be registered with it.
    pub uses: u32,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// The token, in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

fn view(token: &RegistrationToken) -> RegistrationTokenView {
    RegistrationTokenView {
        id: short(&token.hash),
        label: token.label.clone(),
        uses: token.uses,
        created_at: rfc3339(token.created_at),
        expires_at: rfc3339(token.expires_at),
        token: None,
    }
}

fn short(hash: &[u8; 32]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Admin {
    /// Makes an initial access token for so many registrations within so long.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a number, time or label out of its limits.
    pub async fn new_registration_token(
        &self,
        label: &str,
        uses: u32,
        lifetime: Duration,
    ) -> Result<RegistrationTokenView, AdminError> {
        let invalid = |what: &str| Err(AdminError::Invalid(what.to_owned()));
        if !(1..=MOST_USES).contains(&uses) {
            return invalid("a token is for 1 to 1000000 registrations");
        }
        if lifetime.is_zero() || lifetime > LONGEST {
            return invalid("a token lives for 1s to 3650d");
        }
        if label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
            return invalid("a label has at most 200 characters, none of them a control character");
        }
        if self.tokens(None).await?.len() >= MOST_TOKENS {
            return invalid("there are 1000 tokens: remove some");
        }
        let token = registration_token(Kind::InitialAccess, chance::bytes());
        let now = self.app.engine.now();
        let made = RegistrationToken {
            hash: Hash::of(token.as_bytes()).0,
            label: label.to_owned(),
            uses,
            created_at: now,
            expires_at: now.plus(lifetime),
        };
        let note = self.note(format!("registration token {} made for {uses} clients", short(&made.hash)));
        self.app.engine.commit(vec![Record::PutRegistrationToken(made.clone()), note]).await?;
        Ok(RegistrationTokenView { token: Some(token.to_string()), ..view(&made) })
    }

    /// The tokens that are there, used up and expired ones too until the sweep.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn registration_tokens(&self) -> Result<Vec<RegistrationTokenView>, AdminError> {
        Ok(self.tokens(None).await?.iter().map(view).collect())
    }

    /// Removes a token: nobody registers with it any more.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn remove_registration_token(&self, id: &str) -> Result<(), AdminError> {
        let found = self.tokens(None).await?.into_iter().find(|token| short(&token.hash) == id);
        let found = found.ok_or_else(|| AdminError::NotFound(format!("there is no registration token {id}")))?;
        let note = self.note(format!("registration token {id} removed"));
        self.app.engine.commit(Record::RemoveRegistrationToken { hash: found.hash }.entailing([note])).await?;
        Ok(())
    }

    async fn tokens(&self, hash: Option<[u8; 32]>) -> Result<Vec<RegistrationToken>, regrant_store::Unavailable> {
        let answer = self.app.engine.ask(Question::RegistrationTokens(hash)).await?;
        Ok(if let Answer::RegistrationTokens(found) = answer { found } else { Vec::new() })
    }

    /// Whether somebody may register with this token now: asked before anything is read of what he sends.
    pub(crate) async fn is_good_registration_token(&self, hash: &Hash) -> Result<bool, Failure> {
        let now = self.app.engine.now();
        Ok(self.tokens(Some(hash.0)).await?.iter().any(|token| token.is_good(now)))
    }

    /// Adds a client that registers itself, with a use of its token.
    pub(crate) async fn register(
        &self,
        definition: ClientDefinition,
        token: Option<[u8; 32]>,
    ) -> Result<Registered, Failure> {
        let admin = self.clone();
        whole(async move { admin.add_registered(definition, token).await }).await
    }

    async fn add_registered(
        &self,
        definition: ClientDefinition,
        token: Option<[u8; 32]>,
    ) -> Result<Registered, Failure> {
        let _changing = self.app.changing.lock().await;
        let settings = self.app.settings();
        if settings.clients.registered() >= settings.config.registration.most as usize {
            tracing::warn!(
                "a registration was refused: there are as many registered clients as [registration] most allows"
            );
            return Err(Failure::RegistrationFull);
        }
        let (client, definition) = self.judged(definition)?;
        let _held = self.prepare_for(&client).await.map_err(failure)?;
        let text = serde_json::to_string(&definition).map_err(|_| Failure::RegistrationFull)?;
        let id = client.id.clone();
        let put = Record::RegisterClient { id: id.as_str().to_owned(), definition: text, token };
        let outcomes = self.app.engine.commit(vec![put]).await?;
        if outcomes.first() != Some(&Outcome::Committed) {
            // The id is fresh chance: it was the token's last use that somebody else took.
            return Err(Failure::Bearer(BearerFailure::InvalidToken));
        }
        // It is done, whether or not it can be told.
        if let Err(trouble) = self.app.engine.commit(vec![self.told(&id, "registered itself")]).await {
            tracing::error!(%trouble, client = %id, "a registration could not be noted as an event");
        }
        self.app.put_client(&client.id, &definition);
        Ok(Registered { client: Arc::new(client), definition })
    }

    /// Replaces what a client has registered, if nobody did meanwhile. That its new token has come is told in no event.
    pub(crate) async fn replace_registered(
        &self,
        before: &ClientDefinition,
        definition: ClientDefinition,
        what: Option<&'static str>,
    ) -> Result<Registered, Failure> {
        let (admin, before) = (self.clone(), before.clone());
        whole(async move { admin.change_registered(&before, definition, what).await }).await
    }

    async fn change_registered(
        &self,
        before: &ClientDefinition,
        definition: ClientDefinition,
        what: Option<&'static str>,
    ) -> Result<Registered, Failure> {
        let _changing = self.app.changing.lock().await;
        let (client, definition) = self.judged(definition)?;
        let held = self.held(&before.id).await.map_err(failure)?;
        let settings = self.app.settings();
        let known = settings.clients.get(&client.id);
        let (Some(known), true) = (known, settings.clients.added(&client.id) == Some(before)) else {
            return Err(Failure::Busy);
        };
        let _held = self.prepare_for(&client).await.map_err(failure)?;
        let text = serde_json::to_string(&definition).map_err(|_| Failure::RegistrationFull)?;
        let put = Record::PutClient { id: before.id.clone(), before: held, definition: text };
        let happened = cascade::of_client(&known, Some(&client));
        let mut entailed: Vec<Record> = happened.iter().filter_map(|happened| self.follows(happened)).collect();
        entailed.extend(what.map(|what| self.told(&client.id, what)));
        let done = self.commit(put.entailing(entailed)).await.map_err(failure)?;
        if done.outcomes.first() != Some(&Outcome::Committed) {
            return Err(Failure::Busy);
        }
        self.app.put_client(&client.id, &definition);
        done.ended.map_err(failure)?;
        Ok(Registered { client: Arc::new(client), definition })
    }

    /// Removes a client that registered itself, at its own wish.
    pub(crate) async fn unregister(&self, definition: &ClientDefinition) -> Result<(), Failure> {
        self.forget(definition, "removed itself").await
    }

    /// Removes it, if it still is what was judged, and ends what it has.
    pub(crate) async fn forget(&self, definition: &ClientDefinition, why: &'static str) -> Result<(), Failure> {
        let (admin, definition) = (self.clone(), definition.clone());
        whole(async move { admin.drop_registered(&definition, why).await }).await
    }

    async fn drop_registered(&self, definition: &ClientDefinition, why: &'static str) -> Result<(), Failure> {
        let _changing = self.app.changing.lock().await;
        let settings = self.app.settings();
        let Some(id) = ClientId::parse(&definition.id).filter(|id| settings.clients.added(id) == Some(definition))
        else {
            return Err(Failure::Busy);
        };
        let follows = self.follows(&Happened::ClientRemoved(id.clone()));
        let removed = Record::RemoveClient { id: definition.id.clone() };
        let done =
            self.commit(removed.entailing(follows.into_iter().chain([self.told(&id, why)]))).await.map_err(failure)?;
        self.app.drop_client(&id);
        done.ended.map_err(failure)
    }

    /// The client that this describes, and the definition as it is stored: no secret is in it.
    fn judged(&self, definition: ClientDefinition) -> Result<(Client, ClientDefinition), Failure> {
        let settings = self.app.settings();
        let resolved = definition.resolve(&settings.config.client_context());
        let (client, _) = resolved.map_err(|problems| refused(&problems))?;
        let definition = self.sealed(definition).map_err(failure)?;
        Ok((client, definition))
    }

    fn told(&self, id: &ClientId, what: &str) -> Record {
        let at = self.app.engine.now();
        let detail = format!("client {id} {what}");
        let event = Event { kind: EventKind::Admin, grant: None, client: Some(id.clone()), subject: None, detail };
        Record::Event(EventRecord { at, event, correlation: String::new() })
    }
}

/// Does all of it: what is durable has its effect in memory, too.
fn whole<T: Send + 'static>(
    done: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> impl Future<Output = Result<T, Failure>> {
    let done = to_the_end(done);
    async { done.await.unwrap_or(Err(Failure::Busy)) }
}

fn failure(error: AdminError) -> Failure {
    match error {
        AdminError::Unavailable(trouble) => Failure::Unavailable(trouble),
        error => {
            tracing::error!(%error, "a registration could not be kept");
            Failure::Busy
        }
    }
}
