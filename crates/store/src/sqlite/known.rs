//! What reading remembers: terms, users, and where rows stood a moment ago. Bounded, and never older than the file.
//!
//! Terms never change, users seldom. We are the file's one owner, so what we write is all that can change; and where somebody
//! wrote to it behind our back all the same, `data_version` tells, and everything is forgotten (check K8).

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

use regrant_core::GrantId;
use regrant_core::issue::SubjectStatus;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::cold::{self, Cold};
use super::hot::{self, Hot};
use super::journal::Journal;
use crate::{Loaded, Record};

/// The most terms and the most users that are remembered: about 10 MB, and every grant of a small deployment.
const MOST: usize = 16_384;
/// The most rows whose places are remembered from a load to the commit behind it.
const MOST_PLACES: usize = 4096;

/// What stands in the table under a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) random: u64,
    pub(super) version: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Known {
    terms: Bounded<u64, Cold>,
    users: Bounded<Box<str>, SubjectStatus>,
    /// The places of the rows that the last load read from the table.
    places: HashMap<u64, Place>,
    /// What `data_version` said when all of this was true.
    data_version: i64,
}

impl Default for Known {
    fn default() -> Self {
        // No file is at this version.
        Self { terms: Bounded::new(MOST), users: Bounded::new(MOST), places: HashMap::new(), data_version: -1 }
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

    /// Where the last load found this row, if it read it from the table.
    pub(super) fn place(&self, number: u64) -> Option<Place> {
        self.places.get(&number).copied()
    }

    /// Forgets what these records change, whether or not they are carried out.
    pub(super) fn forget(&mut self, records: &[Record]) {
        self.places.clear();
        for record in records {
            match record {
                Record::RemoveGrant { number, .. } => self.terms.forget(number),
                Record::Grant { expected: None, grant, .. } => self.terms.forget(&grant.id.number),
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
        // One transaction for all: the locks are taken once, and all rows are of one moment.
        if !connection.is_autocommit() {
            // A failed transaction could not be rolled back: nothing is written any more, and reading goes on within it.
            return self.load_within(connection, journal, ids);
        }
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
        self.places.clear();
        let mut hot = connection.prepare_cached(hot::SELECT)?;
        let mut cold = connection.prepare_cached(cold::SELECT)?;
        let mut user = connection.prepare_cached("SELECT disabled_at IS NOT NULL FROM users WHERE subject = ?1")?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let newer = journal.and_then(|journal| journal.entry(id.number)).transpose()?;
            let found = match newer {
                Some(found) => Some(found),
                None => self.read(&mut hot, id.number)?,
            };
            let Some(found) = found.filter(|found| found.id == *id) else {
                rows.push(None);
                continue;
            };
            let Cold { terms, is_sound } = self.terms(&mut cold, id.number)?;
            let subject = self.status(&mut user, &terms.subject)?;
            rows.push(Some(if is_sound { found } else { found.doubted() }.with(terms, subject)));
        }
        Ok(rows)
    }

    fn read(&mut self, statement: &mut CachedStatement<'_>, number: u64) -> rusqlite::Result<Option<Hot>> {
        let found = statement.query_row([number.cast_signed()], Hot::read).optional()?;
        if let Some(Hot { id, version, .. }) = found
            && self.places.len() < MOST_PLACES
        {
            self.places.insert(number, Place { random: id.random, version });
        }
        Ok(found)
    }

    fn terms(&mut self, statement: &mut CachedStatement<'_>, number: u64) -> rusqlite::Result<Cold> {
        if let Some(known) = self.terms.find(&number) {
            return Ok(known.clone());
        }
        let found = statement.query_row([number.cast_signed()], |row| Cold::read(row, 0)).optional()?;
        let found = found.map_or_else(Cold::missing, Ok)?;
        if found.is_sound {
            self.terms.remember(number, found.clone());
        }
        Ok(found)
    }

    fn status(&mut self, statement: &mut CachedStatement<'_>, subject: &str) -> rusqlite::Result<SubjectStatus> {
        if let Some(known) = self.users.find(subject) {
            return Ok(*known);
        }
        let found: Option<bool> = statement.query_row([subject], |row| row.get(0)).optional()?;
        let status = cold::status(found.is_some(), found == Some(true));
        self.users.remember(subject.into(), status);
        Ok(status)
    }
}

/// Where a row stands in the table now.
pub(super) fn place(connection: &Connection, number: u64) -> rusqlite::Result<Option<Place>> {
    connection
        .prepare_cached("SELECT random, version FROM grants WHERE number = ?1")?
        .query_row([number.cast_signed()], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Place { random: number(0)?, version: number(1)? })
        })
        .optional()
}

/// A map that forgets: when the young half is full, it becomes the old one, and what nobody asked for since is dropped.
#[derive(Debug)]
struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: most / 2 }
    }

    /// What is asked for becomes young again.
    fn find<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.remember(key, value);
        }
        self.young.get(key)
    }

    fn remember(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn forget<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_dropped() {
        let mut bounded = Bounded::new(8);
        for key in 0..1000 {
            bounded.remember(key, key * 2);
            assert_eq!(bounded.find(&0), Some(&0));
            assert!(bounded.young.len() + bounded.old.len() <= 8);
        }
        assert_eq!(bounded.find(&999), Some(&1998));
        assert_eq!(bounded.find(&500), None);
        bounded.forget(&999);
        assert_eq!(bounded.find(&999), None);
    }
}
