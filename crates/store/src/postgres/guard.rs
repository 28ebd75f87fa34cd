//! The seal ([`seal`](crate::seal)) of a database: in the ledger's row, so that whoever changes what is sealed holds that row, makes the seal in
//! the same transaction, and is in nobody's way who refreshes.
//!
//! | when                                       | what is looked at                                                          |
//! |--------------------------------------------|----------------------------------------------------------------------------|
//! | the ledger is locked                       | its seal: nothing is built upon a row that somebody else has changed       |
//! | a node is given its key, or connects anew  | the ledger, every wide revocation and every key, in one snapshot           |
//! | a wide revocation is learnt of             | the ledger and the new rows, or all of them                                |
//! | keys, or the ends of the chain, are asked  | the ledger and every key, in the snapshot that is answered from            |
//! | every half second                          | the same                                                                   |
//!
//! What does not fit is refused, and so is everything else until it does: 503. A count of seals that is lower than one that this node has seen
//! in the same era is a database that went back ([`doubt`](super::doubt)). Beside the database nothing remembers the count: older rows, put back
//! with the seal that belonged to them while no node ran, are not found out.
//!
//! A database without a seal is believed as long as there is nothing in it that needs one: nobody makes it look new by taking the seal away.

use regrant_core::{ChainKey, Epoch, Link};
use tokio_postgres::Row;

use super::batch::Batch;
use super::line::{Fault, Line};
use super::questions;
use super::values::{Columns, P, link, n};
use crate::ChainEnds;
use crate::seal::{self, Sealed, Sum, Table};

/// What the ledger says is sealed.
const LEDGER: &str = "SELECT removed, removed_link, newest, newest_link, epoch, seals, sealed_epochs, sealed_keys, seal FROM ledger WHERE single = 1";
const EPOCHS: &str =
    concat!("SELECT ", seal::epoch_columns!(), " FROM epochs WHERE number > $1 OR $1 = 0 ORDER BY number");
const KEYS: &str = concat!("SELECT ", seal::key_columns!(), " FROM keys WHERE kind <> 'seed'");
const NEEDS_NONE: &str = "SELECT (NOT EXISTS (SELECT 1 FROM keys WHERE kind <> 'seed') AND NOT EXISTS (SELECT 1 FROM epochs) \
    AND NOT EXISTS (SELECT 1 FROM grants))";
/// For whoever compares tables with each other.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What an operator hears.
pub(super) const FORGED: &str =
    "the seal does not fit: wide revocations, keys or the end of the chain of events were changed by something else";

/// The key of what has no MAC of its own.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) key: ChainKey,
    /// Whether the store was given its key: without it nothing is sealed, and nothing looked at.
    pub(super) is_keyed: bool,
}

/// What the ledger's row says, and its seal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    pub(super) sealed: Sealed,
    /// Whether the sums are there: a store that was moved from a file comes without them.
    pub(super) has_sums: bool,
    pub(super) seal: Vec<u8>,
}

/// Wide revocations of one snapshot.
pub(super) struct Seen {
    pub(super) epochs: Vec<Epoch>,
    /// Over these, and those that were known before.
    pub(super) sum: Sum,
    /// How many there ever were.
    pub(super) counter: u64,
    /// Whether all of them are as they were sealed.
    pub(super) fits: bool,
}

impl Claim {
    /// The ends of the chain, the count of wide revocations, the count of seals, the sums and the seal: in this order.
    pub(super) fn read(columns: &mut Columns<'_>) -> Self {
        let removed = (columns.u64(), Link(columns.array()));
        let newest = (columns.u64(), Link(columns.array()));
        let (counter, count) = (columns.u64(), columns.u64());
        let (epochs, keys) = (columns.hash(), columns.hash());
        let has_sums = epochs.is_some() && keys.is_some();
        let [epochs, keys] = [epochs, keys].map(|sum| Sum(sum.unwrap_or_default()));
        let sealed = Sealed { count, ends: ChainEnds { removed, newest }, epochs, counter, keys };
        Self { sealed, has_sums, seal: columns.bytes().unwrap_or_default() }
    }
}

impl Guard {
    /// Of a store that was given none.
    pub(super) fn public() -> Self {
        Self { key: ChainKey::public(), is_keyed: false }
    }

    fn sum(&self, table: Table, rows: &[Row], mut sum: Sum) -> Result<Sum, Fault> {
        for row in rows {
            sum.add(&link(row, table, &self.key)?);
        }
        Ok(sum)
    }

    /// Whether the ledger is as it was sealed: what is not is refused.
    pub(super) async fn check(&self, line: &Line, claim: &mut Claim) -> Result<(), Fault> {
        if !self.is_keyed {
            return Ok(());
        }
        let fault = |error: tokio_postgres::Error| Fault::of(&error);
        if claim.seal.is_empty() && claim.sealed.count == 0 {
            let rows = line.rows(NEEDS_NONE, &[]).await.map_err(fault)?;
            let needs_none = rows.first().is_some_and(|row| Columns::of(row).boolean());
            claim.has_sums = true;
            return if needs_none { Ok(()) } else { Err(forged()) };
        }
        if !claim.has_sums {
            let epochs = line.rows(EPOCHS, &[P::N(0)]).await.map_err(fault)?;
            claim.sealed.epochs = self.sum(Table::Epochs, &epochs, Sum::default())?;
            let keys = line.rows(KEYS, &[]).await.map_err(fault)?;
            claim.sealed.keys = self.sum(Table::Keys, &keys, Sum::default())?;
            claim.has_sums = true;
        }
        if claim.sealed.seal(&self.key).0.as_slice() == claim.seal { Ok(()) } else { Err(forged()) }
    }

    /// The same, of the ledger and of every key. To be called within a snapshot.
    pub(super) async fn look(&self, line: &Line) -> Result<Sealed, Fault> {
        let fault = |error: tokio_postgres::Error| Fault::of(&error);
        let rows = line.rows(LEDGER, &[]).await.map_err(fault)?;
        let row = rows.first().ok_or_else(|| Fault::damaged("the ledger has no row"))?;
        let mut columns = Columns::of(row);
        let claim = Claim::read(&mut columns);
        let mut claim = columns.whole(claim)?;
        self.check(line, &mut claim).await?;
        if self.is_keyed {
            let keys = line.rows(KEYS, &[]).await.map_err(fault)?;
            if self.sum(Table::Keys, &keys, Sum::default())? != claim.sealed.keys {
                return Err(forged());
            }
        }
        Ok(claim.sealed)
    }

    /// Wide revocations behind a number, those up to it having this sum. To be called within a snapshot.
    pub(super) async fn epochs(&self, line: &Line, known: (u64, Sum)) -> Result<Seen, Fault> {
        let sealed = self.look(line).await?;
        let rows = line.rows(EPOCHS, &[n(known.0)]).await.map_err(|error| Fault::of(&error))?;
        let epochs = rows.iter().map(questions::epoch).collect::<Result<_, Fault>>()?;
        let sum = if self.is_keyed { self.sum(Table::Epochs, &rows, known.1)? } else { known.1 };
        let fits = !self.is_keyed || sum == sealed.epochs;
        Ok(Seen { epochs, sum, counter: sealed.counter, fits })
    }

    /// All of them.
    pub(super) async fn all_epochs(&self, line: &Line) -> Result<Seen, Fault> {
        let seen = within(line, async || self.epochs(line, (0, Sum::default())).await).await?;
        if seen.fits { Ok(seen) } else { Err(forged()) }
    }
}

impl Batch<'_> {
    /// Rows of a sealed table that go or come: asked before a change for what was there, and behind it for what is.
    pub(super) async fn weigh(&mut self, table: Table, sql: &'static str, parameters: &[P<'_>]) -> Result<u64, Fault> {
        // Nobody else changes them while this transaction holds the ledger.
        self.ledger().await?;
        let rows = self.rows(sql, parameters).await?;
        if self.key.is_keyed {
            for row in &rows {
                let link = link(row, table, &self.key.key)?;
                self.ledger().await?.claim.sealed.add(table, &link);
            }
        }
        Ok(rows.len() as u64)
    }
}

/// Reads in one snapshot.
pub(super) async fn within<T>(line: &Line, read: impl AsyncFnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    line.simple(SNAPSHOT).await.map_err(|error| Fault::of(&error))?;
    let value = read().await?;
    line.simple("COMMIT").await.map_err(|error| Fault::of(&error))?;
    Ok(value)
}

fn forged() -> Fault {
    Fault::damaged(FORGED)
}
