//! The one place that asks for the time: everything here is a measurement of real time.

use std::time::{Duration, Instant};

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// How long after another it was.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// A later one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }

    /// Whether it is before another.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.0 < other.0
    }
}

/// Lets real time pass: programs that we start take the time they need.
#[expect(clippy::disallowed_methods, reason = "processes have no virtual clock")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
