//! The contract kept in memory: for tests, and for programs that want nothing to remain.
//!
//! Not a mock: the same outcomes as [`Sqlite`](crate::Sqlite), held to them by the same suite and a differential test.
//! A clone is another handle on the same contents, so that a test can drop an engine in mid-flight and open it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regrant_core::grant::RowMac;
use regrant_core::issue::SubjectStatus;
use regrant_core::keys::DeploymentId;
use regrant_core::{Grant, GrantId, Timestamp};

use crate::epochs::Epochs;
use crate::{
    Answer, Consent, Deployment, EventRecord, Failures, KeyChange, KeyKind, KeyRecord, Loaded, Outcome, Question,
    Record, Session, Store, StoredEvent, Unavailable, User, event, failures,
};

/// A store that lives as long as its last handle.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        let contents = self.contents();
        Ok(ids.iter().map(|id| contents.load(*id)).collect())
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        let mut contents = self.contents();
        let outcomes = records.iter().map(|record| contents.apply(record, now)).collect();
        contents.high_water = contents.high_water.max(now);
        Ok(outcomes)
    }

    fn high_water(&self) -> Timestamp {
        self.contents().high_water
    }

    fn epoch(&self) -> u64 {
        self.contents().epochs.counter()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        Ok(self.contents().answer(question))
    }

    fn failure(&self) -> Option<Unavailable> {
        None
    }
}

#[derive(Debug)]
struct Contents {
    deployment: Option<(DeploymentId, [u8; 16])>,
    next_grant: u64,
    high_water: Timestamp,
    grants: BTreeMap<u64, (Grant, RowMac)>,
    clients: BTreeMap<String, String>,
    users: BTreeMap<String, User>,
    sessions: BTreeMap<[u8; 32], Session>,
    consents: BTreeMap<(String, String), Consent>,
    denied_access: BTreeMap<[u8; 32], Timestamp>,
    failures: BTreeMap<[u8; 32], Failures>,
    keys: BTreeMap<(KeyKind, u32), KeyRecord>,
    events: BTreeMap<u64, (StoredEvent, Option<OnceAMinute>)>,
    told: BTreeSet<OnceAMinute>,
    last_event: u64,
    epochs: Epochs,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            deployment: None,
            next_grant: 1,
            high_water: Timestamp::EPOCH,
            grants: BTreeMap::new(),
            clients: BTreeMap::new(),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            consents: BTreeMap::new(),
            denied_access: BTreeMap::new(),
            failures: BTreeMap::new(),
            keys: BTreeMap::new(),
            events: BTreeMap::new(),
            told: BTreeSet::new(),
            last_event: 0,
            epochs: Epochs::default(),
        }
    }
}

/// What at most one event a minute is kept of.
type OnceAMinute = (&'static str, i64, About);

/// What an event is about: its grant, or where there is none its user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    Grant(u64),
    Subject(String),
}

impl About {
    fn of(record: &EventRecord) -> Self {
        match record.event.grant {
            Some(id) => Self::Grant(id.number),
            None => Self::Subject(record.event.subject.clone().unwrap_or_default()),
        }
    }
}

/// Writing.
impl Contents {
    fn apply(&mut self, record: &Record, now: Timestamp) -> Outcome {
        match record {
            Record::Grant { expected, grant, mac, events } => self.put_grant(*expected, grant, *mac, events),
            Record::RemoveGrant { number, expected } => {
                let found = self.grants.get(number).is_some_and(|(grant, _)| grant.version == *expected);
                committed_if(found && self.grants.remove(number).is_some())
            }
            Record::Event(event) => {
                self.tell(event);
                Outcome::Committed
            }
            Record::Initialise { deployment, root_check } => {
                let fresh = self.deployment.is_none();
                self.deployment.get_or_insert((*deployment, *root_check));
                committed_if(fresh)
            }
            Record::ReserveGrants { next } => {
                let free = *next > self.next_grant;
                self.next_grant = self.next_grant.max(*next);
                committed_if(free)
            }
            Record::PutClient { id, definition } => always(self.clients.insert(id.clone(), definition.clone())),
            Record::RemoveClient { id } => committed_if(self.clients.remove(id).is_some()),
            Record::AddUser(user) => {
                let free = !self.users.contains_key(&user.subject) && self.user_named(&user.name).is_none();
                self.put_user(user, free)
            }
            Record::PutUser { expected, user } => {
                let others_name = self.user_named(&user.name).is_some_and(|holder| holder.subject != user.subject);
                let as_read = self.users.get(&user.subject).is_some_and(|held| held.version == *expected);
                self.put_user(user, as_read && !others_name)
            }
            Record::RemoveUser { subject } => committed_if(self.users.remove(subject).is_some()),
            Record::PutSession(session) => always(self.sessions.insert(session.id, session.clone())),
            Record::EndSession { id } => always(self.sessions.remove(id)),
            Record::EndSessionsOf { subject } => {
                self.sessions.retain(|_, session| session.subject != *subject);
                Outcome::Committed
            }
            Record::PutConsent(consent) => {
                let key = (consent.subject.clone(), consent.client.clone());
                always(self.consents.insert(key, consent.clone()))
            }
            Record::RemoveConsent { subject, client } => {
                always(self.consents.remove(&(subject.clone(), client.clone())))
            }
            Record::DenyAccess { jti, expires_at } => {
                let held = self.denied_access.entry(*jti).or_insert(*expires_at);
                *held = (*held).max(*expires_at);
                Outcome::Committed
            }
            Record::Epoch { epoch, events } => {
                let takes = self.epochs.takes(epoch);
                if takes {
                    self.epochs.insert(epoch.clone());
                }
                self.tell_if(takes, events)
            }
            Record::UndoEpoch { number, at, events } => {
                let can = self.epochs.can_be_undone(*number, *at);
                if can {
                    self.epochs.undo(*number, *at);
                }
                self.tell_if(can, events)
            }
            Record::ForgetEpochs { numbers } => {
                numbers.iter().for_each(|number| self.epochs.forget(*number));
                Outcome::Committed
            }
            Record::CountFailure { key, leak, most } => {
                self.tidy_failures(now, size(failures::TIDIED));
                let counted = Failures::counted(self.failures.get(key).copied(), now, *leak, *most);
                always(self.failures.insert(*key, counted))
            }
            Record::ForgetFailures { key } => always(self.failures.remove(key)),
            Record::Keys { changes, events } => self.change_keys(changes, events),
            Record::Sweep { events_before, limit } => {
                self.sweep(*events_before, now, size(*limit));
                Outcome::Committed
            }
        }
    }

    fn put_grant(&mut self, expected: Option<u64>, grant: &Grant, mac: RowMac, events: &[EventRecord]) -> Outcome {
        let row = match (expected, self.grants.get(&grant.id.number)) {
            (None, None) => grant.clone(),
            // The cold half is written once.
            (Some(version), Some((held, _))) if held.version == version => {
                Grant { id: held.id, terms: Arc::clone(&held.terms), ..grant.clone() }
            }
            (None | Some(_), _) => return Outcome::Stale,
        };
        self.grants.insert(grant.id.number, (row, mac));
        for event in events {
            self.tell(event);
        }
        Outcome::Committed
    }

    fn put_user(&mut self, user: &User, allowed: bool) -> Outcome {
        if allowed {
            self.users.insert(user.subject.clone(), user.clone());
        }
        committed_if(allowed)
    }

    fn tell_if(&mut self, done: bool, events: &[EventRecord]) -> Outcome {
        events.iter().filter(|_| done).for_each(|event| self.tell(event));
        committed_if(done)
    }

    fn tell(&mut self, record: &EventRecord) {
        let once = event::minute(record).map(|minute| (record.event.kind.as_str(), minute, About::of(record)));
        if once.as_ref().is_some_and(|once| !self.told.insert(once.clone())) {
            return;
        }
        self.last_event += 1;
        self.events.insert(self.last_event, (event::stored(self.last_event, record), once));
    }

    fn sweep(&mut self, events_before: Timestamp, now: Timestamp, limit: usize) {
        let sessions = self.sessions.iter().map(|(id, session)| (session.expires_at, *id));
        for id in oldest(sessions, now, limit) {
            self.sessions.remove(&id);
        }
        let denied = self.denied_access.iter().map(|(jti, expires_at)| (*expires_at, *jti));
        for jti in oldest(denied, now, limit) {
            self.denied_access.remove(&jti);
        }
        self.tidy_failures(now, limit);
        let events = self.events.iter().map(|(id, (event, _))| (event.at, *id));
        for id in oldest(events, events_before, limit) {
            if let Some((_, Some(once))) = self.events.remove(&id) {
                self.told.remove(&once);
            }
        }
    }

    fn tidy_failures(&mut self, now: Timestamp, limit: usize) {
        let failures = self.failures.iter().map(|(key, failures)| (failures.forgotten_at, *key));
        for key in oldest(failures, now, limit) {
            self.failures.remove(&key);
        }
    }

    fn change_keys(&mut self, changes: &[KeyChange], events: &[EventRecord]) -> Outcome {
        let mut keys = self.keys.clone();
        for KeyChange { expected, key } in changes {
            let place = (key.kind, key.id);
            if keys.get(&place).map(|held| held.status) != *expected {
                return Outcome::Stale;
            }
            keys.insert(place, key.clone());
        }
        self.keys = keys;
        for event in events {
            self.tell(event);
        }
        Outcome::Committed
    }
}

/// Reading.
impl Contents {
    fn load(&self, id: GrantId) -> Option<Loaded> {
        self.grants.get(&id.number).filter(|(grant, _)| grant.id == id).map(|row| self.loaded(row))
    }

    fn loaded(&self, (grant, mac): &(Grant, RowMac)) -> Loaded {
        let subject = match self.users.get(&grant.terms.subject) {
            None => SubjectStatus::Gone,
            Some(User { disabled_at: Some(_), .. }) => SubjectStatus::Disabled,
            Some(User { disabled_at: None, .. }) => {
                let key = (grant.terms.subject.clone(), grant.terms.client.as_str().to_owned());
                self.consents.get(&key).map_or(SubjectStatus::Enabled, Consent::status)
            }
        };
        Loaded { grant: grant.clone(), mac: *mac, subject, covered: self.epochs.covering(grant) }
    }

    fn user_named(&self, name: &str) -> Option<&User> {
        self.users.values().find(|user| user.name == name)
    }

    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Deployment => Answer::Deployment(self.deployment.map(|(id, root_check)| Deployment {
                id,
                root_check,
                era: 0,
                next_grant: self.next_grant,
            })),
            Question::Clients => {
                Answer::Clients(self.clients.iter().map(|(id, definition)| (id.clone(), definition.clone())).collect())
            }
            Question::UserByName(name) => Answer::User(self.user_named(name).cloned()),
            Question::UserBySubject(subject) => Answer::User(self.users.get(subject).cloned()),
            Question::Users { after, limit } => {
                let mut users: Vec<User> = self.users.values().filter(|user| user.name > *after).cloned().collect();
                users.sort_by(|one, other| one.name.cmp(&other.name));
                users.truncate(size(*limit));
                Answer::Users(users)
            }
            Question::Session(id) => Answer::Session(self.sessions.get(id).cloned()),
            Question::Consent { subject, client } => {
                Answer::Consent(self.consents.get(&(subject.clone(), client.clone())).cloned())
            }
            Question::ConsentsOf(subject) => Answer::Consents(
                self.consents.values().filter(|consent| consent.subject == *subject).cloned().collect(),
            ),
            Question::EventsOf { subject, before, limit } => {
                let newest_first = self.events.range(..before).rev().map(|(_, (event, _))| event);
                let chosen = newest_first.filter(|event| event.subject.as_ref() == Some(subject));
                Answer::Events(chosen.take(size(*limit)).cloned().collect())
            }
            Question::AccessDenied(jti) => Answer::AccessDenied(self.denied_access.contains_key(jti)),
            Question::Failures(keys) => {
                Answer::Failures(keys.iter().map(|key| self.failures.get(key).copied()).collect())
            }
            Question::Keys(kind) => {
                Answer::Keys(self.keys.range((*kind, 0)..=(*kind, u32::MAX)).map(|(_, key)| key.clone()).collect())
            }
            Question::Epochs => Answer::Epochs { counter: self.epochs.counter(), epochs: self.epochs.all() },
            Question::CoveredAccess(token) => Answer::CoveredAccess(self.epochs.covering_access(token)),
            Question::Grants { client, subject, after, limit } => {
                let matches = |grant: &Grant| {
                    client.as_ref().is_none_or(|client| client == grant.terms.client.as_str())
                        && subject.as_ref().is_none_or(|subject| *subject == grant.terms.subject)
                };
                let rows = self.grants.values().filter(|(grant, _)| grant.id.number > *after && matches(grant));
                Answer::Grants(rows.take(size(*limit)).map(|row| self.loaded(row)).collect())
            }
            Question::Events { grant, limit } => {
                let newest_first = self.events.values().rev().map(|(event, _)| event);
                let chosen = newest_first.filter(|event| grant.is_none() || event.grant == *grant);
                Answer::Events(chosen.take(size(*limit)).cloned().collect())
            }
            Question::FindEvents(filter) => {
                let newest_first = self.events.values().rev().map(|(event, _)| event);
                let chosen = newest_first.filter(|event| filter.fits(event));
                Answer::Events(chosen.take(size(filter.limit)).cloned().collect())
            }
        }
    }
}

/// Whatever the change found, it stands.
fn always<T>(_: T) -> Outcome {
    Outcome::Committed
}

const fn committed_if(done: bool) -> Outcome {
    if done { Outcome::Committed } else { Outcome::Stale }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The oldest keys whose time lies before `before`, at most `limit`.
fn oldest<K: Ord>(rows: impl Iterator<Item = (Timestamp, K)>, before: Timestamp, limit: usize) -> Vec<K> {
    let mut old: Vec<(Timestamp, K)> = rows.filter(|(at, _)| *at < before).collect();
    old.sort();
    old.truncate(limit);
    old.into_iter().map(|(_, key)| key).collect()
}
