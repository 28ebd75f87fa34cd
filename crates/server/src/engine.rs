//! The one writer: joins requests into batches, decides, commits once, answers.
//!
//! One OS thread owns the store. Whatever arrived while the last commit was on its way is the next batch: there is no timer.
//! The steps of a batch, and what a crash at each means:
//!
//! 1. take what waits; load the rows it names            — a crash loses nothing: nothing was promised
//! 2. decide each job in order on a working copy         — the same: a decision is only a value
//! 3. commit all rows and events in one transaction      — durable from here; whoever was not answered asks again (law L3)
//!    what it revoked goes into the revocation journal    — a restore cannot undo it from here; a crash before it was not answered
//! 4. answer                                             — the only place where a job hears that it succeeded
//!
//! Jobs for one grant are decided one after the other on the working copy and folded into one write. `Stale` means that
//! somebody else wrote the row: the job is decided again on the new row, and its client never hears of it.
//!
//! When the store fails, every job of the batch hears 503 or the truth:
//!
//! | cause                    | what is known                                    | what is done                                                 |
//! |--------------------------|--------------------------------------------------|--------------------------------------------------------------|
//! | full, read-only, locked  | rolled back: nothing has happened                | 503; reads go on; writes recover by themselves                |
//! | I/O, damaged             | nothing has happened: it was no COMMIT that failed | 503 for these; the others go on                              |
//! | answer lost (`Unknown`)  | the row tells: version and `write_id`            | `settle.rs`: answered as committed, or decided again          |
//! | device (under COMMIT, in a checkpoint, a lock) | nothing, before the store is opened anew | 503 from now on, [`Engine::failed`] tells the process to end, the next start reads what the log kept |
//! | clock (`timekeeper.rs`)  | nothing was asked of the store                   | 503 until the clock is back                                  |
//!
//! Why a device failure ends the process: a second wait for the same device may succeed and say nothing of what the first one
//! lost (check Z4). Nothing is read from that store any more either: what the failed batch ended might be vouched for.

mod current;
mod heard;
mod once;
mod queue;
mod stepped;
mod sync;
mod told;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use regrant_core::decision::Decision;
use regrant_core::issue::SubjectStatus;
use regrant_core::{Entropy, Grant, GrantId, Keys, Refusal, Timestamp};
use regrant_store::{Answer, Cause, Changes, Loaded, Outcome, Question, Record, Store, Unavailable};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::metrics::WriterQueue;
use crate::revocations::Revocations;
use crate::sight;
use crate::spans::{Parent, Span, Spans};
use crate::timekeeper::Timekeeper;
use crate::whereabouts::Places;
use current::Current;
use heard::{Asking, Teller};
pub(crate) use once::{beforehand, with_first_commit};
use queue::{Putting, Refused, Room, Share, queue};
pub use stepped::Stepped;
use told::Told;
use writer::{Failing, Writer};

/// The most jobs in one batch.
const MAX_BATCH: usize = 1024;
/// The most records of writes that are no decision in one transaction, unless one of them has more.
const MAX_RECORDS: usize = 1024;
/// The most jobs that may wait: beyond it the caller hears [`Unavailable`] at once, and the client 503.
const MAX_WAITING: usize = 16_384;
/// How many of them may be reads, and how many writes that are no decisions: introspection and what operators list cannot starve
/// a refresh (check X8).
const MAX_READS: usize = MAX_WAITING / 2;
const MAX_COMMITS: usize = MAX_WAITING / 4;
/// How often a job is decided again on a row that somebody else wrote.
const MAX_ATTEMPTS: usize = 8;
/// How many grant numbers one row update reserves.
const GRANT_BLOCK: u64 = 1024;

/// A handle to the writer. Cloning it is cheap; when the last one is dropped, the writer finishes its batch and ends.
#[derive(Clone)]
pub struct Engine {
    jobs: Putting<Job>,
    keys: Current<Keys>,
    time: Arc<Timekeeper>,
    /// The store's newest time, as the writer last saw it, in milliseconds.
    newest: Arc<AtomicI64>,
    /// How many wide revocations there ever were, as the writer last saw it.
    epoch: Arc<AtomicU64>,
    /// Whether the store is in doubt, as the writer last saw it.
    doubted: Arc<AtomicBool>,
    /// Whether other nodes write to the store.
    is_shared: bool,
    waiting: WriterQueue,
    spans: Spans,
    /// Why nothing is answered any more.
    failure: watch::Receiver<Option<Unavailable>>,
    /// Steps with each commit that holds events.
    news: watch::Receiver<u64>,
    endings: watch::Receiver<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// What a decision sees: the moment, and the keys of that moment.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Never behind the newest time in the store (law L10).
    pub now: Timestamp,
    /// The keys.
    pub keys: &'a Keys,
    /// The chance for this decision.
    pub entropy: Entropy,
}

/// The row a decision is asked about: intact, with its user's status.
pub type Row<'a> = Option<(&'a Grant, SubjectStatus)>;

type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

enum Job {
    /// Decide about one grant. `None` asks for a new one.
    Decide { grant: Option<GrantId>, asked: Box<dyn heard::Asked>, span: Span, reply: heard::Reply },
    /// Make records durable as they are.
    Commit { records: Vec<Record>, below: Parent, reply: Reply<Vec<Outcome>> },
    /// Read.
    Ask { question: Question, reply: Reply<Answer> },
    /// Read grants.
    Load { ids: Vec<GrantId>, reply: Reply<Vec<Option<Loaded>>> },
    /// Close the store.
    Stop { reply: oneshot::Sender<()> },
}

impl queue::Job for Job {
    fn share(&self) -> Option<Share> {
        match self {
            Self::Decide { .. } | Self::Stop { .. } => None,
            Self::Commit { .. } => Some(Share::Commits),
            Self::Ask { .. } | Self::Load { .. } => Some(Share::Reads),
        }
    }
}

impl Engine {
    /// A writer on a store, not yet at work: [`Stepped::start`] gives it its thread.
    pub(crate) fn on(
        store: Box<dyn Store>,
        keys: Keys,
        clock: Clock,
        next_grant: u64,
        (waiting, spans): (WriterQueue, Spans),
        revocations: Option<Revocations>,
    ) -> (Self, Stepped) {
        let (jobs, queue) = queue(Room { all: MAX_WAITING, reads: MAX_READS, commits: MAX_COMMITS });
        let keys = Current::new(keys);
        let newest = Arc::new(AtomicI64::new(store.high_water().millis()));
        let epoch = Arc::new(AtomicU64::new(store.epoch()));
        let (doubted, is_shared) = (Arc::new(AtomicBool::new(store.is_in_doubt())), store.is_shared());
        let time = Arc::new(Timekeeper::new(clock, store.high_water()));
        let (failing, failure) = watch::channel(None);
        let (telling, news) = watch::channel(0);
        let (ending, endings) = watch::channel(0);
        let writer = Writer {
            newest: Arc::clone(&newest),
            epoch: Arc::clone(&epoch),
            doubted: Arc::clone(&doubted),
            store,
            revocations,
            unkept: HashSet::new(),
            time: Arc::clone(&time),
            failing: Failing(failing),
            keys: keys.clone(),
            // Numbers of an earlier run's block are left behind: they are never used twice.
            unused: next_grant..next_grant,
            waiting: waiting.clone(),
            spans: spans.clone(),
            telling,
            ending,
            told: Told::default(),
            places: Places::default(),
            teller: Teller::here(),
            changes: Changes::default(),
        };
        let engine =
            Self { jobs, keys, time, newest, epoch, doubted, is_shared, waiting, spans, failure, news, endings };
        (engine, Stepped::new(writer, queue))
    }

    /// The keys of this moment.
    #[must_use]
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.get()
    }

    /// Replaces the keys, whole.
    pub fn replace_keys(&self, keys: Keys) {
        self.keys.replace(keys);
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.time.clock()
    }

    /// Now, and never behind the newest time in the store (law L10): a clock that steps back revives nothing.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.estimate(Timestamp::from_millis(self.newest.load(Ordering::Acquire)))
    }

    /// What time it is for others, who have clocks of their own: where ours was ahead once, decisions go by a later one than it shows now.
    pub(crate) fn elsewhere(&self) -> Timestamp {
        self.now().min(self.clock().now())
    }

    /// How many wide revocations there ever were, as far as is known here.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The same, with those that any node has answered by now. Asked for *before* a session, a password or a user is looked at from which a
    /// grant will be made: then one that is answered in between ends that grant, too (law L9), and one of before does not.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn epoch_of_all(&self) -> Result<u64, Unavailable> {
        if self.is_shared {
            // With whatever is loaded comes what other nodes have revoked.
            self.answer(|reply| Job::Load { ids: Vec::new(), reply }).await?;
        }
        Ok(self.epoch())
    }

    /// Whether anything may be answered: for what asks nothing of the store and vouches all the same.
    ///
    /// # Errors
    /// [`Unavailable`] if the store has failed for good or is in doubt, or the clock cannot be believed.
    pub fn check(&self) -> Result<(), Unavailable> {
        self.may_ask()?;
        if self.doubted.load(Ordering::Acquire) {
            let detail = "the store is in doubt: nothing is vouched for before an operator has decided".to_owned();
            return Err(Unavailable { cause: Cause::Unreachable, detail });
        }
        Ok(())
    }

    /// Whether the store can be asked. One that is in doubt says itself what it answers, and when no more.
    fn may_ask(&self) -> Result<(), Unavailable> {
        match &*self.failure.borrow() {
            Some(trouble) => Err(trouble.clone()),
            None => self.time.now(Timestamp::from_millis(self.newest.load(Ordering::Acquire))).map(|_| ()),
        }
    }

    /// Why the process must end, if it must: the store has to be opened anew.
    #[must_use]
    pub fn failure(&self) -> Option<Unavailable> {
        self.failure.borrow().clone()
    }

    /// Changes with each commit that holds events.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }

    /// Changes with each commit that ends sessions.
    pub(crate) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.clone()
    }

    /// Waits until the process must end. Never done while all is well, nor when the store was closed in good order.
    pub async fn failed(&self) -> Unavailable {
        let mut failure = self.failure.clone();
        let told = failure.wait_for(Option::is_some).await.ok().and_then(|trouble| trouble.clone());
        match told {
            Some(trouble) => trouble,
            None => std::future::pending().await,
        }
    }

    /// Decides about a grant, writes what the decision says, and then tells its outcome. The outer error means that nothing
    /// has happened; the inner one that the request was refused.
    ///
    /// # Errors
    /// [`Unavailable`] if the store failed, or too many requests wait.
    pub async fn decide<T: Send + 'static>(
        &self,
        grant: GrantId,
        correlation: &str,
        decide: impl FnMut(Row<'_>, &Moment<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Unavailable> {
        let mut decide = decide;
        self.decided(Some(grant), correlation, false, move |row, _, moment| decide(row, moment)).await
    }

    /// The same for what ends a grant for a reason of its own. It sees the row beneath a wide revocation: that one may be taken back, and this end
    /// is final. A grant that has ended already is in the revocation journal before this returns, whatever happened when it ended.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn end<T: Send + 'static>(
        &self,
        grant: GrantId,
        correlation: &str,
        decide: impl FnMut(Row<'_>, &Moment<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Unavailable> {
        let mut decide = decide;
        self.decided(Some(grant), correlation, true, move |row, _, moment| decide(row, moment)).await
    }

    /// Makes a new grant: the decision gets its id.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn create<T: Send + 'static>(
        &self,
        correlation: &str,
        decide: impl FnMut(GrantId, &Moment<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Unavailable> {
        let mut decide = decide;
        self.decided(None, correlation, false, move |_, id, moment| decide(id, moment)).await
    }

    async fn decided<T: Send + 'static>(
        &self,
        grant: Option<GrantId>,
        correlation: &str,
        ends: bool,
        decide: impl FnMut(Row<'_>, GrantId, &Moment<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Unavailable> {
        let (correlation, from) = (correlation.to_owned(), sight::whereabouts());
        let asked = Box::new(Asking { decide, correlation, ends, from, outcome: None::<T> });
        let span = self.spans.child("decide", &sight::span());
        let (reply, answer) = oneshot::channel();
        self.send(Job::Decide { grant, asked, span, reply })?;
        let (verdict, mut asked) = answer.await.map_err(|_| stopped())??;
        let outcome = asked.outcome().downcast_mut::<Option<T>>().and_then(Option::take);
        verdict.map_or_else(|refusal| Ok(Err(refusal)), |()| outcome.map(Ok).ok_or_else(stopped))
    }

    /// Makes records durable as they are.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn commit(&self, records: Vec<Record>) -> Result<Vec<Outcome>, Unavailable> {
        self.committing(records).await
    }

    /// The same: the records have their place in the queue when this returns, before anybody waits.
    pub(crate) fn committing(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<Vec<Outcome>, Unavailable>> + use<> {
        let (mut records, first) = (records, once::take());
        let is_marked = first.is_some();
        let mark = first.clone();
        // What was refused was not done.
        records.extend(first.map(Record::with));
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Job::Commit { records, below: sight::span(), reply });
        async move {
            sent?;
            let mut outcomes = answer.await.map_err(|_| stopped())??;
            if is_marked && outcomes.pop() != Some(Outcome::Committed) {
                once::put_back(mark);
            }
            Ok(outcomes)
        }
    }

    /// Asks the store.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn ask(&self, question: Question) -> Result<Answer, Unavailable> {
        self.answer(|reply| Job::Ask { question, reply }).await
    }

    /// Reads one grant as it is to be seen: `None` if it is not there, or its row is not intact; ended where a wide revocation covers it.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn load(&self, id: GrantId) -> Result<Option<Loaded>, Unavailable> {
        let mut loaded = self.answer(|reply| Job::Load { ids: vec![id], reply }).await?;
        let keys = self.keys();
        Ok(loaded.pop().flatten().and_then(|found| found.believed(&keys)))
    }

    /// Finishes what waits, closes the store, and returns when it is closed: everything is then in the database file itself.
    /// Whoever asks later hears [`Unavailable`].
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.queue(Job::Stop { reply }).is_ok() {
            let _ = answer.await;
        }
    }

    /// Sends the job that `job` makes of a reply, and waits for what it hears.
    async fn answer<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply))?;
        answer.await.map_err(|_| stopped())?
    }

    fn send(&self, job: Job) -> Result<(), Unavailable> {
        self.may_ask()?;
        self.queue(job)
    }

    fn queue(&self, job: Job) -> Result<(), Unavailable> {
        self.waiting.sent();
        self.jobs.put(job).inspect_err(|_| self.waiting.refused()).map_err(|refused| match refused {
            Refused::Full => {
                Unavailable { cause: Cause::Locked, detail: "too many requests wait for the store".to_owned() }
            }
            Refused::Over => stopped(),
        })
    }
}

fn stopped() -> Unavailable {
    Unavailable { cause: Cause::Io, detail: "the writer has stopped".to_owned() }
}
