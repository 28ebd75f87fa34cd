//! The one writer: joins requests into batches, decides, commits once, answers.
//!
//! One OS thread owns the store. Whatever arrived while the last commit was on its way is the next batch: there is no timer.
//! The steps of a batch, and what a crash at each means:
//!
//! 1. take what waits; load the rows it names            — a crash loses nothing: nothing was promised
//! 2. decide each job in order on a working copy         — the same: a decision is only a value
//! 3. commit all rows and events in one transaction      — durable from here; whoever was not answered asks again (law L3)
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

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock, mpsc};
use std::thread;

use regrant_core::decision::{Decision, Event};
use regrant_core::issue::SubjectStatus;
use regrant_core::{Entropy, EventKind, Grant, GrantId, Keys, Refusal, Timestamp, Write};
use regrant_store::{Answer, Cause, EventRecord, Loaded, Outcome, Question, Record, Store, Unavailable};
use tokio::sync::{oneshot, watch};

use crate::chance;
use crate::clock::Clock;
use crate::settle::{Settled, settle};
use crate::timekeeper::Timekeeper;

/// The most jobs in one batch.
const MAX_BATCH: usize = 1024;
/// The most jobs that may wait: beyond it the caller hears [`Unavailable`] at once, and the client 503.
const MAX_WAITING: usize = 16_384;
/// How often a job is decided again on a row that somebody else wrote.
const MAX_ATTEMPTS: usize = 8;
/// How many grant numbers one row update reserves.
const GRANT_BLOCK: u64 = 1024;

/// A handle to the writer. Cloning it is cheap; when the last one is dropped, the writer finishes its batch and ends.
#[derive(Clone)]
pub struct Engine {
    jobs: mpsc::SyncSender<Job>,
    keys: Arc<RwLock<Arc<Keys>>>,
    time: Arc<Timekeeper>,
    /// The store's newest time, as the writer last saw it, in milliseconds.
    newest: Arc<AtomicI64>,
    /// Why nothing is answered any more.
    failure: watch::Receiver<Option<Unavailable>>,
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

type Decide = Box<dyn FnMut(Row<'_>, GrantId, &Moment<'_>) -> Decision<Box<dyn Any + Send>> + Send>;
type Verdict = Result<Box<dyn Any + Send>, Refusal>;
type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

enum Job {
    /// Decide about one grant. `None` asks for a new one.
    Decide { grant: Option<GrantId>, decide: Decide, correlation: String, reply: Reply<Verdict> },
    /// Make records durable as they are.
    Commit { records: Vec<Record>, reply: Reply<Vec<Outcome>> },
    /// Read.
    Ask { question: Question, reply: Reply<Answer> },
    /// Read grants.
    Load { ids: Vec<GrantId>, reply: Reply<Vec<Option<Loaded>>> },
    /// Close the store.
    Stop { reply: oneshot::Sender<()> },
}

impl Engine {
    /// Starts the writer thread on a store.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(store: Box<dyn Store>, keys: Keys, clock: Clock, next_grant: u64) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(MAX_WAITING);
        let keys = Arc::new(RwLock::new(Arc::new(keys)));
        let newest = Arc::new(AtomicI64::new(store.high_water().millis()));
        let time = Arc::new(Timekeeper::new(clock, store.high_water()));
        let (failing, failure) = watch::channel(None);
        let writer = Writer {
            newest: Arc::clone(&newest),
            store,
            time: Arc::clone(&time),
            failing: Failing(failing),
            keys: Arc::clone(&keys),
            // Numbers of an earlier run's block are left behind: they are never used twice.
            unused: next_grant..next_grant,
        };
        thread::Builder::new().name("regrant-writer".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Self { jobs, keys, time, newest, failure })
    }

    /// The keys of this moment.
    #[must_use]
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Replaces the keys, whole.
    pub fn replace_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(keys);
    }

    /// Now, and never behind the newest time in the store (law L10): a clock that steps back revives nothing.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.estimate(Timestamp::from_millis(self.newest.load(Ordering::Acquire)))
    }

    /// Whether anything may be answered: for what asks nothing of the store and vouches all the same.
    ///
    /// # Errors
    /// [`Unavailable`] if the store has failed for good, or the clock cannot be believed.
    pub fn check(&self) -> Result<(), Unavailable> {
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
        self.decided(Some(grant), correlation, Box::new(move |row, _, moment| erase(decide(row, moment)))).await
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
        self.decided(None, correlation, Box::new(move |_, id, moment| erase(decide(id, moment)))).await
    }

    async fn decided<T: Send + 'static>(
        &self,
        grant: Option<GrantId>,
        correlation: &str,
        decide: Decide,
    ) -> Result<Result<T, Refusal>, Unavailable> {
        let correlation = correlation.to_owned();
        match self.answer(|reply| Job::Decide { grant, decide, correlation, reply }).await? {
            Err(refusal) => Ok(Err(refusal)),
            Ok(outcome) => outcome.downcast().map(|outcome| Ok(*outcome)).map_err(|_| stopped()),
        }
    }

    /// Makes records durable as they are.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn commit(&self, records: Vec<Record>) -> Result<Vec<Outcome>, Unavailable> {
        self.answer(|reply| Job::Commit { records, reply }).await
    }

    /// Asks the store.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn ask(&self, question: Question) -> Result<Answer, Unavailable> {
        self.answer(|reply| Job::Ask { question, reply }).await
    }

    /// Reads one grant as it is: `None` if it is not there, or its row is not intact.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub async fn load(&self, id: GrantId) -> Result<Option<Loaded>, Unavailable> {
        let mut loaded = self.answer(|reply| Job::Load { ids: vec![id], reply }).await?;
        let keys = self.keys();
        Ok(loaded.pop().flatten().filter(|found| found.grant.is_intact(found.mac, &keys)))
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
        self.check()?;
        self.queue(job)
    }

    fn queue(&self, job: Job) -> Result<(), Unavailable> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => {
                Unavailable { cause: Cause::Locked, detail: "too many requests wait for the store".to_owned() }
            }
            mpsc::TrySendError::Disconnected(_) => stopped(),
        })
    }
}

fn erase<T: Send + 'static>(decision: Decision<T>) -> Decision<Box<dyn Any + Send>> {
    let Decision { write, event, outcome } = decision;
    Decision { write, event, outcome: outcome.map(|value| Box::new(value) as Box<dyn Any + Send>) }
}

fn stopped() -> Unavailable {
    Unavailable { cause: Cause::Io, detail: "the writer has stopped".to_owned() }
}

/// The thread's own state.
struct Writer {
    store: Box<dyn Store>,
    time: Arc<Timekeeper>,
    failing: Failing,
    keys: Arc<RwLock<Arc<Keys>>>,
    newest: Arc<AtomicI64>,
    unused: std::ops::Range<u64>,
}

/// Tells the process that it must end; also where the writer panics, for nobody would be answered any more.
struct Failing(watch::Sender<Option<Unavailable>>);

impl Failing {
    fn tell(&self, trouble: &Unavailable) {
        if self.0.borrow().is_none() {
            tracing::error!(cause = %trouble.cause, detail = %trouble.detail, "the store must be opened anew: nothing more is answered, and the server ends; what was answered with 200 is safe");
            self.0.send_replace(Some(trouble.clone()));
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell(&Unavailable {
                cause: Cause::Io,
                detail: "the writer panicked: a bug, please report it".to_owned(),
            });
        }
    }
}

/// A job that was decided and waits for the commit.
struct Pending {
    job: Decided,
    outcome: Verdict,
    /// The grant whose row this outcome rests on, if it is among those written.
    grant: Option<u64>,
}

struct Decided {
    grant: Option<GrantId>,
    is_new: bool,
    decide: Decide,
    correlation: String,
    reply: Reply<Verdict>,
    attempts: usize,
}

/// A grant's working copy within one batch.
struct Working {
    found: Option<Loaded>,
    /// The version in the store, which the write replaces.
    expected: Option<u64>,
    changed: bool,
    intact: bool,
    events: Vec<EventRecord>,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut waiting = vec![first];
            waiting.extend(queue.try_iter().take(MAX_BATCH - 1));
            let stop = self.batch(waiting);
            // Reading can be what it noticed it by.
            if let Some(trouble) = self.store.failure() {
                self.failing.tell(&trouble);
            }
            if let Some(reply) = stop {
                drop(self);
                let _ = reply.send(());
                return;
            }
        }
    }

    /// Does the jobs, up to one that says stop: whoever is told when the store is closed.
    fn batch(&mut self, jobs: Vec<Job>) -> Option<oneshot::Sender<()>> {
        let mut decided = Vec::new();
        for job in jobs {
            match job {
                Job::Decide { grant, decide, correlation, reply } => {
                    let is_new = grant.is_none();
                    decided.push(Decided { grant, is_new, decide, correlation, reply, attempts: 0 });
                }
                // What is not a decision keeps its place behind those before it: they are committed first.
                Job::Commit { records, reply } => {
                    self.decide_all(std::mem::take(&mut decided));
                    let _ = reply.send(self.now().and_then(|now| self.commit(&records, now)));
                }
                Job::Ask { question, reply } => {
                    self.decide_all(std::mem::take(&mut decided));
                    let _ = reply.send(self.usable().and_then(|()| self.store.ask(&question)));
                }
                Job::Load { ids, reply } => {
                    self.decide_all(std::mem::take(&mut decided));
                    let _ = reply.send(self.usable().and_then(|()| self.store.load(&ids)));
                }
                Job::Stop { reply } => {
                    self.decide_all(decided);
                    return Some(reply);
                }
            }
        }
        self.decide_all(decided);
        None
    }

    /// Decides and commits, and again for those whose row somebody else wrote meanwhile.
    fn decide_all(&mut self, mut jobs: Vec<Decided>) {
        while !jobs.is_empty() {
            jobs = match self.decide_once(jobs) {
                Ok(again) => again,
                Err((jobs, trouble)) => {
                    tracing::error!(cause = %trouble.cause, detail = %trouble.detail, jobs = jobs.len(), "a batch failed; its clients hear 503 and may ask again");
                    for job in jobs {
                        let _ = job.reply.send(Err(trouble.clone()));
                    }
                    return;
                }
            };
        }
    }

    fn decide_once(&mut self, mut jobs: Vec<Decided>) -> Result<Vec<Decided>, (Vec<Decided>, Unavailable)> {
        let now = match self.now() {
            Ok(now) => now,
            Err(trouble) => return Err((jobs, trouble)),
        };
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        // The ids are sorted and each is asked for once; those of new grants come from the reserved block.
        if let Err(trouble) = self.name_new_grants(&mut jobs) {
            return Err((jobs, trouble));
        }
        let mut rows = match self.load(&jobs, &keys) {
            Ok(rows) => rows,
            Err(trouble) => return Err((jobs, trouble)),
        };
        let mut loose = HashMap::new();
        let pending: Vec<Pending> =
            jobs.into_iter().map(|job| decide(job, &mut rows, &mut loose, now, &keys)).collect();
        // Everything is decided, nothing is durable: a crash here loses nothing.
        let mut records = Vec::new();
        for row in rows.into_values() {
            if let (true, Some(found)) = (row.changed, row.found) {
                let mac = found.grant.mac(&keys);
                records.push(Record::Grant { expected: row.expected, grant: found.grant, mac, events: row.events });
            } else {
                records.extend(row.events.into_iter().map(Record::Event));
            }
        }
        records.extend(loose.into_values().flatten().map(Record::Event));
        let outcomes = if records.is_empty() { Ok(Some(Vec::new())) } else { self.commit_or_settle(&records, now) };
        match outcomes {
            Err(trouble) => Err((pending.into_iter().map(|pending| pending.job).collect(), trouble)),
            // Nothing of it is there: decided again, as if nobody had asked.
            Ok(None) => Ok(again(pending.into_iter().map(|pending| pending.job))),
            Ok(Some(outcomes)) => {
                // Durable from here.
                let mut stale: Vec<u64> = Vec::new();
                for (outcome, record) in outcomes.iter().zip(&records) {
                    if let (Outcome::Stale, Record::Grant { grant, .. }) = (outcome, record) {
                        stale.push(grant.id.number);
                    }
                }
                Ok(answer(pending, &stale))
            }
        }
    }

    /// Commits; where the answer was lost, reads what became of it. `None` if nothing of it is there.
    fn commit_or_settle(&mut self, records: &[Record], now: Timestamp) -> Result<Option<Vec<Outcome>>, Unavailable> {
        let trouble = match self.commit(records, now) {
            Ok(outcomes) => return Ok(Some(outcomes)),
            Err(trouble) if trouble.cause == Cause::Unknown => trouble,
            Err(trouble) => return Err(trouble),
        };
        let settled = settle(self.store.as_mut(), records)?;
        tracing::warn!(detail = %trouble.detail, ?settled, "the answer to a commit was lost, and the rows were read instead");
        match settled {
            Settled::Committed(outcomes) => Ok(Some(outcomes)),
            Settled::NotCommitted => Ok(None),
            Settled::Unknown => Err(trouble),
        }
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.usable()?;
        let committed = self.store.commit(records, now);
        if let Some(trouble) = self.store.failure() {
            self.failing.tell(&trouble);
        }
        let outcomes = committed.inspect_err(|trouble| {
            if trouble.cause == Cause::Device {
                self.failing.tell(trouble);
            }
        })?;
        // Before anybody is answered: whoever hears the answer must not find an earlier time.
        self.newest.store(self.store.high_water().millis(), Ordering::Release);
        Ok(outcomes)
    }

    /// Law L10: never behind the newest time in the store, and never at a time that cannot be.
    fn now(&self) -> Result<Timestamp, Unavailable> {
        self.time.now(self.store.high_water())
    }

    /// Once the device has failed, the store is not asked again, not even to read.
    fn usable(&self) -> Result<(), Unavailable> {
        self.failing.0.borrow().clone().map_or(Ok(()), Err)
    }

    /// Gives each job that makes a grant its id, and another one each time it is decided.
    fn name_new_grants(&mut self, jobs: &mut [Decided]) -> Result<(), Unavailable> {
        for job in jobs.iter_mut().filter(|job| job.is_new) {
            let number = match self.unused.next() {
                Some(number) => number,
                None => self.reserve()?,
            };
            let random = u64::from_be_bytes(chance::bytes());
            job.grant = Some(GrantId { number, random });
        }
        Ok(())
    }

    /// Reserves a block with one durable row update, before any number of it is used.
    fn reserve(&mut self) -> Result<u64, Unavailable> {
        loop {
            let first = self.unused.end;
            let next = first.saturating_add(GRANT_BLOCK);
            let now = self.now()?;
            match self.commit(&[Record::ReserveGrants { next }], now)?.first() {
                Some(Outcome::Committed) => {
                    self.unused = first + 1..next;
                    return Ok(first);
                }
                // Another node has that block: go behind it.
                Some(Outcome::Stale) | None => self.unused = next..next,
            }
        }
    }

    fn load(&mut self, jobs: &[Decided], keys: &Keys) -> Result<BTreeMap<u64, Working>, Unavailable> {
        let mut ids: Vec<GrantId> = jobs.iter().filter_map(|job| job.grant).collect();
        ids.sort_unstable();
        ids.dedup();
        self.usable()?;
        let found = self.store.load(&ids)?;
        let mut rows = BTreeMap::new();
        for (id, found) in ids.into_iter().zip(found) {
            // Two ids of one number differ in their random half: at most one of them is a row.
            if found.is_none() && rows.contains_key(&id.number) {
                continue;
            }
            let intact = found.as_ref().is_none_or(|found| found.grant.is_intact(found.mac, keys));
            let expected = found.as_ref().map(|found| found.grant.version);
            rows.insert(id.number, Working { found, expected, changed: false, intact, events: Vec::new() });
        }
        Ok(rows)
    }
}

/// Asks one job about its working copy and applies what it says to the copy.
fn decide(
    mut job: Decided,
    rows: &mut BTreeMap<u64, Working>,
    loose: &mut HashMap<(u64, EventKind), Vec<EventRecord>>,
    now: Timestamp,
    keys: &Keys,
) -> Pending {
    job.attempts += 1;
    let id = job.grant.unwrap_or(GrantId { number: 0, random: 0 });
    let moment = Moment { now, keys, entropy: chance::entropy() };
    let Some(row) = rows.get_mut(&id.number) else {
        let outcome = Err(Refusal::UnknownGrant);
        return Pending { job, outcome, grant: None };
    };
    if !row.intact {
        // Check K8: a row that was changed behind our back is refused, and somebody is told.
        let event = Event {
            kind: EventKind::Alarm,
            grant: Some(id),
            client: None,
            subject: None,
            detail: "the row's MAC does not fit: it was changed by something else".to_owned(),
        };
        tracing::error!(grant = %id.display(keys), correlation = %job.correlation, "tampered row");
        let record = EventRecord { at: now, event, correlation: job.correlation.clone() };
        loose.entry((id.number, EventKind::Alarm)).or_insert_with(|| vec![record]);
        return Pending { job, outcome: Err(Refusal::TamperedRow), grant: None };
    }
    let found = row.found.as_ref().map(|found| (&found.grant, found.subject));
    let Decision { write, event, outcome } = (job.decide)(found, id, &moment);
    if let Write::Grant { grant, .. } = write {
        // Folded into one write per batch: the store compares with the version it has.
        let version = row.expected.map_or(grant.version, |expected| expected + 1);
        let grant = Grant { version, ..grant };
        let mac = grant.mac(keys);
        let subject = row.found.as_ref().map_or(SubjectStatus::Enabled, |found| found.subject);
        row.found = Some(Loaded { grant, mac, subject });
        row.changed = true;
    }
    if let Some(event) = event {
        row.events.push(EventRecord { at: now, event, correlation: job.correlation.clone() });
    }
    // An outcome that rests on this row's write must wait for it, also one that only read the working copy.
    let grant = row.changed.then_some(id.number);
    Pending { job, outcome, grant }
}

/// Tells every job its outcome, but for those that rest on a row which somebody else wrote: they are decided again.
fn answer(pending: Vec<Pending>, stale: &[u64]) -> Vec<Decided> {
    let mut overtaken = Vec::new();
    for Pending { job, outcome, grant } in pending {
        if grant.is_some_and(|number| stale.contains(&number)) {
            overtaken.push(job);
            continue;
        }
        let _ = job.reply.send(Ok(outcome));
    }
    again(overtaken)
}

/// Those jobs that may be decided once more; the others hear that it is enough.
fn again(jobs: impl IntoIterator<Item = Decided>) -> Vec<Decided> {
    let (again, weary): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.attempts < MAX_ATTEMPTS);
    for job in weary {
        let detail = "the grant is written to without end by others".to_owned();
        let _ = job.reply.send(Err(Unavailable { cause: Cause::Locked, detail }));
    }
    again
}
