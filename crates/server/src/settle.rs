//! Settling a commit whose answer was lost (check T7): "settled by reading the row and comparing it", not by running the table again,
//! which would spend a retry.
//!
//! A batch is one transaction: any row of it tells of all. Each write steps `version` and stores a random `write_id`, so
//! that another's write of the same version is not taken for ours.

use regrant_store::{Outcome, Record, Store, Unavailable};

/// What became of the batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// It is there: its jobs are answered. `Stale` where another's row stands at the version that was to be written.
    Committed(Vec<Outcome>),
    /// Nothing of it is there: its jobs are decided again.
    NotCommitted,
    /// It has no row to look at, or each was written over since.
    Unknown,
}

/// Reads what a batch was to write.
///
/// # Errors
/// [`Unavailable`] if the store cannot be read, either.
pub(crate) fn settle(store: &mut dyn Store, records: &[Record]) -> Result<Settled, Unavailable> {
    let ids: Vec<_> = records.iter().filter_map(written).map(|(grant, _)| grant.id).collect();
    let mut found = store.load(&ids)?.into_iter();
    let (mut outcomes, mut ours, mut as_before) = (Vec::with_capacity(records.len()), 0, 0);
    for record in records {
        let Some((grant, expected)) = written(record) else {
            outcomes.push(Outcome::Committed);
            continue;
        };
        let row = found.next().flatten().map(|row| (row.grant.version, row.grant.write_id));
        let is_ours = row == Some((grant.version, grant.write_id));
        ours += usize::from(is_ours);
        as_before += usize::from(row.map(|(version, _)| version) == expected);
        outcomes.push(if is_ours { Outcome::Committed } else { Outcome::Stale });
    }
    Ok(match (ours, as_before) {
        (0, 0) => Settled::Unknown,
        (0, _) => Settled::NotCommitted,
        _ => Settled::Committed(outcomes),
    })
}

fn written(record: &Record) -> Option<(&regrant_core::Grant, Option<u64>)> {
    match record {
        Record::Grant { grant, expected, .. } => Some((grant, *expected)),
        _ => None,
    }
}
