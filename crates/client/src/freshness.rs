//! When an access token is used, when it is renewed beforehand, and when it is over.
//!
//! | its age                                          | then                                                     |
//! |--------------------------------------------------|----------------------------------------------------------|
//! | unknown (the date went back over a restart)      | it is over: one refresh sets that right                  |
//! | its lifetime is unknown                          | it is fresh until an API says that it is not             |
//! | less than its lifetime without the last fifth    | fresh                                                    |
//! | within the last fifth (five minutes at most)     | used, and renewed meanwhile; where in it, chance decides |
//! | within the last tenth (ten seconds at most)      | over: it might end on its way                            |

use std::time::Duration;

/// How long before the end it is renewed: a fifth of the lifetime, and at most this.
const AHEAD: Duration = Duration::from_secs(300);
/// How long before the end it is not used any more: a tenth of the lifetime, and at most this.
const MARGIN: Duration = Duration::from_secs(10);

/// What to do with an access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and renew it meanwhile.
    Ahead,
    /// Renew it first.
    Over,
}

/// From which age on a token of that lifetime is renewed ahead, and from which it is over. `jitter`, between 0 and 1, spreads the
/// renewals of many processes.
#[must_use]
pub fn turns(lifetime: Duration, jitter: f64) -> (Duration, Duration) {
    let margin = MARGIN.min(lifetime / 10);
    // The first quarter of the time in which it may be renewed is drawn from.
    let ahead = AHEAD.min(lifetime / 5).mul_f64(0.75 + 0.25 * jitter.clamp(0.0, 1.0));
    (lifetime.saturating_sub(ahead), lifetime.saturating_sub(margin))
}

/// Judges a token of that lifetime at that age.
#[must_use]
pub fn judge(lifetime: Option<Duration>, age: Option<Duration>, jitter: f64) -> Freshness {
    let Some(age) = age else { return Freshness::Over };
    let Some(lifetime) = lifetime else { return Freshness::Fresh };
    let (ahead, over) = turns(lifetime, jitter);
    if age >= over {
        Freshness::Over
    } else if age >= ahead {
        Freshness::Ahead
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn an_hour_is_renewed_in_its_last_five_minutes() {
        for (age, jitter, expected) in [
            (0, 0.5, Freshness::Fresh),
            (3299, 1.0, Freshness::Fresh),
            (3300, 1.0, Freshness::Ahead),
            (3374, 0.0, Freshness::Fresh),
            (3375, 0.0, Freshness::Ahead),
            (3589, 0.0, Freshness::Ahead),
            (3590, 0.0, Freshness::Over),
            (90_000, 0.0, Freshness::Over),
        ] {
            assert_eq!(judge(seconds(3600), seconds(age), jitter), expected, "{age} s, {jitter}");
        }
    }

    #[test]
    fn a_token_of_two_seconds_is_used_for_most_of_them() {
        let at = |millis| judge(seconds(2), Some(Duration::from_millis(millis)), 1.0);
        assert_eq!(
            [at(1599), at(1600), at(1799), at(1800)],
            [Freshness::Fresh, Freshness::Ahead, Freshness::Ahead, Freshness::Over]
        );
    }

    #[test]
    fn what_is_unknown_is_settled_once() {
        assert_eq!(judge(seconds(3600), None, 0.5), Freshness::Over);
        assert_eq!(judge(None, seconds(1_000_000), 0.5), Freshness::Fresh);
        assert_eq!(judge(seconds(0), seconds(0), 0.5), Freshness::Over);
    }
}
