//! The contract kept in memory: for tests, and for programs that want nothing to remain.
//!
//! Not a mock: the same outcomes as [`Sqlite`](crate::Sqlite), held to them by the same suite and a differential test.
//! A clone is another handle on the same contents, so that a test can drop an engine in mid-flight and open it again.

mod asked;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regrant_core::grant::RowMac;
use regrant_core::keys::DeploymentId;
use regrant_core::recovery::Recovery;
use regrant_core::{ChainKey, Grant, GrantId, Link, Timestamp};

use crate::beside::{DeadLetter, Delivery, MOST_DEAD_LETTERS, Places};
use crate::epochs::Epochs;
use crate::{
    Answer, ChainEnds, Consent, DeviceRequest, EventRecord, Failures, Forged, KeyChange, KeyKind, KeyRecord, Loaded,
    LogoutNotice, Outcome, Question, Record, RegistrationToken, Revocation, Revoked, Session, Store, StoredEvent,
    Unavailable, User, device, event, failures, revocation,
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

    /// Another store with the same contents: what a copy of a disk is.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.contents().clone())))
    }

    /// Holds what another one holds, under all its handles: a disk that is put back to a copy.
    pub fn put_back(&self, copy: &Self) {
        let earlier = copy.contents().clone();
        *self.contents() = earlier;
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
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let is_due = Record::is_due(records, &outcomes);
            outcomes.push(if is_due { contents.apply(record.bare(), now) } else { Outcome::Stale });
        }
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

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.contents().chain = key;
        Ok(())
    }

    fn failure(&self) -> Option<Unavailable> {
        None
    }
}

#[derive(Clone, Debug)]
struct Contents {
    deployment: Option<(DeploymentId, [u8; 16])>,
    era: u16,
    recovery: Option<Recovery>,
    next_grant: u64,
    high_water: Timestamp,
    grants: BTreeMap<u64, (Grant, RowMac)>,
    clients: BTreeMap<String, String>,
    users: BTreeMap<String, User>,
    sessions: BTreeMap<[u8; 32], Session>,
    logins: BTreeMap<([u8; 32], String), Timestamp>,
    notices: BTreeMap<u64, LogoutNotice>,
    last_notice: u64,
    devices: BTreeMap<u64, DeviceRequest>,
    consents: BTreeMap<(String, String), Consent>,
    denied_access: BTreeMap<[u8; 32], Timestamp>,
    used_once: BTreeMap<[u8; 32], Timestamp>,
    registration_tokens: BTreeMap<[u8; 32], RegistrationToken>,
    failures: BTreeMap<[u8; 32], Failures>,
    revocations: BTreeMap<u64, Revocation>,
    revoked: HashMap<Revoked, u64>,
    last_revocation: u64,
    keys: BTreeMap<(KeyKind, u32), KeyRecord>,
    events: BTreeMap<u64, (StoredEvent, Option<OnceAMinute>)>,
    told: BTreeSet<OnceAMinute>,
    epochs: Epochs,
    chain: ChainKey,
    ends: ChainEnds,
    places: BTreeMap<u64, Places>,
    deliveries: BTreeMap<String, u64>,
    dead_letters: BTreeMap<(String, u64), DeadLetter>,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            deployment: None,
            era: 0,
            recovery: None,
            next_grant: 1,
            high_water: Timestamp::EPOCH,
            grants: BTreeMap::new(),
            clients: BTreeMap::new(),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            logins: BTreeMap::new(),
            notices: BTreeMap::new(),
            last_notice: 0,
            devices: BTreeMap::new(),
            consents: BTreeMap::new(),
            denied_access: BTreeMap::new(),
            used_once: BTreeMap::new(),
            registration_tokens: BTreeMap::new(),
            failures: BTreeMap::new(),
            revocations: BTreeMap::new(),
            revoked: HashMap::new(),
            last_revocation: 0,
            keys: BTreeMap::new(),
            events: BTreeMap::new(),
            told: BTreeSet::new(),
            epochs: Epochs::default(),
            chain: ChainKey::public(),
            ends: ChainEnds { removed: (0, Link::START), newest: (0, Link::START) },
            places: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
        }
    }
}

/// What at most one event a minute is kept of.
type OnceAMinute = (&'static str, Option<&'static str>, i64, About);

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
                if found {
                    self.places.remove(number);
                }
                committed_if(found && self.grants.remove(number).is_some())
            }
            // As its turn comes, it is bare.
            Record::With(_) => Outcome::Stale,
            Record::Event(event) => {
                self.tell(event);
                Outcome::Committed
            }
            Record::Initialise { deployment, root_check } => {
                let fresh = self.deployment.is_none();
                self.deployment.get_or_insert((*deployment, *root_check));
                committed_if(fresh)
            }
            Record::OpenEra { era, recovery, next_grant } => {
                let is_next = self.deployment.is_some() && self.era < *era;
                if is_next {
                    (self.era, self.recovery) = (*era, Some(*recovery));
                    self.next_grant = self.next_grant.max(*next_grant);
                }
                committed_if(is_next)
            }
            Record::ReserveGrants { next } => {
                let free = *next > self.next_grant;
                self.next_grant = self.next_grant.max(*next);
                committed_if(free)
            }
            Record::PutClient { id, before, definition } => {
                let is_it = before.is(self.clients.get(id));
                committed_if(is_it && always(self.clients.insert(id.clone(), definition.clone())) == Outcome::Committed)
            }
            Record::RemoveClient { id } => {
                let found = self.clients.remove(id).is_some();
                self.follow(revocation::of_client(id, now).filter(|_| found));
                committed_if(found)
            }
            Record::AddUser(user) => {
                let free = !self.users.contains_key(&user.subject) && self.user_named(&user.name).is_none();
                self.put_user(user, free)
            }
            Record::PutUser { expected, user } => {
                let others_name = self.user_named(&user.name).is_some_and(|holder| holder.subject != user.subject);
                let as_read = self.users.get(&user.subject).is_some_and(|held| held.version == *expected);
                self.put_user(user, as_read && !others_name)
            }
            Record::RemoveUser { subject } => {
                let found = self.users.remove(subject).is_some();
                self.consents.retain(|(of, _), _| !found || of != subject);
                self.follow(found.then(|| (Revoked::user(subject), now)));
                committed_if(found)
            }
            Record::PutSession(session) => always(self.sessions.insert(session.id, session.clone())),
            Record::RenewSession { before, session } => {
                let is_same = |held: &Session| held.subject == session.subject && held.root == session.root;
                let found = self.sessions.get(before).is_some_and(is_same);
                if found {
                    self.sessions.remove(before);
                    self.sessions.insert(session.id, session.clone());
                    for ((root, _), expires_at) in &mut self.logins {
                        if *root == session.root {
                            *expires_at = session.expires_at;
                        }
                    }
                }
                committed_if(found)
            }
            Record::EndSession { id } => {
                self.end_sessions(now, |session| session.id == *id || session.root == *id);
                Outcome::Committed
            }
            Record::EndSessionsOf { subject, but } => {
                self.end_sessions(now, |session| session.subject == *subject && Some(session.root) != *but);
                Outcome::Committed
            }
            Record::PutLogin { session, client } => {
                let found = self.sessions.values().find(|held| held.root == *session).map(|held| held.expires_at);
                if let Some(expires_at) = found {
                    self.logins.insert((*session, client.clone()), expires_at);
                }
                committed_if(found.is_some())
            }
            Record::RemoveLogoutNotice { id } => committed_if(self.notices.remove(id).is_some()),
            Record::PutDeviceRequest(request) => {
                self.sweep_devices(now, size(device::TIDIED));
                let taken = self.devices.contains_key(&request.asked.grant.number)
                    || self.devices.values().any(|held| held.user_code == request.user_code)
                    || self.devices.len() >= size(device::MOST_DEVICE_REQUESTS);
                if !taken {
                    self.devices.insert(request.asked.grant.number, request.clone());
                }
                committed_if(!taken)
            }
            Record::PutConsent { consent, before } => {
                let key = (consent.subject.clone(), consent.client.clone());
                let is_it = before.is(self.consents.get(&key));
                committed_if(is_it && always(self.consents.insert(key, consent.clone())) == Outcome::Committed)
            }
            Record::RemoveConsent { subject, client } => {
                always(self.consents.remove(&(subject.clone(), client.clone())))
            }
            Record::DenyAccess { jti, expires_at } => {
                let held = self.denied_access.entry(*jti).or_insert(*expires_at);
                *held = (*held).max(*expires_at);
                self.revoke(&Revoked::Access(*jti), now, Some(*expires_at));
                Outcome::Committed
            }
            Record::Epoch { epoch, events } => {
                let takes = self.epochs.takes(epoch);
                if takes {
                    self.epochs.take(epoch.clone());
                    self.follow(Some(revocation::of_epoch(epoch, self.epochs.counter())));
                }
                self.tell_if(takes, events)
            }
            Record::UndoEpoch { number, at, events } => {
                let can = self.epochs.can_be_undone(*number, *at);
                if can {
                    self.epochs.undo(*number, *at);
                    self.follow(Some((Revoked::TakenBack(*number), *at)));
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
            Record::Revoke { revoked, at } => {
                self.revoke(revoked, *at, None);
                Outcome::Committed
            }
            Record::ForgetRevocations { before, limit } => {
                let rows = self.revocations.values().map(|row| (row.at, row.position));
                for position in oldest(rows, *before, size(*limit)) {
                    if let Some(row) = self.revocations.remove(&position) {
                        self.revoked.remove(&row.revoked);
                    }
                }
                Outcome::Committed
            }
            Record::Keys { changes, events } => self.change_keys(changes, events),
            Record::Seen { grant, place } => {
                let made = || Places { first: place.clone(), last: place.clone() };
                let held = self.places.entry(*grant).or_insert_with(made);
                if (&held.last.network, &held.last.agent) != (&place.network, &place.agent) {
                    held.last = place.clone();
                }
                Outcome::Committed
            }
            Record::PutDelivery(Delivery { to, position }) => always(self.deliveries.insert(to.clone(), *position)),
            Record::PutDeadLetter(letter) => {
                self.dead_letters.insert((letter.to.clone(), letter.event), letter.clone());
                let all = (letter.to.clone(), 0)..=(letter.to.clone(), u64::MAX);
                let too_many = self.dead_letters.range(all).count().saturating_sub(size(MOST_DEAD_LETTERS));
                let all = (letter.to.clone(), 0)..=(letter.to.clone(), u64::MAX);
                for key in self.dead_letters.range(all).take(too_many).map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                    self.dead_letters.remove(&key);
                }
                Outcome::Committed
            }
            Record::RemoveDeadLetter { to, event } => {
                committed_if(self.dead_letters.remove(&(to.clone(), *event)).is_some())
            }
            Record::UseOnce { key, expires_at } => {
                let is_free = self.used_once.get(key).is_none_or(|until| *until < now);
                if is_free {
                    self.used_once.insert(*key, *expires_at);
                }
                committed_if(is_free)
            }
            Record::RegisterClient { id, definition, token } => self.register(id, definition, token.as_ref(), now),
            Record::PutRegistrationToken(token) => always(self.registration_tokens.insert(token.hash, token.clone())),
            Record::RemoveRegistrationToken { hash } => committed_if(self.registration_tokens.remove(hash).is_some()),
            Record::Sweep { events_before, limit } => {
                self.sweep(*events_before, now, size(*limit));
                Outcome::Committed
            }
            Record::Fold => Outcome::Stale,
        }
    }

    fn register(&mut self, id: &str, definition: &str, token: Option<&[u8; 32]>, now: Timestamp) -> Outcome {
        if self.clients.contains_key(id) {
            return Outcome::Stale;
        }
        if let Some(token) = token {
            let good = self.registration_tokens.get_mut(token).filter(|token| token.is_good(now));
            let Some(good) = good else { return Outcome::Stale };
            good.uses -= 1;
        }
        always(self.clients.insert(id.to_owned(), definition.to_owned()))
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
        self.follow(revocation::of_grant(&row));
        self.grants.insert(grant.id.number, (row, mac));
        for event in events {
            self.tell(event);
        }
        Outcome::Committed
    }

    fn put_user(&mut self, user: &User, allowed: bool) -> Outcome {
        if allowed {
            self.users.insert(user.subject.clone(), user.clone());
            self.follow(revocation::of_user(user));
        }
        committed_if(allowed)
    }

    fn follow(&mut self, entailed: Option<(Revoked, Timestamp)>) {
        if let Some((revoked, at)) = entailed {
            self.revoke(&revoked, at, None);
        }
    }

    fn revoke(&mut self, revoked: &Revoked, at: Timestamp, expires_at: Option<Timestamp>) {
        if let Some(held) = self.revoked.get(revoked) {
            if self.revocations.get(held).is_some_and(|row| row.at >= at) {
                return;
            }
            self.revocations.remove(held);
        }
        self.last_revocation += 1;
        let position = self.last_revocation;
        self.revoked.insert(revoked.clone(), position);
        self.revocations.insert(position, Revocation { position, revoked: revoked.clone(), at, expires_at });
    }

    fn tell_if(&mut self, done: bool, events: &[EventRecord]) -> Outcome {
        events.iter().filter(|_| done).for_each(|event| self.tell(event));
        committed_if(done)
    }

    fn tell(&mut self, record: &EventRecord) {
        let kind = record.event.kind;
        let once = event::minute(record).map(|minute| (kind.as_str(), event::reason(kind), minute, About::of(record)));
        if once.as_ref().is_some_and(|once| !self.told.insert(once.clone())) {
            return;
        }
        let (newest, before) = self.ends.newest;
        let row = event::stored(newest + 1, record, &self.chain, &before);
        self.ends.newest = (row.id, row.link.unwrap_or(before));
        self.events.insert(row.id, (row, once));
    }

    fn sweep(&mut self, events_before: Timestamp, now: Timestamp, limit: usize) {
        let sessions = self.sessions.iter().map(|(id, session)| (session.expires_at, *id));
        for id in oldest(sessions, now, limit) {
            self.sessions.remove(&id);
        }
        let logins = self.logins.iter().map(|(login, expires_at)| (*expires_at, login.clone()));
        for login in oldest(logins, now, limit) {
            self.logins.remove(&login);
        }
        self.sweep_devices(now, limit);
        let denied = self.denied_access.iter().map(|(jti, expires_at)| (*expires_at, *jti));
        for jti in oldest(denied, now, limit) {
            self.denied_access.remove(&jti);
        }
        let used = self.used_once.iter().map(|(key, expires_at)| (*expires_at, *key));
        for key in oldest(used, now, limit) {
            self.used_once.remove(&key);
        }
        let over = self.registration_tokens.values().filter(|token| token.uses == 0 || token.expires_at < now);
        let mut over: Vec<_> = over.map(|token| (token.expires_at, token.hash)).collect();
        over.sort_unstable();
        for (_, hash) in over.into_iter().take(limit) {
            self.registration_tokens.remove(&hash);
        }
        self.tidy_failures(now, limit);
        let oldest = self.events.iter().take(limit).take_while(|(_, (event, _))| event.at < events_before);
        for id in oldest.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some((event, once)) = self.events.remove(&id) else { continue };
            self.ends.removed = (id, event.link.unwrap_or(self.ends.removed.1));
            if let Some(once) = once {
                self.told.remove(&once);
            }
        }
    }

    /// Ends sessions; whoever was logged in to in them is to hear of it.
    fn end_sessions(&mut self, now: Timestamp, which: impl Fn(&Session) -> bool) {
        let ended = self.sessions.values().filter(|session| which(session));
        let ended: BTreeMap<[u8; 32], String> = ended.map(|session| (session.root, session.subject.clone())).collect();
        for (root, subject) in ended {
            let logins = self.logins.range((root, String::new())..).take_while(|((of, _), _)| *of == root);
            let clients: Vec<String> = logins.map(|((_, client), _)| client.clone()).collect();
            for client in clients {
                self.logins.remove(&(root, client.clone()));
                self.last_notice += 1;
                let id = self.last_notice;
                let notice = LogoutNotice { id, client, subject: subject.clone(), session: root, at: now };
                self.notices.insert(id, notice);
            }
            self.sessions.retain(|_, session| session.root != root);
        }
    }

    fn sweep_devices(&mut self, now: Timestamp, limit: usize) {
        let devices = self.devices.iter().map(|(number, request)| (request.asked.expires_at, *number));
        for number in oldest(devices, now, limit) {
            self.devices.remove(&number);
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
