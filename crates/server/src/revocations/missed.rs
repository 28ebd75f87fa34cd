//! What a crash, or a full disk, kept from the journal: it was committed and never confirmed, and is kept here before anything is served.
//!
//! The store itself remembers what resource servers must hear of, and every wide revocation, each written in the commit that it follows
//! from. Whatever of it is younger than the youngest entry was missed, for entries are kept in the order of the commits; and
//! of what was decided a little before that, whatever is not there. Of users and clients
//! the journal has a last word about, the store says whether it is. A logout that ends no grant (`on_logout = "keep"`) leaves nothing here.

use std::collections::{BTreeMap, HashMap, HashSet};

use regrant_core::grant::EndReason;
use regrant_core::{Epoch, Selector, Timestamp};
use regrant_store::{Answer, Question, Record, Revocation, Revoked as Row, Store, Unavailable};

use super::{Contents, Entry, Revoked, State};

/// How long before its commit something may have been decided, in milliseconds: an import decides about many, and writes them together.
const DECIDED_BEFORE: i64 = 10 * 60 * 1000;
/// How many rows at once.
const PAGE: u32 = 1000;

/// What this store has revoked that the journal does not have, the oldest first.
///
/// # Errors
/// If the store cannot be read.
pub(crate) fn missed(store: &mut dyn Store, journal: &Contents) -> Result<Vec<Entry>, Unavailable> {
    let since = journal.newest().map_or(i64::MIN, |newest| newest.millis().saturating_sub(DECIDED_BEFORE));
    let since = Timestamp::from_millis(since);
    let ended = journal.entries.iter().filter_map(Entry::grant).collect();
    let mut found = of_rows(store, since, &ended)?;
    found.extend(of_epochs(store, since)?);
    found.extend(of_things(store, journal)?);
    found.sort_by_key(|entry| entry.at);
    // What was kept was committed when it was decided, or later.
    let mut kept = HashMap::new();
    for entry in journal.entries.iter().filter(|entry| entry.at >= since) {
        let at = kept.entry(said(entry)).or_insert(entry.at);
        *at = entry.at.max(*at);
    }
    found.retain(|entry| kept.get(&said(entry)).is_none_or(|kept| *kept < entry.at));
    Ok(found)
}

/// What an entry says, whenever it says so.
fn said(entry: &Entry) -> Vec<u8> {
    let never = Timestamp::from_millis(0);
    Entry { at: never, over_at: never, what: entry.what.clone() }.write()
}

/// Users and clients that are not what the journal's last word about them says. What was said before a recovery is decided about: a copy
/// that does not have a user has not removed him.
fn of_things(store: &mut dyn Store, journal: &Contents) -> Result<Vec<Entry>, Unavailable> {
    // When, nobody knows: no later than this, and no copy of before has a later time.
    let at = store.high_water();
    let mut last = BTreeMap::new();
    for entry in &journal.entries {
        match &entry.what {
            Revoked::State(state) => last.extend(state.thing().map(|thing| (thing, state))),
            Revoked::Era(_) => last.clear(),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for state in last.into_values() {
        let records = match state {
            State::User { subject, .. } | State::NoUser { subject } => of_user(store, subject)?,
            State::Client { id, .. } | State::NoClient { id } => of_client(store, id)?,
            State::Consent { .. } | State::NoConsent { .. } | State::NoSession { .. } | State::NoSessions { .. } => {
                continue;
            }
        };
        let is_other = |entry: &Entry| entry.what != Revoked::State(state.clone());
        let now = entries(&records[..records.len().min(1)], at, &[]);
        found.extend(now.into_iter().filter(is_other));
    }
    Ok(found)
}

/// A grant that is among the `ended` ends only once.
fn of_rows(store: &mut dyn Store, since: Timestamp, ended: &HashSet<u64>) -> Result<Vec<Entry>, Unavailable> {
    let (mut entries, mut after) = (Vec::new(), 0);
    while let Answer::Revocations(rows) = store.ask(&Question::Revocations { after, limit: PAGE })? {
        let Some(last) = rows.last() else { break };
        after = last.position;
        let is_kept = |row: &Revocation| matches!(&row.revoked, Row::Grant(number) if ended.contains(number));
        for row in rows.iter().filter(|row| row.at >= since && !is_kept(row)) {
            entries.extend(of_row(store, row)?);
        }
    }
    Ok(entries)
}

fn of_row(
    store: &mut dyn Store,
    Revocation { revoked, at, expires_at, .. }: &Revocation,
) -> Result<Vec<Entry>, Unavailable> {
    let records = match revoked {
        Row::Grant(number) => {
            let question = Question::Grants { client: None, subject: None, after: number.saturating_sub(1), limit: 1 };
            let Answer::Grants(found) = store.ask(&question)? else { return Ok(Vec::new()) };
            let found = found.iter().filter(|found| found.grant.id.number == *number);
            return Ok(found.filter_map(|found| Entry::of_ended(&found.grant)).collect());
        }
        Row::Access(jti) => {
            expires_at.map(|expires_at| Record::DenyAccess { jti: *jti, expires_at }).into_iter().collect()
        }
        Row::Matching(Selector { subject: Some(subject), client: None, .. }) if *revoked == Row::user(subject) => {
            of_user(store, subject)?
        }
        Row::Matching(Selector { subject: None, client: Some(client), .. })
            if *revoked == Row::client(client.clone()) =>
        {
            of_client(store, client.as_str())?
        }
        // Wide revocations tell of themselves.
        Row::Matching(_) | Row::Bulk(..) | Row::TakenBack(_) => Vec::new(),
    };
    Ok(entries(&records, *at, &[]))
}

fn of_epochs(store: &mut dyn Store, since: Timestamp) -> Result<Vec<Entry>, Unavailable> {
    let Answer::Epochs { epochs, .. } = store.ask(&Question::Epochs)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for epoch in &epochs {
        if epoch.at >= since {
            let mut records = vec![Record::Epoch { epoch: epoch.clone(), events: Vec::new() }];
            records.extend(beside(store, epoch)?);
            found.extend(entries(&records, epoch.at, &epochs));
        }
        if let Some(at) = epoch.undone_at.filter(|at| *at >= since) {
            let undone = Record::UndoEpoch { number: epoch.number, at, events: Vec::new() };
            found.extend(entries(&[undone], at, &epochs));
        }
    }
    Ok(found)
}

/// What was committed together with a wide revocation.
fn beside(store: &mut dyn Store, epoch: &Epoch) -> Result<Vec<Record>, Unavailable> {
    let Selector { subject, client, session, but_session, .. } = &epoch.selector;
    Ok(match (epoch.reason, subject, client, session) {
        (EndReason::ConsentWithdrawn, Some(subject), Some(client), _) => {
            let (subject, client) = (subject.clone(), client.as_str().to_owned());
            let question = Question::Consent { subject: subject.clone(), client: client.clone() };
            let is_gone = matches!(store.ask(&question)?, Answer::Consent(None));
            is_gone.then_some(Record::RemoveConsent { subject, client }).into_iter().collect()
        }
        (EndReason::PasswordChanged | EndReason::UserDisabled | EndReason::UserRemoved, Some(subject), ..) => {
            of_user(store, subject)?
        }
        (
            EndReason::UserRevoked | EndReason::GlobalRevocation | EndReason::RevokedByUser,
            Some(subject),
            None,
            None,
        ) => {
            vec![Record::EndSessionsOf { subject: subject.clone(), but: *but_session }]
        }
        (EndReason::LoggedOut | EndReason::SessionRevoked, _, _, Some(session)) => {
            vec![Record::EndSession { id: *session }]
        }
        _ => Vec::new(),
    })
}

/// A user as he is now. Where he was shut out, his browser sessions have ended, too.
fn of_user(store: &mut dyn Store, subject: &str) -> Result<Vec<Record>, Unavailable> {
    let ends = Record::EndSessionsOf { subject: subject.to_owned(), but: None };
    Ok(match store.ask(&Question::UserBySubject(subject.to_owned()))? {
        Answer::User(Some(user)) => vec![Record::PutUser { expected: 0, user }, ends],
        Answer::User(None) => vec![Record::RemoveUser { subject: subject.to_owned() }, ends],
        _ => Vec::new(),
    })
}

fn of_client(store: &mut dyn Store, id: &str) -> Result<Vec<Record>, Unavailable> {
    let Answer::Clients(found) = store.ask(&Question::Client(id.to_owned()))? else { return Ok(Vec::new()) };
    Ok(match found.into_iter().next() {
        Some((id, definition)) => vec![Record::PutClient { id, before: regrant_store::Before::Whatever, definition }],
        None => vec![Record::RemoveClient { id: id.to_owned() }],
    })
}

fn entries(records: &[Record], at: Timestamp, epochs: &[Epoch]) -> Vec<Entry> {
    records.iter().filter_map(|record| Entry::of(record, at, epochs)).collect()
}

#[cfg(test)]
mod tests {
    use regrant_store::Memory;

    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn kept(entries: Vec<(i64, Revoked)>) -> Contents {
        let entries = entries.into_iter().map(|(millis, what)| Entry { at: at(millis), over_at: at(i64::MAX), what });
        Contents { entries: entries.collect(), ..Contents::default() }
    }

    fn said_of(subject: &str) -> Revoked {
        Revoked::State(State::User { subject: subject.to_owned(), password: String::new(), disabled_at: Some(1) })
    }

    /// All that a user has ended himself, at this time.
    fn ended(millis: i64, subject: &str) -> Record {
        let selector = Selector { subject: Some(subject.to_owned()), ..Selector::default() };
        let (reason, detail) = (EndReason::RevokedByUser, String::new());
        let epoch = Epoch { number: 0, at: at(millis), selector, reason, detail, undo_until: None, undone_at: None };
        Record::Epoch { epoch, events: Vec::new() }
    }

    fn found(store: &mut Memory, journal: &Contents) -> Vec<(i64, Revoked)> {
        let found = missed(store, journal).expect("it can be read");
        found.into_iter().map(|entry| (entry.at.millis(), entry.what)).collect()
    }

    /// A user whom the copy never had was not removed: the next recovery would remove him from a newer copy.
    #[test]
    fn what_a_recovery_has_decided_about_is_no_word() {
        let mut store = Memory::new();
        let gone = Revoked::State(State::NoUser { subject: "usr_ann".to_owned() });
        let before = kept(vec![(1, said_of("usr_ann"))]);
        assert_eq!(
            found(&mut store, &before).into_iter().map(|(_, what)| what).collect::<Vec<_>>(),
            std::slice::from_ref(&gone)
        );
        let behind = kept(vec![(1, said_of("usr_ann")), (2, Revoked::Era(1))]);
        assert_eq!(found(&mut store, &behind), []);
        let again = kept(vec![(1, said_of("usr_ann")), (2, Revoked::Era(1)), (3, said_of("usr_ann"))]);
        assert_eq!(found(&mut store, &again).into_iter().map(|(_, what)| what).collect::<Vec<_>>(), [gone]);
    }

    /// It is decided first, and committed a little later: what was kept meanwhile does not hide it.
    #[test]
    fn what_was_decided_before_the_youngest_entry_is_missed_too() {
        let mut store = Memory::new();
        store.commit(&[ended(100, "usr_ann")], at(102)).expect("written");
        let no_sessions = Revoked::State(State::NoSessions { subject: "usr_ann".to_owned(), but: None });
        let all = found(&mut store, &kept(vec![(101, said_of("usr_bob"))]));
        let kinds: Vec<_> = all.iter().map(|(millis, what)| (*millis, matches!(what, Revoked::Bulk(_)))).collect();
        assert!(kinds.contains(&(100, true)) && all.contains(&(100, no_sessions.clone())), "{all:?}");
        // What was kept at its commit is there, and is not told again.
        let bulk = all.iter().find(|(_, what)| matches!(what, Revoked::Bulk(_))).expect("it").1.clone();
        let bob = (101, said_of("usr_bob"));
        let whole = kept(vec![bob.clone(), (102, bulk.clone()), (102, no_sessions.clone())]);
        let left = found(&mut store, &whole);
        assert!(left.iter().all(|(_, what)| *what != bulk && *what != no_sessions), "{left:?}");
        // The same words about an earlier end are not about this one.
        let earlier = kept(vec![(50, no_sessions.clone()), bob]);
        assert!(found(&mut store, &earlier).contains(&(100, no_sessions)));
    }
}
