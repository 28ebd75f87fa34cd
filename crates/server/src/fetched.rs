//! What clients' URLs led to, kept in memory: keys, request objects, sector identifiers. Check S11.
//!
//! | rule                                                                                   | why                                          |
//! |----------------------------------------------------------------------------------------|----------------------------------------------|
//! | a URL that answered is asked at most once in 60 s, whatever comes                      | nobody makes this server flood another       |
//! | one that did not is asked again after 2 s, then twice as long each time, up to those 60 s | an outage of a moment is over in a moment  |
//! | who comes while it is asked waits for that answer                                       | the same                                     |
//! | what was read is good for ten minutes, and asked for again before that by who lacks a key | a client's keys rotate without a restart     |
//! | if it cannot be had, what was read before goes on for a day                             | a client's own outage does not lock it out   |
//! | 1024 URLs are kept; the one that was asked longest ago makes room                       | memory is bounded                            |
//! | 128 of them are asked at one time                                                      | sockets are, too                             |
//! | who goes away while it is asked ends nothing                                            | nobody keeps a key alive, or a client out, by hanging up |
//!
//! A fragment is no part of the URL here: it is never sent, and each of them would be a question more.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::outbound::NoAnswer;
use crate::to_the_end::to_the_end;

/// Between two questions to one URL that has answered.
const INTERVAL: Duration = Duration::from_secs(60);
/// Between the first two to one that has not.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);
/// How long what was read is good without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long it is good while the URL does not answer.
const STALE: Duration = Duration::from_secs(86_400);
/// The most URLs.
const MOST: usize = 1024;
/// The most that are asked at one time.
const AT_ONCE: usize = 128;

/// Who wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Anybody: what is fresh will do.
    Known,
    /// Somebody for whom what is known was not enough.
    Newer,
}

/// What a URL led to.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: Arc<T>,
    /// Whether it was read for this very question, and not before.
    pub(crate) is_new: bool,
    /// Whether the URL has failed since.
    pub(crate) is_stale: bool,
    /// When the URL may be asked again.
    pub(crate) again_in: Duration,
}

/// There is nothing, and there was nothing before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Missing {
    pub(crate) why: NoAnswer,
    /// When the URL may be asked again.
    pub(crate) again_in: Duration,
}

/// What was read, by URL.
pub(crate) struct Fetched<T> {
    slots: Mutex<HashMap<String, Arc<Slot<T>>>>,
    places: Arc<Semaphore>,
}

struct Slot<T> {
    /// Held by the one who asks.
    flight: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    asked_at: Option<Duration>,
    good: Option<(Duration, Arc<T>)>,
    failed: Option<NoAnswer>,
    /// Without an answer between them.
    failures: u32,
}

impl<T: Send + Sync + 'static> Fetched<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Mutex::new(HashMap::new()), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What is held of the URL, if it was read within a day. Nobody is asked.
    pub(crate) fn held(&self, url: &str, now: Duration) -> Option<Arc<T>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(url).and_then(|slot| slot.state().usable(now))
    }

    /// What the URL leads to. `now` is a time that never steps back; `fetch` asks for it.
    pub(crate) async fn get<F: Future<Output = Result<T, NoAnswer>> + Send + 'static>(
        &self,
        url: &str,
        wanted: Wanted,
        now: impl Fn() -> Duration + Clone + Send + 'static,
        fetch: impl FnOnce() -> F,
    ) -> Result<Found<T>, Missing> {
        let (slot, came_at) = (self.slot(url), now());
        if wanted == Wanted::Known
            && let Some(fresh) = slot.state().fresh(came_at)
        {
            return Ok(fresh);
        }
        // Who is asking now asks for everybody; nobody is told that it was just asked while the answer is on its way.
        let flight = Arc::clone(&slot.flight).lock_owned().await;
        if let Some(settled) = slot.settled(wanted, came_at, now()) {
            return settled;
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Missing { why: NoAnswer::Busy, again_in: FIRST_INTERVAL })?;
        slot.state().asked_at = Some(now());
        let (answer, asking, clock) = (fetch(), Arc::clone(&slot), now.clone());
        let asked = to_the_end(async move {
            asking.heard(answer.await, clock());
            drop((flight, place));
        });
        asked.await.ok_or(Missing { why: NoAnswer::Busy, again_in: FIRST_INTERVAL })?;
        slot.state().told(came_at, now())
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
        let state = State { asked_at: None, good: None, failed: None, failures: 0 };
        let slot = Arc::new(Slot { flight: Arc::default(), state: Mutex::new(state) });
        slots.insert(url.to_owned(), Arc::clone(&slot));
        slot
    }
}

impl<T> Slot<T> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of a question.
    fn heard(&self, answer: Result<T, NoAnswer>, now: Duration) {
        let mut state = self.state();
        match answer {
            Ok(value) => {
                state.good = Some((now, Arc::new(value)));
                (state.failed, state.failures) = (None, 0);
            }
            Err(trouble) => {
                // Counted from here: how long it took to fail is told to nobody (check S10).
                state.asked_at = Some(now);
                state.failed = Some(trouble);
                state.failures = state.failures.saturating_add(1);
            }
        }
    }

    /// The answer, if nobody is to be asked for it.
    fn settled(&self, wanted: Wanted, came_at: Duration, now: Duration) -> Option<Result<Found<T>, Missing>> {
        let state = self.state();
        if wanted == Wanted::Known
            && let Some(fresh) = state.fresh(now)
        {
            return Some(Ok(fresh));
        }
        (!state.again_in(now).is_zero()).then(|| state.told(came_at, now))
    }
}

impl<T> State<T> {
    /// What does without a question.
    fn fresh(&self, now: Duration) -> Option<Found<T>> {
        let (_, value) = self.good.as_ref().filter(|(at, _)| now.saturating_sub(*at) < FRESH)?;
        Some(Found {
            value: Arc::clone(value),
            is_new: false,
            is_stale: self.failures > 0,
            again_in: self.again_in(now),
        })
    }

    /// What there is to say after a question, or where none may be asked.
    fn told(&self, came_at: Duration, now: Duration) -> Result<Found<T>, Missing> {
        let again_in = self.again_in(now);
        let is_new = self.good.as_ref().is_some_and(|(at, _)| *at >= came_at);
        let missing = || Missing { why: self.failed.clone().unwrap_or(NoAnswer::Busy), again_in };
        let is_stale = self.failures > 0;
        self.usable(now).map(|value| Found { value, is_new, is_stale, again_in }).ok_or_else(missing)
    }

    /// The rest of the time in which it is not asked.
    fn again_in(&self, now: Duration) -> Duration {
        let interval = match self.failures {
            0 => INTERVAL,
            failures => FIRST_INTERVAL.saturating_mul(1 << (failures - 1).min(5)).min(INTERVAL),
        };
        self.asked_at.map_or(Duration::ZERO, |at| interval.saturating_sub(now.saturating_sub(at)))
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
        fetched.get("u", wanted, move || now, || async { answer }).await.ok().map(|found| *found.value)
    }

    /// Check S11.
    #[tokio::test]
    async fn a_url_is_asked_once_a_minute_and_what_it_said_outlives_its_outage() {
        let fetched = Fetched::new();
        let gone = || Err(NoAnswer::TimedOut);
        assert_eq!(get(&fetched, Wanted::Known, secs(60), Ok(1)).await, Some(1));
        assert_eq!(get(&fetched, Wanted::Newer, secs(119), Ok(2)).await, Some(1));
        assert_eq!(get(&fetched, Wanted::Newer, secs(120), Ok(2)).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Known, secs(719), Ok(3)).await, Some(2));
        assert_eq!(get(&fetched, Wanted::Known, secs(720), gone()).await, Some(2));
        assert_eq!(fetched.held("u", secs(80_000)).as_deref(), Some(&2));
        assert_eq!(get(&fetched, Wanted::Known, secs(120 + 86_400), gone()).await, None);
        assert_eq!(fetched.held("u", secs(120 + 86_400)), None);
    }

    /// Check S11: who fails is asked again soon, and less and less often; never more than six times in a minute.
    #[tokio::test]
    async fn a_failure_is_tried_again_in_seconds_and_then_each_minute() {
        let (fetched, mut asked_at) = (Fetched::<u32>::new(), Vec::new());
        for second in 0..300 {
            let fetch = || {
                asked_at.push(second);
                async { Err(NoAnswer::TimedOut) }
            };
            let missing = fetched.get("u", Wanted::Newer, move || secs(second), fetch).await.expect_err("nothing");
            let due = secs(second) + missing.again_in;
            assert!(missing.again_in <= INTERVAL && due > secs(second), "{second}: {missing:?}");
        }
        assert_eq!(asked_at, [0, 2, 6, 14, 30, 62, 122, 182, 242]);
        assert_eq!(get(&fetched, Wanted::Known, secs(302), Ok(1)).await, Some(1));
        assert_eq!(get(&fetched, Wanted::Newer, secs(361), Ok(2)).await, Some(1), "an answer is good for its minute");
    }

    /// Many URLs at once wait for each other.
    #[tokio::test]
    async fn no_more_than_so_many_are_asked_at_one_time() {
        let (fetched, asking, most) =
            (Arc::new(Fetched::new()), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let all = (0..3 * AT_ONCE).map(|url| {
            let (fetched, asking, most) = (Arc::clone(&fetched), Arc::clone(&asking), Arc::clone(&most));
            tokio::spawn(async move {
                let fetch = || async move {
                    most.fetch_max(asking.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    asking.fetch_sub(1, Ordering::Relaxed);
                    Ok(url)
                };
                fetched.get(&url.to_string(), Wanted::Known, || secs(1), fetch).await.map(|found| *found.value)
            })
        });
        for (url, answer) in all.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(answer.await.expect("it ran"), Ok(url));
        }
        assert_eq!(most.load(Ordering::Relaxed), 128);
    }

    /// Check S11: a thousand who come at once are one question.
    #[tokio::test]
    async fn who_comes_meanwhile_waits_for_the_same_answer() {
        let (fetched, asked) = (Arc::new(Fetched::new()), Arc::new(AtomicU32::new(0)));
        let all = (0..1000).map(|_| {
            let (fetched, asked) = (Arc::clone(&fetched), Arc::clone(&asked));
            tokio::spawn(async move {
                let fetch = || async move {
                    tokio::task::yield_now().await;
                    Ok(asked.fetch_add(1, Ordering::Relaxed))
                };
                fetched.get("u", Wanted::Known, || secs(1), fetch).await.map(|found| *found.value)
            })
        });
        for answer in all.collect::<Vec<_>>() {
            assert_eq!(answer.await.expect("it ran"), Ok(0));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    /// Check S11: a stranger who sends anything that has to be asked about, and hangs up, keeps nobody from the answer.
    #[tokio::test]
    async fn who_hangs_up_ends_no_question() {
        let (fetched, go) = (Fetched::new(), Arc::new(tokio::sync::Notify::new()));
        let wait = Arc::clone(&go);
        let fetch = || async move {
            wait.notified().await;
            Ok(7)
        };
        let mut stranger = Box::pin(fetched.get("u", Wanted::Known, || secs(1), fetch));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(stranger.as_mut().poll(&mut context).is_pending());
        drop(stranger);
        go.notify_one();
        assert_eq!(get(&fetched, Wanted::Known, secs(2), Err(NoAnswer::Busy)).await, Some(7));
    }

    #[tokio::test]
    async fn no_more_than_so_many_urls_are_kept() {
        let fetched = Fetched::new();
        for url in 0..3 * MOST as u64 {
            let _ =
                fetched.get(&url.to_string(), Wanted::Known, move || secs(url), move || async move { Ok(url) }).await;
        }
        assert_eq!(fetched.slots.lock().expect("whole").len(), MOST);
        assert!(fetched.slots.lock().expect("whole").contains_key(&(3 * MOST - 1).to_string()));
    }
}
