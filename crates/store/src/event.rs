//! How an event becomes a row, and a link of the chain, the same in every store.

use regrant_core::{ChainKey, EventKind, Link};

use crate::{EventRecord, StoredEvent};

/// Of what at most one event is kept per grant, or where there is no grant per user: a minute since the epoch, or all time (0);
/// `None` for the kinds that are all kept.
pub(crate) fn minute(record: &EventRecord) -> Option<i64> {
    let kind = record.event.kind;
    if kind.is_once_a_grant() {
        return Some(0);
    }
    kind.is_once_a_minute().then(|| record.at.millis().div_euclid(60_000))
}

/// The stable reason code, for the kinds that have one.
pub(crate) const fn reason(kind: EventKind) -> Option<&'static str> {
    kind.reason()
}

/// The row, at this position behind this link.
pub(crate) fn stored(id: u64, record: &EventRecord, key: &ChainKey, before: &Link) -> StoredEvent {
    let EventRecord { at, event, correlation } = record;
    let row = StoredEvent {
        id,
        at: *at,
        kind: event.kind.as_str().to_owned(),
        reason: reason(event.kind).map(str::to_owned),
        grant: event.grant.map(|id| id.number),
        client: event.client.as_ref().map(ToString::to_string),
        subject: event.subject.clone(),
        detail: event.detail.clone(),
        correlation: correlation.clone(),
        link: None,
    };
    StoredEvent { link: Some(row.link_behind(key, before)), ..row }
}

impl StoredEvent {
    /// The link that this row must carry behind the link `before`.
    #[must_use]
    pub fn link_behind(&self, key: &ChainKey, before: &Link) -> Link {
        let (has_grant, grant) = self.grant.map_or((0, 0), |number| (1, number));
        let numbers = [self.id, self.at.millis().cast_unsigned(), has_grant, grant];
        let texts = [
            Some(self.kind.as_str()),
            self.reason.as_deref(),
            self.client.as_deref(),
            self.subject.as_deref(),
            Some(self.detail.as_str()),
            Some(self.correlation.as_str()),
        ];
        key.link(before, &numbers, &texts)
    }
}
