//! What other nodes may have changed, in one row: read with every batch, and by whoever polls.

use regrant_core::Timestamp;
use tokio_postgres::Row;

use super::line::{Fault, Line};
use super::values::Columns;
use crate::Changes;

/// One snapshot of it.
pub(super) const SELECT: &str = "SELECT l.epoch, l.restrictions, l.rewritten, l.clients, l.keys, m.era, l.newest, l.notice, \
    greatest(m.high_water, coalesce((SELECT max(high_water) FROM nodes), m.high_water)), l.swept, l.seals, \
    EXISTS (SELECT 1 FROM lost_commits c WHERE c.era >= m.era), \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint FROM ledger l, meta m";

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
    /// How many rows of nodes were swept.
    pub(super) swept: u64,
    /// How often there was another seal.
    pub(super) seals: u64,
    /// Whether something that was answered is not there ([`doubt`](super::doubt)).
    pub(super) is_in_doubt: bool,
    /// When the server was started: behind a pooler another one may answer without a word.
    pub(super) server: i64,
}

impl News {
    /// Whether there are fewer seals than were seen, in the same era: what was answered from is not there.
    pub(super) const fn is_before(&self, seen: &Self) -> bool {
        !self.is_in_doubt && self.changes.era == seen.changes.era && self.seals < seen.seals
    }
}

pub(super) async fn now(line: &Line) -> Result<News, Fault> {
    read(&line.rows(SELECT, &[]).await.map_err(|error| Fault::of(&error))?)
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
    let (swept, seals) = (columns.u64(), columns.u64());
    let (is_in_doubt, server) = (columns.boolean(), columns.i64());
    columns.whole(News { epoch, restrictions, rewritten, changes, high_water, swept, seals, is_in_doubt, server })
}
