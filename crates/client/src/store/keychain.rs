//! Sessions in the keychain, one entry each.
//!
//! A keychain compares nothing before it replaces, so that is done under the locks of a directory, which holds nothing else: every program
//! that shares the sessions must share the directory. Some keychains take little: an ordinary user's kernel keyring 20 kB, two or three
//! sessions of JWTs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::local::{self, Local};
use super::locks::Locks;
use super::{Lock, Pending, Replaced, Store};
use crate::error::StoreError;
use crate::keychain::Keychain;
use crate::record::Record;

/// Sessions in a keychain. Clones are one store.
#[derive(Clone, Debug)]
pub struct KeychainStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keychain: Keychain,
    locks: Locks,
}

impl KeychainStore {
    /// Sessions in this keychain, with their locks in that directory, which is made if it is not there.
    ///
    /// # Errors
    /// If the directory cannot be made, or others may read it.
    pub fn open(keychain: Keychain, locks: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Inner { keychain, locks: Locks::open(locks.into())? })))
    }
}

impl Store for KeychainStore {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        local::load(&self.0, name)
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        local::replace(&self.0, name, expected, record)
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        local::lock(&self.0, name, patience)
    }
}

/// What the lock of all reading and writing is named by.
const ALL: &str = "keychain";

impl Local for Inner {
    const UNREACHED: &'static str = "the keychain was not reached";

    fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Nobody writes meanwhile: a keychain that is read while it is written may say that it has nothing.
    fn load(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let _alone = self.locks.alone(ALL)?;
        self.read(name)
    }

    fn replace(&self, name: &str, expected: u64, record: &Record) -> Result<Replaced, StoreError> {
        let _alone = self.locks.alone(ALL)?;
        if self.read(name)?.map_or(0, |record| record.revision) != expected {
            return Ok(Replaced::Stale);
        }
        let text = serde_json::to_vec(record).map(Zeroizing::new);
        let text = text.map_err(|error| StoreError::new("a session", error))?;
        self.keychain.put(name, &text)?;
        Ok(Replaced::Done)
    }
}

impl Inner {
    fn read(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let Some(text) = self.keychain.get(name)? else { return Ok(None) };
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|_| StoreError(format!("{name} in {} is no session of this version", self.keychain)))
    }
}
