//! Wide revocations, to SQLite and back. They are few, and all of them are in memory: the file is read when it is opened.

use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::guard::Guard;
use crate::epochs::{Epochs, MOST_EPOCHS, most_beside, superseded};

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT number, at, subject, client, session, tag_key, scope, resource, issued_before, online_only, reason, detail, \
             undo_until, undone_at, but_session, among FROM epochs WHERE ",
            $which,
            " ORDER BY number"
        )
    };
}

/// All of them, when a file is opened.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Epochs> {
    let counter: i64 = connection.query_row("SELECT epoch FROM meta WHERE only = 1", [], |row| row.get(0))?;
    let mut statement = connection.prepare(select!("true"))?;
    let rows = statement.query_map([], epoch)?.collect::<rusqlite::Result<_>>()?;
    Ok(Epochs::new(counter.cast_unsigned(), rows))
}

/// One that cannot be read is no row to leave out: what it ends would live again. So the file does not open.
fn epoch(row: &Row<'_>) -> rusqlite::Result<Epoch> {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    let client: Option<String> = row.get(3)?;
    let client = client.map(|client| ClientId::parse(&client).ok_or(rusqlite::Error::InvalidQuery)).transpose()?;
    Ok(Epoch {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp::from_millis(row.get(1)?),
        selector: Selector {
            subject: row.get(2)?,
            client,
            session: row.get(4)?,
            tag_key: row.get(5)?,
            scope: row.get(6)?,
            resource: row.get(7)?,
            issued_before: time(8)?,
            online_only: row.get(9)?,
            but_session: row.get(14)?,
            among: among(row, 15)?,
        },
        reason: EndReason::from_code(row.get(10)?).ok_or(rusqlite::Error::InvalidQuery)?,
        detail: row.get(11)?,
        undo_until: time(12)?,
        undone_at: time(13)?,
    })
}

/// Clients, or all but these. What cannot be read is no criterion to leave out.
pub(super) fn among(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Among>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| Among::parse(&text).ok_or(rusqlite::Error::InvalidQuery)).transpose()
}

/// Inserts the next one, and tells its number: none if it is not the next, or there is no room.
pub(super) fn insert(connection: &Connection, guard: &mut Guard, epoch: &Epoch) -> rusqlite::Result<Option<u64>> {
    let Epoch { number, at, selector, reason, detail, undo_until, undone_at } = epoch;
    let client = selector.client.as_ref().map(ClientId::as_str);
    let Some(makes_room) = room(connection, epoch)? else { return Ok(None) };
    // 0 takes whichever is the next.
    let step = "UPDATE meta SET epoch = epoch + 1 WHERE only = 1 AND ?1 IN (0, epoch + 1) RETURNING epoch";
    let number: Option<i64> =
        connection.prepare_cached(step)?.query_row([number.cast_signed()], |row| row.get(0)).optional()?;
    let Some(number) = number else { return Ok(None) };
    makes_room.iter().try_for_each(|number| guard.epoch(connection, *number))?;
    forget(connection, &makes_room)?;
    connection
        .prepare_cached(
            "INSERT INTO epochs (number, at, subject, client, session, tag_key, scope, resource, issued_before, online_only, \
             reason, detail, undo_until, undone_at, but_session, among) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            number,
            at.millis(),
            selector.subject,
            client,
            selector.session,
            selector.tag_key,
            selector.scope,
            selector.resource,
            selector.issued_before.map(Timestamp::millis),
            selector.online_only,
            reason.code(),
            detail,
            undo_until.map(Timestamp::millis),
            undone_at.map(Timestamp::millis),
            selector.but_session,
            selector.among.as_ref().map(Among::text),
        ])?;
    Ok(Some(number.cast_unsigned()))
}

/// Which rows make room for one more, by the same place as in memory: the session, else the user, else the client. `None` if there is none.
fn room(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<Option<Vec<u64>>> {
    let count =
        |sql: &str| -> rusqlite::Result<i64> { connection.prepare_cached(sql)?.query_row([], |row| row.get(0)) };
    // There are no more rows than numbers from the first to the last: mostly that is known without a look at every row.
    let span = "SELECT coalesce((SELECT max(number) FROM epochs) - (SELECT min(number) FROM epochs) + 1, 0)";
    let most = MOST_EPOCHS as i64;
    if count(span)? >= most && count("SELECT count(*) FROM epochs")? >= most {
        return Ok(None);
    }
    let place = |count: &str, rows: &str, parameter: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<Option<Vec<u64>>> {
        let beside: i64 = connection.prepare_cached(count)?.query_row(parameter, |row| row.get(0))?;
        let most = most_beside(epoch);
        if beside < most as i64 {
            return Ok(Some(Vec::new()));
        }
        let mut rows = connection.prepare_cached(rows)?;
        let place: Vec<Epoch> = rows.query_map(parameter, self::epoch)?.collect::<rusqlite::Result<_>>()?;
        let makes_room = superseded(&place, epoch);
        Ok((place.len() - makes_room.len() < most).then_some(makes_room))
    };
    macro_rules! place {
        ($which:literal, $parameter:expr) => {
            place(concat!("SELECT count(*) FROM epochs WHERE ", $which), select!($which), $parameter)
        };
    }
    let Selector { session, subject, client, .. } = &epoch.selector;
    match (session, subject, client.as_ref().map(ClientId::as_str)) {
        (Some(session), _, _) => place!("session = ?1", &[session]),
        (None, Some(subject), _) => place!("session IS NULL AND subject = ?1", &[subject]),
        (None, None, Some(client)) => place!("session IS NULL AND subject IS NULL AND client = ?1", &[&client]),
        (None, None, None) => place!("session IS NULL AND subject IS NULL AND client IS NULL", &[]),
    }
}

/// Takes one back: 0 rows if it cannot be.
pub(super) fn undo(connection: &Connection, number: u64, at: Timestamp) -> rusqlite::Result<usize> {
    let sql = "UPDATE epochs SET undone_at = ?2 WHERE number = ?1 AND undone_at IS NULL AND undo_until > ?2";
    connection.prepare_cached(sql)?.execute([number.cast_signed(), at.millis()])
}

/// Removes them.
pub(super) fn forget(connection: &Connection, numbers: &[u64]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM epochs WHERE number = ?1")?;
    numbers.iter().try_for_each(|number| statement.execute([number.cast_signed()]).map(|_| ()))
}
