//! Events: as they are told, as they are kept, and as they are looked for. How one becomes a row and a link of the chain is the same in
//! every store.

use regrant_core::decision::Event;
use regrant_core::{ChainKey, EventKind, Link, Timestamp};

/// An event with its time and the correlation id of the request that caused it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRecord {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// The request's correlation id, or empty.
    pub correlation: String,
}

/// An event as it was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    /// Position in the table.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// The word for its kind.
    pub kind: String,
    /// The stable reason code, for the kinds that have one.
    pub reason: Option<String>,
    /// The number of the grant it is about.
    pub grant: Option<u64>,
    /// The client.
    pub client: Option<String>,
    /// The user.
    pub subject: Option<String>,
    /// For people.
    pub detail: String,
    /// The request's correlation id, or empty.
    pub correlation: String,
    /// Its link in the chain; `None` for events from before there was a chain.
    pub link: Option<Link>,
}

/// Where the chain of events begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainEnds {
    /// Position and link of the last event that is no longer kept: the first one that is was linked to it.
    pub removed: (u64, Link),
    /// Position and link of the newest.
    pub newest: (u64, Link),
}

/// Which events are looked for: those for which all of it is true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this client.
    pub client: Option<String>,
    /// Of this user.
    pub subject: Option<String>,
    /// Of the request with this correlation id.
    pub correlation: Option<String>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// At a greater position.
    pub after: u64,
    /// At a smaller position. A store looks through all between the two: whoever asks keeps them close together.
    pub before: u64,
    /// The most to return.
    pub limit: u32,
}

impl Default for EventFilter {
    /// The newest event.
    fn default() -> Self {
        Self {
            kind: None,
            client: None,
            subject: None,
            correlation: None,
            since: None,
            after: 0,
            before: u64::MAX,
            limit: 1,
        }
    }
}

impl EventFilter {
    /// Whether this event is looked for.
    #[must_use]
    pub fn fits(&self, event: &StoredEvent) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        self.after < event.id
            && event.id < self.before
            && self.since.is_none_or(|since| since <= event.at)
            && is(&self.kind, Some(&event.kind))
            && is(&self.client, event.client.as_deref())
            && is(&self.subject, event.subject.as_deref())
            && is(&self.correlation, Some(&event.correlation))
    }
}

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
