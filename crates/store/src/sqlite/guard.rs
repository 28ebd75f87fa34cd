//! The seal ([`seal`](crate::seal)) of a file. The count of seals is in the anchor, too. A seal is written by the commit that changes something
//! of it, and looked at when the store is given its key; a store of before there were seals has none and gets its first one then, and
//! never has none again.
//!
//! What is sealed comes from memory, never from the file: whoever changes the file under a running server is found out by the next start.

use regrant_core::chain::Value;
use regrant_core::{ChainKey, Link};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::events;
use crate::Forged;
use crate::seal::{self, Sealed, Sum, Table};

const EPOCHS: &str = concat!("SELECT ", seal::epoch_columns!(), " FROM epochs");
const EPOCH: &str = concat!("SELECT ", seal::epoch_columns!(), " FROM epochs WHERE number = ?1");
const KEYS: &str = concat!("SELECT ", seal::key_columns!(), " FROM keys WHERE kind <> 'seed'");
const KEY: &str = concat!("SELECT ", seal::key_columns!(), " FROM keys WHERE kind <> 'seed' AND kind = ?1 AND id = ?2");

/// The key, and what is sealed under it.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) key: ChainKey,
    /// Whether the store was given its key: without it nothing is sealed.
    is_keyed: bool,
    pub(super) sealed: Sealed,
    /// Whether there is no seal yet that holds all this.
    is_first: bool,
}

impl Guard {
    /// Of a file that was just opened.
    pub(super) fn open(connection: &Connection) -> rusqlite::Result<Self> {
        let ends = events::ends(connection)?;
        let counter = number(connection, "SELECT epoch FROM meta WHERE only = 1")?;
        let count = number(connection, "SELECT seals FROM meta WHERE only = 1")?;
        let sealed = Sealed { count, ends, epochs: Sum::default(), counter, keys: Sum::default() };
        Ok(Self { key: ChainKey::public(), is_keyed: false, sealed, is_first: false })
    }

    /// Takes the key, and looks at everything under it. `seen` is the count that the anchor knows; none where the store may be older.
    pub(super) fn take(&mut self, connection: &Connection, key: ChainKey, seen: Option<u64>) -> Result<(), Forged> {
        let unreadable = |error: rusqlite::Error| Forged(format!("the seal cannot be looked at: {error}"));
        self.key = key;
        self.is_keyed = true;
        self.sealed.epochs = self.sum(connection, Table::Epochs, EPOCHS).map_err(unreadable)?;
        self.sealed.keys = self.sum(connection, Table::Keys, KEYS).map_err(unreadable)?;
        let found: Vec<u8> =
            connection.query_row("SELECT seal FROM meta WHERE only = 1", [], |row| row.get(0)).map_err(unreadable)?;
        self.is_first = found.is_empty() && self.sealed.count == 0 && seen.unwrap_or(0) == 0;
        if self.is_first {
            return Ok(());
        }
        let forged = |says: &str| Err(Forged(says.to_owned()));
        if seen.is_some_and(|seen| self.sealed.count < seen) {
            return forged("the seal is an older one than the anchor has seen");
        }
        if self.seal() != found {
            return forged(
                "the seal does not fit: wide revocations, keys or the end of the chain of events were changed by something else",
            );
        }
        Ok(())
    }

    fn seal(&self) -> Vec<u8> {
        self.sealed.seal(&self.key).0.to_vec()
    }

    fn sum(&self, connection: &Connection, table: Table, sql: &str) -> rusqlite::Result<Sum> {
        let mut sum = Sum::default();
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sum.add(&self.row(table, row)?);
        }
        Ok(sum)
    }

    fn row(&self, table: Table, row: &Row<'_>) -> rusqlite::Result<Link> {
        let mut values = Vec::with_capacity(row.as_ref().column_count());
        for column in 0..row.as_ref().column_count() {
            values.push(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Number(number),
                // No column is of this kind.
                ValueRef::Real(number) => Value::Number(number.to_bits().cast_signed()),
                ValueRef::Text(text) => Value::Text(text),
                ValueRef::Blob(bytes) => Value::Bytes(bytes),
            });
        }
        Ok(table.link(&self.key, values))
    }

    /// To be called before and behind a change of this wide revocation's row: the sum loses it as it was, and gains it as it is.
    pub(super) fn epoch(&mut self, connection: &Connection, number: u64) -> rusqlite::Result<()> {
        let link = self.one(connection, Table::Epochs, EPOCH, params![number.cast_signed()])?;
        link.inspect(|link| self.sealed.epochs.add(link));
        Ok(())
    }

    /// The same for a key's row.
    pub(super) fn key(&mut self, connection: &Connection, kind: &str, id: u32) -> rusqlite::Result<()> {
        let link = self.one(connection, Table::Keys, KEY, params![kind, id])?;
        link.inspect(|link| self.sealed.keys.add(link));
        Ok(())
    }

    fn one(
        &self,
        connection: &Connection,
        table: Table,
        sql: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> rusqlite::Result<Option<Link>> {
        if !self.is_keyed {
            return Ok(None);
        }
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        rows.next()?.map(|row| self.row(table, row)).transpose()
    }

    /// Writes the seal, if something of it is another than `before`.
    pub(super) fn write(&mut self, connection: &Connection, before: &Sealed) -> rusqlite::Result<()> {
        if !self.is_keyed || (self.sealed == *before && !self.is_first) {
            return Ok(());
        }
        self.sealed.count = before.count.saturating_add(1);
        connection
            .prepare_cached("UPDATE meta SET seal = ?1, seals = ?2 WHERE only = 1")?
            .execute(params![self.seal(), self.sealed.count.cast_signed()])?;
        Ok(())
    }

    /// What was written is durable.
    pub(super) const fn written(&mut self) {
        if self.sealed.count > 0 {
            self.is_first = false;
        }
    }
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}
