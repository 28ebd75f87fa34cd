//! Bulk revocations of the lost span, and those that were taken back in it.
//!
//! | the journal has                  | in the copy             | what is done                                                    |
//! |----------------------------------|-------------------------|-----------------------------------------------------------------|
//! | one of before the copy's end     | there, or swept         | nothing: its rows are there, or what it ended has ended         |
//! | one of the lost span             | not there               | the next number takes it: all grants of the copy count less     |
//! | one of the lost span             | there                   | nothing: of the copy's last moment, or of a broken-off recovery |
//! | one of the lost span, taken back | not there               | nothing                                                         |
//! | one that was taken back          | there, not taken back   | it is taken back, as it was                                     |
//!
//! Before and behind is told by the time of the commit, which never goes back (law L10), and in the same millisecond by whether it is there.

use std::time::Duration;

use regrant_core::decision::Event;
use regrant_core::keys::Keys;
use regrant_core::{Epoch, EventKind, Grant, Timestamp};
use regrant_store::{Answer, EventRecord, Outcome, Question, Record, Store, Unavailable};

use super::{Replayed, SLICE, ended_again};
use crate::revocations::{Bulk, Entry, Revoked};

const MOMENT: Duration = Duration::from_millis(1);

/// What to write for them.
pub(super) fn replay(
    store: &mut dyn Store,
    entries: &[Entry],
    lost_from: Timestamp,
    replayed: &mut Replayed,
) -> Result<Vec<Record>, Unavailable> {
    let mut there = match store.ask(&Question::Epochs)? {
        Answer::Epochs { epochs, .. } => epochs,
        _ => Vec::new(),
    };
    let (mut records, mut taken_back) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.at >= lost_from) {
        let Revoked::TakenBack(bulk) = &entry.what else { continue };
        match there.iter_mut().find(|epoch| Bulk::of(epoch) == *bulk) {
            Some(epoch) if epoch.undone_at.is_none() => {
                epoch.undone_at = Some(entry.at);
                replayed.bulk_taken_back += 1;
                // The commit may have been a moment later than what it was asked for: never later than was allowed.
                let at = bulk.undo_until.map_or(entry.at, |until| entry.at.min(until.minus(MOMENT)));
                records.push(Record::UndoEpoch { number: epoch.number, at, events: Vec::new() });
            }
            Some(_) => {}
            None => taken_back.push(bulk),
        }
    }
    for entry in entries {
        let Revoked::Bulk(bulk) = &entry.what else { continue };
        if entry.at < lost_from {
            replayed.bulk_ended_already += 1;
        } else if let Some(found) = there.iter().position(|epoch| Bulk::of(epoch) == *bulk) {
            // Each row stands for one entry.
            there.swap_remove(found);
            replayed.bulk_ended_already += 1;
        } else if let Some(found) = taken_back.iter().position(|undone| *undone == bulk) {
            taken_back.swap_remove(found);
            replayed.bulk_taken_back += 1;
        } else {
            replayed.bulk += 1;
            records.push(again(bulk));
        }
    }
    Ok(records)
}

fn again(bulk: &Bulk) -> Record {
    let epoch = bulk.again();
    let event = Event {
        kind: EventKind::Admin,
        grant: None,
        client: bulk.selector.client.clone(),
        subject: bulk.selector.subject.clone(),
        detail: format!("bulk revocation ({}) {}", bulk.reason.as_str(), epoch.detail),
    };
    let events = vec![EventRecord { at: bulk.at, event, correlation: String::new() }];
    Record::Epoch { epoch, events }
}

/// Those for which there was no room are written into the rows that they select, as the sweep would.
pub(super) fn end_each(
    store: &mut dyn Store,
    records: &[Record],
    outcomes: &[Outcome],
    keys: &Keys,
    at: Timestamp,
) -> Result<(), Unavailable> {
    let refused = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Stale);
    let refused: Vec<Epoch> = refused.filter_map(|(record, _)| as_of_the_copy(record)).collect();
    let mut after = 0;
    while !refused.is_empty() {
        let question = Question::Grants { client: None, subject: None, after, limit: SLICE as u32 };
        let Answer::Grants(slice) = store.ask(&question)? else { break };
        let Some(last) = slice.last() else { break };
        after = last.grant.id.number;
        let intact = slice.iter().filter(|row| row.grant.is_intact(row.mac, keys));
        let ended = intact.filter_map(|row| {
            let epoch = refused.iter().find(|epoch| epoch.covers(&row.grant))?;
            ended_again(&row.grant, epoch.reason, epoch.at, keys)
        });
        let ended: Vec<Record> = ended.collect();
        if !ended.is_empty() {
            store.commit(&ended, at)?;
        }
    }
    Ok(())
}

/// Those that will cover grants, for counting before they do.
pub(super) fn to_come(records: &[Record]) -> Vec<Epoch> {
    records.iter().filter_map(as_of_the_copy).collect()
}

/// With a number above that of every grant of the copy.
fn as_of_the_copy(record: &Record) -> Option<Epoch> {
    match record {
        Record::Epoch { epoch, .. } => Some(Epoch { number: u64::MAX, ..epoch.clone() }),
        _ => None,
    }
}

/// Whether one of those to come ends a grant.
pub(super) fn is_ended(grant: &Grant, to_come: &[Epoch]) -> bool {
    to_come.iter().any(|epoch| epoch.covers(grant))
}

#[cfg(test)]
mod tests {
    use regrant_core::Selector;
    use regrant_store::Memory;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn bulk(at_millis: i64, scope: &str) -> Bulk {
        let selector = Selector { scope: Some(scope.to_owned()), ..Selector::default() };
        Bulk { at: at(at_millis), reason: selector.reason(), selector, undo_until: Some(at(900)) }
    }

    fn entry(at_millis: i64, what: Revoked) -> Entry {
        Entry { at: at(at_millis), over_at: at(99_999), what }
    }

    /// What is done, by scope.
    fn done(store: &mut dyn Store, entries: &[Entry]) -> (Vec<String>, Replayed) {
        let mut replayed = Replayed::default();
        let records = replay(store, entries, at(100), &mut replayed).expect("in memory");
        let outcomes = store.commit(&records, at(100)).expect("in memory");
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed), "{outcomes:?}");
        let told = |record: &Record| match record {
            Record::Epoch { epoch, .. } => format!("again {}", epoch.selector.scope.clone().unwrap_or_default()),
            Record::UndoEpoch { number, .. } => format!("undo {number}"),
            _ => "something else".to_owned(),
        };
        (records.iter().map(told).collect(), replayed)
    }

    /// Each row of the table above, and the second time nothing.
    #[test]
    fn each_is_in_force_again_once_and_only_if_it_was_lost_and_not_taken_back() {
        let mut store = Memory::new();
        let there = |bulk: &Bulk| Record::Epoch { epoch: bulk.again(), events: Vec::new() };
        let (last_moment, undone_later) = (bulk(100, "last"), bulk(60, "later"));
        store.commit(&[there(&last_moment), there(&undone_later)], at(100)).expect("in memory");
        let entries = [
            entry(50, Revoked::Bulk(bulk(50, "swept"))),
            entry(60, Revoked::Bulk(undone_later.clone())),
            entry(100, Revoked::Bulk(last_moment)),
            entry(100, Revoked::Bulk(bulk(100, "lost in the same moment"))),
            entry(101, Revoked::Bulk(bulk(101, "lost"))),
            entry(101, Revoked::Bulk(bulk(101, "lost"))),
            entry(102, Revoked::Bulk(bulk(102, "undone"))),
            entry(103, Revoked::TakenBack(bulk(102, "undone"))),
            entry(901, Revoked::TakenBack(undone_later)),
        ];
        let (records, replayed) = done(&mut store, &entries);
        assert_eq!(records, ["undo 2", "again lost in the same moment", "again lost", "again lost"]);
        let Replayed { bulk, bulk_ended_already, bulk_taken_back, .. } = replayed;
        assert_eq!((bulk, bulk_ended_already, bulk_taken_back), (3, 3, 2));
        assert_eq!(store.epoch(), 5, "the next numbers");
        // A recovery that broke off begins anew.
        let (records, _) = done(&mut store, &entries);
        assert_eq!((records.len(), store.epoch()), (0, 5));
    }
}
