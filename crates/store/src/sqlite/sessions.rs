//! Browser sessions, the clients that were logged in to in them, and who is to hear of their end.

use regrant_core::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{LogoutNotice, Session};

const COLUMNS: &str = "id, root, subject, authenticated_at, expires_at, acr, amr, claims";

pub(super) fn put(connection: &Connection, session: &Session) -> rusqlite::Result<usize> {
    let Session { id, root, subject, authenticated_at, expires_at, acr, amr, claims } = session;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO sessions (id, root, subject, authenticated_at, expires_at, acr, amr, claims) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id.as_slice(),
            root.as_slice(),
            subject,
            authenticated_at.millis(),
            expires_at.millis(),
            acr,
            amr,
            claims
        ])
}

pub(super) fn renew(connection: &Connection, before: &[u8; 32], session: &Session) -> rusqlite::Result<usize> {
    let removed = connection
        .prepare_cached("DELETE FROM sessions WHERE id = ?1 AND subject = ?2 AND root = ?3")?
        .execute(params![before.as_slice(), session.subject, session.root.as_slice()])?;
    if removed == 0 {
        return Ok(0);
    }
    connection
        .prepare_cached("UPDATE logins SET expires_at = ?2 WHERE session = ?1")?
        .execute(params![session.root.as_slice(), session.expires_at.millis()])?;
    put(connection, session)
}

pub(super) fn end(connection: &Connection, id: &[u8; 32], now: Timestamp) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT root, subject FROM sessions WHERE id = ?1 OR root = ?1 ORDER BY root")?;
    let ended = statement.query_map([id.as_slice()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (root, subject) in ended.collect::<rusqlite::Result<Vec<([u8; 32], String)>>>()? {
        end_one(connection, &root, &subject, now)?;
    }
    Ok(())
}

pub(super) fn end_all_of(
    connection: &Connection,
    subject: &str,
    but: Option<[u8; 32]>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT root FROM sessions WHERE subject = ?1 ORDER BY root")?;
    let ended = statement.query_map([subject], |row| row.get(0))?;
    for root in ended.collect::<rusqlite::Result<Vec<[u8; 32]>>>()? {
        if Some(root) != but {
            end_one(connection, &root, subject, now)?;
        }
    }
    Ok(())
}

/// The session's end and who is to hear of it, in one transaction.
fn end_one(connection: &Connection, root: &[u8; 32], subject: &str, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO logout_notices (client, subject, session, at) \
             SELECT client, ?2, session, ?3 FROM logins WHERE session = ?1 ORDER BY client",
        )?
        .execute(params![root.as_slice(), subject, now.millis()])?;
    connection.prepare_cached("DELETE FROM logins WHERE session = ?1")?.execute([root.as_slice()])?;
    connection.prepare_cached("DELETE FROM sessions WHERE root = ?1")?.execute([root.as_slice()])?;
    Ok(())
}

pub(super) fn put_login(connection: &Connection, root: &[u8; 32], client: &str) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO logins (session, client, expires_at) \
             SELECT root, ?2, expires_at FROM sessions WHERE root = ?1",
        )?
        .execute(params![root.as_slice(), client])
}

pub(super) fn remove_notice(connection: &Connection, id: u64) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM logout_notices WHERE id = ?1")?.execute([id.cast_signed()])
}

pub(super) fn one(connection: &Connection, id: [u8; 32]) -> rusqlite::Result<Option<Session>> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.as_slice()], session).optional()
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        root: row.get(1)?,
        subject: row.get(2)?,
        authenticated_at: Timestamp::from_millis(row.get(3)?),
        expires_at: Timestamp::from_millis(row.get(4)?),
        acr: row.get(5)?,
        amr: row.get(6)?,
        claims: row.get(7)?,
    })
}

pub(super) fn logins(connection: &Connection, root: &[u8; 32]) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT client FROM logins WHERE session = ?1 ORDER BY client")?;
    let clients = statement.query_map([root.as_slice()], |row| row.get(0))?;
    clients.collect()
}

pub(super) fn notices(connection: &Connection, client: &str, limit: u32) -> rusqlite::Result<Vec<LogoutNotice>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, client, subject, session, at FROM logout_notices WHERE client = ?1 ORDER BY id LIMIT ?2",
    )?;
    let notices = statement.query_map(params![client, limit], |row| {
        Ok(LogoutNotice {
            id: row.get::<_, i64>(0)?.cast_unsigned(),
            client: row.get(1)?,
            subject: row.get(2)?,
            session: row.get(3)?,
            at: Timestamp::from_millis(row.get(4)?),
        })
    })?;
    notices.collect()
}

pub(super) fn notified(connection: &Connection, after: &str, limit: u32) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT client FROM logout_notices WHERE client > ?1 ORDER BY client LIMIT ?2")?;
    let clients = statement.query_map(params![after, limit], |row| row.get(0))?;
    clients.collect()
}
