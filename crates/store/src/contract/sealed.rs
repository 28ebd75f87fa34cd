//! What a seal holds together, for the tests of the stores that have one: small records of each kind.

use regrant_core::decision::{Event, EventKind};
use regrant_core::grant::EndReason;
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::{ChainKey, Epoch, Selector};

use super::at;
use crate::{EventRecord, KeyChange, KeyKind, KeyRecord, Record, Store};

/// The key of these tests.
#[must_use]
pub fn key() -> ChainKey {
    ChainKey::new(&[5; 32])
}

/// Makes a fresh store one of a deployment, and gives it its key.
///
/// # Panics
/// If it refuses that.
pub fn begin(store: &mut dyn Store) {
    let identity = Record::Initialise { deployment: DeploymentId([3; 16]), root_check: [4; 16] };
    store.commit(&[identity], at(1)).expect("written");
    store.chain_under(key()).expect("a fresh store");
}

/// A wide revocation of all that has this scope.
#[must_use]
pub fn epoch(number: u64, scope: &str) -> Record {
    let selector = Selector { scope: Some(scope.to_owned()), ..Selector::default() };
    let (reason, undo_until) = (EndReason::ScopeRevoked, Some(at(1000)));
    let epoch = Epoch { number, at: at(1), selector, reason, detail: String::new(), undo_until, undone_at: None };
    Record::Epoch { epoch, events: Vec::new() }
}

/// An event.
#[must_use]
pub fn event(detail: &str) -> Record {
    let event = Event { kind: EventKind::Admin, grant: None, client: None, subject: None, detail: detail.to_owned() };
    Record::Event(EventRecord { at: at(2), event, correlation: String::new() })
}

/// A key that comes, or has another status from now on. A seed key has bytes of its own.
#[must_use]
pub fn key_change(kind: KeyKind, id: u32, expected: Option<KeyStatus>, status: KeyStatus) -> Record {
    let key = KeyRecord {
        kind,
        id,
        status,
        algorithm: String::new(),
        wrapped: (kind == KeyKind::Seed).then(|| vec![1, 2, 3]),
        outlived_by: 0,
        created_at: at(1),
        current_at: Some(at(1)),
        verify_at: None,
        gone_at: None,
    };
    Record::Keys { changes: vec![KeyChange { expected, key }], events: Vec::new() }
}

/// The same of a tag key.
#[must_use]
pub fn tag_key(id: u32, expected: Option<KeyStatus>, status: KeyStatus) -> Record {
    key_change(KeyKind::Tag, id, expected, status)
}
