//! What is good once, or a number of times.

use regrant_core::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::RegistrationToken;

/// One row changed if it was not used before, or what was used is over.
pub(super) fn use_once(
    connection: &Connection,
    key: &[u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO used_once (key, expires_at) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE used_once.expires_at < ?3",
        )?
        .execute(params![key.as_slice(), expires_at.millis(), now.millis()])
}

/// Whether it was used, and is not over.
pub(super) fn is_used(connection: &Connection, key: &[u8; 32], now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM used_once WHERE key = ?1 AND expires_at > ?2")?
        .exists(params![key.as_slice(), now.millis()])
}

/// The client, and one use of the token, if there is one to use: both or neither.
pub(super) fn register(
    connection: &Connection,
    id: &str,
    definition: &str,
    token: Option<&[u8; 32]>,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let is_taken = connection.prepare_cached("SELECT 1 FROM clients WHERE id = ?1")?.exists([id])?;
    if is_taken {
        return Ok(0);
    }
    if let Some(token) = token {
        let used = connection
            .prepare_cached(
                "UPDATE registration_tokens SET uses = uses - 1 WHERE hash = ?1 AND uses > 0 AND expires_at > ?2",
            )?
            .execute(params![token.as_slice(), now.millis()])?;
        if used == 0 {
            return Ok(0);
        }
    }
    connection.prepare_cached("INSERT INTO clients (id, definition) VALUES (?1, ?2)")?.execute(params![id, definition])
}

pub(super) fn put_token(connection: &Connection, token: &RegistrationToken) -> rusqlite::Result<usize> {
    let RegistrationToken { hash, label, uses, created_at, expires_at } = token;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO registration_tokens (hash, label, uses, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![hash.as_slice(), label, uses, created_at.millis(), expires_at.millis()])
}

pub(super) fn remove_token(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM registration_tokens WHERE hash = ?1")?.execute([hash.as_slice()])
}

/// All of them, the oldest first.
pub(super) fn tokens(connection: &Connection) -> rusqlite::Result<Vec<RegistrationToken>> {
    let sql = "SELECT hash, label, uses, created_at, expires_at FROM registration_tokens ORDER BY created_at, hash";
    connection.prepare_cached(sql)?.query_map([], read)?.collect()
}

pub(super) fn token(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<RegistrationToken>> {
    let sql = "SELECT hash, label, uses, created_at, expires_at FROM registration_tokens WHERE hash = ?1";
    connection.prepare_cached(sql)?.query_row([hash.as_slice()], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RegistrationToken> {
    Ok(RegistrationToken {
        hash: row.get(0)?,
        label: row.get(1)?,
        uses: row.get(2)?,
        created_at: Timestamp::from_millis(row.get(3)?),
        expires_at: Timestamp::from_millis(row.get(4)?),
    })
}
