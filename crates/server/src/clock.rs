//! Where time comes from: the one file that asks a clock.
//!
//! Everything else gets a [`Timestamp`] as a value. A [`Clock::manual`] moves only when it is told to: the demonstration and the tests
//! wait for 30 days in no time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use regrant_core::Timestamp;

/// A source of time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// Whether somebody has said that it is right, however far it is ahead of the store when the server starts.
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
    now: AtomicI64,
    /// Milliseconds that went by, other than by being set.
    passed: AtomicU64,
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
        let hands = Hands { now: AtomicI64::new(start.millis()), passed: AtomicU64::new(0) };
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
            Source::Manual(hands) => Timestamp::from_millis(hands.now.load(Ordering::SeqCst)),
        }
    }

    /// How much time went by since some moment of this process: a clock that nobody sets. On Linux it stands while the machine
    /// sleeps.
    #[must_use]
    pub fn passed(&self) -> Duration {
        match &self.source {
            Source::System => since_the_first_look(),
            Source::Manual(hands) => Duration::from_millis(hands.passed.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock: time goes by. The machine's clock is not ours to move: nothing happens to it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(hands) = &self.source {
            hands.passed.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
            hands.now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock, also backwards: no time goes by.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(hands) = &self.source {
            hands.now.store(to.millis(), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is asked")]
fn system_millis() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the monotonic clock is asked")]
fn since_the_first_look() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}
