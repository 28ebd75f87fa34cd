//! All clients of one moment: those of the file and those of the store, with what each layer wants to know of them.
//!
//! | a client of the store that this node's configuration does not fit, or that its file has too | is                                       |
//! |-----------------------------------------------|----------------------------------------------------------------------------------------|
//! | when the server starts or reloads             | an error: nothing is served, or everything as before                                   |
//! | when another node has changed clients         | not there; if it was, it is switched off. All the others are followed                   |
//! | when a command opens the store                | not there, and can be removed                                                           |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regrant_core::{Client, ClientId};

use super::StartError;
use crate::claims::ClientClaims;
use crate::config::{ClientDefinition, Config};
use crate::profile::Profile;

/// All clients of one moment.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    pub(super) by_id: HashMap<ClientId, Arc<Client>>,
    pub(super) claims: HashMap<ClientId, Arc<ClientClaims>>,
    pub(super) profiles: HashMap<ClientId, Arc<Profile>>,
    pub(super) added: HashMap<ClientId, ClientDefinition>,
    /// Those whose error answers carry the reason.
    pub(super) told: HashSet<ClientId>,
    /// What is wrong with those of the store that do not fit.
    pub(super) misfits: HashMap<String, String>,
}

/// Those of the file, and those of the store; the same identifier in both is an error.
pub(crate) fn clients(config: &Config, added: Vec<(String, String)>) -> Result<Clients, StartError> {
    let (clients, misfits) = fitting(config, added);
    misfits.into_iter().next().map_or(Ok(clients), Err)
}

/// Those that fit, and what is wrong with the others.
pub(super) fn fitting(config: &Config, added: Vec<(String, String)>) -> (Clients, Vec<StartError>) {
    let (mut clients, mut misfits) = (Clients::default(), Vec::new());
    for (client, definition) in config.clients.iter().zip(&config.definitions) {
        clients.insert(client.clone(), definition, Origin::File);
    }
    for (id, text) in added {
        let definition = serde_json::from_str::<ClientDefinition>(&text).map_err(|error| error.to_string());
        let definition = definition.map(ClientDefinition::without_what_misleads);
        let resolved = definition.and_then(|definition| Ok((config.resolve_added(&definition)?, definition)));
        let misfit = match resolved {
            Ok((client, _)) if clients.by_id.contains_key(&client.id) => StartError::ClientTwice(id.clone()),
            Ok((client, definition)) => {
                clients.insert(client, &definition, Origin::Store);
                continue;
            }
            Err(problem) => StartError::Client(id.clone(), problem),
        };
        clients.misfits.insert(id, misfit.to_string());
        misfits.push(misfit);
    }
    (clients, misfits)
}

/// Where a client is defined.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    File,
    Store,
}

impl Clients {
    /// The client of this identifier.
    #[must_use]
    pub fn get(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.by_id.get(id).cloned()
    }

    /// What access tokens of this client carry.
    #[must_use]
    pub fn claims(&self, id: &ClientId) -> Option<Arc<ClientClaims>> {
        self.claims.get(id).cloned()
    }

    /// What of this client only the edge needs.
    #[must_use]
    pub fn profile(&self, id: &ClientId) -> Option<Arc<Profile>> {
        self.profiles.get(id).cloned()
    }

    /// The definition of a client of the store.
    #[must_use]
    pub fn added(&self, id: &ClientId) -> Option<&ClientDefinition> {
        self.added.get(id)
    }

    /// Whether this is what the store says of it.
    pub(crate) fn is_as_stored(&self, id: &ClientId, text: Option<&str>) -> bool {
        let stored = text.and_then(|text| serde_json::from_str(text).ok()).map(ClientDefinition::without_what_misleads);
        stored.is_some() == text.is_some() && stored.as_ref() == self.added(id)
    }

    /// How many registered themselves.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.profiles.values().filter(|profile| profile.registration.is_some()).count()
    }

    /// Keeps those that no longer fit and were there before, switched off: whoever has their tokens is told so. Returns what is wrong with
    /// those that nobody was told of.
    pub(super) fn switch_off(&mut self, before: &Self) -> Vec<String> {
        let gone = self.misfits.keys().filter_map(|id| ClientId::parse(id)).filter(|id| !self.by_id.contains_key(id));
        let gone: Vec<ClientId> = gone.collect();
        for id in &gone {
            if let Some((client, definition)) = before.by_id.get(id).zip(before.added.get(id)) {
                let client = Client { disabled: true, ..Client::clone(client) };
                let definition = ClientDefinition { disabled: Some(true), ..definition.clone() };
                self.insert(client, &definition, Origin::Store);
            }
        }
        let is_new = |(id, problem): &(&String, &String)| before.misfits.get(*id) != Some(*problem);
        self.misfits.iter().filter(is_new).map(|(_, problem)| problem.clone()).collect()
    }

    /// Forgets one that the store had.
    pub(super) fn remove(&mut self, id: &ClientId) {
        self.misfits.remove(id.as_str());
        if self.added.remove(id).is_some() {
            self.by_id.remove(id);
            self.claims.remove(id);
            self.profiles.remove(id);
            self.told.remove(id);
        }
    }

    pub(super) fn insert(&mut self, client: Client, definition: &ClientDefinition, origin: Origin) {
        // A definition that resolves has claims that do.
        if let Ok(claims) = definition.claims() {
            self.claims.insert(client.id.clone(), Arc::new(claims));
        }
        self.profiles.insert(client.id.clone(), Arc::new(Profile::of(definition)));
        if definition.tell_reason == Some(true) {
            self.told.insert(client.id.clone());
        } else {
            self.told.remove(&client.id);
        }
        if let Origin::Store = origin {
            self.added.insert(client.id.clone(), definition.clone());
        }
        self.by_id.insert(client.id.clone(), Arc::new(client));
    }

    /// Whether error answers to this client carry the reason.
    #[must_use]
    pub fn is_told(&self, id: &ClientId) -> bool {
        self.told.contains(id)
    }

    /// All of them, with whether each was declared in the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Client>, Option<&ClientDefinition>)> {
        self.by_id.values().map(|client| (client, self.added.get(&client.id)))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Client> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// Whether any client lists this origin.
    #[must_use]
    pub fn any_allows(&self, origin: &str) -> bool {
        self.by_id.values().any(|client| client.allowed_origins.iter().any(|known| known == origin))
    }
}
