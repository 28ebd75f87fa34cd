//! The schema and its forward migrations, run by the program itself when it opens a file.
//!
//! Each migration is one transaction that also steps `user_version`: a crash leaves the schema before it or after it.
//! A migration that was released is never edited; the next change is the next file.

use rusqlite::{Connection, TransactionBehavior};

use super::halves;

/// Marks a file as ours: "RGRT".
pub(super) const APPLICATION_ID: u32 = 0x5247_5254;

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
    include_str!("migrations/0016.sql"),
    include_str!("migrations/0017.sql"),
    include_str!("migrations/0018.sql"),
    include_str!("migrations/0019.sql"),
    include_str!("migrations/0020.sql"),
    include_str!("migrations/0021.sql"),
];
/// Which of them leaves rows to be written anew.
const HALVES: u32 = 21;

/// What a file says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Nothing is in it yet.
    Fresh,
    /// Ours, at this version.
    Ours(u32),
    /// Another application's.
    Foreign,
}

/// The newest schema this program knows.
pub(super) const fn known() -> u32 {
    MIGRATIONS.len() as u32
}

/// Looks without changing anything.
pub(super) fn origin(connection: &Connection) -> rusqlite::Result<Origin> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application == i64::from(APPLICATION_ID) {
        return Ok(u32::try_from(version).map_or(Origin::Foreign, Origin::Ours));
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if (application, version, tables) == (0, 0, 0) { Origin::Fresh } else { Origin::Foreign })
}

/// A migration that failed. Those before it are done.
pub(super) struct Failed {
    /// The version that it would have brought the schema to.
    pub(super) to: u32,
    pub(super) error: rusqlite::Error,
}

/// Brings the schema from version `found` to [`known`].
pub(super) fn migrate(connection: &mut Connection, found: u32) -> Result<(), Failed> {
    for (version, sql) in (1..).zip(MIGRATIONS).skip(found as usize) {
        step(connection, version, sql).map_err(|error| Failed { to: version, error })?;
    }
    Ok(())
}

fn step(connection: &mut Connection, version: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    if version == HALVES {
        halves::write_anew(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
