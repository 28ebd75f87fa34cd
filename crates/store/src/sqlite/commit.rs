//! Writing a batch: one transaction, in order, all or nothing.

use regrant_core::grant::RowMac;
use regrant_core::keys::KeyStatus;
use regrant_core::{Grant, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::hot::Hot;
use super::journal::{Batch, Journal, Written};
use super::known::Known;
use super::{cold, hot, questions};
use crate::{Consent, EventRecord, Failures, KeyChange, KeyKind, Outcome, Record, Session, User, event, failures};

/// What a batch is written with.
pub(super) struct Writing<'a> {
    pub(super) connection: &'a Connection,
    pub(super) known: &'a Known,
    /// Where changed rows of grants go; without it, into the table.
    pub(super) batch: Option<Batch<'a>>,
}

impl<'a> Writing<'a> {
    /// Begins a transaction, and forgets what others have changed.
    pub(super) fn begin(
        connection: &'a Connection,
        known: &'a mut Known,
        journal: Option<&'a Journal>,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        known.check(connection)?;
        Ok(Self { connection, known, batch: journal.map(Batch::new) })
    }

    /// Writes the records and, if it rises, the high-water time. Nothing is durable yet.
    pub(super) fn write(
        mut self,
        records: &[Record],
        now: Timestamp,
        raised: Option<Timestamp>,
    ) -> rusqlite::Result<(Vec<Outcome>, Option<Written>)> {
        let outcomes = records.iter().map(|record| self.one(record, now)).collect::<rusqlite::Result<_>>()?;
        if let Some(high_water) = raised {
            self.connection
                .prepare_cached("UPDATE meta SET high_water = ?1 WHERE only = 1")?
                .execute([high_water.millis()])?;
        }
        let written = self.batch.map(|batch| batch.finish(self.connection)).transpose()?;
        Ok((outcomes, written))
    }

    fn one(&mut self, record: &Record, now: Timestamp) -> rusqlite::Result<Outcome> {
        match record {
            Record::Grant { expected, grant, mac, events } => self.put_grant(*expected, grant, *mac, events),
            Record::RemoveGrant { number, expected } => self.remove_grant(*number, *expected),
            Record::Fold => Ok(outcome(self.batch.as_mut().is_some_and(Batch::fold))),
            _ => one(self.connection, record, now),
        }
    }

    fn put_grant(
        &mut self,
        expected: Option<u64>,
        grant: &Grant,
        mac: RowMac,
        events: &[EventRecord],
    ) -> rusqlite::Result<Outcome> {
        let connection = self.connection;
        let is_written = match (expected, &mut self.batch) {
            // Only the hot half: the terms never change.
            (Some(expected), Some(batch)) => batch.replace((connection, self.known), expected, grant, mac)?,
            (Some(expected), None) => {
                Hot::of(grant, mac).update(&mut connection.prepare_cached(hot::UPDATE)?, expected)? == 1
            }
            (None, Some(batch)) if batch.holds(grant.id.number) => false,
            (None, _) => {
                let is_free = Hot::of(grant, mac).put(&mut connection.prepare_cached(hot::INSERT)?)? == 1;
                if is_free {
                    cold::insert(&mut connection.prepare_cached(cold::INSERT)?, grant)?;
                }
                is_free
            }
        };
        if is_written {
            for event in events {
                tell(connection, event)?;
            }
        }
        Ok(outcome(is_written))
    }

    fn remove_grant(&mut self, number: u64, expected: u64) -> rusqlite::Result<Outcome> {
        let connection = self.connection;
        let key = number.cast_signed();
        let is_removed = match &mut self.batch {
            Some(batch) => {
                let is_there = batch.remove((connection, self.known), number, expected)?;
                if is_there {
                    connection.prepare_cached("DELETE FROM grants WHERE number = ?1")?.execute([key])?;
                }
                is_there
            }
            None => {
                let sql = "DELETE FROM grants WHERE number = ?1 AND version = ?2";
                connection.prepare_cached(sql)?.execute([key, expected.cast_signed()])? == 1
            }
        };
        if is_removed {
            connection.prepare_cached("DELETE FROM grant_terms WHERE number = ?1")?.execute([key])?;
        }
        Ok(outcome(is_removed))
    }
}

const fn outcome(is_done: bool) -> Outcome {
    if is_done { Outcome::Committed } else { Outcome::Stale }
}

/// Ends the transaction: durable when it returns `Ok`.
pub(super) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
}

fn one(connection: &Connection, record: &Record, now: Timestamp) -> rusqlite::Result<Outcome> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(parameters);
    let changed = match record {
        // Written by whoever holds the batch.
        Record::Grant { .. } | Record::RemoveGrant { .. } | Record::Fold => 0,
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
        Record::PutConsent(Consent { subject, client, scope, resources, at }) => run(
            "INSERT OR REPLACE INTO consents (subject, client, scope, resources, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![subject, client, scope, resources, at.millis()],
        )?,
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
        Record::Sweep { events_before, limit } => sweep(connection, *events_before, now, *limit).map(|()| 1)?,
    };
    Ok(outcome(changed > 0))
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
