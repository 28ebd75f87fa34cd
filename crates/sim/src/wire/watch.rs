//! A store that is watched, and that fails on demand: around the real one, which does all the work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use regrant_core::{ChainKey, GrantId, Timestamp};
use regrant_store::{Answer, Cause, Forged, Loaded, Outcome, Question, Record, Store, Unavailable};

/// How the next commits end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// Nothing is written, and the server hears so.
    Refused(Cause),
    /// Everything is written, and the server hears that nothing was: the connection broke after COMMIT.
    AnswerLost,
    /// The connection broke before COMMIT arrived, and the server does not know that.
    QuestionLost,
    /// The device failed under COMMIT: the rows are found by the next start.
    DeviceFailed,
}

/// What a test sees of the store, and how it troubles it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    grant_reads: AtomicU64,
    reads: AtomicU64,
    commits: AtomicU64,
    trouble: Mutex<Option<(Trouble, u64)>>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Watch {
    /// How many rows of grants were asked for so far.
    #[must_use]
    pub fn grant_reads(&self) -> u64 {
        self.0.grant_reads.load(Ordering::SeqCst)
    }

    /// How often the store was asked for anything at all so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    /// How many commits were asked for so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::SeqCst)
    }

    /// The next `commits` fail for this cause: nothing is written.
    pub fn refuse(&self, cause: Cause, commits: u64) {
        self.set(Some((Trouble::Refused(cause), commits)));
    }

    /// The next commit is written, and its answer is lost.
    pub fn lose_the_answer(&self) {
        self.set(Some((Trouble::AnswerLost, 1)));
    }

    /// The next commit is not written, and nobody is told so.
    pub fn lose_the_question(&self) {
        self.set(Some((Trouble::QuestionLost, 1)));
    }

    /// The next commit is written, as the next start finds, and the device fails under it.
    pub fn fail_the_device(&self) {
        self.set(Some((Trouble::DeviceFailed, 1)));
    }

    /// The next commit waits until it is [released](Self::release): whoever asks meanwhile shares the one after it.
    pub fn hold(&self) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// What was held goes on.
    pub fn release(&self) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.released.notify_all();
    }

    /// The store works again.
    pub fn heal(&self) {
        self.set(None);
    }

    pub(super) fn over(&self, store: Box<dyn Store>) -> Box<dyn Store> {
        Box::new(Watched { store, watch: self.clone() })
    }

    fn set(&self, trouble: Option<(Trouble, u64)>) {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn wait(&self) {
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.released.wait_while(held, |held| *held).unwrap_or_else(PoisonError::into_inner));
    }

    fn trouble(&self) -> Option<Trouble> {
        let mut trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, left) = (*trouble)?;
        *trouble = left.checked_sub(1).filter(|left| *left > 0).map(|left| (kind, left));
        Some(kind)
    }
}

struct Watched {
    store: Box<dyn Store>,
    watch: Watch,
}

impl Store for Watched {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        self.watch.0.grant_reads.fetch_add(ids.len() as u64, Ordering::SeqCst);
        self.watch.0.reads.fetch_add(1, Ordering::SeqCst);
        self.store.load(ids)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.watch.0.commits.fetch_add(1, Ordering::SeqCst);
        self.watch.wait();
        let failed = |cause| Err(Unavailable { cause, detail: "the test wants it so".to_owned() });
        match self.watch.trouble() {
            Some(Trouble::Refused(cause)) => failed(cause),
            Some(Trouble::AnswerLost) => self.store.commit(records, now).and_then(|_| failed(Cause::Unknown)),
            Some(Trouble::QuestionLost) => failed(Cause::Unknown),
            Some(Trouble::DeviceFailed) => self.store.commit(records, now).and_then(|_| failed(Cause::Device)),
            None => self.store.commit(records, now),
        }
    }

    fn high_water(&self) -> Timestamp {
        self.store.high_water()
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        self.watch.0.reads.fetch_add(1, Ordering::SeqCst);
        if matches!(question, Question::Grants { .. }) {
            self.watch.0.grant_reads.fetch_add(1, Ordering::SeqCst);
        }
        self.store.ask(question)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.store.chain_under(key)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.store.failure()
    }
}
