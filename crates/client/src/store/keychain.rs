//! Sessions in the keychain, one entry each.
//!
//! A keychain compares nothing before it replaces, so that is done under the locks of a directory, which holds nothing else: every program
//! that shares the sessions must share the directory. Some keychains take little: an ordinary user's kernel keyring 20 kB, two or three
//! sessions of JWTs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

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

    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        act: impl FnOnce(&Inner, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        let done = tokio::task::spawn_blocking(move || act(&inner, &name)).await;
        done.unwrap_or_else(|error| Err(StoreError::new("the keychain was not reached", error)))
    }
}

impl Store for KeychainStore {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        Box::pin(self.blocking(name, Inner::load))
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        let record = record.clone();
        Box::pin(self.blocking(name, move |inner, name| inner.replace(name, expected, &record)))
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        Box::pin(async move {
            let file = self.blocking(name, |inner, name| inner.locks.file(name)).await?;
            Locks::lock(file, patience).await
        })
    }
}

/// What the lock of all reading and writing is named by.
const ALL: &str = "keychain";

impl Inner {
    /// Nobody writes meanwhile: a keychain that is read while it is written may say that it has nothing.
    fn load(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let _alone = self.locks.alone(ALL)?;
        self.read(name)
    }

    fn read(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let Some(text) = self.keychain.get(name)? else { return Ok(None) };
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|_| StoreError(format!("{name} in {} is no session of this version", self.keychain)))
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
