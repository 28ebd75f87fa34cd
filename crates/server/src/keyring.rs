//! Opening the keys of a deployment: the root key from its file, the wrapped keys from the store.
//!
//! A store knows its root key by a check value: with another one the server refuses to start and changes nothing (checks
//! K6, K7). Seed keys are random, rotated daily, and destroyed once no pending retry needs them (law L6).

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::aead;
use regrant_core::Timestamp;
use regrant_core::keys::{DeploymentId, Keys, Purpose, RootKey};
use regrant_jose::{Algorithm, SigningKey, VerifyingKey};
use regrant_store::{Answer, Deployment, KeyKind, KeyRecord, Outcome, Question, Record, Store, Unavailable};
use zeroize::Zeroizing;

use crate::app::Signing;
use crate::chance;

/// A seed key mints for this long.
pub const SEED_KEY_LIFETIME: Duration = Duration::from_secs(86_400);

/// Why the keys cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No file.
    #[error("the root key file {path} cannot be read: {source}\n  remedy: put the file back from its own safe place; without it no token of this store can be verified (`regrant init` makes a new one for a new store)", path = .path.display())]
    RootKeyUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a root key.
    #[error("{} holds no root key: it must be the one line that `regrant init` wrote (rgroot_ and 49 characters)\n  remedy: put the right file back; a default or shorter key is never accepted", .0.display())]
    RootKeyMalformed(PathBuf),
    /// Another store's.
    #[error(
        "the root key does not belong to this store\n  remedy: use the root key that the store was made with (root_key_file), or the store that belongs to this key; nothing was changed"
    )]
    RootKeyMismatch,
    /// A wrapped key that does not open.
    #[error(
        "{0:?} key {1} of the store does not open: the row was changed or damaged\n  remedy: restore the store from a backup; nothing was changed"
    )]
    KeyDamaged(KeyKind, u32),
    /// The store failed.
    #[error(
        "the store failed while the keys were read: {0}\n  remedy: look into the system's log for failures of the device; if the store is damaged, keep a copy of it and restore it from a backup"
    )]
    Store(#[from] Unavailable),
    /// The library refused.
    #[error("a key could not be made or parsed: {0}")]
    Crypto(String),
}

/// Reads a root key file.
///
/// # Errors
/// [`KeyringError::RootKeyUnreadable`] or [`KeyringError::RootKeyMalformed`].
pub fn read_root_key(path: &Path) -> Result<RootKey, KeyringError> {
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

/// All keys of a deployment, open.
pub struct Keyring {
    root: RootKey,
    /// The deployment's row.
    pub deployment: Deployment,
    seeds: Vec<(u32, Zeroizing<[u8; 32]>)>,
    newest_seed_at: Timestamp,
    /// Signs and verifies access tokens.
    pub signing: std::sync::Arc<Signing>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the keys of a store; a fresh store is given its identity and its first keys.
    ///
    /// # Errors
    /// [`KeyringError`]; a store that already has an identity is then unchanged.
    pub fn open(store: &mut dyn Store, root: RootKey, now: Timestamp) -> Result<Self, KeyringError> {
        let deployment = identity(store, &root, now)?;
        if root.check_value(deployment.id) != deployment.root_check {
            return Err(KeyringError::RootKeyMismatch);
        }
        let wrap = Wrap::new(&root, deployment.id)?;
        let mut seeds = Vec::new();
        let mut newest_seed_at = Timestamp::EPOCH;
        for record in keys(store, KeyKind::Seed)? {
            let key = wrap.open(&record)?;
            let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| damaged(&record))?;
            newest_seed_at = newest_seed_at.max(record.created_at);
            seeds.push((record.id, Zeroizing::new(key)));
        }
        let mut pairs = Vec::new();
        for record in keys(store, KeyKind::Signing)? {
            let der = wrap.open(&record)?;
            let algorithm = record.algorithm.parse::<Algorithm>().map_err(|_| damaged(&record))?;
            pairs.push(SigningKey::from_pkcs8(algorithm, &der).map_err(|_| damaged(&record))?);
        }
        if pairs.is_empty() {
            pairs.push(first_signing_key(store, &wrap, now)?);
        }
        let published = regrant_jose::JwkSet { keys: pairs.iter().map(SigningKey::public_jwk).collect() };
        let verifying = published
            .keys
            .iter()
            .map(VerifyingKey::from_jwk)
            .collect::<Result<_, _>>()
            .map_err(|error| KeyringError::Crypto(error.to_string()))?;
        let key = pairs.pop().ok_or_else(|| KeyringError::Crypto("no signing key".to_owned()))?;
        let signing = std::sync::Arc::new(Signing { key, verifying, published });
        let mut keyring = Self { root, deployment, seeds, newest_seed_at, signing };
        if keyring.seed_key_is_due(now) {
            let record = keyring.next_seed_key(now)?;
            store.commit(std::slice::from_ref(&record.record), now)?;
            keyring.adopt(record);
        }
        Ok(keyring)
    }

    /// The keys for decisions, as of now.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] if they do not make a working set.
    pub fn decision_keys(&self) -> Result<Keys, KeyringError> {
        Keys::new(&self.root, self.deployment.id, self.deployment.era, &self.seeds)
            .map_err(|error| KeyringError::Crypto(error.to_string()))
    }

    /// The key of a purpose of the server's own: cookies, form tokens.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        self.root.derive(purpose, self.deployment.id, 1)
    }

    /// Whether the current seed key has minted for a day.
    #[must_use]
    pub fn seed_key_is_due(&self, now: Timestamp) -> bool {
        self.seeds.is_empty() || now.since(self.newest_seed_at) >= SEED_KEY_LIFETIME
    }

    /// Makes the next seed key. It mints only after [`Keyring::adopt`], which comes after its record is durable.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`].
    pub fn next_seed_key(&self, now: Timestamp) -> Result<NextSeedKey, KeyringError> {
        let id = self.seeds.iter().map(|(id, _)| *id).max().unwrap_or(0) + 1;
        let key = Zeroizing::new(chance::bytes::<32>());
        let wrap = Wrap::new(&self.root, self.deployment.id)?;
        let wrapped = wrap.seal(KeyKind::Seed, id, key.as_ref())?;
        let record = KeyRecord { kind: KeyKind::Seed, id, algorithm: String::new(), wrapped, created_at: now };
        Ok(NextSeedKey { record: Record::PutKey(record), id, key, created_at: now })
    }

    /// Lets a seed key mint.
    pub fn adopt(&mut self, next: NextSeedKey) {
        self.newest_seed_at = next.created_at;
        self.seeds.push((next.id, next.key));
    }

    /// Forgets the seed keys below `floor` that are not in `needed`; returns their ids.
    pub fn forget_seed_keys(&mut self, floor: u32, needed: &std::collections::BTreeSet<u32>) -> Vec<u32> {
        let (keep, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.seeds).into_iter().partition(|(id, _)| *id >= floor || needed.contains(id));
        self.seeds = keep;
        gone.into_iter().map(|(id, _)| id).collect()
    }
}

/// A seed key that was made and does not mint yet.
pub struct NextSeedKey {
    /// To make durable first.
    pub record: Record,
    id: u32,
    key: Zeroizing<[u8; 32]>,
    created_at: Timestamp,
}

impl std::fmt::Debug for NextSeedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextSeedKey").field("id", &self.id).finish_non_exhaustive()
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

fn keys(store: &mut dyn Store, kind: KeyKind) -> Result<Vec<KeyRecord>, KeyringError> {
    match store.ask(&Question::Keys(kind))? {
        Answer::Keys(keys) => Ok(keys),
        _ => Ok(Vec::new()),
    }
}

fn first_signing_key(store: &mut dyn Store, wrap: &Wrap, now: Timestamp) -> Result<SigningKey, KeyringError> {
    let crypto = |error: regrant_jose::KeyError| KeyringError::Crypto(error.to_string());
    let key = SigningKey::generate(Algorithm::Es256).map_err(crypto)?;
    let wrapped = wrap.seal(KeyKind::Signing, 1, &key.to_pkcs8())?;
    let algorithm = key.algorithm().as_str().to_owned();
    let record = KeyRecord { kind: KeyKind::Signing, id: 1, algorithm, wrapped, created_at: now };
    match store.commit(&[Record::PutKey(record)], now)?.first() {
        Some(Outcome::Committed) => Ok(key),
        Some(Outcome::Stale) | None => {
            Err(KeyringError::Crypto("another process made the first signing key".to_owned()))
        }
    }
}

/// AES-256-GCM-SIV under the root key, with kind and id bound in: one key's row cannot stand in for another's.
struct Wrap(aead::LessSafeKey);

impl Wrap {
    fn new(root: &RootKey, deployment: DeploymentId) -> Result<Self, KeyringError> {
        let key = root.derive(Purpose::Wrap, deployment, 1);
        aead::UnboundKey::new(&aead::AES_256_GCM_SIV, key.as_ref())
            .map(|key| Self(aead::LessSafeKey::new(key)))
            .map_err(|error| KeyringError::Crypto(error.to_string()))
    }

    fn seal(&self, kind: KeyKind, id: u32, plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let nonce: [u8; 12] = chance::bytes();
        let mut body = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(label(kind, id)),
                &mut body,
            )
            .map_err(|error| KeyringError::Crypto(error.to_string()))?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn open(&self, record: &KeyRecord) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (nonce, body) = record.wrapped.split_first_chunk::<12>().ok_or_else(|| damaged(record))?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .0
            .open_in_place(
                aead::Nonce::assume_unique_for_key(*nonce),
                aead::Aad::from(label(record.kind, record.id)),
                &mut body,
            )
            .map_err(|_| damaged(record))?
            .len();
        body.truncate(plain);
        Ok(body)
    }
}

fn label(kind: KeyKind, id: u32) -> Vec<u8> {
    let kind = match kind {
        KeyKind::Seed => "seed",
        KeyKind::Signing => "signing",
    };
    format!("regrant wrapped {kind} {id}").into_bytes()
}

fn damaged(record: &KeyRecord) -> KeyringError {
    KeyringError::KeyDamaged(record.kind, record.id)
}
