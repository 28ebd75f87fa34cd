//! What other nodes may have changed, in one row: read with every batch, and by whoever polls.

use regrant_core::Timestamp;
use tokio_postgres::Row;

use super::line::Fault;
use super::values::Columns;
use crate::Changes;

/// One snapshot of it.
pub(super) const SELECT: &str = "SELECT l.epoch, l.restrictions, l.rewritten, l.clients, l.keys, m.era, l.newest, l.notice, \
    greatest(m.high_water, coalesce((SELECT max(high_water) FROM nodes), m.high_water)) FROM ledger l, meta m";

/// See the module's description.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct News {
    /// The number of the newest wide revocation that there ever was.
    pub(super) epoch: u64,
    /// Rises with whatever may end or limit a grant without a write to it.
    pub(super) restrictions: u64,
    /// Rises when a wide revocation is taken back or forgotten.
    pub(super) rewritten: u64,
    /// Those that whoever holds copies of clients and keys compares.
    pub(super) changes: Changes,
    /// The newest time that any node has committed.
    pub(super) high_water: Timestamp,
}

pub(super) fn read(rows: &[Row]) -> Result<News, Fault> {
    let row = rows.first().ok_or_else(|| Fault::damaged("the ledger has no row"))?;
    let mut columns = Columns::of(row);
    let (epoch, restrictions, rewritten) = (columns.u64(), columns.u64(), columns.u64());
    let changes = Changes {
        clients: columns.u64(),
        keys: columns.u64(),
        era: columns.small(),
        events: columns.u64(),
        notices: columns.u64(),
    };
    let high_water = columns.time();
    columns.whole(News { epoch, restrictions, rewritten, changes, high_water })
}
