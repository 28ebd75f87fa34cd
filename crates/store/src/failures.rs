//! Failed log-ins, counted: one row of two times per who and where, however many there were.
//!
//! The count leaks: each failure moves the time at which all are forgotten by one `leak`. A row that is forgotten and one that
//! was never there mean the same, so that nothing depends on when it is swept.

use regrant_core::Timestamp;

/// How many forgotten rows go whenever one is counted.
pub(crate) const TIDIED: u32 = 4;

/// The failures under one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failures {
    /// The last one.
    pub last_at: Timestamp,
    /// When all of them are forgotten.
    pub forgotten_at: Timestamp,
}

impl Failures {
    /// One more, now. Never more than `most`.
    #[must_use]
    pub fn counted(found: Option<Self>, now: Timestamp, leak: i64, most: u32) -> Self {
        let (now, leak) = (now.millis(), leak.max(1));
        let before = found.map_or(now, |found| found.forgotten_at.millis().max(now));
        let latest = now.saturating_add(leak.saturating_mul(i64::from(most)));
        let forgotten_at = before.saturating_add(leak).min(latest);
        Self { last_at: Timestamp::from_millis(now), forgotten_at: Timestamp::from_millis(forgotten_at) }
    }

    /// How many are remembered at a time.
    #[must_use]
    pub fn remembered(&self, at: Timestamp, leak: i64) -> u32 {
        let left = self.forgotten_at.millis().saturating_sub(at.millis()).max(0);
        u32::try_from(left.unsigned_abs().div_ceil(leak.max(1).unsigned_abs())).unwrap_or(u32::MAX)
    }
}
