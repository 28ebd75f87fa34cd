//! Where time comes from: the one file that asks a clock.
//!
//! Everything else gets a [`Timestamp`] as a value. A [`Clock::manual`] moves only when it is told to: the demonstration and the tests
//! wait for 30 days in no time.
//!
//! There are two questions. [`Clock::now`] is the date, which may stand still or jump; everything that is kept goes by it.
//! [`Clock::ran`] is how long the machine has run, which can do neither; limits that live in memory go by it, so that a clock
//! that stands still refuses nobody for ever (check X14), and the [`Timekeeper`](crate::timekeeper) judges the date by it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use regrant_core::Timestamp;

/// A source of time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// Whether it is believed at start, whatever the store has seen.
    accepted: bool,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Hands>),
}

/// A clock that is moved by hand.
#[derive(Debug)]
struct Hands {
    /// Milliseconds since the epoch.
    date: AtomicI64,
    /// Milliseconds that went by, other than by being set.
    ran: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { source: Source::System, accepted: false }
    }

    /// A clock that stands at `start` until [`Clock::advance`].
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        let hands = Hands { date: AtomicI64::new(start.millis()), ran: AtomicU64::new(0) };
        Self { source: Source::Manual(Arc::new(hands)), accepted: true }
    }

    /// The same clock, believed at start: an operator says that it is right. A manual clock is from the beginning.
    #[must_use]
    pub fn accepted(self) -> Self {
        Self { accepted: true, ..self }
    }

    /// The same clock, compared with the store at start as the machine's is.
    #[must_use]
    pub fn doubted(self) -> Self {
        Self { accepted: false, ..self }
    }

    /// Whether it is believed at start.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => Timestamp::from_millis(system_millis()),
            Source::Manual(hands) => Timestamp::from_millis(hands.date.load(Ordering::SeqCst)),
        }
    }

    /// How long it has run: never less than before, whatever becomes of the date. On Linux it stands while the machine sleeps.
    #[must_use]
    pub fn ran(&self) -> Duration {
        match &self.source {
            Source::System => STARTED.elapsed(),
            Source::Manual(hands) => Duration::from_millis(hands.ran.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock: time goes by. The machine's clock is not ours to move: nothing happens to it.
    pub fn advance(&self, by: Duration) {
        self.run_without_the_date(by);
        if let Source::Manual(hands) = &self.source {
            hands.date.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Lets a manual clock run while its date stands still: a machine whose clock is stuck.
    pub fn run_without_the_date(&self, by: Duration) {
        if let Source::Manual(hands) = &self.source {
            hands.ran.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets the date of a manual clock, also backwards: no time goes by.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(hands) = &self.source {
            hands.date.store(to.millis(), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the monotonic clock is asked")]
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds of the clock that never jumps, from a beginning of its own: what systemd compares messages by.
pub(crate) fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is asked")]
fn system_millis() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

/// How long something took, by a clock that nobody sets: for measurements alone. No decision rests on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the one place where latency is measured")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
