//! How an event becomes a row, the same in every store.

use regrant_core::EventKind;

use crate::{EventRecord, StoredEvent};

/// The minute since the epoch of which at most one such event is kept per grant, or where there is no grant per user;
/// `None` for the kinds that are all kept.
pub(crate) fn minute(record: &EventRecord) -> Option<i64> {
    record.event.kind.is_once_a_minute().then(|| record.at.millis().div_euclid(60_000))
}

/// The stable reason code, for the kinds that have one.
pub(crate) const fn reason(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::GrantEnded(reason) => Some(reason.as_str()),
        EventKind::GrantCreated
        | EventKind::Straggler
        | EventKind::ReplayRefused
        | EventKind::Alarm
        | EventKind::Login
        | EventKind::LoginFailed
        | EventKind::Logout
        | EventKind::Consent
        | EventKind::Admin => None,
    }
}

/// The row.
pub(crate) fn stored(id: u64, record: &EventRecord) -> StoredEvent {
    let EventRecord { at, event, correlation } = record;
    StoredEvent {
        id,
        at: *at,
        kind: event.kind.as_str().to_owned(),
        reason: reason(event.kind).map(str::to_owned),
        grant: event.grant.map(|id| id.number),
        client: event.client.as_ref().map(ToString::to_string),
        subject: event.subject.clone(),
        detail: event.detail.clone(),
        correlation: correlation.clone(),
    }
}
