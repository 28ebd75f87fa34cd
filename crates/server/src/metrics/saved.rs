//! Sessions saved by the retry rule, each counted once.
//!
//! An answer was lost on its way, and its client asked again with a token that was spent by then. A server without the retry
//! rule takes that for a replay and ends the session. However often the client asks, it is one session saved: a small table
//! remembers which rotations were counted. It forgets (two rotations may share a place), and then counts one again.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use regrant_core::Grant;

const PLACES: usize = 1024;

#[derive(Debug)]
pub(super) struct Saved {
    pub(super) count: Counter,
    seen: Vec<AtomicU64>,
}

impl Default for Saved {
    fn default() -> Self {
        Self { count: Counter::default(), seen: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Saved {
    /// A retry of this rotation was answered; whether it is counted now.
    pub(super) fn retried(&self, rotation: Rotation) -> bool {
        let mixed = (rotation.grant ^ (u64::from(rotation.generation) << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let place = usize::try_from(mixed >> 48).unwrap_or(0) % PLACES;
        let is_new = self.seen.get(place).is_some_and(|seen| seen.swap(mixed, Ordering::Relaxed) != mixed);
        if is_new {
            self.count.inc();
        }
        is_new
    }
}

/// A grant at one generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rotation {
    grant: u64,
    generation: u32,
}

impl Rotation {
    pub(crate) const fn of(grant: &Grant) -> Self {
        Self { grant: grant.id.number, generation: grant.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_that_is_retried_again_and_again_is_one_session_saved() {
        let saved = Saved::default();
        for generation in [3, 3, 3, 4, 4] {
            let _ = saved.retried(Rotation { grant: 7, generation });
        }
        let _ = saved.retried(Rotation { grant: 8, generation: 4 });
        assert_eq!(saved.count.get(), 3);
    }
}
