//! All clients of one moment: those of the file and those of the store, with what each layer wants to know of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regrant_core::{Client, ClientId};

use crate::claims::ClientClaims;
use crate::config::ClientDefinition;
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

    /// How many registered themselves.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.profiles.values().filter(|profile| profile.registration.is_some()).count()
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
