//! The running server: everything that a request needs, opened once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::hmac;
use regrant_core::keys::Purpose;
use regrant_core::{Client, ClientId, Resources, Scope};
use regrant_jose::{SigningKey, VerifyingKey};
use regrant_store::{Answer, Memory, OpenError, Question, Sqlite, SqliteOptions, Store, Unavailable};

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{ClientDefinition, Config, StoreLocation};
use crate::engine::Engine;
use crate::issuer::Issuer;
use crate::keyring::{self, Keyring, KeyringError};
use crate::passwords::Passwords;

/// The running server.
pub struct App {
    /// The one writer.
    pub engine: Engine,
    pub(crate) issuer: Issuer,
    pub(crate) passwords: Passwords,
    pub(crate) keyring: Mutex<Keyring>,
    pub(crate) session_key: hmac::Key,
    pub(crate) csrf_key: hmac::Key,
    signing: RwLock<Arc<Signing>>,
    settings: RwLock<Arc<Settings>>,
    leaves: AtomicBool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a reload replaces, whole: a request takes it once and sees one configuration from beginning to end.
#[derive(Debug)]
pub struct Settings {
    /// The configuration.
    pub config: Arc<Config>,
    /// The clients of the file and of the store.
    pub clients: Clients,
}

impl Settings {
    /// What of a scope means something to these resources: scopes that another resource owns are left out (RFC 8707
    /// section 2.2, RFC 9068 section 3).
    #[must_use]
    pub fn scope_at(&self, scope: &Scope, resources: &Resources) -> Scope {
        if resources.is_empty() {
            return scope.clone();
        }
        scope.filtered(|token| {
            let mut owners = self.config.resources.iter().filter(|resource| resource.scopes.contains(token)).peekable();
            owners.peek().is_none() || owners.any(|owner| resources.contains(&owner.uri))
        })
    }
}

/// What signs and verifies access tokens, parsed once.
pub struct Signing {
    /// Signs.
    pub key: SigningKey,
    /// Verify.
    pub verifying: Vec<VerifyingKey>,
    /// Published at `/oauth2/jwks`.
    pub published: regrant_jose::JwkSet,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("kid", &self.key.kid()).finish_non_exhaustive()
    }
}

/// All clients of one moment.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: HashMap<ClientId, Arc<Client>>,
    added: HashMap<ClientId, ClientDefinition>,
}

impl Clients {
    /// The client of this identifier.
    #[must_use]
    pub fn get(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.by_id.get(id).cloned()
    }

    /// All of them, with whether each was declared in the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Client>, Option<&ClientDefinition>)> {
        self.by_id.values().map(|client| (client, self.added.get(&client.id)))
    }

    /// Whether any client lists this origin.
    #[must_use]
    pub fn any_allows(&self, origin: &str) -> bool {
        self.by_id.values().any(|client| client.allowed_origins.iter().any(|known| known == origin))
    }
}

/// Why the server cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The keys cannot be opened.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// A client of the store is no longer valid under this configuration.
    #[error(
        "client {0} of the store does not fit the configuration: {1}\n  remedy: declare what it needs ([[scope]], [[resource]]), or remove it with `regrant client remove {0}`"
    )]
    Client(String, String),
    /// The same client in the file and in the store.
    #[error(
        "client {0} is declared in the configuration file and was also added to the store\n  remedy: remove one of them (`regrant client remove {0}` removes the one in the store)"
    )]
    ClientTwice(String),
    /// The store failed while it was read.
    #[error("the store failed at start: {0}")]
    Unavailable(#[from] Unavailable),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// For the process: 75 if the store is in use, 78 if the configuration does not fit, else 69.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Store(OpenError::InUse { .. }) => 75,
            Self::Keys(_) | Self::Client(..) | Self::ClientTwice(_) => 78,
            Self::Store(_) | Self::Unavailable(_) | Self::Thread(_) => 69,
        }
    }
}

impl App {
    /// Opens the store and the keys that the configuration names, and starts the writer.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed that was there before.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        let root = keyring::read_root_key(&config.root_key_file)?;
        let store: Box<dyn Store> = match &config.store {
            StoreLocation::Sqlite(path) => Box::new(Sqlite::open(path, &SqliteOptions::default())?),
            StoreLocation::Memory => Box::new(Memory::new()),
        };
        Self::open_with(config, store, root, clock)
    }

    /// The same on a store and a root key that are already there.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_with(
        config: Config,
        mut store: Box<dyn Store>,
        root: regrant_core::keys::RootKey,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let now = clock.now().max(store.high_water());
        let keyring = Keyring::open(store.as_mut(), root, now)?;
        let added = match store.ask(&Question::Clients)? {
            Answer::Clients(added) => added,
            _ => Vec::new(),
        };
        let clients = clients(&config, added)?;
        let issuer = config.issuer.clone().unwrap_or_else(|| format!("http://{}", config.listen));
        let keys = keyring.decision_keys()?;
        let next_grant = match store.ask(&Question::Deployment)? {
            Answer::Deployment(Some(deployment)) => deployment.next_grant,
            _ => 1,
        };
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, keyring.derive(purpose).as_ref());
        let (session_key, csrf_key) = (key(Purpose::SessionCookie), key(Purpose::Csrf));
        let signing = Arc::clone(&keyring.signing);
        let engine = Engine::start(store, keys, clock, next_grant)?;
        Ok(Arc::new(Self {
            engine,
            issuer: Issuer::new(&issuer),
            passwords: Passwords::start()?,
            keyring: Mutex::new(keyring),
            session_key,
            csrf_key,
            signing: RwLock::new(signing),
            settings: RwLock::new(Arc::new(Settings { config: Arc::new(config), clients })),
            leaves: AtomicBool::new(false),
        }))
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// From now on `/readyz` says no: no new requests should come here.
    pub fn begin_to_leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    /// What operators do.
    #[must_use]
    pub fn admin(self: &Arc<Self>) -> Admin {
        Admin::new(Arc::clone(self))
    }

    /// The configuration and the clients of this moment.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What signs and verifies at this moment.
    #[must_use]
    pub fn signing(&self) -> Arc<Signing> {
        Arc::clone(&self.signing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client of this identifier.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.settings().clients.get(&ClientId::parse(id)?)
    }

    /// Replaces the configuration, whole or not at all, and tells which of its changes wait for a restart. Clients of the
    /// store are read again under it.
    ///
    /// # Errors
    /// [`StartError`] if a client of the store does not fit it, or the store cannot be read; nothing was changed.
    pub async fn reload(&self, mut config: Config) -> Result<Vec<&'static str>, StartError> {
        let added = match self.engine.ask(Question::Clients).await? {
            Answer::Clients(added) => added,
            _ => Vec::new(),
        };
        let clients = clients(&config, added)?;
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let waiting = config.keep_what_needs_a_restart(&settings.config);
        *settings = Arc::new(Settings { config: Arc::new(config), clients });
        Ok(waiting)
    }

    /// The client that a definition of the store describes.
    pub(crate) fn resolve_added(&self, definition: &ClientDefinition) -> Result<Client, String> {
        self.settings().config.resolve_added(definition)
    }

    /// Adds or replaces a client that the store holds.
    pub(crate) fn put_client(&self, client: Client, definition: ClientDefinition) {
        self.change_clients(|clients| {
            clients.added.insert(client.id.clone(), definition);
            clients.by_id.insert(client.id.clone(), Arc::new(client));
        });
    }

    /// Forgets a client that the store held.
    pub(crate) fn drop_client(&self, id: &ClientId) {
        self.change_clients(|clients| {
            clients.added.remove(id);
            clients.by_id.remove(id);
        });
    }

    fn change_clients(&self, change: impl FnOnce(&mut Clients)) {
        let mut current = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients { by_id: current.clients.by_id.clone(), added: current.clients.added.clone() };
        change(&mut clients);
        *current = Arc::new(Settings { config: Arc::clone(&current.config), clients });
    }
}

/// Those of the file, and those of the store; the same identifier in both is an error.
fn clients(config: &Config, added: Vec<(String, String)>) -> Result<Clients, StartError> {
    let mut clients = Clients::default();
    for client in &config.clients {
        clients.by_id.insert(client.id.clone(), Arc::new(client.clone()));
    }
    for (id, text) in added {
        let definition: ClientDefinition =
            serde_json::from_str(&text).map_err(|error| StartError::Client(id.clone(), error.to_string()))?;
        let client = config.resolve_added(&definition).map_err(|problem| StartError::Client(id.clone(), problem))?;
        if clients.by_id.contains_key(&client.id) {
            return Err(StartError::ClientTwice(id));
        }
        clients.added.insert(client.id.clone(), definition);
        clients.by_id.insert(client.id.clone(), Arc::new(client));
    }
    Ok(clients)
}
