//! The generic cell rate algorithm (ITU-T I.371) over a table of constant size.
//!
//! One number is kept per key: the moment at which its budget is whole again. Each request moves it by one share of the period;
//! it may lie at most one period ahead. There is nothing to reset and nothing to refill.
//!
//! The table is set-associative, like the cache of a processor: a key has eight places it can be in. When all are taken, the
//! one whose budget is whole soonest makes room: whoever asks seldom is forgotten, whoever floods is remembered. However many
//! distinct keys come, not a byte more is used (check X7), and places are found by a keyed hash, so that nobody can aim at
//! one (check X3).

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::Rate;

const SHARDS: usize = 16;
const SETS_PER_SHARD: usize = 512;
const WAYS: usize = 8;
/// How many keys are remembered at most: 65,536, in one MiB.
#[cfg(test)]
pub(crate) const MOST: usize = SHARDS * SETS_PER_SHARD * WAYS;

/// The key's fingerprint and when its budget is whole again, in microseconds. Zeroes are an empty place: the memory is not
/// touched before it is used.
type Place = [u64; 2];

/// Budgets by key.
pub(crate) struct Gcra {
    shards: Vec<Mutex<Vec<Place>>>,
    hasher: RandomState,
}

impl std::fmt::Debug for Gcra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcra")
    }
}

/// Over budget: come again after this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wait(pub(crate) Duration);

impl Gcra {
    pub(crate) fn new() -> Self {
        let shard = || Mutex::new(vec![[0; 2]; SETS_PER_SHARD * WAYS]);
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// Takes one request from the key's budget. A refused request takes nothing: whoever waits as long as he is told gets in.
    ///
    /// # Errors
    /// [`Wait`] if nothing is left.
    pub(crate) fn take(&self, key: impl Hash, rate: Rate, now: Duration) -> Result<(), Wait> {
        self.at(&key, rate, now, Keep::Yes)
    }

    /// Whether there is anything left, without taking it.
    ///
    /// # Errors
    /// [`Wait`] if there is not.
    pub(crate) fn look(&self, key: impl Hash, rate: Rate, now: Duration) -> Result<(), Wait> {
        self.at(&key, rate, now, Keep::No)
    }

    fn at(&self, key: &impl Hash, rate: Rate, now: Duration, keep: Keep) -> Result<(), Wait> {
        let Some((share, period)) = shares(rate) else { return Ok(()) };
        let now = micros(now);
        let fingerprint = self.hasher.hash_one(key);
        let shard = fingerprint as usize % SHARDS;
        let first = (fingerprint as usize / SHARDS) % SETS_PER_SHARD * WAYS;
        // Never that of an empty place.
        let fingerprint = fingerprint | 1 << 63;
        let mut shard = match self.shards.get(shard) {
            Some(shard) => shard.lock().unwrap_or_else(PoisonError::into_inner),
            None => return Ok(()),
        };
        let Some(set) = shard.get_mut(first..first + WAYS) else { return Ok(()) };
        let known = set.iter().position(|[known, _]| *known == fingerprint);
        let whole_at = known.and_then(|way| set.get(way)).map_or(0, |[_, whole_at]| *whole_at);
        let next = whole_at.max(now).saturating_add(share);
        if next > now.saturating_add(period) {
            return Err(Wait(Duration::from_micros(next - now - period)));
        }
        if keep == Keep::Yes {
            // The least interesting place: its own, an empty one, or the one that is whole again soonest.
            let soonest =
                || set.iter().enumerate().min_by_key(|(_, [_, whole_at])| *whole_at).map_or(0, |(way, _)| way);
            let way = known.unwrap_or_else(soonest);
            if let Some(place) = set.get_mut(way) {
                *place = [fingerprint, next];
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

/// What one request costs, and how much there is, in microseconds.
fn shares(rate: Rate) -> Option<(u64, u64)> {
    let period = micros(rate.period);
    (rate.amount > 0).then(|| ((period / u64::from(rate.amount)).max(1), period))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_A_MINUTE: Rate = Rate { amount: 10, period: Duration::from_secs(60) };

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_is_taken_and_then_one_by_one() {
        let gcra = Gcra::new();
        for _ in 0..10 {
            assert_eq!(gcra.take("a", TEN_A_MINUTE, secs(5)), Ok(()));
        }
        for _ in 0..1000 {
            assert_eq!(gcra.take("a", TEN_A_MINUTE, secs(5)), Err(Wait(secs(6))), "being refused costs nothing");
        }
        assert_eq!(gcra.take("b", TEN_A_MINUTE, secs(5)), Ok(()), "another key has its own");
        assert_eq!(gcra.take("a", TEN_A_MINUTE, secs(10)), Err(Wait(secs(1))));
        assert_eq!(gcra.take("a", TEN_A_MINUTE, secs(11)), Ok(()), "after the wait");
        assert_eq!(gcra.take("a", TEN_A_MINUTE, secs(11)), Err(Wait(secs(6))));
        let later = (0..20).filter(|_| gcra.take("a", TEN_A_MINUTE, secs(1000)).is_ok()).count();
        assert_eq!(later, 10, "and never more than one period's");
    }

    #[test]
    fn looking_takes_nothing_and_off_is_off() {
        let gcra = Gcra::new();
        let once = Rate { amount: 1, period: secs(60) };
        for _ in 0..10 {
            assert_eq!(gcra.look("a", once, secs(0)), Ok(()));
            assert_eq!(gcra.take("b", Rate::OFF, secs(0)), Ok(()));
        }
        assert_eq!(gcra.take("a", once, secs(0)), Ok(()));
        assert_eq!(gcra.look("a", once, secs(0)), Err(Wait(secs(60))));
    }

    /// Check X7: a million distinct keys use not a byte more than none, and do not make it forget who floods.
    #[test]
    fn a_million_keys_use_no_more_memory_and_hide_nobody() {
        let gcra = Gcra::new();
        let size = || gcra.shards.iter().map(|shard| shard.lock().expect("whole").capacity()).sum::<usize>();
        assert_eq!(size(), MOST);
        for _ in 0..10 {
            assert_eq!(gcra.take("flooding", TEN_A_MINUTE, secs(0)), Ok(()));
        }
        for key in 0..1_000_000_u32 {
            assert_eq!(gcra.take(key, TEN_A_MINUTE, secs(0)), Ok(()));
        }
        assert_eq!(size(), MOST);
        assert!(gcra.take("flooding", TEN_A_MINUTE, secs(0)).is_err(), "strangers push out each other");
    }

    /// Check X7: who is full is kept over who is not, also when time goes by: only what is over is forgotten first.
    #[test]
    fn what_is_over_makes_room_first() {
        let gcra = Gcra::new();
        for key in 0..500_000_u32 {
            assert_eq!(gcra.take(key, TEN_A_MINUTE, secs(0)), Ok(()));
        }
        for _ in 0..10 {
            assert_eq!(gcra.take("late", TEN_A_MINUTE, secs(3600)), Ok(()));
        }
        assert!(gcra.take("late", TEN_A_MINUTE, secs(3600)).is_err());
    }
}
