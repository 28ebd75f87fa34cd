//! The running server: everything that a request needs, opened once.

mod clients;
mod examine;
mod moving;
mod scopes;
mod start_error;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use regrant_core::decision::Event;
use regrant_core::keys::{Purpose, RootKey};
use regrant_core::{Client, ClientId, EventKind, Timestamp};
use regrant_jose::jwe::DecryptingKey;
use regrant_jose::{Algorithm, JwkSet, SigningKey, VerifyingKey};
use regrant_store::{Answer, EventRecord, Memory, Postgres, Question, Record, Sqlite, Store, Unavailable};
use tokio::sync::watch;

use crate::admin::{Admin, rfc3339};
use crate::cascade;
use crate::clock::Clock;
use crate::config::{ClientDefinition, Config, StoreLocation};
use crate::encryption;
use crate::engine::{Engine, Stepped};
use crate::feed;
use crate::feed::Feed;
use crate::fetched::Fetched;
use crate::hook::Hook;
use crate::interaction;
use crate::issuer::Issuer;
use crate::keyring::schedule::Lifetimes;
use crate::keyring::{self, Keyring, KeyringError};
use crate::limits::Limits;
use crate::metrics::{Metered, Metrics};
use crate::outbound::Outbound;
use crate::passwords::Passwords;
use crate::profile::SecretWrap;
use crate::repeated::Repeated;
use crate::revocations::{self, Revocations};
use crate::rotation;
use crate::serve::{Certificates, TlsError};
use crate::spans::Spans;
use crate::timekeeper;

pub use clients::Clients;
pub(crate) use clients::clients;
use clients::{Origin, fitting};
pub use examine::{Examined, examine};
pub use moving::open_to_move;
pub use start_error::StartError;
use start_error::named;

/// A clock that is further behind the store than this is worth a word.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// The running server.
pub struct App {
    /// The one writer.
    pub engine: Engine,
    pub(crate) issuer: Issuer,
    pub(crate) passwords: Passwords,
    pub(crate) hook: Hook,
    /// Tells others of events, and reads what clients name by URL.
    pub(crate) outbound: Outbound,
    /// Keys of clients, by `jwks_uri`.
    pub(crate) key_sets: Fetched<JwkSet>,
    /// Request objects of clients, by `request_uri`.
    pub(crate) request_objects: Fetched<String>,
    /// Wraps secrets of clients that have to be known.
    pub(crate) secret_wrap: SecretWrap,
    /// Seals interactions while an application of the operator's shows them.
    pub(crate) interactions: interaction::sealed::Seal,
    pub(crate) limits: Limits,
    /// Challenges and nonces of late.
    pub(crate) repeated: Repeated,
    pub(crate) feed: Feed,
    /// Held through every step of a key's life; requests do not need it.
    pub(crate) keyring: tokio::sync::Mutex<Keyring>,
    pub(crate) session_key: hmac::Key,
    pub(crate) csrf_key: hmac::Key,
    pub(crate) browser_state_key: hmac::Key,
    pub(crate) user_code_key: hmac::Key,
    pub(crate) cursor_key: hmac::Key,
    pub(crate) pairwise_key: hmac::Key,
    /// Names sessions to pairwise clients.
    pub(crate) pairwise_session_key: hmac::Key,
    /// Derives what a change of a registration gives anew.
    pub(crate) registration_key: hmac::Key,
    /// Opens what clients encrypt to us.
    pub(crate) decrypting: DecryptingKey,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spans: Spans,
    signing: RwLock<Arc<Signing>>,
    settings: RwLock<Arc<Settings>>,
    /// Held while clients or the configuration are changed, from looking at the store to what requests see: a client that is added
    /// during a reload is not forgotten.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Steps with each reload.
    reloads: watch::Sender<u64>,
    /// The last number that a wide revocation took that an operator is to know by its number. Held while the next one takes its place in
    /// the queue, so that they come to the store in their order.
    pub(crate) numbering: Mutex<u64>,
    /// The newest count of wide revocations that a token without a grant met, and how long the machine had run then.
    newest_met: Mutex<(u64, Duration)>,
    leaves: AtomicBool,
    is_shared: bool,
    /// What TLS is spoken with, if it is.
    certificates: OnceLock<Arc<Certificates>>,
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
    /// A client, by its identifier.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.get(&ClientId::parse(id)?)
    }

    /// What the clients want of the keys.
    #[must_use]
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes::of_clients(self.clients.all())
    }
}

/// What signs and verifies access tokens, parsed once. A step of a key's life replaces it whole.
#[derive(Default)]
pub struct Signing {
    /// Sign, one for each algorithm in use.
    pub current: HashMap<Algorithm, Arc<SigningKey>>,
    /// Verify: these, and those that signed before them.
    pub verifying: Vec<VerifyingKey>,
    /// Published at `/oauth2/jwks`: these, and those that will sign.
    pub published: regrant_jose::JwkSet,
    /// In seconds: the longest that a token lives which one of these made, as far as is known by now.
    pub outlived_by: u64,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("current", &self.current).finish_non_exhaustive()
    }
}

/// What a reload did.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Reloaded {
    /// Clients of the file and of the store.
    pub clients: usize,
    /// Settings whose change waits for a restart: until then they stay as they are.
    pub needs_restart: Vec<String>,
    /// What choices cost.
    pub notices: Vec<String>,
}

/// What becomes of clients of the store that do not fit the configuration when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Misfits {
    Refused,
    LeftOut,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] crate::config::ConfigErrors),
    /// The store's clients do not fit it, or the store failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The certificate that it names cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Every client of the file is gone from it: that is how a file looks that is being written.
    #[error(
        "the file has no client any more, and the running configuration has {0}, whose sessions would all end: a file that is being written looks so\n  remedy: reload again when it is written; if it is meant, restart the server, or remove the clients but for one first"
    )]
    NoClients(usize),
    /// The server is stopping.
    #[error("the configuration could not be read: {0}")]
    Interrupted(String),
}

impl App {
    /// Opens the store and the keys that the configuration names, and starts the writer.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed that was there before.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        Self::open_with_misfits(config, clock, Misfits::Refused)
    }

    /// The same for a command, which serves nobody: clients of the store that do not fit are not there, and can be removed.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_for_command(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        Self::open_with_misfits(config, clock, Misfits::LeftOut)
    }

    fn open_with_misfits(config: Config, clock: Clock, misfits: Misfits) -> Result<Arc<Self>, StartError> {
        let root = keyring::read_root_key(&config.root_key_file)?;
        let journal = config.revocations_file();
        let store: Box<dyn Store> = match &config.store {
            StoreLocation::Sqlite(path) => Box::new(Sqlite::open(path, &config.sqlite_options())?),
            StoreLocation::Postgres(options) => {
                let mut store = Postgres::open(options).map_err(|error| named(error, &config))?;
                say_if_ahead(&mut store, &clock)?;
                Box::new(store)
            }
            StoreLocation::Memory => Box::new(Memory::new()),
        };
        let (app, writer) = Self::opened(config, store, root, clock, (journal.as_deref(), misfits))?;
        writer.start()?;
        Ok(app)
    }

    /// The same on a store and a root key that are already there, without a revocation journal.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_with(
        config: Config,
        store: Box<dyn Store>,
        root: RootKey,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let (app, writer) = Self::opened(config, store, root, clock, (None, Misfits::Refused))?;
        writer.start()?;
        Ok(app)
    }

    /// The same, with a writer that works only when it is told to: for simulations.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_stepped(
        config: Config,
        store: Box<dyn Store>,
        root: RootKey,
        clock: Clock,
    ) -> Result<(Arc<Self>, Stepped), StartError> {
        Self::opened(config, store, root, clock, (None, Misfits::Refused))
    }

    fn opened(
        config: Config,
        mut store: Box<dyn Store>,
        root: RootKey,
        clock: Clock,
        (journal, misfits): (Option<&Path>, Misfits),
    ) -> Result<(Arc<Self>, Stepped), StartError> {
        let came_to = store.high_water();
        believe(store.as_mut(), &clock)?;
        let now = clock.now().max(came_to);
        let metrics = Arc::new(Metrics::new(config.metrics.clients, now));
        let mut store: Box<dyn Store> = Box::new(Metered::new(store, &metrics));
        let mut keyring = Keyring::open(store.as_mut(), root, now)?;
        if let Some(path) = journal {
            not_behind(path, &keyring, came_to)?;
        }
        let added = match store.ask(&Question::Clients)? {
            Answer::Clients(added) => added,
            _ => Vec::new(),
        };
        let clients = match misfits {
            Misfits::Refused => clients(&config, added)?,
            Misfits::LeftOut => fitting(&config, added).0,
        };
        keyring.settle(store.as_mut(), &Lifetimes::of_clients(clients.all()), now)?;
        if let Some(notice) = store.notice() {
            tracing::warn!("{notice}");
            store.commit(&[Record::Event(told(EventKind::Admin, notice, now))], now)?;
        }
        let issuer = config.issuer.clone().unwrap_or_else(|| format!("http://{}", config.listen));
        let keys = keyring.decision_keys()?;
        let next_grant = match store.ask(&Question::Deployment)? {
            Answer::Deployment(Some(deployment)) => deployment.next_grant,
            _ => 1,
        };
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, keyring.derive(purpose).as_ref());
        let (session_key, csrf_key) = (key(Purpose::SessionCookie), key(Purpose::Csrf));
        let cursor_key = key(Purpose::PageCursor);
        let (browser_state_key, user_code_key) = (key(Purpose::SessionState), key(Purpose::UserCode));
        let (pairwise_key, pairwise_session_key) = (key(Purpose::PairwiseSubject), key(Purpose::PairwiseSession));
        let registration_key = key(Purpose::Registration);
        let decrypting = encryption::own_key(&keyring)?;
        let secret_wrap = SecretWrap::new(&keyring.derive(Purpose::ClientSecret))
            .ok_or_else(|| KeyringError::Crypto("the secrets of clients cannot be wrapped".to_owned()))?;
        let interactions = interaction::sealed::Seal::new(&keyring.derive(Purpose::Interaction))
            .ok_or_else(|| KeyringError::Crypto("interactions cannot be sealed".to_owned()))?;
        let signing = keyring.signing()?;
        let limits = Limits::new(clock.clone());
        let spans = Spans::new();
        let watched = (metrics.writer.clone(), spans.clone());
        let revocations = journal.map(|path| open_journal(path, &config, &keyring)).transpose()?;
        let is_shared = store.is_shared();
        let (engine, writer) = Engine::on(store, keys, clock, next_grant, watched, revocations);
        let app = Self {
            engine,
            issuer: Issuer::new(&issuer),
            passwords: Passwords::start(metrics.passwords.clone())?,
            hook: Hook::new(),
            outbound: Outbound::new(),
            key_sets: Fetched::new(),
            request_objects: Fetched::new(),
            secret_wrap,
            interactions,
            limits,
            repeated: Repeated::new(),
            feed: Feed::default(),
            keyring: tokio::sync::Mutex::new(keyring),
            session_key,
            csrf_key,
            browser_state_key,
            user_code_key,
            cursor_key,
            pairwise_key,
            pairwise_session_key,
            registration_key,
            decrypting,
            metrics,
            spans,
            signing: RwLock::new(Arc::new(signing)),
            settings: RwLock::new(Arc::new(Settings { config: Arc::new(config), clients })),
            changing: tokio::sync::Mutex::new(()),
            reloads: watch::Sender::new(0),
            numbering: Mutex::new(0),
            newest_met: Mutex::new((0, Duration::ZERO)),
            leaves: AtomicBool::new(false),
            is_shared,
            certificates: OnceLock::new(),
        };
        Ok((Arc::new(app), writer))
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Whether other nodes use the same store.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Waits until the process must end, because the store has to be opened anew; `serve` does that by itself. What failed is
    /// told once in the log, and here.
    pub async fn failed(&self) -> Unavailable {
        self.engine.failed().await
    }

    /// These are spoken with: a reload looks at them, too.
    pub(crate) fn holds(&self, certificates: &Arc<Certificates>) {
        let _ = self.certificates.set(Arc::clone(certificates));
    }

    /// Changes with each reload.
    pub(crate) fn reloaded(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }

    /// Whether so many wide revocations may be no older than a second. Known without a look at them, after the first time that it is asked.
    pub(crate) fn is_revocation_young(&self, count: u64) -> bool {
        const YOUNG: Duration = Duration::from_secs(2);
        let ran = self.engine.clock().ran();
        let mut met = self.newest_met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.0 != count {
            *met = (count, ran);
        }
        count > 0 && ran.saturating_sub(met.1) < YOUNG
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

    pub(crate) fn replace_signing(&self, signing: Signing) {
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signing);
    }

    /// The client of this identifier.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.settings().client(id)
    }

    /// Reads the configuration again from where it came from, and replaces it, whole or not at all. Clients of the store are
    /// read again under it.
    ///
    /// # Errors
    /// [`ReloadError`] if something is wrong with it; nothing was changed.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let source = self.settings().config.source.clone();
        // Files are read on a thread that may wait.
        let read = tokio::task::spawn_blocking(move || Config::from_source(&source)).await;
        let config = read.map_err(|error| ReloadError::Interrupted(error.to_string()))??;
        let (before, file) = (self.settings().config.clients.len(), config.source.file.as_ref());
        let is_empty = file.and_then(|file| std::fs::metadata(file).ok()).is_some_and(|file| file.len() == 0);
        if config.clients.is_empty() && (before > 1 || before == 1 && is_empty) {
            return Err(ReloadError::NoClients(before));
        }
        self.replace_config(config).await
    }

    /// The same with a configuration that is there already.
    ///
    /// # Errors
    /// As [`App::reload`].
    pub async fn replace_config(&self, mut config: Config) -> Result<Reloaded, ReloadError> {
        let _changing = self.changing.lock().await;
        let added = match self.engine.ask(Question::Clients).await.map_err(StartError::from)? {
            Answer::Clients(added) => added,
            _ => Vec::new(),
        };
        let clients = clients(&config, added)?;
        // Before the first token under the new settings: its algorithm has a key, and the key knows how long it may live.
        let _held = rotation::prepare(self, &Lifetimes::of_clients(clients.all())).await.map_err(StartError::from)?;
        let waiting = config.keep_what_needs_a_restart(&self.settings().config);
        let certificates = self.certificates.get();
        let certificate = certificates.map(|certificates| certificates.prepare(&config)).transpose()?.flatten();
        let happened = cascade::reloaded(&self.settings().clients, &clients);
        let now = self.engine.now();
        let mut follows: Vec<_> =
            happened.iter().filter_map(|happened| cascade::follows(happened, &config.revocation, now)).collect();
        follows.extend(feed::without(&self.settings().clients, &clients, now));
        if !follows.is_empty() {
            // Before anybody sees the new settings: were this to fail, nothing was reloaded.
            self.engine.commit(follows).await.map_err(StartError::from)?;
        }
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let reloaded = Reloaded {
            clients: clients.by_id.len(),
            needs_restart: waiting.into_iter().map(str::to_owned).collect(),
            notices: config.notices.clone(),
        };
        *settings = Arc::new(Settings { config: Arc::new(config), clients });
        drop(settings);
        self.reloads.send_modify(|reloads| *reloads = reloads.wrapping_add(1));
        if let (Some(certificates), Some(certificate)) = (certificates, certificate) {
            certificates.take(certificate, self);
        }
        Ok(reloaded)
    }

    /// The client that a definition of the store describes.
    pub(crate) fn resolve_added(&self, definition: &ClientDefinition) -> Result<Client, String> {
        self.settings().config.resolve_added(definition)
    }

    /// Adds or replaces a client that the store holds.
    pub(crate) fn put_client(&self, client: Client, definition: &ClientDefinition) {
        self.change_clients(|clients| {
            clients.insert(client, definition, Origin::Store);
        });
    }

    /// Forgets a client that the store held.
    pub(crate) fn drop_client(&self, id: &ClientId) {
        self.change_clients(|clients| clients.remove(id));
    }

    /// Takes over the clients of the store, which another node has changed. One that does not fit is told of once, and hinders no other.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) async fn follow_clients(&self) -> Result<(), StartError> {
        let _changing = self.changing.lock().await;
        self.take_over_clients().await
    }

    /// The same for whoever holds `changing`.
    pub(crate) async fn take_over_clients(&self) -> Result<(), StartError> {
        let added = match self.engine.ask(Question::Clients).await? {
            Answer::Clients(added) => added,
            _ => return Ok(()),
        };
        let before = self.settings();
        let config = Arc::clone(&before.config);
        let (mut clients, _) = fitting(&config, added);
        let problems = clients.switch_off(&before.clients);
        let _held = rotation::prepare(self, &Lifetimes::of_clients(clients.all())).await?;
        if !problems.is_empty() {
            let now = self.engine.now();
            let alarm = |detail: &String| {
                tracing::error!(problem = %detail, "a client that another node has added or changed cannot be served here");
                Record::Event(told(EventKind::Alarm, detail.clone(), now))
            };
            self.engine.commit(problems.iter().map(alarm).collect()).await?;
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Settings { config, clients });
        Ok(())
    }

    fn change_clients(&self, change: impl FnOnce(&mut Clients)) {
        let mut current = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut clients = current.clients.clone();
        change(&mut clients);
        *current = Arc::new(Settings { config: Arc::clone(&current.config), clients });
    }
}

/// Of the nodes that share a database the one that is ahead makes the time of all of them.
fn say_if_ahead(store: &mut Postgres, clock: &Clock) -> Result<(), StartError> {
    if let Some(ahead) = timekeeper::ahead_of(clock.now(), store.clock()?) {
        tracing::warn!(
            seconds = ahead.as_secs(),
            "the clock of this machine is ahead of the database's, and what it commits is every node's time: codes and sessions end earlier by that; \
             let all machines keep their time by NTP"
        );
    }
    Ok(())
}

/// Compares the clock with the store, before anything is written at its time.
fn believe(store: &mut dyn Store, clock: &Clock) -> Result<(), StartError> {
    let (now, newest) = (clock.now(), store.high_water());
    if let Some(ahead) = timekeeper::ahead_at_start(now, newest) {
        if !clock.is_accepted() {
            return Err(StartError::Clock(ahead));
        }
        // The next start compares with this.
        store.commit(&[], now)?;
    }
    let behind = newest.since(now);
    if behind > HOUR {
        tracing::warn!(
            seconds = behind.as_secs(),
            "the clock is behind the newest time in the store: time stands still until it has caught up"
        );
    }
    Ok(())
}

/// Whether the store is at least where the revocation journal has seen it: each entry was made durable behind its commit. An anchor says
/// the same, and more; this is for copies that come without it. Nodes that share a store have a journal each, of what they themselves have
/// committed; those that ran notice the same by what they were told (`postgres/doubt.rs`), this is for those that were stopped.
fn not_behind(path: &Path, keyring: &Keyring, came_to: Timestamp) -> Result<(), StartError> {
    let era = keyring.deployment.era;
    let key = revocations::key(&keyring.derive(Purpose::Revocations));
    let contents = revocations::read(path, &key, keyring.deployment.id)
        .map_err(|source| StartError::Revocations { path: path.to_owned(), source })?;
    if contents.is_behind(era, came_to) {
        return Ok(());
    }
    let says = |era: u16, at: Timestamp| format!("era {era}, {}", rfc3339(at));
    Err(StartError::BehindJournal {
        path: path.to_owned(),
        journal: says(contents.era().unwrap_or(era), contents.newest().unwrap_or(came_to)),
        store: says(era, came_to),
    })
}

pub(crate) fn open_journal(path: &Path, config: &Config, keyring: &Keyring) -> Result<Revocations, StartError> {
    let key = revocations::key(&keyring.derive(Purpose::Revocations));
    let own = |made: &std::fs::File| {
        if let StoreLocation::Sqlite(store) = &config.store {
            regrant_store::give_to_owner(made, store);
        }
    };
    Revocations::open(path, key, keyring.deployment.id, own)
        .map_err(|source| StartError::Revocations { path: path.to_owned(), source })
}

/// What an operator should find in the events, too.
fn told(kind: EventKind, detail: String, at: Timestamp) -> EventRecord {
    let event = Event { kind, grant: None, client: None, subject: None, detail };
    EventRecord { at, event, correlation: String::new() }
}
