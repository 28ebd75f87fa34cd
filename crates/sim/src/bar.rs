//! A bar of progress, with the time that is left.

use std::time::Duration;

use regrant_server::Clock;

use crate::show;

/// Begun when it is made.
pub(crate) struct Bar {
    clock: Clock,
    began: Duration,
    before: u64,
}

impl Bar {
    pub(crate) fn begin() -> Self {
        Self::begin_behind(0)
    }

    /// So many were done by an earlier run.
    pub(crate) fn begin_behind(before: u64) -> Self {
        let clock = Clock::system();
        Self { began: clock.ran(), clock, before }
    }

    /// So many of all are done.
    pub(crate) fn show(&self, what: &str, done: u64, all: u64) {
        let spent = self.clock.ran().saturating_sub(self.began).as_secs_f64();
        let left = spent / done.saturating_sub(self.before).max(1) as f64 * all.saturating_sub(done) as f64;
        let bar = "#".repeat((30 * done / all.max(1)) as usize);
        show(&format!("[{bar:<30}] {what} {done} of {all}, {left:.0} s left"));
    }
}
