//! Where time comes from: the one file that asks a clock.
//!
//! Everything else gets a [`Timestamp`] as a value. A [`Clock::manual`] moves only when it is told to: the demonstration and the tests
//! wait for 30 days in no time.
//!
//! There are two questions. [`Clock::now`] is the date, which may stand still or jump; everything that is kept goes by it.
//! [`Clock::ran`] is how long the machine has run, which can do neither; limits that live in memory go by it, so that a clock
//! that stands still refuses nobody for ever (check X14).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use regrant_core::Timestamp;

/// A source of time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    /// Milliseconds since the epoch.
    date: AtomicI64,
    /// Milliseconds that it was moved by.
    ran: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`].
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Manual { date: AtomicI64::new(start.millis()), ran: AtomicU64::new(0) })))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::from_millis(system_millis()),
            Source::Manual(manual) => Timestamp::from_millis(manual.date.load(Ordering::SeqCst)),
        }
    }

    /// How long it has run: never less than before, whatever becomes of the date.
    #[must_use]
    pub fn ran(&self) -> Duration {
        match &self.0 {
            Source::System => STARTED.elapsed(),
            Source::Manual(manual) => Duration::from_millis(manual.ran.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock. The machine's clock is not ours to move: nothing happens to it.
    pub fn advance(&self, by: Duration) {
        self.run_without_the_date(by);
        if let Source::Manual(manual) = &self.0 {
            manual.date.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Lets a manual clock run while its date stands still: a machine whose clock is stuck.
    pub fn run_without_the_date(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.ran.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets the date of a manual clock, also backwards.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(manual) = &self.0 {
            manual.date.store(to.millis(), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is asked")]
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is asked")]
fn system_millis() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

/// How long something took, by a clock that nobody sets: for measurements alone. No decision rests on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the one place where latency is measured")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
