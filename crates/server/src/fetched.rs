//! What clients' URLs led to, kept in memory: keys, request objects, sector identifiers. Check S11.
//!
//! | rule                                                                                   | why                                          |
//! |----------------------------------------------------------------------------------------|----------------------------------------------|
//! | a URL is asked at most once in 60 s, whatever comes and whatever it answered            | nobody makes this server flood another       |
//! | who comes while it is asked waits for that answer                                       | the same                                     |
//! | what was read is good for ten minutes, and asked for again before that by who lacks a key | a client's keys rotate without a restart     |
//! | if it cannot be had, what was read before goes on for a day                             | a client's own outage does not lock it out   |
//! | 1024 URLs are kept; the one that was asked longest ago makes room                       | memory is bounded                            |

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::outbound::NoAnswer;

/// Between two questions to one URL.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
/// How long what was read is good without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long it is good while the URL does not answer.
const STALE: Duration = Duration::from_secs(86_400);
/// The most URLs.
const MOST: usize = 1024;

/// Who wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Anybody: what is fresh will do.
    Known,
    /// Somebody for whom what is known was not enough.
    Newer,
    /// Somebody who was told that it never changes: the URL carries its hash.
    Immutable,
}

/// What was read, by URL.
pub(crate) struct Fetched<T> {
    slots: Mutex<HashMap<String, Arc<Slot<T>>>>,
}

struct Slot<T> {
    /// Held by the one who asks.
    flight: tokio::sync::Mutex<()>,
    state: Mutex<State<T>>,
}

struct State<T> {
    asked_at: Option<Duration>,
    good: Option<(Duration, Arc<T>)>,
    failed: Option<NoAnswer>,
}

impl<T> Fetched<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }

    /// What the URL leads to. `now` is a time that never steps back; `fetch` asks for it.
    pub(crate) async fn get<F: Future<Output = Result<T, NoAnswer>>>(
        &self,
        url: &str,
        wanted: Wanted,
        now: impl Fn() -> Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, NoAnswer> {
        let slot = self.slot(url);
        if let Some(fresh) = slot.state().fresh(wanted, now()) {
            return Ok(fresh);
        }
        // Who is asking now asks for everybody; nobody is told that it was just asked while the answer is on its way.
        let _flight = slot.flight.lock().await;
        if let Some(settled) = slot.settled(wanted, now()) {
            return settled;
        }
        slot.state().asked_at = Some(now());
        let fetched = fetch().await;
        let mut state = slot.state();
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                state.good = Some((now(), Arc::clone(&value)));
                state.failed = None;
                Ok(value)
            }
            Err(trouble) => {
                state.failed = Some(trouble.clone());
                state.usable(now()).ok_or(trouble)
            }
        }
    }

    fn slot(&self, url: &str) -> Arc<Slot<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slots.get(url) {
            return Arc::clone(known);
        }
        if slots.len() >= MOST {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.state().asked_at).map(|(url, _)| url.clone());
            oldest.and_then(|oldest| slots.remove(&oldest));
        }
        let state = State { asked_at: None, good: None, failed: None };
        let slot = Arc::new(Slot { flight: tokio::sync::Mutex::new(()), state: Mutex::new(state) });
        slots.insert(url.to_owned(), Arc::clone(&slot));
        slot
    }
}

impl<T> Slot<T> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if nobody is to be asked for it.
    fn settled(&self, wanted: Wanted, now: Duration) -> Option<Result<Arc<T>, NoAnswer>> {
        let state = self.state();
        if let Some(fresh) = state.fresh(wanted, now) {
            return Some(Ok(fresh));
        }
        let was_just_asked = state.asked_at.is_some_and(|at| now.saturating_sub(at) < INTERVAL);
        was_just_asked.then(|| state.usable(now).ok_or_else(|| state.failed.clone().unwrap_or(NoAnswer::Busy)))
    }
}

impl<T> State<T> {
    fn fresh(&self, wanted: Wanted, now: Duration) -> Option<Arc<T>> {
        let good_for = match wanted {
            Wanted::Known => FRESH,
            Wanted::Newer => Duration::ZERO,
            Wanted::Immutable => STALE,
        };
        self.good.as_ref().filter(|(at, _)| now.saturating_sub(*at) < good_for).map(|(_, value)| Arc::clone(value))
    }

    fn usable(&self, now: Duration) -> Option<Arc<T>> {
        self.good.as_ref().filter(|(at, _)| now.saturating_sub(*at) < STALE).map(|(_, value)| Arc::clone(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    async fn get(fetched: &Fetched<u32>, wanted: Wanted, now: Duration, answer: Result<u32, NoAnswer>) -> Option<u32> {
        fetched.get("u", wanted, || now, || async { answer }).await.ok().map(|value| *value)
    }

    /// Check S11.
    #[tokio::test]
    async fn a_url_is_asked_once_a_minute_and_what_it_said_outlives_its_outage() {
        let fetched = Fetched::new();
        let gone = || Err(NoAnswer::TimedOut);
        assert_eq!(get(&fetched, Wanted::Known, secs(0), gone()).await, None);
        assert_eq!(get(&fetched, Wanted::Known, secs(59), Ok(1)).await, None, "a failure is remembered, too");
        assert_eq!(get(&fetched, Wanted::Known, secs(60), Ok(1)).await, Some(1));
        assert_eq!(get(&fetched, Wanted::Newer, secs(119), Ok(2)).await, Some(1));
        assert_eq!(get(&fetched, Wanted::Newer, secs(120), Ok(2)).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Known, secs(719), Ok(3)).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Known, secs(720), gone()).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Immutable, secs(80_000), Ok(3)).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Known, secs(120 + 86_400), gone()).await, None);
    }

    /// Check S11: a thousand who come at once are one question.
    #[tokio::test]
    async fn who_comes_meanwhile_waits_for_the_same_answer() {
        let (fetched, asked) = (Arc::new(Fetched::new()), Arc::new(AtomicU32::new(0)));
        let all = (0..1000).map(|_| {
            let (fetched, asked) = (Arc::clone(&fetched), Arc::clone(&asked));
            tokio::spawn(async move {
                let fetch = || async {
                    tokio::task::yield_now().await;
                    Ok(asked.fetch_add(1, Ordering::Relaxed))
                };
                fetched.get("u", Wanted::Known, || secs(1), fetch).await.map(|value| *value)
            })
        });
        for answer in all.collect::<Vec<_>>() {
            assert_eq!(answer.await.expect("it ran"), Ok(0));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn no_more_than_so_many_urls_are_kept() {
        let fetched = Fetched::new();
        for url in 0..3 * MOST as u64 {
            let _ = fetched.get(&url.to_string(), Wanted::Known, || secs(url), || async { Ok(url) }).await;
        }
        assert_eq!(fetched.slots.lock().expect("whole").len(), MOST);
        assert!(fetched.slots.lock().expect("whole").contains_key(&(3 * MOST - 1).to_string()));
    }
}
