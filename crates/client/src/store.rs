//! Where sessions are kept: a trait that a program's own database can implement, in memory, in a sealed file, and
//! in the keychain.
//!
//! A store has three duties, which [`contract`](crate::store::contract) tests: it keeps a record as a whole or not at all; it replaces
//! only the revision that the writer has seen; and it lets one holder at a time have the lock of a name.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::StoreError;
use crate::record::Record;

pub mod contract;
pub mod file;
#[cfg(feature = "keychain")]
pub mod keychain;
mod local;
mod locks;
pub(crate) mod sealing;

/// What a store does, in the end.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What came of a replacement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// It is kept, and survives a crash.
    Done,
    /// Somebody was first: read again. Nothing was changed.
    Stale,
}

/// Keeps records by name.
pub trait Store: Send + Sync + fmt::Debug {
    /// The record of that name; `None` if there never was one.
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>>;

    /// Keeps `record`, durably, if the one in the store is of the revision `expected` (0 if there is none).
    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced>;

    /// Waits until nobody else holds the lock of that name, or until `patience` is over: a holder that is frozen must not
    /// freeze everybody. Whoever comes in without the lock is kept from harm by the revision, and by the key of the intent.
    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock>;
}

/// Held until it is dropped. A process that ends drops what it holds.
pub struct Lock {
    is_held: bool,
    _held: Option<Box<dyn Send + Sync>>,
}

impl Lock {
    /// A lock that ends when `held` is dropped.
    #[must_use]
    pub fn of(held: impl Send + Sync + 'static) -> Self {
        Self { is_held: true, _held: Some(Box::new(held)) }
    }

    /// No lock: the patience was over.
    #[must_use]
    pub fn impatient() -> Self {
        Self { is_held: false, _held: None }
    }

    /// Whether it is one.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_held
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("is_held", &self.is_held).finish()
    }
}

/// In memory: for programs that log in at each start, and for tests. Clones are one store.
#[derive(Clone, Default, Debug)]
pub struct MemoryStore {
    records: Arc<Mutex<HashMap<String, Record>>>,
    locks: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        let found = self.records.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let found = records.get(name).map_or(0, |record| record.revision);
        let replaced = if found == expected {
            records.insert(name.to_owned(), record.clone());
            Replaced::Done
        } else {
            Replaced::Stale
        };
        Box::pin(std::future::ready(Ok(replaced)))
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(locks.entry(name.to_owned()).or_default());
        Box::pin(async move {
            Ok(tokio::time::timeout(patience, lock.lock_owned()).await.map_or_else(|_| Lock::impatient(), Lock::of))
        })
    }
}
