//! Clients of the store as a program keeps them: read with their definition, replaced whole, each on condition of what it read.

use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};
use regrant_store::{Answer, Before, Outcome, Question, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acting::entity_tag;
use super::blacklist::RevocationView;
use super::users::MAX_ATTEMPTS;
use super::views::client_view;
use super::{Admin, AdminError, ClientView};
use crate::app::stand_in;
use crate::cascade::{self, Happened};
use crate::config::ClientDefinition;

/// A client with the definition that it was made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClientDetail {
    /// What it may do, with every default filled in.
    pub client: ClientView,
    /// As it was written, without its secrets. Sent back, it changes nothing.
    pub definition: ClientDefinition,
    /// Another one whenever anything of it is another, its secrets included.
    pub version: String,
}

/// A client that was put where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientWritten {
    /// Whether it was not there before.
    pub is_new: bool,
    /// As it is now.
    pub detail: ClientDetail,
}

/// What became of the grants of a client that was removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientRemoved {
    /// The client.
    pub id: String,
    /// Whether they have ended. Else they are unusable until a client of this name is there again (`on_client_removed`).
    pub grants_ended: bool,
    /// The number of the revocation that ended them, for `regrant revoke --undo`; `None` if nothing ended, or the store told nothing more.
    pub revocation: Option<u64>,
    /// RFC 3339: until when it can be taken back; `None` if it cannot.
    pub undo_until: Option<String>,
}

impl Admin {
    /// One client with its definition.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub fn client_detail(&self, id: &str) -> Result<ClientDetail, AdminError> {
        self.known_client(id).ok_or_else(|| not_found(id))
    }

    /// Adds a client to the store, or replaces it whole. A definition that names no secret keeps those that the client has; a
    /// client that stays confidential needs no new one.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] if the definition is, or the client is one of the file; [`AdminError::Changed`].
    pub async fn put_client(&self, definition: ClientDefinition) -> Result<ClientWritten, AdminError> {
        self.put_client_of(None, definition).await
    }

    /// The same, if the client is still of that version: of two operators who change it at once, the second reads again.
    pub(super) async fn put_client_of(
        &self,
        version: Option<&str>,
        definition: ClientDefinition,
    ) -> Result<ClientWritten, AdminError> {
        let _changing = self.app.changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let before = self.held(&definition.id).await?;
            if let Some(written) = Box::pin(self.put_over(before, version, definition.clone())).await? {
                return Ok(written);
            }
        }
        Err(is_being_changed(&definition.id))
    }

    /// `None` if another node has changed it meanwhile.
    async fn put_over(
        &self,
        before: Before<String>,
        version: Option<&str>,
        definition: ClientDefinition,
    ) -> Result<Option<ClientWritten>, AdminError> {
        let id = definition.id.clone();
        let known = self.known_client(&id);
        self.acting.check(&format!("client {id}"), known.as_ref())?;
        if version.is_some() && version != known.as_ref().map(|known| known.version.as_str()) {
            let remedy = "do it again: what the other one changed will then stay";
            return Err(AdminError::Changed(format!(
                "client {id} was changed by somebody else at the same time, and not by this\n  remedy: {remedy}"
            )));
        }
        if known.as_ref().is_some_and(|known| known.client.origin != "store") {
            return Err(AdminError::Invalid(format!(
                "client {id} is declared in the configuration file: change it there, and reload"
            )));
        }
        let definition = self.new_in_store(definition);
        let stored = self.stored_definition(&id);
        let is_there = stored.is_some();
        let definition = match stored {
            Some(stored) => with_secrets_of(definition, &stored),
            None => definition,
        };
        let client = self.app.resolve_added(&definition).or_else(|problem| {
            // Whatever it lacks here by now: it can be switched off.
            let is_off = is_there && definition.disabled == Some(true);
            stand_in(&self.app.settings().config, &definition).filter(|_| is_off).ok_or(AdminError::Invalid(problem))
        })?;
        let definition = self.sealed(definition)?;
        let text = serde_json::to_string(&definition).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let _held = self.prepare_for(&client).await?;
        let put = Record::PutClient { id: id.clone(), before, definition: text };
        let word = if known.is_some() { "replaced" } else { "added" };
        // As if the file said it: what a client loses by it is the same (`cascade.rs`).
        let had = self.app.client(&id).filter(|had| !self.app.settings().clients.is_misfit(&had.id));
        let happened = had.map(|had| cascade::of_client(&had, Some(&client))).unwrap_or_default();
        let mut entailed: Vec<Record> = happened.iter().filter_map(|happened| self.follows(happened)).collect();
        entailed.push(self.note(format!("client {id} {word}")));
        let done = self.commit(put.entailing(entailed)).await?;
        if done.outcomes.first() != Some(&Outcome::Committed) {
            return Ok(None);
        }
        let detail = detail(client_view(&client, false, definition.tell_reason == Some(true)), &definition);
        self.app.put_client(&client.id, &definition);
        done.ended.map(|()| Some(ClientWritten { is_new: known.is_none(), detail }))
    }

    /// What the store has under this identifier at this moment. What another node has changed is taken over first: judged is what will
    /// be replaced.
    pub(super) async fn held(&self, id: &str) -> Result<Before<String>, AdminError> {
        let Answer::Clients(found) = self.app.engine.ask(Question::Client(id.to_owned())).await? else {
            return Ok(Before::Nothing);
        };
        let text = found.into_iter().next().map(|(_, text)| text);
        let is_known =
            ClientId::parse(id).is_none_or(|id| self.app.settings().clients.is_as_stored(&id, text.as_deref()));
        if !is_known {
            Box::pin(self.app.take_over_clients()).await.map_err(|error| AdminError::Config(error.to_string()))?;
        }
        Ok(text.into())
    }

    /// The definition as it is when a client comes into the store: what only the server writes is its own.
    pub(super) fn new_in_store(&self, definition: ClientDefinition) -> ClientDefinition {
        let added_at = Some(self.app.engine.now().millis());
        ClientDefinition { registration: None, sealed_secret: None, added_at, ..definition }
    }

    /// The definition as it is stored: a secret that has to be known is wrapped under the root key.
    pub(super) fn sealed(&self, definition: ClientDefinition) -> Result<ClientDefinition, AdminError> {
        let Some((secret, id)) = definition.shared_secret.as_ref().zip(ClientId::parse(&definition.id)) else {
            return Ok(definition);
        };
        let sealed = self.app.secret_wrap.seal(&id, secret.expose());
        let sealed = sealed.ok_or_else(|| AdminError::Invalid("the secret could not be wrapped".to_owned()))?;
        Ok(ClientDefinition { shared_secret: None, sealed_secret: Some(sealed), ..definition })
    }

    /// The client as a reader is shown it, in the file or the store.
    pub(super) fn known_client(&self, id: &str) -> Option<ClientDetail> {
        let view = self.client(id)?;
        let settings = self.app.settings();
        let declared = settings.config.definitions.iter().find(|declared| declared.id == id).cloned();
        let definition = self.stored_definition(id).or(declared)?;
        Some(detail(view, &definition))
    }

    /// The identifier of a client that the store has, also of one that does not fit the configuration.
    pub(super) async fn stored(&self, id: &str) -> Result<Option<ClientId>, AdminError> {
        let Answer::Clients(stored) = self.app.engine.ask(Question::Client(id.to_owned())).await? else {
            return Ok(None);
        };
        Ok(ClientId::parse(id).filter(|_| !stored.is_empty()))
    }

    fn stored_definition(&self, id: &str) -> Option<ClientDefinition> {
        let (settings, id) = (self.app.settings(), ClientId::parse(id)?);
        settings.clients.iter().find(|(client, _)| client.id == id).and_then(|(_, added)| added.cloned())
    }
}

pub(super) fn is_being_changed(id: &str) -> AdminError {
    AdminError::Changed(format!("client {id} is being changed by somebody else; try again"))
}

pub(super) fn not_found(id: &str) -> AdminError {
    AdminError::NotFound(format!("there is no client {id}"))
}

fn detail(client: ClientView, definition: &ClientDefinition) -> ClientDetail {
    let version = entity_tag(definition);
    let shown = ClientDefinition {
        secret_hash: None,
        secret_file: None,
        previous_secret_hash: None,
        previous_secret_file: None,
        previous_secret_expires_at: None,
        shared_secret: None,
        sealed_secret: None,
        added_at: None,
        registration: None,
        ..definition.clone()
    };
    ClientDetail { client, definition: shown, version }
}

/// The new definition with the secrets of the old one, where it has none of its own and could have.
fn with_secrets_of(new: ClientDefinition, old: &ClientDefinition) -> ClientDefinition {
    let mut registration = old.registration.clone();
    if let Some(registration) = registration.as_mut().filter(|_| new.scopes != old.scopes) {
        registration.scopes = Some(new.scopes.clone());
    }
    let new = ClientDefinition { registration, added_at: old.added_at, ..new };
    let names_one = new.secret_hash.is_some() || new.previous_secret_hash.is_some() || new.secret_file.is_some();
    match new.token_endpoint_auth_method.as_deref() {
        Some("none" | "private_key_jwt") => return new,
        Some("client_secret_jwt") => {
            let sealed_secret = old.sealed_secret.clone().filter(|_| new.shared_secret.is_none());
            return ClientDefinition { sealed_secret, ..new };
        }
        Some(_) | None if names_one => return new,
        Some(_) | None => {}
    }
    ClientDefinition {
        secret_hash: old.secret_hash.clone(),
        previous_secret_hash: old.previous_secret_hash.clone(),
        previous_secret_expires_at: old.previous_secret_expires_at.clone(),
        ..new
    }
}

impl Admin {
    /// Removes a client from the store. Its grants end, or by `on_client_removed` are unusable until it returns.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if it is not in the store.
    pub async fn remove_client(&self, id: &str) -> Result<ClientRemoved, AdminError> {
        let _changing = self.app.changing.lock().await;
        let view = self.known_client(id);
        self.acting.check(&format!("client {id}"), view.as_ref())?;
        let Some(known) = self.stored(id).await? else {
            let declared = format!("client {id} is declared in the configuration file: remove it there");
            return Err(view.map_or_else(|| not_found(id), |_| AdminError::Invalid(declared)));
        };
        let began = self.app.engine.now();
        // The file's own, where both have it, stays.
        let is_the_one = view.is_none_or(|view| view.client.origin == "store");
        let follows = is_the_one.then(|| self.follows(&Happened::ClientRemoved(known.clone()))).flatten();
        let grants_ended = follows.is_some();
        let entailed = follows.into_iter().chain([self.note(format!("client {id} removed"))]);
        let done = self.commit(Record::RemoveClient { id: id.to_owned() }.entailing(entailed)).await?;
        self.app.drop_client(&known);
        done.ended?;
        // It is removed by now, whatever becomes of this question.
        let revocation = if grants_ended { self.revocation_of_removed(&known, began).await } else { None };
        let (revocation, undo_until) = revocation.map(|found| (found.id, found.undo_until)).unzip();
        Ok(ClientRemoved { id: id.to_owned(), grants_ended, revocation, undo_until: undo_until.flatten() })
    }

    /// The store gave it its number. An earlier client of that name may have been removed as well.
    async fn revocation_of_removed(&self, client: &ClientId, began: Timestamp) -> Option<RevocationView> {
        let selector = Selector { client: Some(client.clone()), ..Selector::default() };
        let is_it =
            |epoch: &Epoch| epoch.reason == EndReason::ClientRemoved && epoch.selector == selector && epoch.at >= began;
        self.newest_revocation(is_it).await.ok().flatten()
    }
}
