//! Events as rows of a chain, and what is kept beside them and beside grants.

use regrant_core::{Link, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::guard::Guard;
use crate::beside::{DeadLetter, Delivery, MOST_DEAD_LETTERS, Place, Places};
use crate::{ChainEnds, EventFilter, EventRecord, StoredEvent, event};

/// Keeps an event behind the newest, unless it is one too many of its kind and minute.
pub(super) fn tell(connection: &Connection, guard: &mut Guard, record: &EventRecord) -> rusqlite::Result<()> {
    // As it is known here, and not as the file says: whoever cuts events off leaves a gap.
    let newest = guard.sealed.ends.newest;
    let row = event::stored(newest.0 + 1, record, &guard.key, &newest.1);
    let link = row.link.map(|link| link.0);
    let kept = connection
        .prepare_cached(
            "INSERT INTO events (id, at, kind, reason, grant_number, client, subject, detail, correlation, minute, link) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            row.id.cast_signed(),
            row.at.millis(),
            row.kind,
            row.reason,
            row.grant.map(u64::cast_signed),
            row.client,
            row.subject,
            row.detail,
            row.correlation,
            event::minute(record),
            link,
        ])?;
    if kept == 1 {
        connection
            .prepare_cached("UPDATE event_chain SET newest = ?1, newest_link = ?2 WHERE only = 1")?
            .execute(params![row.id.cast_signed(), link])?;
        guard.sealed.ends.newest = (row.id, row.link.unwrap_or(newest.1));
    }
    Ok(())
}

/// Removes the oldest that lie before `before`, at most `limit`, in order of position and without a gap: the last one's link stays,
/// so that what is left can still be verified.
pub(super) fn sweep(connection: &Connection, guard: &mut Guard, before: Timestamp, limit: u32) -> rusqlite::Result<()> {
    let mut oldest = connection.prepare_cached("SELECT id, at, link FROM events ORDER BY id LIMIT ?1")?;
    let mut rows = oldest.query([limit])?;
    let mut last: Option<(i64, Option<[u8; 32]>)> = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= before.millis() {
            break;
        }
        last = Some((row.get(0)?, row.get(2)?));
    }
    let Some((last, link)) = last else { return Ok(()) };
    connection.prepare_cached("DELETE FROM events WHERE id <= ?1")?.execute([last])?;
    if let Some(link) = link {
        connection
            .prepare_cached("UPDATE event_chain SET removed = ?1, removed_link = ?2 WHERE only = 1")?
            .execute(params![last, link])?;
        guard.sealed.ends.removed = (last.cast_unsigned(), Link(link));
    }
    Ok(())
}

/// The ends of the chain.
pub(super) fn ends(connection: &Connection) -> rusqlite::Result<ChainEnds> {
    connection
        .prepare_cached("SELECT removed, removed_link, newest, newest_link FROM event_chain WHERE only = 1")?
        .query_row([], |row| {
            let end = |column: usize| {
                Ok::<_, rusqlite::Error>((row.get::<_, i64>(column)?.cast_unsigned(), Link(row.get(column + 1)?)))
            };
            Ok(ChainEnds { removed: end(0)?, newest: end(2)? })
        })
}

const EVENT_COLUMNS: &str =
    "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events";

fn read_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp::from_millis(row.get(1)?),
        kind: row.get(2)?,
        reason: row.get(3)?,
        grant: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        client: row.get(5)?,
        subject: row.get(6)?,
        detail: row.get(7)?,
        correlation: row.get(8)?,
        link: row.get::<_, Option<[u8; 32]>>(9)?.map(Link),
    })
}

/// The newest of all, or of a grant.
pub(super) fn newest(connection: &Connection, grant: Option<u64>, limit: u32) -> rusqlite::Result<Vec<StoredEvent>> {
    match grant {
        None => connection
            .prepare_cached(&format!("{EVENT_COLUMNS} ORDER BY id DESC LIMIT ?1"))?
            .query_map([limit], read_event)?
            .collect(),
        Some(number) => connection
            .prepare_cached(&format!("{EVENT_COLUMNS} WHERE grant_number = ?1 ORDER BY id DESC LIMIT ?2"))?
            .query_map(params![number.cast_signed(), limit], read_event)?
            .collect(),
    }
}

/// A user's own, newest first, by their index.
pub(super) fn of(
    connection: &Connection,
    subject: &str,
    before: u64,
    limit: u32,
) -> rusqlite::Result<Vec<StoredEvent>> {
    connection
        .prepare_cached(&format!("{EVENT_COLUMNS} WHERE subject = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"))?
        .query_map(params![subject, position(before), limit], read_event)?
        .collect()
}

/// Those behind a position, in order.
pub(super) fn after(connection: &Connection, after: u64, limit: u32) -> rusqlite::Result<Vec<StoredEvent>> {
    connection
        .prepare_cached(&format!("{EVENT_COLUMNS} WHERE id > ?1 ORDER BY id LIMIT ?2"))?
        .query_map(params![position(after), limit], read_event)?
        .collect()
}

/// Through the positions between the two, by the table's own order: rows are read one by one until enough fit.
pub(super) fn find(connection: &Connection, filter: &EventFilter) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = format!(
        "{EVENT_COLUMNS} WHERE id > ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR client = ?4) \
         AND (?5 IS NULL OR subject = ?5) AND (?6 IS NULL OR +at >= ?6) AND (?8 IS NULL OR correlation = ?8) \
         ORDER BY id DESC LIMIT ?7"
    );
    let EventFilter { kind, client, subject, since, after, before, limit, correlation } = filter;
    let since = since.map(Timestamp::millis);
    connection
        .prepare_cached(&sql)?
        .query_map(
            params![position(*after), position(*before), kind, client, subject, since, limit, correlation],
            read_event,
        )?
        .collect()
}

/// Positions count from 1 and never reach the sign bit.
fn position(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

pub(super) fn put_delivery(connection: &Connection, Delivery { to, position: at }: &Delivery) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO deliveries (recipient, position) VALUES (?1, ?2)")?
        .execute(params![to, position(*at)])
        .map(|_| ())
}

pub(super) fn deliveries(connection: &Connection) -> rusqlite::Result<Vec<Delivery>> {
    connection
        .prepare_cached("SELECT recipient, position FROM deliveries ORDER BY recipient")?
        .query_map([], |row| Ok(Delivery { to: row.get(0)?, position: row.get::<_, i64>(1)?.cast_unsigned() }))?
        .collect()
}

/// Beyond the most that are kept the oldest go.
pub(super) fn put_dead_letter(connection: &Connection, letter: &DeadLetter) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO dead_letters (recipient, event, at, failure) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![letter.to, position(letter.event), letter.at.millis(), letter.failure])?;
    connection
        .prepare_cached(
            "DELETE FROM dead_letters WHERE recipient = ?1 AND event <= (SELECT event FROM dead_letters \
             WHERE recipient = ?1 ORDER BY event DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![letter.to, MOST_DEAD_LETTERS])
        .map(|_| ())
}

pub(super) fn remove_dead_letter(connection: &Connection, to: &str, event: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM dead_letters WHERE recipient = ?1 AND event = ?2")?
        .execute(params![to, position(event)])
}

pub(super) fn dead_letters(connection: &Connection, to: &str, limit: u32) -> rusqlite::Result<Vec<DeadLetter>> {
    connection
        .prepare_cached(
            "SELECT recipient, event, at, failure FROM dead_letters WHERE recipient = ?1 ORDER BY event LIMIT ?2",
        )?
        .query_map(params![to, limit], |row| {
            Ok(DeadLetter {
                to: row.get(0)?,
                event: row.get::<_, i64>(1)?.cast_unsigned(),
                at: Timestamp::from_millis(row.get(2)?),
                failure: row.get(3)?,
            })
        })?
        .collect()
}

/// The first place stays; the last one is replaced if it is another.
pub(super) fn seen(connection: &Connection, grant: u64, place: &Place) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO grant_places (number, first_at, first_network, first_agent, last_at, last_network, last_agent) \
             VALUES (?1, ?2, ?3, ?4, ?2, ?3, ?4) ON CONFLICT (number) DO UPDATE SET last_at = excluded.last_at, \
             last_network = excluded.last_network, last_agent = excluded.last_agent \
             WHERE last_network <> excluded.last_network OR last_agent <> excluded.last_agent",
        )?
        .execute(params![grant.cast_signed(), place.at.millis(), place.network, place.agent])
        .map(|_| ())
}

pub(super) fn places(connection: &Connection, grant: u64) -> rusqlite::Result<Option<Places>> {
    connection
        .prepare_cached(
            "SELECT first_at, first_network, first_agent, last_at, last_network, last_agent FROM grant_places \
             WHERE number = ?1",
        )?
        .query_row([grant.cast_signed()], |row| {
            let place = |column: usize| {
                Ok::<_, rusqlite::Error>(Place {
                    at: Timestamp::from_millis(row.get(column)?),
                    network: row.get(column + 1)?,
                    agent: row.get(column + 2)?,
                })
            };
            Ok(Places { first: place(0)?, last: place(3)? })
        })
        .optional()
}

pub(super) fn forget_places(connection: &Connection, grant: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM grant_places WHERE number = ?1")?.execute([grant]).map(|_| ())
}
