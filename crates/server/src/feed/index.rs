//! The copy in memory: rows by position, bits by list, and what was signed of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::Bytes;
use regrant_core::Timestamp;
use regrant_core::status::Place;

use super::told::Told;

/// The most rows that are held, some 150 bytes each. With more, nobody is told anything, and resource servers introspect.
const MAX_ROWS: usize = 250_000;
/// The most signed answers that are held, at most 16 KiB each.
const MAX_SIGNED: usize = 256;

/// Why a bit is set, and since when.
type Reasons = Vec<(Option<u64>, Timestamp)>;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Of which all this is.
    era: u16,
    rows: BTreeMap<u64, Vec<Told>>,
    /// Since when, by block and bit: by itself, and by each wide revocation that can be taken back.
    ended: HashMap<u64, BTreeMap<u16, Reasons>>,
    last: u64,
    caught_up: Option<Duration>,
    signed: HashMap<About, Signed>,
}

/// What a row changes in the status lists.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    /// The wide revocation that says so, if it can be taken back.
    pub(super) bulk: Option<u64>,
    /// Bits that it sets.
    pub(super) set: Vec<Place>,
    /// The wide revocation whose bits go.
    pub(super) taken_back: Option<u64>,
}

impl Ended {
    pub(super) const fn nothing(at: Timestamp) -> Self {
        Self { at, bulk: None, set: Vec::new(), taken_back: None }
    }
}

/// What a signed answer is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum About {
    /// The rows behind this position.
    Since(u64),
    /// The list of this block.
    List(u64),
}

/// A signed answer.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) body: Bytes,
    pub(super) etag: String,
    pub(super) key: String,
    pub(super) at: Timestamp,
}

impl Index {
    /// Whether it was caught up with in this era less than `fresh` ago, by a clock that only runs.
    pub(super) fn is_fresh(&self, era: u16, ran: Duration, fresh: Duration) -> bool {
        self.era == era && self.caught_up.is_some_and(|at| ran.saturating_sub(at) < fresh)
    }

    /// Positions of another era are those of another history: in a new one it begins anew.
    pub(super) fn come_to(&mut self, era: u16) {
        if self.era != era {
            *self = Self { era, ..Self::default() };
        }
    }

    pub(super) const fn era(&self) -> u16 {
        self.era
    }

    pub(super) fn caught_up(&mut self, ran: Duration) {
        self.caught_up = Some(ran);
    }

    /// The position up to which everything was read.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Takes rows in, and lets go of those from before `over`.
    pub(super) fn add(&mut self, rows: Vec<(u64, Vec<Told>)>, ended: Vec<Ended>, over: Timestamp) {
        for Ended { at, bulk, set, taken_back } in ended {
            for place in set {
                self.signed.remove(&About::List(place.block));
                let by = self.ended.entry(place.block).or_default().entry(place.index).or_default();
                match by.iter_mut().find(|(known, _)| *known == bulk) {
                    Some((_, held)) => *held = (*held).max(at),
                    None => by.push((bulk, at)),
                }
            }
            if taken_back.is_some() {
                self.take_back(taken_back);
            }
        }
        if !rows.is_empty() {
            self.signed.retain(|about, _| matches!(about, About::List(_)));
        }
        for (position, told) in rows {
            self.last = position;
            self.rows.insert(position, told);
        }
        // Not in order to the second: the next look takes what one before it hides.
        let is_over = |told: &[Told]| told.iter().all(|told| told.at() < over);
        while let Some(oldest) = self.rows.first_entry().filter(|oldest| is_over(oldest.get())) {
            oldest.remove();
        }
    }

    /// Bits that this wide revocation alone has set are 0 again.
    fn take_back(&mut self, bulk: Option<u64>) {
        for (block, bits) in &mut self.ended {
            let before = bits.len();
            bits.retain(|_, by| {
                by.retain(|(known, _)| *known != bulk);
                !by.is_empty()
            });
            if bits.len() < before {
                self.signed.remove(&About::List(*block));
            }
        }
    }

    /// Whether there is more than is held.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() > MAX_ROWS
    }

    /// The position that stands for this one: of the last row up to it. Many cursors are one question.
    pub(super) fn position(&self, cursor: u64) -> u64 {
        if cursor > self.last {
            return 0;
        }
        self.rows.range(..=cursor).next_back().map_or(0, |(position, _)| *position)
    }

    /// What is told of the rows behind a position.
    pub(super) fn after(&self, position: u64) -> impl Iterator<Item = (u64, &[Told])> {
        let behind = (std::ops::Bound::Excluded(position), std::ops::Bound::Unbounded);
        self.rows.range(behind).map(|(position, told)| (*position, told.as_slice()))
    }

    /// The bits of a list that are set, without those from before `over`.
    pub(super) fn bits(&mut self, block: u64, over: Timestamp) -> Vec<u16> {
        let Some(ended) = self.ended.get_mut(&block) else { return Vec::new() };
        ended.retain(|_, by| {
            by.retain(|(_, at)| *at >= over);
            !by.is_empty()
        });
        let bits = ended.keys().copied().collect();
        if ended.is_empty() {
            self.ended.remove(&block);
        }
        bits
    }

    /// What was signed of it with this key, not before `since`.
    pub(super) fn signed(&self, about: About, key: &str, since: Timestamp) -> Option<Signed> {
        self.signed.get(&about).filter(|signed| signed.key == key && signed.at >= since).cloned()
    }

    pub(super) fn keep(&mut self, about: About, signed: Signed) {
        if self.signed.len() >= MAX_SIGNED {
            self.signed.clear();
        }
        self.signed.insert(about, signed);
    }
}
