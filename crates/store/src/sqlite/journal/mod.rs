//! The journal: a batch writes one row with all that it changed, instead of one row for each grant.
//!
//! A refresh changes a random row of a large table: a page of 4 KiB for 170 bytes. With the journal the transaction of a batch
//! appends one row with the new hot halves, and the table follows later, page by page ([`overlay`]). Until then the newest state
//! is in memory, over the table; the journal is what it is rebuilt from. New grants go into the tables at once: they stand at
//! their end.
//!
//! | at a crash        | what is there                                                            |
//! |-------------------|--------------------------------------------------------------------------|
//! | before COMMIT     | the state of the batch before                                            |
//! | behind it         | the row: read back, in order, each entry over the older ones and the table |
//! | amid a long fold  | the rows it was to delete stand, and say again what the table says        |
//!
//! Folds and deletions are in the transactions of batches. A row is deleted only when all it tells of is in the table, or told by
//! a younger one; rows go from the oldest on, and a gap means damage.
//!
//! Law L6: an erased ratchet stands in older rows of the journal until they go, as it does in the pages of the write-ahead log.
//! The sweep empties the journal in each pass ([`Record::Fold`](crate::Record::Fold)), and so does closing the file. Deleted rows
//! are overwritten (`secure_delete`), in pages that the batch's own row takes at once.

mod entry;
mod overlay;

use regrant_core::Grant;
use regrant_core::grant::RowMac;
use rusqlite::types::Type;
use rusqlite::{Connection, params};

use super::known::{self, Known, Place};
use super::rows;
use crate::hot::Hot;
use overlay::{Changes, Overlay, Plan};

/// The journal of an open file.
#[derive(Debug, Default)]
pub(super) struct Journal(Overlay);

/// A row of the journal that we cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("row {0} of the journal cannot be read, or one before it is missing")]
struct Unreadable(i64);

fn unreadable(row: i64) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(1, Type::Blob, Box::new(Unreadable(row)))
}

impl Journal {
    /// Reads the rows that an earlier run left.
    pub(super) fn rebuild(connection: &Connection) -> rusqlite::Result<Self> {
        let mut overlay = Overlay::default();
        let mut statement = connection.prepare("SELECT id, batch FROM journal ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let (id, batch) = (row.get(0)?, row.get_ref(1)?);
            let entries = batch
                .as_blob()
                .ok()
                .and_then(|batch| entry::read_batch(batch, |number, body| overlay.take(number, body)));
            let follows = last.is_none_or(|last: i64| last.checked_add(1) == Some(id));
            overlay.took(id, entries.filter(|_| follows).ok_or_else(|| unreadable(id))?);
            last = Some(id);
        }
        let mut journal = Self(overlay);
        journal.suit(connection)?;
        Ok(journal)
    }

    /// Whether everything is in the table.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a size that suits the file.
    pub(super) fn suit(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let number =
            |pragma| connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, u32>(0)).map(u64::from);
        self.0.suit(number("PRAGMA page_count")? * number("PRAGMA page_size")?);
        Ok(())
    }

    /// The hot half that stands in place of the table's.
    pub(super) fn entry(&self, number: u64) -> Option<rusqlite::Result<Hot>> {
        self.0.entry(number).map(|body| Hot::decode(number, body).ok_or(rusqlite::Error::InvalidQuery))
    }

    /// What was written is durable.
    pub(super) fn apply(&mut self, Written { changes, plan }: Written) {
        self.0.apply(changes, plan);
    }
}

/// A batch that is being written.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    journal: &'a Journal,
    changes: Changes,
    fold: bool,
    scratch: Vec<u8>,
}

/// A batch as it was written, for [`Journal::apply`] when it is durable.
#[derive(Debug)]
pub(super) struct Written {
    changes: Changes,
    plan: Plan,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(journal: &'a Journal) -> Self {
        Self { journal, changes: Changes::new(), fold: false, scratch: Vec::new() }
    }

    /// Whether a row of this number is here, whatever the table says.
    pub(super) fn holds(&self, number: u64) -> bool {
        match self.changes.get(&number) {
            Some(body) => body.is_some(),
            None => self.journal.0.entry(number).is_some(),
        }
    }

    fn place(&self, connection: &Connection, known: &Known, number: u64) -> rusqlite::Result<Option<Place>> {
        match self.changes.get(&number) {
            // The table has what the batch put there since.
            Some(None) => return known::place(connection, number),
            Some(Some(body)) => return entry::place(body).map(Some).ok_or(rusqlite::Error::InvalidQuery),
            None => {}
        }
        if let Some(place) = known.place(number) {
            return Ok(Some(place));
        }
        match self.journal.0.entry(number) {
            Some(body) => entry::place(body).map(Some).ok_or(rusqlite::Error::InvalidQuery),
            None => known::place(connection, number),
        }
    }

    /// Compare-and-set: whether `expected` was the version.
    pub(super) fn replace(
        &mut self,
        (connection, known): (&Connection, &Known),
        expected: u64,
        grant: &Grant,
        mac: RowMac,
    ) -> rusqlite::Result<bool> {
        let number = grant.id.number;
        let Some(place) = self.place(connection, known, number)?.filter(|place| place.version == expected) else {
            return Ok(false);
        };
        let mut hot = Hot::of(grant, mac);
        hot.id.random = place.random;
        self.changes.insert(number, Some(entry::encode(&hot, &mut self.scratch)));
        Ok(true)
    }

    /// Whether `expected` was the version of a row that is to be deleted. Older rows of the journal may tell of it.
    pub(super) fn remove(
        &mut self,
        (connection, known): (&Connection, &Known),
        number: u64,
        expected: u64,
    ) -> rusqlite::Result<bool> {
        let is_there = self.place(connection, known, number)?.is_some_and(|place| place.version == expected);
        if is_there {
            self.changes.insert(number, None);
        }
        Ok(is_there)
    }

    /// Folds a slice along with this batch; whether there is anything to fold.
    pub(super) fn fold(&mut self) -> bool {
        self.fold = !self.journal.is_empty();
        self.fold
    }

    /// Writes the batch's row, and folds and deletes what is due.
    pub(super) fn finish(self, connection: &Connection) -> rusqlite::Result<Written> {
        let Self { journal, changes, fold, .. } = self;
        let plan = journal.0.plan(&changes, fold);
        if !plan.slice.is_empty() {
            let mut statement = connection.prepare_cached(rows::REPLACE)?;
            for number in &plan.slice {
                if let Some(body) = journal.0.entry(*number) {
                    rows::put(&mut statement, *number, body)?;
                }
            }
        }
        if !plan.delete.is_empty() {
            // One by one: a statement over a range would be planned anew each time.
            let mut statement = connection.prepare_cached("DELETE FROM journal WHERE id = ?1")?;
            for id in plan.delete.clone() {
                statement.execute([id])?;
            }
        }
        if let Some(id) = plan.row {
            let batch = written(&changes);
            connection
                .prepare_cached("INSERT INTO journal (id, batch) VALUES (?1, ?2)")?
                .execute(params![id, batch])?;
        }
        Ok(Written { changes, plan })
    }
}

fn written(changes: &Changes) -> Vec<u8> {
    let mut batch = vec![entry::VERSION];
    for (number, body) in changes {
        match body {
            Some(body) => entry::write_entry(&mut batch, *number, body),
            None => entry::write_removal(&mut batch, *number),
        }
    }
    batch
}
