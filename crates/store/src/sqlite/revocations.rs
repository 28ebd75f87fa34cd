//! The rows of [`revocation`](crate::revocation): written with what they tell of, read by position, swept by time.

use regrant_core::epoch::Among;
use regrant_core::{ClientId, Selector, Timestamp};
use rusqlite::{Connection, Row, params};

use super::epochs;
use crate::{Revocation, Revoked};

/// Writes what a record entails, if it entails anything: a later time replaces the row, at a new position.
pub(super) fn follow(connection: &Connection, entailed: Option<(Revoked, Timestamp)>) -> rusqlite::Result<()> {
    entailed.map_or(Ok(()), |(revoked, at)| put(connection, &revoked, at, None).map(|_| ()))
}

/// The same, with the time when it is over by itself.
pub(super) fn put(
    connection: &Connection,
    revoked: &Revoked,
    at: Timestamp,
    expires_at: Option<Timestamp>,
) -> rusqlite::Result<usize> {
    let key = revoked.key();
    connection
        .prepare_cached("DELETE FROM revocations WHERE about = ?1 AND at < ?2")?
        .execute(params![key, at.millis()])?;
    let (mut bulk, mut taken_back) = (None, None);
    let (grant, jti, selector) = match revoked {
        Revoked::Grant(number) => (Some(number.cast_signed()), None, None),
        Revoked::Access(jti) => (None, Some(jti.as_slice()), None),
        Revoked::Matching(selector) => (None, None, Some(selector)),
        Revoked::Bulk(number, selector) => {
            bulk = Some(number.cast_signed());
            (None, None, Some(selector))
        }
        Revoked::TakenBack(number) => {
            taken_back = Some(number.cast_signed());
            (None, None, None)
        }
    };
    let part = |of: fn(&Selector) -> Option<&str>| selector.and_then(of);
    connection
        .prepare_cached(
            "INSERT INTO revocations (about, at, expires_at, grant_number, jti, client, subject, scope, resource, session, \
             tag_key, online_only, issued_before, bulk, taken_back, among, but_session) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key,
            at.millis(),
            expires_at.map(Timestamp::millis),
            grant,
            jti,
            part(|selector| selector.client.as_ref().map(ClientId::as_str)),
            part(|selector| selector.subject.as_deref()),
            part(|selector| selector.scope.as_deref()),
            part(|selector| selector.resource.as_deref()),
            selector.and_then(|selector| selector.session),
            selector.and_then(|selector| selector.tag_key),
            selector.is_some_and(|selector| selector.online_only),
            selector.and_then(|selector| selector.issued_before).map(Timestamp::millis),
            bulk,
            taken_back,
            selector.and_then(|selector| selector.among.as_ref()).map(Among::text),
            selector.and_then(|selector| selector.but_session),
        ])?;
    Ok(1)
}

/// Rows after a position, in order: by the table's own key, whatever its size.
pub(super) fn after(connection: &Connection, after: u64, limit: u32) -> rusqlite::Result<Vec<Revocation>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT position, at, expires_at, grant_number, jti, client, subject, scope, resource, session, \
             tag_key, online_only, issued_before, bulk, taken_back, among, but_session FROM revocations \
             WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?
        .query_map(params![after, limit], read)?
        .collect()
}

/// The oldest first, at most `limit`.
pub(super) fn forget(connection: &Connection, before: Timestamp, limit: u32) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM revocations WHERE position IN \
             (SELECT position FROM revocations WHERE at < ?1 ORDER BY at, position LIMIT ?2)",
        )?
        .execute(params![before.millis(), limit])
}

fn read(row: &Row<'_>) -> rusqlite::Result<Revocation> {
    let grant: Option<i64> = row.get(3)?;
    let jti: Option<[u8; 32]> = row.get(4)?;
    let (bulk, taken_back): (Option<i64>, Option<i64>) = (row.get(13)?, row.get(14)?);
    let revoked = match (grant, jti, taken_back) {
        (Some(number), _, _) => Revoked::Grant(number.cast_unsigned()),
        (None, Some(jti), _) => Revoked::Access(jti),
        (None, None, Some(number)) => Revoked::TakenBack(number.cast_unsigned()),
        (None, None, None) => {
            let client: Option<String> = row.get(5)?;
            let client =
                client.map(|client| ClientId::parse(&client).ok_or(rusqlite::Error::InvalidQuery)).transpose()?;
            let selector = Selector {
                client,
                subject: row.get(6)?,
                scope: row.get(7)?,
                resource: row.get(8)?,
                session: row.get(9)?,
                tag_key: row.get(10)?,
                issued_before: row.get::<_, Option<i64>>(12)?.map(Timestamp::from_millis),
                online_only: row.get(11)?,
                among: epochs::among(row, 15)?,
                but_session: row.get(16)?,
            };
            match bulk {
                Some(number) => Revoked::Bulk(number.cast_unsigned(), selector),
                None => Revoked::Matching(selector),
            }
        }
    };
    Ok(Revocation {
        position: row.get::<_, i64>(0)?.cast_unsigned(),
        revoked,
        at: Timestamp::from_millis(row.get(1)?),
        expires_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
    })
}
