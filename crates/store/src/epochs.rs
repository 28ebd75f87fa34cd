//! All wide revocations in memory, so that a row is looked up among them without a read: kept exact by the one writer of a store, and the
//! same for every store that has one.
//!
//! Those of a user, a client or a session are found by a hash; the others are tried one by one, and so are few ([`MOST_BROAD`]). While there
//! are none, a row costs one comparison.

use std::collections::{BTreeMap, HashMap};

use regrant_core::access::AccessToken;
use regrant_core::grant::EndReason;
use regrant_core::{Covered, Epoch, Grant, Selector, Timestamp};

use crate::{Loaded, Outcome, Record};

/// The most that are kept at once, those that were undone included.
pub const MOST_EPOCHS: usize = 100_000;
/// The most of them that name neither a user nor a client nor a session, and the most of one of these.
pub const MOST_BROAD: usize = 256;

/// The most beside this one, in its place. What users choose themselves leaves half of it to operators and to what follows from a new
/// password or a switch: whoever has a user's browser must not fill the place in which his end would stand.
pub(crate) const fn most_beside(next: &Epoch) -> usize {
    match next.reason {
        EndReason::RevokedByUser | EndReason::ConsentWithdrawn => MOST_BROAD / 2,
        _ => MOST_BROAD,
    }
}

/// Which of a full place make room for the next one: those that were taken back, and those that end nothing which a later one, or the next,
/// does not end as well, and for good.
pub(crate) fn superseded(place: &[Epoch], next: &Epoch) -> Vec<u64> {
    let is_final = |epoch: &Epoch| epoch.undone_at.is_none() && !epoch.can_be_undone(next.at);
    let ends_all_of = |later: &Epoch, earlier: &Epoch| {
        let Selector { subject, client, session, .. } = &earlier.selector;
        let of_user = Selector { subject: subject.clone(), ..Selector::default() };
        let of_client = Selector { client: client.clone(), ..Selector::default() };
        let is_whole = (subject.is_some() && later.selector == of_user)
            || (subject.is_none() && client.is_some() && later.selector == of_client);
        let counts = earlier.selector.issued_before.is_none() && session.is_none();
        is_final(later) && (later.selector == earlier.selector || is_whole && counts)
    };
    let goes = |(position, epoch): (usize, &Epoch)| {
        let mut later = place.iter().skip(position + 1).chain(std::iter::once(next));
        let goes = epoch.undone_at.is_some() || is_final(epoch) && later.any(|later| ends_all_of(later, epoch));
        goes.then_some(epoch.number)
    };
    place.iter().enumerate().filter_map(goes).collect()
}

/// See the module's description.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    counter: u64,
    rows: BTreeMap<u64, Epoch>,
    by_subject: HashMap<String, Vec<u64>>,
    by_client: HashMap<String, Vec<u64>>,
    by_session: HashMap<[u8; 32], Vec<u64>>,
    broad: Vec<u64>,
}

impl Epochs {
    /// What a store holds: the number of the newest that there ever was, and those that are left.
    pub(crate) fn new(counter: u64, rows: Vec<Epoch>) -> Self {
        let mut epochs = Self { counter, ..Self::default() };
        for row in rows {
            epochs.insert(row);
        }
        epochs
    }

    /// The number of the newest that there ever was.
    pub(crate) const fn counter(&self) -> u64 {
        self.counter
    }

    /// There were so many, though the newest of them may be forgotten by now.
    pub(crate) fn count(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    /// In order of number.
    pub(crate) fn all(&self) -> Vec<Epoch> {
        self.rows.values().cloned().collect()
    }

    /// Whether this one is the next, and there is room for it.
    pub(crate) fn takes(&self, epoch: &Epoch) -> bool {
        (epoch.number == 0 || epoch.number == self.counter.saturating_add(1))
            && self.rows.len() < MOST_EPOCHS
            && self.beside(epoch) - self.makes_room(epoch).len() < most_beside(epoch)
    }

    /// Takes the next one, and lets go what makes room for it.
    pub(crate) fn take(&mut self, epoch: Epoch) {
        self.makes_room(&epoch).into_iter().for_each(|number| self.forget(number));
        self.insert(epoch);
    }

    fn beside(&self, epoch: &Epoch) -> usize {
        self.place(epoch).map_or(0, Vec::len)
    }

    fn makes_room(&self, epoch: &Epoch) -> Vec<u64> {
        if self.beside(epoch) < most_beside(epoch) {
            return Vec::new();
        }
        let numbers = self.place(epoch).into_iter().flatten();
        let place: Vec<Epoch> = numbers.filter_map(|number| self.rows.get(number)).cloned().collect();
        superseded(&place, epoch)
    }

    /// Whether this one is there and may be taken back at this time.
    pub(crate) fn can_be_undone(&self, number: u64, at: Timestamp) -> bool {
        self.rows.get(&number).is_some_and(|epoch| epoch.can_be_undone(at))
    }

    /// Takes note of what was committed.
    pub(crate) fn committed<'a>(&mut self, records: impl IntoIterator<Item = (&'a Record, &'a Outcome)>) {
        for (record, outcome) in records {
            match (record.bare(), outcome) {
                (Record::Epoch { epoch, .. }, Outcome::Committed) => self.take(epoch.clone()),
                (Record::UndoEpoch { number, at, .. }, Outcome::Committed) => self.undo(*number, *at),
                (Record::ForgetEpochs { numbers }, Outcome::Committed) => {
                    numbers.iter().for_each(|number| self.forget(*number));
                }
                _ => {}
            }
        }
    }

    /// Number 0 takes whichever is the next.
    pub(crate) fn insert(&mut self, epoch: Epoch) {
        let number = if epoch.number == 0 { self.counter.saturating_add(1) } else { epoch.number };
        let epoch = Epoch { number, ..epoch };
        self.counter = self.counter.max(epoch.number);
        self.place_mut(&epoch).push(epoch.number);
        self.rows.insert(epoch.number, epoch);
    }

    pub(crate) fn undo(&mut self, number: u64, at: Timestamp) {
        if let Some(epoch) = self.rows.get_mut(&number) {
            epoch.undone_at = Some(at);
        }
    }

    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(epoch) = self.rows.remove(&number) {
            let place = self.place_mut(&epoch);
            place.retain(|held| *held != number);
            if place.is_empty() {
                self.clear_place(&epoch);
            }
        }
    }

    /// The first that covers this row.
    pub(crate) fn covering(&self, grant: &Grant) -> Option<Covered> {
        if self.rows.is_empty() {
            return None;
        }
        let terms = &grant.terms;
        let of_session = terms.session.as_ref().and_then(|session| self.by_session.get(session));
        let places = [self.by_subject.get(&terms.subject), self.by_client.get(terms.client.as_str()), of_session];
        self.first(places, |epoch| epoch.covers(grant))
    }

    /// The first that covers an access token without a grant.
    pub(crate) fn covering_access(&self, token: &AccessToken) -> Option<Covered> {
        if self.rows.is_empty() {
            return None;
        }
        let of_session = token.session.as_ref().and_then(|session| self.by_session.get(session));
        let places = [self.by_subject.get(&token.subject), self.by_client.get(&token.client), of_session];
        self.first(places, |epoch| epoch.covers_access(token))
    }

    /// The rows with what covers them.
    pub(crate) fn cover(&self, loaded: &mut Loaded) {
        loaded.covered = self.covering(&loaded.grant);
    }

    fn first(&self, places: [Option<&Vec<u64>>; 3], covers: impl Fn(&Epoch) -> bool) -> Option<Covered> {
        let numbers = places.into_iter().flatten().chain(std::iter::once(&self.broad)).flatten();
        let covering = numbers.filter(|number| self.rows.get(number).is_some_and(&covers));
        covering.min().and_then(|number| self.rows.get(number)).map(Epoch::covered)
    }

    /// Where it is looked for: by its session, else its user, else its client.
    fn place(&self, epoch: &Epoch) -> Option<&Vec<u64>> {
        let selector = &epoch.selector;
        match (&selector.session, &selector.subject, &selector.client) {
            (Some(session), _, _) => self.by_session.get(session),
            (None, Some(subject), _) => self.by_subject.get(subject),
            (None, None, Some(client)) => self.by_client.get(client.as_str()),
            (None, None, None) => Some(&self.broad),
        }
    }

    fn clear_place(&mut self, epoch: &Epoch) {
        let selector = &epoch.selector;
        match (&selector.session, &selector.subject, &selector.client) {
            (Some(session), _, _) => drop(self.by_session.remove(session)),
            (None, Some(subject), _) => drop(self.by_subject.remove(subject)),
            (None, None, Some(client)) => drop(self.by_client.remove(client.as_str())),
            (None, None, None) => {}
        }
    }

    fn place_mut(&mut self, epoch: &Epoch) -> &mut Vec<u64> {
        let selector = &epoch.selector;
        match (selector.session, &selector.subject, &selector.client) {
            (Some(session), _, _) => self.by_session.entry(session).or_default(),
            (None, Some(subject), _) => self.by_subject.entry(subject.clone()).or_default(),
            (None, None, Some(client)) => self.by_client.entry(client.as_str().to_owned()).or_default(),
            (None, None, None) => &mut self.broad,
        }
    }
}
