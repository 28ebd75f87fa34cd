//! All clients of one moment: those of the file and those of the store, with what each layer wants to know of them.
//!
//! What this node's configuration may say of a client of the store:
//!
//! | it                                         | at the start, and where another node changed it | at a reload, for a command           |
//! |--------------------------------------------|-------------------------------------------------|--------------------------------------|
//! | does not declare a scope or a resource of it | goes without it; the log tells                 | the same; the reload tells           |
//! | does not fit it otherwise                  | switched off, all others are served; an alarm   | refused; a command can mend or remove it |
//! | has one of this name itself                | the file's is served; an alarm                  | refused; a command can remove it     |
//!
//! So nobody's slip keeps a server from starting, and no client has more than both allow.

use std::collections::{BTreeMap, HashMap, HashSet};
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
    /// What those of the store go without that fit but for that.
    pub(super) narrowed: BTreeMap<String, String>,
}

/// Those of the file, and those of the store; the same identifier in both is an error.
pub(crate) fn clients(config: &Config, added: Vec<(String, String)>) -> Result<Clients, StartError> {
    let (clients, misfits) = fitting(config, added);
    misfits.into_iter().next().map_or(Ok(clients), Err)
}

/// Those that can be served, and what is wrong with the others.
pub(crate) fn fitting(config: &Config, added: Vec<(String, String)>) -> (Clients, Vec<StartError>) {
    let (mut clients, mut misfits) = (Clients::default(), Vec::new());
    for (client, definition) in config.clients.iter().zip(&config.definitions) {
        clients.insert(client.clone(), definition, Origin::File);
    }
    for (id, text) in added {
        let definition = serde_json::from_str::<ClientDefinition>(&text).map_err(|error| error.to_string());
        let definition = definition.map(ClientDefinition::without_what_misleads);
        let misfit = match definition {
            Ok(_) if ClientId::parse(&id).is_some_and(|id| clients.by_id.contains_key(&id)) => {
                StartError::ClientTwice(id.clone())
            }
            Ok(definition) => match clients.take(config, &definition) {
                Ok(()) => continue,
                Err(problem) => StartError::Client(id.clone(), problem),
            },
            Err(problem) => StartError::Client(id.clone(), problem),
        };
        clients.misfits.insert(id, misfit.to_string());
        misfits.push(misfit);
    }
    (clients, misfits)
}

/// A switched-off client in the place of one that does not fit, if there can be one.
pub(crate) fn stand_in(config: &Config, definition: &ClientDefinition) -> Option<Client> {
    // With its secrets, if they can be read: whoever has them is told that it is switched off.
    let bare =
        ClientDefinition { scopes: Vec::new(), resources: Vec::new(), disabled: Some(true), ..definition.clone() };
    let least = ClientDefinition {
        id: definition.id.clone(),
        name: definition.name.clone(),
        token_endpoint_auth_method: Some("none".to_owned()),
        redirect_uris: vec!["http://127.0.0.1/".to_owned()],
        disabled: Some(true),
        ..ClientDefinition::default()
    };
    [bare, least].iter().find_map(|stand_in| config.resolve_added(stand_in).ok())
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

    /// Takes one of the store: as it is, without what is not declared here, or else switched off. The error is why the latter.
    fn take(&mut self, config: &Config, definition: &ClientDefinition) -> Result<(), String> {
        let problem = match config.resolve_added(definition) {
            Ok(client) => {
                self.insert(client, definition, Origin::Store);
                return Ok(());
            }
            Err(problem) => problem,
        };
        let (within, missing) = definition.within(&config.client_context());
        if let (Ok(client), false) = (config.resolve_added(&within), missing.is_empty()) {
            self.insert(client, definition, Origin::Store);
            let missing = missing.join(" ");
            let text = format!(
                "client {} of the store goes without {missing}: the configuration does not declare it",
                definition.id
            );
            self.narrowed.insert(definition.id.clone(), text);
            return Ok(());
        }
        if let Some(client) = stand_in(config, definition) {
            self.insert(client, definition, Origin::Store);
        }
        Err(problem)
    }

    /// Puts one of the store in the place of the one before it.
    pub(super) fn put(&mut self, config: &Config, id: &ClientId, definition: &ClientDefinition) {
        self.remove(id);
        if let Err(problem) = self.take(config, definition) {
            self.misfits.insert(id.as_str().to_owned(), problem);
        }
    }

    /// What is wrong with those that nobody was told of.
    pub(super) fn news(&self, before: &Self) -> Vec<String> {
        let is_new = |(id, problem): &(&String, &String)| before.misfits.get(*id) != Some(*problem);
        self.misfits.iter().filter(is_new).map(|(_, problem)| problem.clone()).collect()
    }

    /// Whether it is one of the store that does not fit, and is switched off for it.
    pub(crate) fn is_misfit(&self, id: &ClientId) -> bool {
        self.misfits.contains_key(id.as_str())
    }

    /// Forgets one that the store had.
    pub(super) fn remove(&mut self, id: &ClientId) {
        self.misfits.remove(id.as_str());
        self.narrowed.remove(id.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        [[scope]]
        name = "read"
        [[client]]
        id = "app"
        token_endpoint_auth_method = "none"
        redirect_uris = ["https://app.example/cb"]
    "#;

    fn found(stored: &[(&str, &str)]) -> (Clients, Vec<String>) {
        let config = Config::parse(CONFIG, "test.toml", std::path::Path::new(".")).expect("a configuration");
        let stored = stored.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
        let (clients, misfits) = fitting(&config, stored);
        (clients, misfits.iter().map(ToString::to_string).collect())
    }

    fn client(id: &str, more: &str) -> String {
        format!(
            r#"{{"id": "{id}", "token_endpoint_auth_method": "none", "redirect_uris": ["https://b.example/cb"]{more}}}"#
        )
    }

    #[test]
    fn what_is_not_declared_is_left_out_and_told() {
        let text = client("b", r#", "scopes": ["read", "gone"], "resources": ["https://gone.example/"]"#);
        let (clients, misfits) = found(&[("b", &text)]);
        let id = ClientId::parse("b").expect("an id");
        let narrowed = clients.get(&id).expect("it is served");
        assert_eq!((narrowed.scopes.to_string().as_str(), narrowed.disabled), ("read", false));
        assert_eq!(clients.added(&id).expect("as it is stored").scopes, ["read", "gone"]);
        assert!(clients.narrowed["b"].contains("goes without gone https://gone.example/"), "{:?}", clients.narrowed);
        assert!(misfits.is_empty() && clients.is_as_stored(&id, Some(&text)));
    }

    /// Each of them is told of, and none of them keeps the others from being served.
    #[test]
    fn what_does_not_fit_is_switched_off_or_not_there() {
        let unreadable = client("unreadable", r#", "of_a_newer_program": 1"#);
        let refused = client("refused", r#", "secret_file": "secret""#);
        let (twice, good) = (client("app", ""), client("good", ""));
        let stored = [("unreadable", unreadable.as_str()), ("refused", &refused), ("app", &twice), ("good", &good)];
        let (clients, misfits) = found(&stored);
        let is_off = |id| clients.get(&ClientId::parse(id).expect("an id")).map(|client| client.disabled);
        assert_eq!(["unreadable", "refused", "app", "good"].map(is_off), [None, Some(true), Some(false), Some(false)]);
        assert_eq!(misfits.len(), 3, "{misfits:?}");
        for id in ["unreadable", "refused", "app"] {
            let command = format!("regrant client remove {id}");
            assert!(misfits.iter().any(|misfit| misfit.contains(&command)), "{id}: {misfits:?}");
        }
        assert!(clients.is_misfit(&ClientId::parse("refused").expect("an id")));
    }
}
