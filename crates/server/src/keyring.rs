//! Opening the keys of a deployment: the root key from its file, the rows and the wrapped keys from the store.
//!
//! A store knows its root key by a check value: with another one the server refuses to start and changes nothing (checks
//! K6, K7). Tag and sealing keys are derived from the root key, and their rows say only where they stand; seed and signing keys
//! are random and wrapped. What may happen to a key is in [`step`], when it is due in [`schedule`].

mod again;
pub mod schedule;
pub mod step;
pub(crate) mod usage;
mod wrap;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrant_core::keys::{DeploymentId, KeySet, KeyStatus, Keys, Purpose, RootKey};
use regrant_core::{ChainKey, Timestamp};
use regrant_jose::{Algorithm, SigningKey, VerifyingKey};
use regrant_store::{
    Answer, Deployment, Forged, KeyChange, KeyKind, KeyRecord, Outcome, Question, Record, Store, Unavailable,
};
use zeroize::Zeroizing;

use crate::app::Signing;
use crate::chance;

use schedule::Lifetimes;
use wrap::Wrap;

/// What to do about a root key file that cannot be read.
fn where_the_key_is(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "run this as the user that runs the server, to whom alone the file belongs; nobody else needs to read it"
        }
        _ => {
            "put the file back from its own safe place; without it no token of this store can be verified (`regrant init` makes a new one for a new store)"
        }
    }
}

/// Why the keys cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No file.
    #[error("the root key file {path} cannot be read: {source}\n  remedy: {remedy}", path = .path.display(), remedy = where_the_key_is(.source))]
    RootKeyUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A credential of the service manager, outside of its service.
    #[error(
        "the root key is the credential {0}, which the service manager hands to the server alone\n  remedy: run this while the server runs, for then the server does it; or under `systemd-run --pipe -p LoadCredentialEncrypted={0}:/etc/credstore.encrypted/{0}` as the server's user"
    )]
    NoCredential(String),
    /// Not a root key.
    #[error("{} holds no root key: it must be the one line that `regrant init` wrote (rgroot_ and 49 characters)\n  remedy: put the right file back; a default or shorter key is never accepted", .0.display())]
    RootKeyMalformed(PathBuf),
    /// Another store's.
    #[error(
        "the root key does not belong to this store\n  remedy: use the root key that the store was made with (root_key_file), or the store that belongs to this key; nothing was changed"
    )]
    RootKeyMismatch,
    /// Something without the key has changed the store.
    #[error(
        "the store was changed by something that is not this program: {0}\n  remedy: find out who can write it; then restore it from a backup of before, and run `regrant recover`. Nothing was changed"
    )]
    Forged(#[from] Forged),
    /// A wrapped key that does not open.
    #[error(
        "{0} key {1} of the store does not open: the row was changed or damaged\n  remedy: restore the store from a backup; nothing was changed"
    )]
    KeyDamaged(KeyKind, u32),
    /// The store failed.
    #[error(
        "the store failed while the keys were read: {0}\n  remedy: look into the system's log for failures of the device; if the store is damaged, keep a copy of it and restore it from a backup"
    )]
    Store(#[from] Unavailable),
    /// The kind has as many keys as its tokens can name.
    #[error(
        "all {0} key ids but the one kept for emergencies are used up, and an id is never used twice\n  remedy: rotate less often from now on (keys.{0}_rotation); the current key stays in use"
    )]
    IdsUsedUp(KeyKind),
    /// The kind has not even the last one left.
    #[error(
        "all {0} key ids are used up, and an id is never used twice\n  remedy: begin with a new store; every user logs in once"
    )]
    NoIdLeft(KeyKind),
    /// Somebody else was first.
    #[error(
        "the keys were changed by somebody else in the same moment\n  remedy: look at `regrant keys list`, and try again; nothing was changed"
    )]
    Changed,
    /// The library refused.
    #[error("a key could not be made or parsed: {0}")]
    Crypto(String),
}

/// More than a fresh store lacks: one current key of each kind, and a signing key of each algorithm.
const MOST_FIRST_KEYS: usize = 32;

/// The rows of all keys, those that are gone included.
pub type Rows = BTreeMap<(KeyKind, u32), KeyRecord>;

/// All keys of a deployment, open. A value: a step is tried on a copy, made durable, and only then put in its place.
#[derive(Clone)]
pub struct Keyring {
    root: RootKey,
    /// The deployment's row.
    pub deployment: Deployment,
    wrap: Arc<Wrap>,
    rows: Rows,
    seeds: BTreeMap<u32, Zeroizing<[u8; 32]>>,
    pairs: BTreeMap<u32, Arc<SigningKey>>,
    /// Since when this process publishes them.
    opened_at: Timestamp,
    /// When an operator was last told that a kind runs out of ids.
    pub(crate) alarmed_at: BTreeMap<KeyKind, Timestamp>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the keys of a store; a fresh store is given its identity. Its first keys come with [`Keyring::settle`].
    ///
    /// # Errors
    /// [`KeyringError`]; a store that already has an identity is then unchanged.
    pub fn open(store: &mut dyn Store, root: RootKey, now: Timestamp) -> Result<Self, KeyringError> {
        let deployment = identity(store, &root, now)?;
        if root.check_value(deployment.id) != deployment.root_check {
            return Err(KeyringError::RootKeyMismatch);
        }
        store.chain_under(ChainKey::new(&root.derive(Purpose::EventChain, deployment.id, 1)))?;
        let wrap = Arc::new(Wrap::new(&root, deployment.id)?);
        let rows = rows_of(store)?;
        let empty = Self {
            root,
            deployment,
            wrap,
            rows: Rows::new(),
            seeds: BTreeMap::new(),
            pairs: BTreeMap::new(),
            opened_at: now,
            alarmed_at: BTreeMap::new(),
        };
        empty.with(rows)
    }

    /// Makes what is missing before anything can be minted: a current key of each kind and, for signing, of each algorithm.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn settle(&mut self, store: &mut dyn Store, lifetimes: &Lifetimes, now: Timestamp) -> Result<(), KeyringError> {
        // Other nodes that start at the same moment make the same keys: what the first one made is taken. Each time that this node
        // comes second there is a key less to make, so it ends, whatever the number of nodes.
        for _ in 0..MOST_FIRST_KEYS {
            match self.settle_alone(store, lifetimes, now) {
                Err(KeyringError::Changed) => *self = self.with(rows_of(store)?)?,
                settled => return settled,
            }
        }
        self.settle_alone(store, lifetimes, now)
    }

    fn settle_alone(
        &mut self,
        store: &mut dyn Store,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<(), KeyringError> {
        for step in self.missing(lifetimes) {
            let made = self.pair_needed(&step).map(SigningKey::generate).transpose();
            let made = made.map_err(|error| KeyringError::Crypto(error.to_string()))?;
            let planned = self.plan(&step, made.as_ref(), lifetimes, now)?;
            self.write(store, planned.changes, now)?;
        }
        Ok(())
    }

    /// In one commit; another node may have been first.
    fn write(&mut self, store: &mut dyn Store, changes: Vec<KeyChange>, now: Timestamp) -> Result<(), KeyringError> {
        let next = self.with(changes.iter().map(|change| change.key.clone()).collect())?;
        let record = Record::Keys { changes, events: Vec::new() };
        match store.commit(&[record], now)?.first() {
            Some(Outcome::Committed) => *self = next,
            Some(Outcome::Stale) | None => return Err(KeyringError::Changed),
        }
        Ok(())
    }

    /// The same keys with these rows, new or in place of the old ones; what is wrapped in them is opened.
    ///
    /// # Errors
    /// [`KeyringError::KeyDamaged`].
    pub(crate) fn with(&self, rows: Vec<KeyRecord>) -> Result<Self, KeyringError> {
        let mut next = self.clone();
        for row in rows {
            let mints_or_verifies = matches!(row.status, KeyStatus::Next | KeyStatus::Current | KeyStatus::Verify);
            if row.wrapped.is_none() || !mints_or_verifies {
                next.forget(&row);
            } else if row.kind == KeyKind::Seed && !next.seeds.contains_key(&row.id) {
                let key = self.wrap.open(&row)?;
                let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| damaged(&row))?;
                next.seeds.insert(row.id, Zeroizing::new(key));
            } else if row.kind == KeyKind::Signing && !next.pairs.contains_key(&row.id) {
                let der = self.wrap.open(&row)?;
                let algorithm = algorithm_of(&row)?;
                let pair = SigningKey::from_pkcs8(algorithm, &der).map_err(|_| damaged(&row))?;
                next.pairs.insert(row.id, Arc::new(pair));
            }
            next.rows.insert((row.kind, row.id), row);
        }
        Ok(next)
    }

    fn forget(&mut self, row: &KeyRecord) {
        match row.kind {
            KeyKind::Seed => drop(self.seeds.remove(&row.id)),
            KeyKind::Signing => drop(self.pairs.remove(&row.id)),
            KeyKind::Tag | KeyKind::Sealing => {}
        }
    }

    /// The rows of all keys.
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows of one kind, in order of id.
    pub fn of_kind(&self, kind: KeyKind) -> impl Iterator<Item = &KeyRecord> {
        self.rows.range((kind, 0)..=(kind, u32::MAX)).map(|(_, row)| row)
    }

    /// The `kid` of a signing key that is there.
    #[must_use]
    pub fn kid(&self, id: u32) -> Option<&str> {
        self.pairs.get(&id).map(|pair| pair.kid())
    }

    /// The keys for decisions, as of now.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] if they do not make a working set.
    pub fn decision_keys(&self) -> Result<Keys, KeyringError> {
        let statuses = |kind| -> Vec<(u8, KeyStatus)> {
            let mut known: Vec<(u8, KeyStatus)> =
                self.of_kind(kind).filter_map(|row| Some((u8::try_from(row.id).ok()?, row.status))).collect();
            // Another node may mint under the next one before this one hears of it. It is derived: nobody else can.
            let next = known.iter().map(|(id, _)| *id).max().and_then(|newest| newest.checked_add(1));
            known.extend(next.map(|next| (next, KeyStatus::Next)));
            known
        };
        let seeds: Vec<_> = self.seeds.iter().map(|(id, key)| (*id, key.clone())).collect();
        let (tag, sealing) = (statuses(KeyKind::Tag), statuses(KeyKind::Sealing));
        let set = KeySet { tag: &tag, sealing: &sealing, seed: &seeds };
        Keys::of(&self.root, self.deployment.id, self.deployment.era, set)
            .map(|keys| keys.with_recovery(self.deployment.recovery))
            .map_err(|error| KeyringError::Crypto(error.to_string()))
    }

    /// Keys that open and check what is there, and mint nothing that is kept: a restored store has no seed key before its first start.
    pub(crate) fn keys_to_read(&self) -> Result<Keys, KeyringError> {
        let mut copy = self.clone();
        if copy.seeds.is_empty() {
            copy.seeds.insert(0, Zeroizing::new(chance::bytes()));
        }
        copy.decision_keys()
    }

    /// What signs, what verifies and what is published, as of now. A key that is `next` is published and vouches for nothing: it
    /// has signed nothing.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`].
    pub(crate) fn signing(&self) -> Result<Signing, KeyringError> {
        let mut signing = Signing::default();
        for row in self.of_kind(KeyKind::Signing) {
            let Some(pair) = self.pairs.get(&row.id) else { continue };
            let jwk = pair.public_jwk();
            if matches!(row.status, KeyStatus::Current | KeyStatus::Verify) {
                let key = VerifyingKey::from_jwk(&jwk).map_err(|error| KeyringError::Crypto(error.to_string()))?;
                signing.verifying.push(key);
            }
            if row.status == KeyStatus::Current {
                signing.current.insert(pair.algorithm(), Arc::clone(pair));
            }
            signing.outlived_by = signing.outlived_by.max(row.outlived_by);
            signing.published.keys.push(jwk);
        }
        Ok(signing)
    }

    /// The key of a purpose of the server's own: cookies, form tokens.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        self.root.derive(purpose, self.deployment.id, 1)
    }

    /// The number of a private key that request objects are encrypted to.
    #[must_use]
    pub(crate) fn request_key(&self, id: u32) -> Zeroizing<[u8; 32]> {
        self.root.derive(Purpose::RequestObjects, self.deployment.id, id)
    }
}

/// The store's identity; a fresh store gets one.
fn identity(store: &mut dyn Store, root: &RootKey, now: Timestamp) -> Result<Deployment, KeyringError> {
    for _ in 0..2 {
        if let Answer::Deployment(Some(deployment)) = store.ask(&Question::Deployment)? {
            return Ok(deployment);
        }
        let deployment = DeploymentId(chance::bytes());
        let root_check = root.check_value(deployment);
        store.commit(&[Record::Initialise { deployment, root_check }], now)?;
    }
    Err(KeyringError::Crypto("the store does not keep its identity".to_owned()))
}

fn rows_of(store: &mut dyn Store) -> Result<Vec<KeyRecord>, KeyringError> {
    let mut rows = Vec::new();
    for kind in KeyKind::ALL {
        if let Answer::Keys(keys) = store.ask(&Question::Keys(kind))? {
            rows.extend(keys);
        }
    }
    Ok(rows)
}

fn algorithm_of(row: &KeyRecord) -> Result<Algorithm, KeyringError> {
    row.algorithm.parse().map_err(|_| damaged(row))
}

fn damaged(record: &KeyRecord) -> KeyringError {
    KeyringError::KeyDamaged(record.kind, record.id)
}

/// Reads a root key file.
///
/// # Errors
/// [`KeyringError::RootKeyUnreadable`] or [`KeyringError::RootKeyMalformed`].
pub fn read_root_key(path: &Path) -> Result<RootKey, KeyringError> {
    if let Some(name) = crate::config::missing_credential(path) {
        return Err(KeyringError::NoCredential(name.to_owned()));
    }
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| KeyringError::RootKeyUnreadable { path: path.to_owned(), source })?;
    RootKey::parse(text.trim()).ok_or_else(|| KeyringError::RootKeyMalformed(path.to_owned()))
}

/// A root key of fresh chance.
#[must_use]
pub fn new_root_key() -> RootKey {
    RootKey::new(chance::bytes())
}
