//! Users, clients, consents and browser sessions of the lost span, as far as the revocation journal knows what restricted them.
//!
//! | the journal's last word of the lost span | in the copy               | what is done                                         |
//! |------------------------------------------|---------------------------|------------------------------------------------------|
//! | a user, with password and `disabled_at`  | another password or state | as it was then; its attributes stay those of the copy |
//! | a user who was removed                   | there                     | removed                                              |
//! | a client's definition                    | another one               | as it was then                                       |
//! | a client that was removed                | there                     | removed                                              |
//! | a consent, or that it was withdrawn      | another one               | as it was then                                       |
//! | the end of browser sessions              | there                     | ended                                                |
//!
//! What the copy does not have is not made: users who were added and consents that were given in the lost span are lost with it.

use std::collections::{BTreeMap, HashSet};

use regrant_core::Timestamp;
use regrant_store::{Answer, Before, Consent, Question, Record, Store, Unavailable, User};

use super::Replayed;
use crate::revocations::{Entry, Revoked, State};

/// What to write for them.
pub(super) fn replay(
    store: &mut dyn Store,
    entries: &[Entry],
    lost_from: Timestamp,
    replayed: &mut Replayed,
) -> Result<Vec<Record>, Unavailable> {
    let (mut last, mut sessions) = (BTreeMap::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.at >= lost_from) {
        let Revoked::State(state) = &entry.what else { continue };
        match state {
            State::NoSession { id } => sessions.push(Record::EndSession { id: *id }),
            State::NoSessions { subject, but } => {
                sessions.push(Record::EndSessionsOf { subject: subject.clone(), but: *but });
            }
            State::User { .. }
            | State::NoUser { .. }
            | State::Client { .. }
            | State::NoClient { .. }
            | State::Consent { .. }
            | State::NoConsent { .. } => last.extend(state.thing().map(|thing| (thing, (entry.at, state)))),
        }
    }
    let clients = match store.ask(&Question::Clients)? {
        Answer::Clients(clients) => clients.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let mut records = Vec::new();
    for (at, state) in last.into_values() {
        let (record, count) = match state {
            State::User { subject, password, disabled_at } => {
                (user(store, subject, (password, *disabled_at), at)?, &mut replayed.users)
            }
            State::NoUser { subject } => {
                let record = Record::RemoveUser { subject: subject.clone() };
                (user_of(store, subject)?.map(|_| record), &mut replayed.users)
            }
            State::Client { id, definition } => {
                let record =
                    Record::PutClient { id: id.clone(), before: Before::Whatever, definition: definition.clone() };
                let is_another = clients.get(id).is_some_and(|known| known != definition);
                (is_another.then_some(record), &mut replayed.clients)
            }
            State::NoClient { id } => {
                let record = Record::RemoveClient { id: id.clone() };
                (clients.contains_key(id).then_some(record), &mut replayed.clients)
            }
            State::Consent { .. } | State::NoConsent { .. } => (consent(store, state)?, &mut replayed.consents),
            State::NoSession { .. } | State::NoSessions { .. } => continue,
        };
        *count += u64::from(record.is_some());
        records.extend(record);
    }
    // One for each is enough.
    let mut ended = HashSet::new();
    sessions.retain(|record| ended.insert(format!("{record:?}")));
    replayed.sessions += sessions.len() as u64;
    records.extend(sessions);
    Ok(records)
}

fn user_of(store: &mut dyn Store, subject: &str) -> Result<Option<User>, Unavailable> {
    match store.ask(&Question::UserBySubject(subject.to_owned()))? {
        Answer::User(user) => Ok(user),
        _ => Ok(None),
    }
}

fn user(
    store: &mut dyn Store,
    subject: &str,
    (password, disabled_at): (&str, Option<i64>),
    at: Timestamp,
) -> Result<Option<Record>, Unavailable> {
    let Some(found) = user_of(store, subject)? else { return Ok(None) };
    let disabled_at = disabled_at.map(Timestamp::from_millis);
    if found.password == password && found.disabled_at == disabled_at {
        return Ok(None);
    }
    let (expected, version) = (found.version, found.version.saturating_add(1));
    let user = User { password: password.to_owned(), disabled_at, version, updated_at: at, ..found };
    Ok(Some(Record::PutUser { expected, user }))
}

fn consent(store: &mut dyn Store, state: &State) -> Result<Option<Record>, Unavailable> {
    let (subject, client) = match state {
        State::Consent { subject, client, .. } | State::NoConsent { subject, client } => (subject, client),
        _ => return Ok(None),
    };
    let question = Question::Consent { subject: subject.clone(), client: client.clone() };
    let Answer::Consent(Some(found)) = store.ask(&question)? else { return Ok(None) };
    Ok(match state {
        State::Consent { scope, resources, at, paused_at, ends_at, .. } => {
            let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
            let then = Consent {
                scope: scope.clone(),
                resources: resources.clone(),
                at: Timestamp::from_millis(*at),
                paused_at: time(*paused_at),
                ends_at: time(*ends_at),
                ..found.clone()
            };
            (then != found).then_some(Record::PutConsent { consent: then, before: Before::Whatever })
        }
        _ => Some(Record::RemoveConsent { subject: subject.clone(), client: client.clone() }),
    })
}
