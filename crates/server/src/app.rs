//! The running server: everything that a request needs, opened once.

mod clients;
mod examine;
mod moving;
mod reload;
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
use crate::clock::Clock;
use crate::config::{ClientDefinition, Config, StoreLocation};
use crate::encryption;
use crate::engine::{Engine, Stepped};
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
use crate::revocations::{self, Contents, Revocations};
use crate::rotation;
use crate::serve::Certificates;
use crate::spans::Spans;
use crate::timekeeper;

pub use clients::Clients;
pub(crate) use clients::{clients, fitting, stand_in};
pub use examine::{Examined, examine};
pub use moving::open_to_move;
pub use reload::{ReloadEnded, ReloadError, Reloaded};
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
    pub(crate) outbound: Arc<Outbound>,
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

/// What a deployment is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    /// To serve from: what cannot be served is told of.
    Serve,
    /// For a command.
    Command,
}

impl App {
    /// Opens the store and the keys that the configuration names, and starts the writer.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed that was there before.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        Self::open_for(config, clock, Aim::Serve)
    }

    /// The same for a command, which serves nobody: clients of the store that do not fit are not there, and can be removed.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_for_command(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        Self::open_for(config, clock, Aim::Command)
    }

    fn open_for(config: Config, clock: Clock, aim: Aim) -> Result<Arc<Self>, StartError> {
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
        let (app, writer) = Self::opened(config, store, root, clock, (journal.as_deref(), aim))?;
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
        let (app, writer) = Self::opened(config, store, root, clock, (None, Aim::Serve))?;
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
        Self::opened(config, store, root, clock, (None, Aim::Serve))
    }

    fn opened(
        config: Config,
        mut store: Box<dyn Store>,
        root: RootKey,
        clock: Clock,
        (journal, aim): (Option<&Path>, Aim),
    ) -> Result<(Arc<Self>, Stepped), StartError> {
        let came_to = store.high_water();
        believe(store.as_mut(), &clock)?;
        let now = clock.now().max(came_to);
        let metrics = Arc::new(Metrics::new(config.metrics.clients, now));
        let mut store: Box<dyn Store> = Box::new(Metered::new(store, &metrics));
        let mut keyring = Keyring::open(store.as_mut(), root, now)?;
        let missed = match journal {
            Some(path) => revocations::missed(store.as_mut(), &not_behind(path, &keyring, came_to)?)?,
            None => Vec::new(),
        };
        let added = match store.ask(&Question::Clients)? {
            Answer::Clients(added) => added,
            _ => Vec::new(),
        };
        let (clients, problems) = fitting(&config, added);
        keyring.settle(store.as_mut(), &Lifetimes::of_clients(clients.all()), now)?;
        if aim == Aim::Serve {
            clients.narrowed.values().for_each(|narrowed| tracing::warn!("{narrowed}"));
            for problem in problems {
                tracing::error!(%problem, "a client of the store cannot be served");
                store.commit(&[Record::Event(told(EventKind::Alarm, problem.to_string(), now))], now)?;
            }
        }
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
        let mut revocations = journal.map(|path| open_journal(path, &config, &keyring)).transpose()?;
        if let (Some(revocations), Some(path), false) = (&mut revocations, journal, missed.is_empty()) {
            tracing::warn!(
                entries = missed.len(),
                "the revocation journal did not have all that the store has revoked: it is kept now"
            );
            let kept = revocations.keep_missed(missed);
            kept.map_err(|source| StartError::Revocations { path: path.to_owned(), source })?;
        }
        let is_shared = store.is_shared();
        let (engine, writer) = Engine::on(store, keys, clock, next_grant, watched, revocations);
        let app = Self {
            engine,
            issuer: Issuer::new(&issuer),
            passwords: Passwords::start(metrics.passwords.clone())?,
            hook: Hook::new(),
            outbound: Arc::new(Outbound::new()),
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

    /// The client that a definition of the store describes.
    pub(crate) fn resolve_added(&self, definition: &ClientDefinition) -> Result<Client, String> {
        self.settings().config.resolve_added(definition)
    }

    /// Adds or replaces a client that the store holds.
    pub(crate) fn put_client(&self, id: &ClientId, definition: &ClientDefinition) {
        let config = Arc::clone(&self.settings().config);
        self.change_clients(|clients| clients.put(&config, id, definition));
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
        let (clients, _) = fitting(&config, added);
        let problems = clients.news(&before.clients);
        for (id, narrowed) in &clients.narrowed {
            if before.clients.narrowed.get(id) != Some(narrowed) {
                tracing::warn!("{narrowed}");
            }
        }
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
fn not_behind(path: &Path, keyring: &Keyring, came_to: Timestamp) -> Result<Contents, StartError> {
    let era = keyring.deployment.era;
    let key = revocations::key(&keyring.derive(Purpose::Revocations));
    let contents = revocations::read(path, &key, keyring.deployment.id)
        .map_err(|source| StartError::Revocations { path: path.to_owned(), source })?;
    if contents.is_behind(era, came_to) {
        return Ok(contents);
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
