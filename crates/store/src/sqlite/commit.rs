//! Writing a batch: one transaction, in order, all or nothing.

use regrant_core::grant::RowMac;
use regrant_core::keys::KeyStatus;
use regrant_core::{Grant, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{consents, epochs, questions, rows};
use crate::{EventRecord, Failures, KeyChange, KeyKind, Outcome, Record, Session, User, event, failures};

/// Begins a transaction and writes the records and, if it rises, the high-water time. Nothing is durable yet.
pub(super) fn write(
    connection: &Connection,
    records: &[Record],
    now: Timestamp,
    raised: Option<Timestamp>,
) -> rusqlite::Result<Vec<Outcome>> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let outcomes = records.iter().map(|record| one(connection, record, now)).collect::<rusqlite::Result<_>>()?;
    if let Some(high_water) = raised {
        connection.prepare_cached("UPDATE meta SET high_water = ?1 WHERE only = 1")?.execute([high_water.millis()])?;
    }
    Ok(outcomes)
}

/// Ends the transaction: durable when it returns `Ok`.
pub(super) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
}

fn one(connection: &Connection, record: &Record, now: Timestamp) -> rusqlite::Result<Outcome> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(parameters);
    let changed = match record {
        Record::Grant { expected, grant, mac, events } => return put_grant(connection, *expected, grant, *mac, events),
        Record::RemoveGrant { number, expected } => remove_grant(connection, *number, *expected)?,
        Record::Event(event) => return tell(connection, event).map(|()| Outcome::Committed),
        Record::Initialise { deployment, root_check } => run(
            "UPDATE meta SET deployment = ?1, root_check = ?2 WHERE only = 1 AND deployment IS NULL",
            params![deployment.0, root_check],
        )?,
        Record::ReserveGrants { next } => reserve(connection, *next)?,
        Record::PutClient { id, definition } => {
            run("INSERT OR REPLACE INTO clients (id, definition) VALUES (?1, ?2)", params![id, definition])?
        }
        Record::RemoveClient { id } => run("DELETE FROM clients WHERE id = ?1", params![id])?,
        Record::AddUser(user) => add_user(connection, user)?,
        Record::PutUser { expected, user } => put_user(connection, *expected, user)?,
        Record::RemoveUser { subject } => run("DELETE FROM users WHERE subject = ?1", params![subject])?,
        Record::PutSession(Session { id, subject, authenticated_at, expires_at }) => run(
            "INSERT OR REPLACE INTO sessions (id, subject, authenticated_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
            params![id.as_slice(), subject, authenticated_at.millis(), expires_at.millis()],
        )?,
        Record::EndSession { id } => run("DELETE FROM sessions WHERE id = ?1", params![id.as_slice()]).map(always)?,
        Record::EndSessionsOf { subject } => {
            run("DELETE FROM sessions WHERE subject = ?1", params![subject]).map(always)?
        }
        Record::PutConsent(consent) => consents::put(connection, consent)?,
        Record::RemoveConsent { subject, client } => {
            run("DELETE FROM consents WHERE subject = ?1 AND client = ?2", params![subject, client]).map(always)?
        }
        Record::DenyAccess { jti, expires_at } => run(
            "INSERT INTO denied_access (jti, expires_at) VALUES (?1, ?2) \
             ON CONFLICT (jti) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
            params![jti.as_slice(), expires_at.millis()],
        )?,
        Record::CountFailure { key, leak, most } => count_failure(connection, key, now, *leak, *most)?,
        Record::ForgetFailures { key } => {
            run("DELETE FROM login_failures WHERE key = ?1", params![key.as_slice()]).map(always)?
        }
        Record::Keys { changes, events } => return change_keys(connection, changes, events),
        Record::Epoch { epoch, events } => return tell_if(connection, epochs::insert(connection, epoch)?, events),
        Record::UndoEpoch { number, at, events } => {
            return tell_if(connection, epochs::undo(connection, *number, *at)?, events);
        }
        Record::ForgetEpochs { numbers } => epochs::forget(connection, numbers).map(|()| 1)?,
        Record::Sweep { events_before, limit } => sweep(connection, *events_before, now, *limit).map(|()| 1)?,
    };
    Ok(if changed == 0 { Outcome::Stale } else { Outcome::Committed })
}

/// For what is fine if it was not there.
const fn always(_: usize) -> usize {
    1
}

/// Numbers are compared as they are, and kept as the bit pattern.
fn reserve(connection: &Connection, next: u64) -> rusqlite::Result<usize> {
    let held: i64 =
        connection.prepare_cached("SELECT next_grant FROM meta WHERE only = 1")?.query_row([], |row| row.get(0))?;
    if next <= held.cast_unsigned() {
        return Ok(0);
    }
    connection.prepare_cached("UPDATE meta SET next_grant = ?1 WHERE only = 1")?.execute([next.cast_signed()])
}

fn put_grant(
    connection: &Connection,
    expected: Option<u64>,
    grant: &Grant,
    mac: RowMac,
    events: &[EventRecord],
) -> rusqlite::Result<Outcome> {
    let changed = match expected {
        // Only the hot row: the terms never change.
        Some(expected) => rows::update_hot(&mut connection.prepare_cached(rows::UPDATE_HOT)?, grant, mac, expected)?,
        None => {
            let inserted = rows::insert_hot(&mut connection.prepare_cached(rows::INSERT_HOT)?, grant, mac)?;
            if inserted == 1 {
                rows::insert_cold(&mut connection.prepare_cached(rows::INSERT_COLD)?, grant)?;
            }
            inserted
        }
    };
    if changed == 0 {
        return Ok(Outcome::Stale);
    }
    for event in events {
        tell(connection, event)?;
    }
    Ok(Outcome::Committed)
}

fn remove_grant(connection: &Connection, number: u64, expected: u64) -> rusqlite::Result<usize> {
    let (number, expected) = (number.cast_signed(), expected.cast_signed());
    let removed = connection
        .prepare_cached("DELETE FROM grants WHERE number = ?1 AND version = ?2")?
        .execute([number, expected])?;
    if removed == 1 {
        connection.prepare_cached("DELETE FROM grant_terms WHERE number = ?1")?.execute([number])?;
    }
    Ok(removed)
}

/// The events of what was done; of what was stale there are none.
fn tell_if(connection: &Connection, changed: usize, events: &[EventRecord]) -> rusqlite::Result<Outcome> {
    if changed == 0 {
        return Ok(Outcome::Stale);
    }
    events.iter().try_for_each(|event| tell(connection, event))?;
    Ok(Outcome::Committed)
}

fn tell(connection: &Connection, record: &EventRecord) -> rusqlite::Result<()> {
    let EventRecord { at, event, correlation } = record;
    connection
        .prepare_cached(
            "INSERT INTO events (at, kind, reason, grant_number, client, subject, detail, correlation, minute) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            at.millis(),
            event.kind.as_str(),
            event::reason(event.kind),
            event.grant.map(|id| id.number.cast_signed()),
            event.client.as_ref().map(|client| client.as_str()),
            event.subject,
            event.detail,
            correlation,
            event::minute(record),
        ])?;
    Ok(())
}

fn add_user(connection: &Connection, user: &User) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO users (subject, name, password, disabled_at, created_at, updated_at, version, attributes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user.subject,
            user.name,
            user.password,
            user.disabled_at.map(Timestamp::millis),
            user.created_at.millis(),
            user.updated_at.millis(),
            user.version.cast_signed(),
            user.attributes,
        ])
}

fn put_user(connection: &Connection, expected: u64, user: &User) -> rusqlite::Result<usize> {
    let other: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM users WHERE name = ?1 AND subject <> ?2")?
        .query_row([&user.name, &user.subject], |row| row.get(0))
        .optional()?;
    if other.is_some() {
        return Ok(0);
    }
    connection
        .prepare_cached(
            "UPDATE users SET name = ?2, password = ?3, disabled_at = ?4, created_at = ?5, updated_at = ?6, \
             version = ?7, attributes = ?8 WHERE subject = ?1 AND version = ?9",
        )?
        .execute(params![
            user.subject,
            user.name,
            user.password,
            user.disabled_at.map(Timestamp::millis),
            user.created_at.millis(),
            user.updated_at.millis(),
            user.version.cast_signed(),
            user.attributes,
            expected.cast_signed(),
        ])
}

/// All or nothing within the batch: a change that does not fit takes back those before it.
fn change_keys(connection: &Connection, changes: &[KeyChange], events: &[EventRecord]) -> rusqlite::Result<Outcome> {
    connection.prepare_cached("SAVEPOINT keys")?.execute([])?;
    for change in changes {
        if !change_key(connection, change)? {
            connection.prepare_cached("ROLLBACK TO keys")?.execute([])?;
            connection.prepare_cached("RELEASE keys")?.execute([])?;
            return Ok(Outcome::Stale);
        }
    }
    connection.prepare_cached("RELEASE keys")?.execute([])?;
    for event in events {
        tell(connection, event)?;
    }
    Ok(Outcome::Committed)
}

fn change_key(connection: &Connection, KeyChange { expected, key }: &KeyChange) -> rusqlite::Result<bool> {
    let held: Option<String> = connection
        .prepare_cached("SELECT status FROM keys WHERE kind = ?1 AND id = ?2")?
        .query_row(params![key.kind.as_str(), key.id], |row| row.get(0))
        .optional()?;
    if held.as_deref() != expected.map(KeyStatus::as_str) {
        return Ok(false);
    }
    // The bytes of a seed key are in the table that backups leave out, and nowhere else.
    let (beside, apart) = match key.kind {
        KeyKind::Seed => (None, key.wrapped.as_ref()),
        KeyKind::Tag | KeyKind::Sealing | KeyKind::Signing => (key.wrapped.as_ref(), None),
    };
    let time = |at: Option<Timestamp>| at.map(Timestamp::millis);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, \
             gone_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            key.kind.as_str(),
            key.id,
            key.status.as_str(),
            key.algorithm,
            beside,
            key.outlived_by.cast_signed(),
            key.created_at.millis(),
            time(key.current_at),
            time(key.verify_at),
            time(key.gone_at),
        ])?;
    if let Some(wrapped) = apart {
        connection
            .prepare_cached("INSERT OR REPLACE INTO seed_keys (id, wrapped) VALUES (?1, ?2)")?
            .execute(params![key.id, wrapped])?;
    } else if key.kind == KeyKind::Seed {
        connection.prepare_cached("DELETE FROM seed_keys WHERE id = ?1")?.execute([key.id])?;
    }
    Ok(true)
}

fn count_failure(
    connection: &Connection,
    key: &[u8; 32],
    now: Timestamp,
    leak: i64,
    most: u32,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(FORGOTTEN)?.execute(params![now.millis(), failures::TIDIED])?;
    let counted = Failures::counted(questions::failures(connection, key)?, now, leak, most);
    connection
        .prepare_cached("INSERT OR REPLACE INTO login_failures (key, last_at, forgotten_at) VALUES (?1, ?2, ?3)")?
        .execute(params![key.as_slice(), counted.last_at.millis(), counted.forgotten_at.millis()])
}

const FORGOTTEN: &str = "DELETE FROM login_failures WHERE key IN \
    (SELECT key FROM login_failures WHERE forgotten_at < ?1 ORDER BY forgotten_at, key LIMIT ?2)";

/// The oldest first, bounded by `limit` for each table, so that a batch that sweeps is not much longer than one that does not.
fn sweep(connection: &Connection, events_before: Timestamp, now: Timestamp, limit: u32) -> rusqlite::Result<()> {
    const SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
        (SELECT id FROM sessions WHERE expires_at < ?1 ORDER BY expires_at, id LIMIT ?2)";
    const DENIED: &str = "DELETE FROM denied_access WHERE jti IN \
        (SELECT jti FROM denied_access WHERE expires_at < ?1 ORDER BY expires_at, jti LIMIT ?2)";
    const EVENTS: &str = "DELETE FROM events WHERE id IN \
        (SELECT id FROM events WHERE at < ?1 ORDER BY at, id LIMIT ?2)";
    for (sql, before) in [(SESSIONS, now), (DENIED, now), (FORGOTTEN, now), (EVENTS, events_before)] {
        connection.prepare_cached(sql)?.execute(params![before.millis(), limit])?;
    }
    Ok(())
}
