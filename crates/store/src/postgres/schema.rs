//! The schema and its migrations, which expand first and contract later, so that two versions can run side by side (check Z12).
//!
//! Each migration is one transaction with the row that says so: a crash leaves the schema before it or after it (check Z13). A row names
//! the oldest program that works with the schema from then on: an older one is refused, and changes nothing (check Z14). An empty
//! database gets its schema from whoever starts first; after that an operator says when, with `regrant migrate apply`.

use std::time::Duration;

use tokio::time::timeout;

use super::halves;
use super::line::{Fault, Line};
use super::values::Columns;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Its number, counted from 1.
    pub version: u32,
    /// What it is for, in a few words.
    pub title: &'static str,
    /// The oldest schema whose programs work with what it makes: its own if it contracts, an earlier one if it only adds.
    pub works_with: u32,
    /// The statements.
    pub sql: &'static str,
}

/// All of them. One that was released is never edited; the next change is the next file.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        title: "the schema of the first nodes",
        works_with: 1,
        sql: include_str!("migrations/0001.sql"),
    },
    // The rows are written anew by `halves`.
    Migration {
        version: HALVES,
        title: "each half of a grant is one value",
        works_with: HALVES,
        sql: include_str!("migrations/0002.sql"),
    },
];
const HALVES: u32 = 2;

/// The longest that one may take.
const LONG: Duration = Duration::from_secs(3600);

/// What a database says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchemaState {
    /// The newest migration that was applied; 0 in an empty database.
    pub version: u32,
    /// The oldest program that works with it.
    pub works_with: u32,
}

impl SchemaState {
    /// What is missing for this program.
    pub fn pending(self) -> impl Iterator<Item = &'static Migration> {
        MIGRATIONS.iter().filter(move |migration| migration.version > self.version)
    }

    /// Whether this program is too old for it.
    #[must_use]
    pub const fn is_newer(self) -> bool {
        self.works_with > known()
    }
}

/// The newest schema that this program knows.
#[must_use]
pub const fn known() -> u32 {
    MIGRATIONS.len() as u32
}

/// Looks without changing anything.
pub(super) async fn look(line: &Line) -> Result<SchemaState, Fault> {
    const IS_THERE: &str = "SELECT (to_regclass('regrant_schema') IS NOT NULL)";
    let rows = line.rows(IS_THERE, &[]).await.map_err(|error| Fault::of(&error))?;
    if !rows.first().is_some_and(|row| Columns::of(row).boolean()) {
        return Ok(SchemaState { version: 0, works_with: 0 });
    }
    state(line).await
}

async fn state(line: &Line) -> Result<SchemaState, Fault> {
    const STATE: &str =
        "SELECT coalesce(max(version), 0)::bigint, coalesce(max(works_with), 0)::bigint FROM regrant_schema";
    let rows = line.rows(STATE, &[]).await.map_err(|error| Fault::of(&error))?;
    let row = rows.first().ok_or_else(|| Fault::damaged("the schema has no state"))?;
    let mut columns = Columns::of(row);
    let state = SchemaState { version: columns.small(), works_with: columns.small() };
    columns.whole(state)
}

/// Applies the next one, or all of them in an empty database, and tells which; none if nothing is missing. Two programs that do it at once do it
/// one after the other.
pub(super) async fn apply_next(line: &Line) -> Result<Vec<&'static Migration>, Fault> {
    let fault = |error: tokio_postgres::Error| Fault::of(&error);
    line.simple(
        "CREATE TABLE IF NOT EXISTS regrant_schema (version bigint PRIMARY KEY, works_with bigint NOT NULL, \
         applied_at timestamptz NOT NULL DEFAULT now())",
    )
    .await
    .map_err(fault)?;
    line.simple("BEGIN; SET LOCAL synchronous_commit = on; LOCK TABLE regrant_schema IN EXCLUSIVE MODE")
        .await
        .map_err(fault)?;
    let found = state(line).await?;
    let next: Vec<&Migration> = found.pending().take(if found.version == 0 { MIGRATIONS.len() } else { 1 }).collect();
    for migration in &next {
        let noted = format!(
            "{}\nINSERT INTO regrant_schema (version, works_with) VALUES ({}, {});",
            migration.sql, migration.version, migration.works_with
        );
        timeout(LONG, line.simple(&noted))
            .await
            .map_err(|_| Fault::Gone("a migration took longer than an hour".to_owned()))?
            .map_err(fault)?;
        if migration.version == HALVES {
            timeout(LONG, halves::write_anew(line))
                .await
                .map_err(|_| Fault::Gone("a migration took longer than an hour".to_owned()))??;
        }
    }
    line.simple("COMMIT").await.map_err(fault)?;
    Ok(next)
}
