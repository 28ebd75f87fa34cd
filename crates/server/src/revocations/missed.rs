//! What a crash, or a full disk, kept from the journal: it was committed and never confirmed, and is kept here before anything is served.
//!
//! The store itself remembers what resource servers must hear of, and every wide revocation, each written in the commit that it follows
//! from. Whatever of it is younger than the youngest entry was missed: entries are kept in the order of the commits. Of users and clients
//! the journal has a last word about, the store says whether it is. A logout that ends no grant (`on_logout = "keep"`) leaves nothing here.

use std::collections::BTreeMap;

use regrant_core::grant::EndReason;
use regrant_core::{Epoch, Selector, Timestamp};
use regrant_store::{Answer, Question, Record, Revocation, Revoked as Row, Store, Unavailable};

use super::{Contents, Entry, Revoked, State};

/// How many rows at once.
const PAGE: u32 = 1000;

/// What this store has revoked that the journal does not have, the oldest first.
///
/// # Errors
/// If the store cannot be read.
pub(crate) fn missed(store: &mut dyn Store, journal: &Contents) -> Result<Vec<Entry>, Unavailable> {
    let since = journal.newest().unwrap_or(Timestamp::from_millis(i64::MIN));
    let mut found = of_rows(store, since)?;
    found.extend(of_epochs(store, since)?);
    found.extend(of_things(store, journal)?);
    found.sort_by_key(|entry| entry.at);
    let known: Vec<&Entry> = journal.entries.iter().filter(|entry| entry.at >= since).collect();
    found.retain(|entry| known.iter().all(|known| known.what != entry.what));
    Ok(found)
}

/// Users and clients that are not what the journal's last word about them says.
fn of_things(store: &mut dyn Store, journal: &Contents) -> Result<Vec<Entry>, Unavailable> {
    // When, nobody knows: no later than this, and no copy of before has a later time.
    let at = store.high_water();
    let mut last = BTreeMap::new();
    for entry in &journal.entries {
        if let Revoked::State(state) = &entry.what {
            last.extend(state.thing().map(|thing| (thing, state)));
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

fn of_rows(store: &mut dyn Store, since: Timestamp) -> Result<Vec<Entry>, Unavailable> {
    let (mut entries, mut after) = (Vec::new(), 0);
    while let Answer::Revocations(rows) = store.ask(&Question::Revocations { after, limit: PAGE })? {
        let Some(last) = rows.last() else { break };
        after = last.position;
        for row in rows.iter().filter(|row| row.at >= since) {
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
