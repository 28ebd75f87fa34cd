//! What the journal holds, in memory: the newest hot half of every grant that the table does not have yet.
//!
//! A slice of it is folded into the table in order of number, again and again from the beginning, so that neighbours are written
//! together: a page of the table is touched once a lap, with all that was gathered for it. How far that is, is the [`Position`].
//!
//! A row of the journal may go when each of its entries was folded or overtaken. One that is written while the fold stands at
//! number *n* of a lap is done with when the fold stands there in the next: what lies before *n* is reached then, and what lies
//! behind it earlier.
//!
//! How fast: a batch of *b* entries is followed by *b* folds where the overlay is as large as it should be, by fewer where it is
//! smaller and by more where it is larger. So it never outgrows that size by more than a batch or a slice (back-pressure), and on average a
//! page has gathered ten changes when it is written. Debts are paid in slices of 64 at least, for neighbours.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;

/// How much at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pace {
    /// The fewest entries and, unless a batch was larger, the most that are folded at once.
    slice: (usize, usize),
    /// The least and the greatest size of the overlay at rest.
    at_rest: (usize, usize),
    /// Unless a batch wrote more than half of it, the most entries of done rows that are deleted at once.
    deleted: usize,
}

/// At rest there is an entry for each 3 KiB of the file, of which about half are the table's: no fewer than a small file can well be
/// written in, and no more than 100 MB of memory.
const PACE: Pace = Pace { slice: (64, 1024), at_rest: (4096, 1 << 19), deleted: 256 };
/// A debt is counted in these parts of an entry.
const PART: usize = 256;

/// How far the fold has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Position {
    lap: u64,
    /// The first number that was not yet looked at in this lap.
    next: u64,
}

impl Position {
    const fn a_lap_later(self) -> Self {
        Self { lap: self.lap + 1, ..self }
    }
}

/// A row of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Row {
    id: i64,
    entries: u32,
    /// It may go when the fold has come so far.
    done_at: Position,
}

/// What a batch changed: the body of each grant's newest entry, or `None` for one that was removed.
pub(super) type Changes = BTreeMap<u64, Option<Box<[u8]>>>;

/// What a batch does besides: planned before it is written, and true when it is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// The numbers whose entries are folded, in order but for one leap back to the beginning.
    pub(super) slice: Vec<u64>,
    /// The rows of the journal to delete, by their ids.
    pub(super) delete: Range<i64>,
    /// The row to write, if anything changed.
    pub(super) row: Option<i64>,
    position: Position,
    deleted: usize,
    debt: usize,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Overlay {
    entries: BTreeMap<u64, Box<[u8]>>,
    position: Position,
    rows: VecDeque<Row>,
    /// The entries of all rows.
    journaled: usize,
    next_row: i64,
    /// What is still to be folded for earlier batches, in parts of an entry.
    debt: usize,
    at_rest: usize,
    pace: Pace,
}

impl Default for Overlay {
    fn default() -> Self {
        Self::at(PACE)
    }
}

impl Overlay {
    const fn at(pace: Pace) -> Self {
        Self {
            entries: BTreeMap::new(),
            position: Position { lap: 0, next: 0 },
            rows: VecDeque::new(),
            journaled: 0,
            next_row: 1,
            debt: 0,
            at_rest: pace.at_rest.0,
            pace,
        }
    }

    pub(super) fn entry(&self, number: u64) -> Option<&[u8]> {
        self.entries.get(&number).map(AsRef::as_ref)
    }

    /// Whether everything is in the table and the journal has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rows.is_empty()
    }

    /// Takes an entry from a row that is read when the file is opened.
    pub(super) fn take(&mut self, number: u64, body: Option<&[u8]>) {
        match body {
            Some(body) => self.entries.insert(number, body.into()),
            None => self.entries.remove(&number),
        };
    }

    /// Takes note of the row that they were of.
    pub(super) fn took(&mut self, id: i64, entries: u32) {
        self.rows.push_back(Row { id, entries, done_at: self.position.a_lap_later() });
        self.journaled += entries as usize;
        self.next_row = id + 1;
    }

    /// A file of so many bytes has so large an overlay.
    pub(super) fn suit(&mut self, bytes: u64) {
        let entries = usize::try_from(bytes / 3072).unwrap_or(usize::MAX);
        self.at_rest = entries.clamp(self.pace.at_rest.0, self.pace.at_rest.1);
    }

    /// Plans what is done along with these changes; a whole slice is folded if `asked` for.
    pub(super) fn plan(&self, changes: &Changes, asked: bool) -> Plan {
        let there = self.entries.len();
        let debt = (self.debt + self.owed(changes.len())).min(there * PART);
        let (fewest, most) = (self.pace.slice.0.min(there), self.pace.slice.1.max(changes.len() / 4 * 5));
        let size = match debt / PART {
            _ if asked => most,
            due if due >= fewest => due.min(most),
            _ => 0,
        };
        let (slice, position) = self.slice(size, changes);
        let first = self.rows.front().map_or(self.next_row, |row| row.id);
        let mut plan = Plan {
            debt: debt.saturating_sub(size * PART),
            slice,
            delete: first..first,
            row: (!changes.is_empty()).then_some(self.next_row),
            position,
            deleted: 0,
        };
        let (mut entries, limit) = (0, self.pace.deleted.max(changes.len() * 2).max(size * 4));
        for row in self.rows.iter().take_while(|row| row.done_at <= position) {
            entries += row.entries as usize;
            if plan.deleted > 0 && entries > limit {
                break;
            }
            plan.deleted += 1;
            plan.delete.end = row.id + 1;
        }
        plan
    }

    /// What so many changes oblige to, in parts of an entry. The journal should be no longer than twice the overlay.
    fn owed(&self, changes: usize) -> usize {
        let fullness = self.entries.len().max(self.journaled / 2);
        changes.saturating_mul(PART * 4).min(changes.saturating_mul(PART * fullness / self.at_rest))
    }

    /// The next numbers to fold, and where the fold stands behind them. What the batch itself changed is passed by: it is
    /// reached in the next lap.
    fn slice(&self, size: usize, changes: &Changes) -> (Vec<u64>, Position) {
        let mut slice = Vec::new();
        if size == 0 {
            return (slice, self.position);
        }
        let start = self.position;
        let after = self.entries.range(start.next..).map(|(number, _)| (*number, 0));
        let before = self.entries.range(..start.next).map(|(number, _)| (*number, 1));
        for (number, laps) in after.chain(before) {
            if !changes.contains_key(&number) {
                slice.push(number);
            }
            if slice.len() == size {
                let behind = (Excluded(number), Unbounded);
                let is_end = laps == 0 && self.entries.range(behind).next().is_none();
                let lap = start.lap + laps + u64::from(is_end);
                let next = if is_end { 0 } else { number.wrapping_add(1) };
                return (slice, Position { lap, next });
            }
        }
        (slice, start.a_lap_later())
    }

    /// What was planned and changed is durable.
    pub(super) fn apply(&mut self, changes: Changes, plan: Plan) {
        let Plan { slice, row, position, deleted, debt, .. } = plan;
        for number in slice {
            self.entries.remove(&number);
        }
        for row in self.rows.drain(..deleted) {
            self.journaled -= row.entries as usize;
        }
        (self.position, self.debt) = (position, debt);
        if let Some(id) = row {
            self.took(id, u32::try_from(changes.len()).unwrap_or(u32::MAX));
        }
        for (number, body) in changes {
            match body {
                Some(body) => self.entries.insert(number, body),
                None => self.entries.remove(&number),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// So small that everything happens often.
    const TINY: Pace = Pace { slice: (2, 4), at_rest: (4, 4), deleted: 3 };

    /// What a crash leaves.
    #[derive(Default)]
    struct Disk {
        table: BTreeMap<u64, Box<[u8]>>,
        rows: BTreeMap<i64, Changes>,
    }

    impl Disk {
        /// What a transaction does.
        fn write(&mut self, overlay: &Overlay, changes: &Changes, plan: &Plan) {
            for (number, _) in changes.iter().filter(|(_, body)| body.is_none()) {
                self.table.remove(number);
            }
            for number in &plan.slice {
                self.table.insert(*number, overlay.entries[number].clone());
            }
            for id in plan.delete.clone() {
                assert!(self.rows.remove(&id).is_some(), "only rows that are there");
            }
            if let Some(id) = plan.row {
                assert!(self.rows.insert(id, changes.clone()).is_none(), "each row has its own number");
            }
        }

        fn rebuilt(&self) -> Overlay {
            let mut overlay = Overlay::at(TINY);
            for (id, changes) in &self.rows {
                changes.iter().for_each(|(number, body)| overlay.take(*number, body.as_deref()));
                overlay.took(*id, u32::try_from(changes.len()).expect("few"));
            }
            overlay
        }

        fn under(&self, overlay: &Overlay) -> BTreeMap<u64, Box<[u8]>> {
            let mut seen = self.table.clone();
            seen.extend(overlay.entries.clone());
            seen
        }
    }

    fn changes() -> impl Strategy<Value = Changes> {
        let number = prop_oneof![4 => 0..12_u64, 1 => Just(u64::MAX)];
        let body = prop::option::weighted(0.9, any::<u8>().prop_map(|byte| Box::from([byte])));
        prop::collection::btree_map(number, body, 0..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever was written, folded and deleted: the table and the overlay tell the newest of each grant, and so do the table
        /// and what is rebuilt from the journal, at every moment. A change to a row is all that is written over the table.
        #[test]
        fn nothing_is_lost_at_any_moment(
            batches in prop::collection::vec((changes(), any::<bool>(), prop::bool::weighted(0.1)), 0..120)
        ) {
            let (mut disk, mut overlay, mut truth) = (Disk::default(), Overlay::at(TINY), BTreeMap::new());
            for (mut changes, asked, crashes) in batches {
                // Only what is there can be removed; new grants go into the table.
                changes.retain(|number, body| body.is_some() || truth.contains_key(number));
                for (number, body) in &changes {
                    match body {
                        Some(body) if truth.contains_key(number) => truth.insert(*number, body.clone()),
                        Some(body) => {
                            disk.table.insert(*number, body.clone());
                            truth.insert(*number, body.clone())
                        }
                        None => truth.remove(number),
                    };
                }
                let plan = overlay.plan(&changes, asked);
                disk.write(&overlay, &changes, &plan);
                overlay.apply(changes, plan);
                prop_assert_eq!(&disk.under(&overlay), &truth);
                prop_assert_eq!(&disk.under(&disk.rebuilt()), &truth);
                prop_assert!(overlay.entries.len() <= 4 + 4 + 5, "{} entries", overlay.entries.len());
                let first = disk.rows.first_key_value().map_or(0, |(id, _)| *id);
                prop_assert!(disk.rows.keys().copied().eq((first..).take(disk.rows.len())), "no gaps");
                if crashes {
                    overlay = disk.rebuilt();
                }
            }
            // Asked often enough, everything comes into its place.
            for _ in 0..200 {
                let plan = overlay.plan(&Changes::new(), true);
                disk.write(&overlay, &Changes::new(), &plan);
                overlay.apply(Changes::new(), plan);
            }
            prop_assert!(overlay.is_empty() && disk.rows.is_empty());
            prop_assert_eq!(disk.table, truth);
        }
    }

    /// The journal's length does not depend on how often the same few grants are refreshed.
    #[test]
    fn a_busy_grant_does_not_lengthen_the_journal() {
        let mut overlay = Overlay::default();
        let mut longest = 0;
        for round in 0..100_000_u64 {
            let changes = Changes::from([(round % 7, Some(Box::from([0])))]);
            let plan = overlay.plan(&changes, false);
            overlay.apply(changes, plan);
            longest = longest.max(overlay.journaled);
        }
        assert!(longest < 4 * PACE.at_rest.0, "{longest}");
    }
}
