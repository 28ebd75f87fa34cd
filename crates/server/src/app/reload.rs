//! A reload: the configuration is read again, and replaces the running one whole or not at all. What it ends is told, with the way back.

use std::sync::{Arc, PoisonError};

use regrant_core::decision::Event;
use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, EventKind, Timestamp};
use regrant_store::{Answer, EventRecord, Outcome, Question, Record, Unavailable};

use super::{App, Clients, Settings, StartError, clients};
use crate::admin::rfc3339;
use crate::cascade;
use crate::config::Config;
use crate::feed;
use crate::keyring::schedule::Lifetimes;
use crate::rotation;
use crate::serve::TlsError;

/// What a reload did.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Reloaded {
    /// Clients of the file and of the store.
    pub clients: usize,
    /// Settings whose change waits for a restart: until then they stay as they are.
    pub needs_restart: Vec<String>,
    /// What choices cost.
    pub notices: Vec<String>,
    /// What has ended by it.
    #[serde(default)]
    pub ended: Vec<ReloadEnded>,
    /// What ended when a client went that is back now, and can be taken back.
    #[serde(default)]
    pub can_return: Vec<ReloadEnded>,
}

/// The sessions of one client.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ReloadEnded {
    /// The client.
    pub client: String,
    /// `client_removed`, `client_disabled`, `client_secret_rotated` or `redirect_uris_reduced`.
    pub reason: String,
    /// The number of the wide revocation; `None` where there was no room for one more: they have NOT ended.
    pub revocation: Option<u64>,
    /// RFC 3339: until when it can be taken back; `None` if it cannot.
    pub undo_until: Option<String>,
}

impl ReloadEnded {
    fn of(epoch: &Epoch, number: Option<u64>) -> Option<Self> {
        Some(Self {
            client: epoch.selector.client.as_ref()?.to_string(),
            reason: epoch.reason.as_str().to_owned(),
            revocation: number,
            undo_until: epoch.undo_until.map(rfc3339),
        })
    }

    /// How to take it back.
    #[must_use]
    pub fn way_back(&self) -> Option<String> {
        let (number, until) = self.revocation.zip(self.undo_until.as_ref())?;
        Some(format!("`regrant revoke --undo {number}` brings them back, until {until}"))
    }
}

impl std::fmt::Display for ReloadEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, reason, revocation, .. } = self;
        if revocation.is_none() {
            return write!(
                f,
                "the sessions of client {client} should have ended ({reason}) and have NOT: there is no room for one more wide revocation; reload again in an hour"
            );
        }
        write!(f, "the sessions of client {client} have ended ({reason})")?;
        self.way_back().map_or(Ok(()), |way| write!(f, "; {way}"))
    }
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
        let follows = happened.iter().filter_map(|happened| cascade::follows(happened, &config.revocation, now));
        let mut follows: Vec<Record> = follows.map(with_a_word).collect();
        follows.extend(feed::without(&self.settings().clients, &clients, now));
        // Before anybody sees the new settings: were this to fail, nothing was reloaded.
        let ended = self.made_durable(follows).await.map_err(StartError::from)?;
        // It is done by now, whatever becomes of this question.
        let can_return = self.can_return(&clients, now).await.unwrap_or_default();
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let reloaded = Reloaded {
            clients: clients.by_id.len(),
            needs_restart: waiting.into_iter().map(str::to_owned).collect(),
            notices: config.notices.iter().chain(clients.narrowed.values()).cloned().collect(),
            ended,
            can_return,
        };
        *settings = Arc::new(Settings { config: Arc::new(config), clients });
        drop(settings);
        self.reloads.send_modify(|reloads| *reloads = reloads.wrapping_add(1));
        if let (Some(certificates), Some(certificate)) = (certificates, certificate) {
            certificates.take(certificate, self);
        }
        Ok(reloaded)
    }

    /// Commits what follows from a reload; what has ended by it.
    async fn made_durable(&self, records: Vec<Record>) -> Result<Vec<ReloadEnded>, Unavailable> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let meant: Vec<Option<Epoch>> = records.iter().map(epoch_of).collect();
        let outcomes = self.engine.commit(records).await?;
        // It is done by now, whatever becomes of this question.
        let there = self.epochs().await.unwrap_or_default();
        let number = |meant: &Epoch| {
            let is_it = |found: &&Epoch| found.reason == meant.reason && found.selector == meant.selector;
            there.iter().filter(is_it).map(|found| found.number).max()
        };
        let ended = meant.iter().zip(outcomes).filter_map(|(meant, outcome)| {
            let meant = meant.as_ref()?;
            ReloadEnded::of(meant, number(meant).filter(|_| outcome == Outcome::Committed))
        });
        Ok(ended.collect())
    }

    /// What ended when one of these clients went, if it was not there until now: a slip of an editor ends sessions, and can be mended.
    async fn can_return(&self, clients: &Clients, now: Timestamp) -> Result<Vec<ReloadEnded>, Unavailable> {
        let before = self.settings();
        let is_back = |id: &ClientId| clients.get(id).is_some() && before.clients.get(id).is_none();
        if !clients.all().any(|client| is_back(&client.id)) {
            return Ok(Vec::new());
        }
        let is_it = |epoch: &&Epoch| {
            epoch.reason == EndReason::ClientRemoved
                && epoch.can_be_undone(now)
                && epoch.selector.client.as_ref().is_some_and(is_back)
        };
        Ok(self
            .epochs()
            .await?
            .iter()
            .filter(is_it)
            .filter_map(|epoch| ReloadEnded::of(epoch, Some(epoch.number)))
            .collect())
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, Unavailable> {
        match self.engine.ask(Question::Epochs).await? {
            Answer::Epochs { epochs, .. } => Ok(epochs),
            _ => Ok(Vec::new()),
        }
    }
}

fn epoch_of(record: &Record) -> Option<Epoch> {
    if let Record::Epoch { epoch, .. } = record { Some(epoch.clone()) } else { None }
}

/// A wide revocation that tells of itself: whoever asks why sessions have gone finds it among the events.
fn with_a_word(record: Record) -> Record {
    let Record::Epoch { epoch, mut events } = record else { return record };
    let client = epoch.selector.client.clone();
    let name = client.as_ref().map_or("", ClientId::as_str);
    let detail = format!("a reload ended the sessions of client {name} ({})", epoch.reason.as_str());
    let event = Event { kind: EventKind::Admin, grant: None, client, subject: None, detail };
    events.push(EventRecord { at: epoch.at, event, correlation: String::new() });
    Record::Epoch { epoch, events }
}
