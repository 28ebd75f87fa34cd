//! How old the keys are. [`ages`] is the one place that says which keys there are and how they stand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_store::{KeyKind, KeyRecord, Outcome, Record};

use crate::app::App;

/// One key, as it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyAge {
    /// `tag`, `seed`, `sealing` or `signing`.
    pub(crate) kind: &'static str,
    /// `next`, `current`, `verify` or `compromised`.
    pub(crate) status: &'static str,
    /// Since it was made.
    pub(crate) age: Duration,
}

/// All keys of the server but those that are gone.
pub(crate) fn ages(app: &App) -> Vec<KeyAge> {
    app.metrics.keys.ages(app.engine.now())
}

/// When the keys of the store were made, as they pass by: a scrape asks the store nothing.
#[derive(Debug, Default)]
pub(crate) struct KeyBook(Mutex<BTreeMap<(KeyKind, u32), (KeyStatus, Timestamp)>>);

impl KeyBook {
    pub(super) fn read(&self, keys: &[KeyRecord]) {
        keys.iter().for_each(|key| self.put(key));
    }

    pub(super) fn committed(&self, record: &Record, outcome: Outcome) {
        if let (Record::Keys { changes, .. }, Outcome::Committed) = (record.bare(), outcome) {
            changes.iter().for_each(|change| self.put(&change.key));
        }
    }

    fn put(&self, key: &KeyRecord) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if key.status == KeyStatus::Gone {
            known.remove(&(key.kind, key.id));
        } else {
            known.insert((key.kind, key.id), (key.status, key.created_at));
        }
    }

    fn ages(&self, now: Timestamp) -> Vec<KeyAge> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = known.iter().map(|((kind, _), (status, created_at))| KeyAge {
            kind: kind.as_str(),
            status: status.as_str(),
            age: now.since(*created_at),
        });
        told.collect()
    }
}
