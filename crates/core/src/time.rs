//! Points in time, as values handed in.
//!
//! Milliseconds since the Unix epoch, UTC, no leap seconds. Nothing in this crate asks a clock: the engine passes the
//! larger of the clock and the newest time in the store, so that a clock which steps back revives nothing (law L10).

use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The end of time: what never ends, ends here.
    pub const MAX: Self = Self(i64::MAX);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: what `iat` and `exp` carry (RFC 7519 section 2, NumericDate).
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This much later; stops at [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This much earlier; stops at the smallest representable time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether `now` is at or behind this point: something is over at its instant.
    #[must_use]
    pub fn is_over(self, now: Self) -> bool {
        now >= self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_over_at_its_instant() {
        let end = Timestamp::from_millis(1000);
        assert!(!end.is_over(Timestamp::from_millis(999)));
        assert!(end.is_over(Timestamp::from_millis(1000)));
    }

    #[test]
    fn a_time_ahead_is_no_time_ago() {
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn far_ends_do_not_wrap() {
        assert_eq!(Timestamp::from_millis(i64::MAX - 1).plus(Duration::from_secs(10)), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.plus(Duration::MAX), Timestamp::MAX);
    }
}
