//! Stores on this machine: their work waits for a disk or for another program, so it is done by threads that may wait.

use std::sync::Arc;
use std::time::Duration;

use super::locks::Locks;
use super::{Lock, Pending, Replaced};
use crate::error::StoreError;
use crate::record::Record;

/// What such a store does, on a thread that may wait.
pub(super) trait Local: Send + Sync + 'static {
    /// What is said if the thread was lost.
    const UNREACHED: &'static str;

    /// The directory of its locks.
    fn locks(&self) -> &Locks;

    /// [`Store::load`](super::Store::load)
    fn load(&self, name: &str) -> Result<Option<Record>, StoreError>;

    /// [`Store::replace`](super::Store::replace)
    fn replace(&self, name: &str, expected: u64, record: &Record) -> Result<Replaced, StoreError>;
}

pub(super) fn load<'a, L: Local>(store: &'a Arc<L>, name: &'a str) -> Pending<'a, Option<Record>> {
    Box::pin(blocking(store, name, L::load))
}

pub(super) fn replace<'a, L: Local>(
    store: &'a Arc<L>,
    name: &'a str,
    expected: u64,
    record: &'a Record,
) -> Pending<'a, Replaced> {
    let record = record.clone();
    Box::pin(blocking(store, name, move |store, name| store.replace(name, expected, &record)))
}

pub(super) fn lock<'a, L: Local>(store: &'a Arc<L>, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
    Box::pin(async move {
        let file = blocking(store, name, |store, name| store.locks().file(name)).await?;
        Locks::lock(file, patience).await
    })
}

async fn blocking<L: Local, T: Send + 'static>(
    store: &Arc<L>,
    name: &str,
    act: impl FnOnce(&L, &str) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (store, name) = (Arc::clone(store), name.to_owned());
    let done = tokio::task::spawn_blocking(move || act(&store, &name)).await;
    done.unwrap_or_else(|error| Err(StoreError::new(L::UNREACHED, error)))
}
