//! What reading remembers: terms, users, and where rows stood a moment ago. Bounded, and never older than the file.
//!
//! Terms never change, users seldom. We are the file's one owner, so what we write is all that can change; and where somebody
//! wrote to it behind our back all the same, `data_version` tells, and everything is forgotten (check K8).

use regrant_core::issue::SubjectStatus;
use regrant_core::{Grant, GrantId};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::bounded::Bounded;
use super::journal::Journal;
use super::rows::{self, Cold, Spellings};
use crate::hot::Hot;
use crate::{Loaded, Outcome, Record};

/// The most grants that are remembered: about 8 MB, and every grant of a small deployment.
const MOST_GRANTS: usize = 16_384;
/// The most users: less than 10 MB.
const MOST_USERS: usize = 131_072;

/// What stands under a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) random: u64,
    pub(super) version: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Known {
    grants: Bounded<u64, Row>,
    users: Bounded<Box<str>, SubjectStatus>,
    spellings: Spellings,
    /// What `data_version` said when all of this was true.
    data_version: i64,
}

#[derive(Clone, Debug)]
struct Row {
    hot: Hot,
    cold: Cold,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            grants: Bounded::new(MOST_GRANTS),
            users: Bounded::new(MOST_USERS),
            spellings: Spellings::default(),
            // No file is at this version.
            data_version: -1,
        }
    }
}

impl Known {
    /// Within a transaction: forgets everything if another connection has written since.
    pub(super) fn check(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let found = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if found != self.data_version {
            *self = Self { data_version: found, ..Self::default() };
        }
        Ok(())
    }

    /// Where this row stands, if that is remembered.
    pub(super) fn place(&self, number: u64) -> Option<Place> {
        self.grants.look(&number).map(|row| Place { random: row.hot.id.random, version: row.hot.version })
    }

    /// Takes over what became of these records; without outcomes, forgets what they are about.
    pub(super) fn learn(&mut self, records: &[Record], outcomes: Option<&[Outcome]>) {
        for (at, record) in records.iter().enumerate() {
            let is_done = outcomes.and_then(|outcomes| outcomes.get(at)).map(|outcome| *outcome == Outcome::Committed);
            match record.bare() {
                Record::Grant { expected: Some(_), grant, mac, .. } if is_done == Some(true) => {
                    if let Some(row) = self.grants.find(&grant.id.number) {
                        let random = row.hot.id.random;
                        row.hot = Hot::of(grant, *mac);
                        row.hot.id.random = random;
                    }
                }
                // It changed nothing.
                Record::Grant { .. } if is_done == Some(false) => {}
                Record::Grant { grant: Grant { id: GrantId { number, .. }, .. }, .. }
                | Record::RemoveGrant { number, .. } => self.grants.forget(number),
                Record::AddUser(user) | Record::PutUser { user, .. } => self.users.forget(user.subject.as_str()),
                Record::RemoveUser { subject } => self.users.forget(subject.as_str()),
                _ => {}
            }
        }
    }

    /// The rows of these grants, in the order asked.
    pub(super) fn load(
        &mut self,
        connection: &Connection,
        journal: Option<&Journal>,
        ids: &[GrantId],
    ) -> rusqlite::Result<Vec<Option<Loaded>>> {
        if !connection.is_autocommit() {
            // A failed transaction could not be rolled back: nothing is written any more, and reading goes on within it.
            return self.load_within(connection, journal, ids);
        }
        // One transaction for all: the locks are taken once, and all rows are of one moment.
        connection.prepare_cached("BEGIN")?.execute([])?;
        let found = self.load_within(connection, journal, ids);
        let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        let found = found?;
        ended.map(|_| found)
    }

    fn load_within(
        &mut self,
        connection: &Connection,
        journal: Option<&Journal>,
        ids: &[GrantId],
    ) -> rusqlite::Result<Vec<Option<Loaded>>> {
        self.check(connection)?;
        let mut whole = connection.prepare_cached(rows::SELECT_ONE)?;
        let mut cold = connection.prepare_cached(rows::SELECT_TERMS)?;
        let mut user = connection.prepare_cached("SELECT disabled_at IS NOT NULL FROM users WHERE subject = ?1")?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let number = id.number;
            let row = match self.grants.find(&number) {
                Some(row) => Some(row.clone()),
                None => match journal.and_then(|journal| journal.entry(number)).transpose()? {
                    Some(newer) => Some(self.meet(&mut cold, newer)?),
                    None => self.read(&mut whole, number)?,
                },
            };
            let Some(Row { hot, cold }) = row.filter(|row| row.hot.id == *id) else {
                rows.push(None);
                continue;
            };
            let subject = self.status(&mut user, &cold.terms.subject)?;
            rows.push(Some(if cold.is_sound { hot } else { hot.doubted() }.with(cold.terms, subject)));
        }
        Ok(rows)
    }

    /// Reads both halves.
    fn read(&mut self, statement: &mut CachedStatement<'_>, number: u64) -> rusqlite::Result<Option<Row>> {
        let spellings = &mut self.spellings;
        let found = statement.query_row([number.cast_signed()], |row| rows::both(row, spellings)).optional()?;
        Ok(found.map(|(hot, cold)| self.remembered(Row { hot, cold })))
    }

    /// Finds the other half.
    fn meet(&mut self, statement: &mut CachedStatement<'_>, hot: Hot) -> rusqlite::Result<Row> {
        let spellings = &mut self.spellings;
        let cold =
            statement.query_row([hot.id.number.cast_signed()], |row| Cold::read(row, 0, spellings)).optional()?;
        let row = Row { hot, cold: cold.map_or_else(Cold::missing, Ok)? };
        Ok(self.remembered(row))
    }

    fn remembered(&mut self, row: Row) -> Row {
        if row.cold.is_sound {
            self.grants.remember(row.hot.id.number, row.clone());
        }
        row
    }

    fn status(&mut self, statement: &mut CachedStatement<'_>, subject: &str) -> rusqlite::Result<SubjectStatus> {
        if let Some(known) = self.users.find(subject) {
            return Ok(*known);
        }
        let found: Option<bool> = statement.query_row([subject], |row| row.get(0)).optional()?;
        let status = rows::status(found.is_some(), found == Some(true));
        self.users.remember(subject.into(), status);
        Ok(status)
    }
}

/// Where a row stands in the table now.
pub(super) fn place(connection: &Connection, number: u64) -> rusqlite::Result<Option<Place>> {
    connection.prepare_cached(rows::SELECT_PLACE)?.query_row([number.cast_signed()], rows::place).optional()
}
