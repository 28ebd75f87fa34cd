//! Where time comes from: the one file of this crate that asks a clock.
//!
//! The date of a machine may be wrong by a day, and may be set while we run. How long ago an answer came is therefore not read
//! from it but from the time since the machine was started, which a [`Stamp`] keeps beside the date. Only after a restart of the
//! machine is the date all that there is; an age that cannot be true is then no age, and costs one refresh.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, as it can be kept in a file and compared by another process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since the epoch by the machine's own date, right or wrong.
    pub date: i64,
    /// Milliseconds since the machine was started.
    pub ran: i64,
    /// Which start of the machine `ran` counts from. Empty where the system does not tell.
    pub boot: String,
}

impl Stamp {
    /// How long ago `self` was at `now`; `None` if nobody can know.
    #[must_use]
    pub fn age(&self, now: &Self) -> Option<Duration> {
        let same_start = !self.boot.is_empty() && self.boot == now.boot && now.ran >= self.ran;
        let millis = if same_start { now.ran - self.ran } else { now.date.checked_sub(self.date)? };
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

/// A source of time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Hands>),
}

#[derive(Debug, Default)]
struct Hands {
    date: AtomicI64,
    ran: AtomicI64,
}

impl Clock {
    /// A clock that stands until it is moved: for tests.
    #[must_use]
    pub fn manual() -> Self {
        let hands = Hands { date: AtomicI64::new(1_800_000_000_000), ran: AtomicI64::new(0) };
        Self(Source::Manual(Arc::new(hands)))
    }

    /// Lets time go by.
    ///
    /// # Panics
    /// If it is not a manual clock.
    pub fn advance(&self, time: Duration) {
        let Source::Manual(hands) = &self.0 else { panic!("the machine's clock cannot be moved") };
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        hands.date.fetch_add(millis, Ordering::SeqCst);
        hands.ran.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the date and lets no time go by.
    ///
    /// # Panics
    /// If it is not a manual clock.
    pub fn set_date(&self, millis: i64) {
        let Source::Manual(hands) = &self.0 else { panic!("the machine's clock cannot be moved") };
        hands.date.store(millis, Ordering::SeqCst);
    }

    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the date is asked for")]
    pub fn now(&self) -> Stamp {
        match &self.0 {
            Source::System => {
                let date = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis());
                let date = date.ok().and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
                Stamp { date, ran: since_start(), boot: start_of_machine().to_owned() }
            }
            Source::Manual(hands) => {
                let [date, ran] = [&hands.date, &hands.ran].map(|hand| hand.load(Ordering::SeqCst));
                Stamp { date, ran, boot: "manual".to_owned() }
            }
        }
    }

    /// Milliseconds that only go forward, for what is not kept.
    #[must_use]
    pub fn ran(&self) -> i64 {
        match &self.0 {
            Source::System => since_start(),
            Source::Manual(hands) => hands.ran.load(Ordering::SeqCst),
        }
    }
}

/// Milliseconds since the machine was started, sleep included where the system counts it.
fn since_start() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

fn start_of_machine() -> &'static str {
    static START: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    });
    &START
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;

    fn stamp(date: i64, ran: i64, boot: &str) -> Stamp {
        Stamp { date, ran, boot: boot.to_owned() }
    }

    #[test]
    fn a_date_that_is_set_changes_no_age() {
        let then = stamp(0, 1_000, "a");
        for date in [-DAY, 5_000, DAY] {
            assert_eq!(then.age(&stamp(date, 6_000, "a")), Some(Duration::from_secs(5)), "{date}");
        }
    }

    #[test]
    fn after_a_restart_the_date_tells_the_age_unless_it_cannot_be_true() {
        let then = stamp(0, 9_000, "a");
        assert_eq!(then.age(&stamp(5_000, 10, "b")), Some(Duration::from_secs(5)));
        assert_eq!(then.age(&stamp(-1, 10, "b")), None);
        // Where no start has a name, the date is all there is.
        assert_eq!(stamp(0, 1, "").age(&stamp(2_000, 9, "")), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_machines_clock_goes_on() {
        let clock = Clock::default();
        let then = clock.now();
        assert!(then.age(&clock.now()).is_some_and(|age| age < Duration::from_secs(60)));
        assert!(clock.ran() > 0);
    }
}
