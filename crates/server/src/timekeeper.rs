//! Whether the clock can be believed (law L10; checks N1, N3).
//!
//! Decisions use max(clock, newest time in the store), and each commit raises the latter: one second on a clock that has run ten
//! years ahead would end every session and, through the store, keep the time there for ten years. So a step ahead is measured
//! against a clock that cannot be set: while the process runs, against the monotonic one; at start, against the store.
//!
//! | the clock                                         | what happens                                                             |
//! |---------------------------------------------------|--------------------------------------------------------------------------|
//! | runs back, or stands                              | time goes on from the newest that was seen, at half the pace of the monotonic clock, until the clock has caught up: nothing is revived, and what ends still ends, if late |
//! | steps ahead by at most [`MAX_STEP`]               | it is believed: a machine that slept                                      |
//! | steps further while we run                        | nothing is decided, written or vouched for: 503 and an alarm, until it is back |
//! | is further ahead of the store when we start       | the start is refused, until an operator says that the clock is right       |
//!
//! 30 days, for that is how long an unused session lives by default: behind a true step of that size there is nobody left to
//! be kept out, and behind a false one everybody.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_store::{Cause, Unavailable};

use crate::clock::Clock;

/// The longest step ahead that is believed.
pub const MAX_STEP: Duration = Duration::from_secs(30 * 86_400);
/// A clock that is further ahead of the database's is worth a word.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// The clock, and what was seen of it.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: Clock,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The newest time that was believed.
    at: Timestamp,
    /// The monotonic clock then.
    passed: Duration,
    /// The newest time in the store, and the monotonic clock when it became that.
    newest: Timestamp,
    newest_passed: Duration,
    is_alarmed: bool,
}

impl Timekeeper {
    /// Begins with what the clock says: the start has looked at it.
    pub(crate) fn new(clock: Clock, newest: Timestamp) -> Self {
        let (at, passed) = (clock.now().max(newest), clock.ran());
        let seen = Seen { at, passed, newest, newest_passed: passed, is_alarmed: false };
        Self { clock, seen: Mutex::new(seen) }
    }

    /// The clock itself, believed or not.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Now, and never behind `newest`.
    ///
    /// # Errors
    /// [`Cause::Clock`] if it cannot be believed.
    pub(crate) fn now(&self, newest: Timestamp) -> Result<Timestamp, Unavailable> {
        let (now, passed) = (self.clock.now(), self.clock.ran());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = seen.expected(passed);
        if now <= expected.plus(MAX_STEP) {
            if seen.is_alarmed {
                tracing::warn!(now = now.seconds(), "the clock is plausible again; the server goes on");
            }
            if newest > seen.newest {
                (seen.newest, seen.newest_passed) = (newest, passed);
            }
            *seen = Seen { at: now.max(seen.behind(passed)), passed, is_alarmed: false, ..*seen };
            return Ok(seen.at);
        }
        if !seen.is_alarmed {
            seen.is_alarmed = true;
            tracing::error!(
                now = now.seconds(),
                expected = expected.seconds(),
                "the clock jumped ahead by more than 30 days: requests are answered 503 until it is set right; remedy: set the clock, or, if it is right, start the server again with --accept-clock"
            );
        }
        let detail = format!("it says {}, and {} was expected", now.seconds(), expected.seconds());
        Err(Unavailable { cause: Cause::Clock, detail })
    }

    /// The best that is known: with an implausible clock, what should be the time.
    pub(crate) fn estimate(&self, newest: Timestamp) -> Timestamp {
        self.now(newest).unwrap_or_else(|_| {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.expected(self.clock.ran()).max(newest)
        })
    }
}

impl Seen {
    fn expected(&self, passed: Duration) -> Timestamp {
        self.at.plus(passed.saturating_sub(self.passed))
    }

    /// How far time has come at the least: from what is in the store. Were it to stand behind a clock that was ahead once, replays would be taken for stragglers, and
    /// codes would not end, for as long as that was; were it to run as fast as the clock, the clock would never catch up.
    fn behind(&self, passed: Duration) -> Timestamp {
        self.newest.plus(passed.saturating_sub(self.newest_passed) / 2)
    }
}

/// What is wrong with the clock at start, beside what the store has seen last: how far it is ahead.
pub(crate) fn ahead_at_start(clock: Timestamp, newest: Timestamp) -> Option<Duration> {
    // A store that has seen nothing has nothing to lose.
    let ahead = clock.since(newest);
    (newest > Timestamp::EPOCH && ahead > MAX_STEP).then_some(ahead)
}

/// How far the clock is ahead of that of the database, if it is further than clocks of machines may differ: whatever any node commits is
/// every node's time.
pub(crate) fn ahead_of(clock: Timestamp, theirs: Timestamp) -> Option<Duration> {
    let ahead = clock.since(theirs);
    (ahead > MAX_AHEAD).then_some(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const BEGAN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn time_that_passes_is_no_step() {
        let clock = Clock::manual(BEGAN);
        let time = Timekeeper::new(clock.clone(), Timestamp::EPOCH);
        clock.advance(DAY * 365);
        assert_eq!(time.now(Timestamp::EPOCH), Ok(BEGAN.plus(DAY * 365)));
    }

    #[test]
    fn a_step_is_believed_up_to_its_limit_and_heals_by_itself() {
        let clock = Clock::manual(BEGAN);
        let time = Timekeeper::new(clock.clone(), Timestamp::EPOCH);
        clock.set(BEGAN.plus(MAX_STEP));
        assert!(time.now(Timestamp::EPOCH).is_ok());
        clock.set(BEGAN.plus(MAX_STEP * 3));
        assert!(time.now(Timestamp::EPOCH).is_err_and(|trouble| trouble.cause == Cause::Clock));
        clock.advance(DAY);
        assert_eq!(time.estimate(Timestamp::EPOCH), BEGAN.plus(MAX_STEP + DAY));
        clock.set(BEGAN.plus(MAX_STEP + DAY));
        assert_eq!(time.now(Timestamp::EPOCH), Ok(BEGAN.plus(MAX_STEP + DAY)));
    }

    #[test]
    fn behind_a_step_back_time_goes_on_until_the_clock_has_caught_up() {
        let clock = Clock::manual(BEGAN);
        let time = Timekeeper::new(clock.clone(), Timestamp::EPOCH);
        clock.set(BEGAN.minus(DAY));
        assert_eq!(time.now(BEGAN), Ok(BEGAN));
        for millis in 1..=4_000_u64 {
            clock.advance(Duration::from_millis(1));
            let behind = BEGAN.plus(Duration::from_millis(millis / 2));
            assert_eq!(time.now(BEGAN), Ok(behind), "however often it is asked");
        }
        clock.advance(DAY);
        clock.advance(DAY);
        assert_eq!(time.now(BEGAN), Ok(BEGAN.plus(DAY + Duration::from_secs(4))), "and is the clock's again");
        clock.advance(DAY);
        assert_eq!(time.now(BEGAN), Ok(BEGAN.plus(DAY * 2 + Duration::from_secs(4))));
    }

    #[test]
    fn a_start_compares_with_the_store() {
        assert_eq!(ahead_at_start(BEGAN, Timestamp::EPOCH), None);
        assert_eq!(ahead_at_start(BEGAN.plus(MAX_STEP), BEGAN), None);
        assert_eq!(ahead_at_start(BEGAN, BEGAN.plus(MAX_STEP * 9)), None);
        assert_eq!(ahead_at_start(BEGAN.plus(MAX_STEP + DAY), BEGAN), Some(MAX_STEP + DAY));
    }
}
