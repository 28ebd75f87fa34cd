//! How old the keys are. [`ages`] is the one place that says which keys there are and how they stand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_store::{KeyKind, KeyRecord, Outcome, Record};

use crate::app::App;

/// One key, as it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyAge {
    /// `seed` or `signing`.
    pub(crate) kind: &'static str,
    /// `current` mints; `kept` only verifies, or answers retries.
    pub(crate) status: &'static str,
    /// Since it was made.
    pub(crate) age: Duration,
}

/// All keys of the server.
pub(crate) fn ages(app: &App) -> Vec<KeyAge> {
    app.metrics.keys.ages(app.engine.now())
}

/// When the keys of the store were made, as they pass by: a scrape asks the store nothing.
#[derive(Debug, Default)]
pub(crate) struct KeyBook(Mutex<Vec<(KeyKind, u32, Timestamp)>>);

impl KeyBook {
    pub(super) fn read(&self, keys: &[KeyRecord]) {
        keys.iter().for_each(|key| self.put(key));
    }

    pub(super) fn committed(&self, record: &Record, outcome: Outcome) {
        match record {
            Record::PutKey(key) if outcome == Outcome::Committed => self.put(key),
            Record::DropKey { kind, id } => {
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.retain(|(known, number, _)| known != kind || number != id);
            }
            _ => {}
        }
    }

    fn put(&self, key: &KeyRecord) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(kind, id, _)| *kind != key.kind || *id != key.id);
        known.push((key.kind, key.id, key.created_at));
    }

    fn ages(&self, now: Timestamp) -> Vec<KeyAge> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = |kind| known.iter().filter(|key| key.0 == kind).map(|key| key.1).max();
        let told = known.iter().map(|(kind, id, created_at)| KeyAge {
            kind: word(*kind),
            status: if newest(*kind) == Some(*id) { "current" } else { "kept" },
            age: now.since(*created_at),
        });
        told.collect()
    }
}

const fn word(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Seed => "seed",
        KeyKind::Signing => "signing",
    }
}
