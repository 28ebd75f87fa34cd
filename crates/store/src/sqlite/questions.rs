//! Reading: rows of grants, and the small things.

use regrant_core::Timestamp;
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::recovery::{Recovery, Unproven};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::journal::Journal;
use super::rows::{self, Spellings, select_grants};
use super::{consents, devices, events, once, revocations, schema, sessions};
use crate::hot::Hot;
use crate::{Answer, Changes, Deployment, Failures, KeyKind, KeyRecord, Loaded, Question, User};

/// Answers one question.
pub(super) fn answer(
    connection: &Connection,
    journal: Option<&Journal>,
    question: &Question,
) -> rusqlite::Result<Answer> {
    Ok(match question {
        Question::Deployment => Answer::Deployment(deployment(connection, schema::known())?),
        Question::Changes => Answer::Changes(Changes::default()),
        Question::Clients => {
            let mut statement = connection.prepare_cached("SELECT id, definition FROM clients ORDER BY id")?;
            let clients = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Answer::Clients(clients.collect::<rusqlite::Result<_>>()?)
        }
        Question::Client(id) => {
            let mut statement = connection.prepare_cached("SELECT id, definition FROM clients WHERE id = ?1")?;
            let found = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Answer::Clients(found.collect::<rusqlite::Result<_>>()?)
        }
        Question::UserByName(name) => Answer::User(one_user(connection, "name", name)?),
        Question::UserBySubject(subject) => Answer::User(one_user(connection, "subject", subject)?),
        Question::Users { after, limit } => {
            let mut statement = connection.prepare_cached(
                "SELECT subject, name, password, disabled_at, created_at, updated_at, version, attributes FROM users \
                 WHERE name > ?1 ORDER BY name LIMIT ?2",
            )?;
            Answer::Users(statement.query_map(params![after, limit], user)?.collect::<rusqlite::Result<_>>()?)
        }
        Question::Session(id) => Answer::Session(sessions::one(connection, *id)?),
        Question::Logins(session) => Answer::Logins(sessions::logins(connection, session)?),
        Question::LogoutNotices { client, limit } => {
            Answer::LogoutNotices(sessions::notices(connection, client, *limit)?)
        }
        Question::LogoutClients { after, limit } => {
            Answer::LogoutClients(sessions::notified(connection, after, *limit)?)
        }
        Question::DeviceRequest(number) => Answer::DeviceRequest(devices::numbered(connection, *number)?),
        Question::DeviceRequestByUserCode(code) => Answer::DeviceRequest(devices::showing(connection, code)?),
        Question::Consent { subject, client } => Answer::Consent(consents::one(connection, subject, client)?),
        Question::ConsentsOf(subject) => Answer::Consents(consents::of(connection, subject)?),
        Question::EventsOf { subject, before, limit } => {
            Answer::Events(events::of(connection, subject, *before, *limit)?)
        }
        Question::AccessDenied(jti) => {
            let mut statement = connection.prepare_cached("SELECT 1 FROM denied_access WHERE jti = ?1")?;
            Answer::AccessDenied(statement.exists([jti.as_slice()])?)
        }
        Question::UsedOnce { key, now } => Answer::UsedOnce(once::is_used(connection, key, *now)?),
        Question::Failures(keys) => {
            let found = keys.iter().map(|key| failures(connection, key));
            Answer::Failures(found.collect::<rusqlite::Result<_>>()?)
        }
        Question::Revocations { after, limit } => Answer::Revocations(revocations::after(connection, *after, *limit)?),
        Question::Keys(kind) => Answer::Keys(keys(connection, *kind)?),
        Question::Grants { client, subject, after, limit } => {
            let list = List { client: client.as_deref(), subject: subject.as_deref(), journal };
            Answer::Grants(list.page(connection, *after, *limit)?)
        }
        // Whoever holds the connection answers these from memory.
        Question::Epochs => Answer::Epochs { counter: 0, epochs: Vec::new() },
        Question::CoveredAccess(_) => Answer::CoveredAccess(None),
        Question::Events { grant, limit } => Answer::Events(events::newest(connection, *grant, *limit)?),
        Question::FindEvents(filter) => Answer::Events(events::find(connection, filter)?),
        Question::EventsAfter { after, limit } => Answer::Events(events::after(connection, *after, *limit)?),
        Question::Chain => Answer::Chain(events::ends(connection)?),
        Question::Places(grant) => Answer::Places(events::places(connection, *grant)?),
        Question::Deliveries => Answer::Deliveries(events::deliveries(connection)?),
        Question::RegistrationTokens(None) => Answer::RegistrationTokens(once::tokens(connection)?),
        Question::RegistrationTokens(Some(hash)) => {
            Answer::RegistrationTokens(once::token(connection, hash)?.into_iter().collect())
        }
        Question::DeadLetters { to, limit } => Answer::DeadLetters(events::dead_letters(connection, to, *limit)?),
    })
}

/// Whose it is, of a file of this version. Before version 8 nothing was recovered.
pub(super) fn deployment(connection: &Connection, version: u32) -> rusqlite::Result<Option<Deployment>> {
    let last = if version < 8 { "NULL, NULL, NULL" } else { "lost_from, lost_until, unproven" };
    let sql = format!(
        "SELECT deployment, root_check, era, next_grant, {last} FROM meta WHERE only = 1 AND deployment IS NOT NULL"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([], |row| {
            Ok(Deployment {
                id: DeploymentId(row.get(0)?),
                root_check: row.get(1)?,
                era: row.get(2)?,
                next_grant: row.get::<_, i64>(3)?.cast_unsigned(),
                recovery: recovery(row)?,
            })
        })
        .optional()
}

fn recovery(row: &Row<'_>) -> rusqlite::Result<Option<Recovery>> {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    let unproven: Option<String> = row.get(6)?;
    let (Some(lost_from), Some(lost_until), Some(word)) = (time(4)?, time(5)?, unproven) else { return Ok(None) };
    let unproven = Unproven::parse(&word).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(Some(Recovery { lost_from, lost_until, unproven }))
}

fn one_user(connection: &Connection, column: &str, value: &str) -> rusqlite::Result<Option<User>> {
    let sql = format!(
        "SELECT subject, name, password, disabled_at, created_at, updated_at, version, attributes FROM users \
         WHERE {column} = ?1"
    );
    connection.prepare_cached(&sql)?.query_row([value], user).optional()
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        subject: row.get(0)?,
        name: row.get(1)?,
        password: row.get(2)?,
        disabled_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.get(4)?),
        updated_at: Timestamp::from_millis(row.get(5)?),
        version: row.get::<_, i64>(6)?.cast_unsigned(),
        attributes: row.get(7)?,
    })
}

pub(super) fn failures(connection: &Connection, key: &[u8; 32]) -> rusqlite::Result<Option<Failures>> {
    connection
        .prepare_cached("SELECT last_at, forgotten_at FROM login_failures WHERE key = ?1")?
        .query_row([key.as_slice()], |row| {
            Ok(Failures {
                last_at: Timestamp::from_millis(row.get(0)?),
                forgotten_at: Timestamp::from_millis(row.get(1)?),
            })
        })
        .optional()
}

/// The bytes of seed keys are beside the others': a store without them is a backup.
fn keys(connection: &Connection, kind: KeyKind) -> rusqlite::Result<Vec<KeyRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT k.id, k.status, k.algorithm, ifnull(k.wrapped, s.wrapped), k.outlived_by, k.created_at, k.current_at, \
         k.verify_at, k.gone_at FROM keys k LEFT JOIN seed_keys s ON k.kind = 'seed' AND s.id = k.id \
         WHERE k.kind = ?1 ORDER BY k.id",
    )?;
    let keys = statement.query_map([kind.as_str()], |row| {
        let status: String = row.get(1)?;
        let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
        Ok(KeyRecord {
            kind,
            id: row.get(0)?,
            status: KeyStatus::parse(&status).ok_or(rusqlite::Error::InvalidQuery)?,
            algorithm: row.get(2)?,
            wrapped: row.get(3)?,
            outlived_by: row.get::<_, i64>(4)?.cast_unsigned(),
            created_at: Timestamp::from_millis(row.get(5)?),
            current_at: time(6)?,
            verify_at: time(7)?,
            gone_at: time(8)?,
        })
    })?;
    keys.collect()
}

/// Which grants are listed. Both are in the cold half, which the journal never changes.
struct List<'a> {
    client: Option<&'a str>,
    subject: Option<&'a str>,
    journal: Option<&'a Journal>,
}

impl List<'_> {
    /// A page of grants. The columns hold the bit patterns of numbers: the upper half of them is negative, and comes last.
    fn page(&self, connection: &Connection, after: u64, limit: u32) -> rusqlite::Result<Vec<Loaded>> {
        let Some(first) = after.checked_add(1) else {
            return Ok(Vec::new());
        };
        let mut page = Vec::new();
        for (first, last) in [(first, i64::MAX.cast_unsigned()), (first.max(i64::MIN.cast_unsigned()), u64::MAX)] {
            let room = limit - u32::try_from(page.len()).unwrap_or(limit);
            if first <= last && room > 0 {
                page.extend(self.within(connection, first.cast_signed(), last.cast_signed(), room)?);
            }
        }
        Ok(page)
    }

    /// By number, or by one of the two indexes.
    fn within(&self, connection: &Connection, first: i64, last: i64, limit: u32) -> rusqlite::Result<Vec<Loaded>> {
        let Self { client, subject, journal } = self;
        let sql = match (client, subject) {
            (None, None) => select_grants!("WHERE g.number BETWEEN ?3 AND ?4 ORDER BY g.number LIMIT ?5"),
            (Some(_), None) => {
                select_grants!("WHERE t.client = ?1 AND t.number BETWEEN ?3 AND ?4 ORDER BY t.number LIMIT ?5")
            }
            (None, Some(_)) => {
                select_grants!("WHERE t.subject = ?2 AND t.number BETWEEN ?3 AND ?4 ORDER BY t.number LIMIT ?5")
            }
            (Some(_), Some(_)) => select_grants!(
                "WHERE t.subject = ?2 AND t.client = ?1 AND t.number BETWEEN ?3 AND ?4 ORDER BY t.number LIMIT ?5"
            ),
        };
        let mut spellings = Spellings::default();
        let newer = |found: Hot| journal.and_then(|journal| journal.entry(found.id.number)).unwrap_or(Ok(found));
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement
            .query_map(params![client, subject, first, last, limit], |row| rows::read(row, &mut spellings, newer))?;
        found.collect()
    }
}
