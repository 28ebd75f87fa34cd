//! What was told of a grant in this minute: an event that the store would not keep again needs no commit of its own.
//!
//! The store has the last word. This forgets, with each minute and when there is too much of it, and then a commit is made that
//! keeps nothing.

use std::collections::HashSet;

use regrant_core::EventKind;
use regrant_store::{EventRecord, Outcome, Record};

/// The most that is remembered.
const MOST: usize = 65_536;

/// The events of one minute that are kept once.
#[derive(Debug, Default)]
pub(super) struct Told {
    minute: i64,
    known: HashSet<(u64, EventKind)>,
}

impl Told {
    /// Whether the store may have to keep it.
    pub(super) fn is_news(&self, record: &EventRecord) -> bool {
        let Some(key) = key(record) else { return true };
        minute(record) != self.minute || !self.known.contains(&key)
    }

    /// These are durable.
    pub(super) fn committed(&mut self, records: &[Record], outcomes: &[Outcome]) {
        let are_durable = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Committed);
        for record in are_durable.flat_map(|(record, _)| events_of(record)) {
            let Some(key) = key(record) else { continue };
            if minute(record) != self.minute || self.known.len() >= MOST {
                self.known.clear();
                self.minute = minute(record);
            }
            self.known.insert(key);
        }
    }
}

/// The events of a record.
pub(super) fn events_of(record: &Record) -> impl Iterator<Item = &EventRecord> {
    let events = match record.bare() {
        Record::Grant { events, .. } | Record::Keys { events, .. } => events.as_slice(),
        Record::Event(event) => std::slice::from_ref(event),
        _ => &[],
    };
    events.iter()
}

fn key(record: &EventRecord) -> Option<(u64, EventKind)> {
    let kind = record.event.kind;
    let grant = record.event.grant.filter(|_| kind.is_once_a_minute() || kind.is_once_a_grant())?;
    Some((grant.number, kind))
}

fn minute(record: &EventRecord) -> i64 {
    record.at.millis().div_euclid(60_000)
}
