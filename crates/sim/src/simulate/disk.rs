//! The disk under the nodes: the real store, and what can happen to it.
//!
//! [`Disk::Memory`](Kept::Memory) is shared by all nodes, as one database is; what was committed there is durable, and what was not is
//! nowhere. [`Kept::File`] is SQLite on a file whose power fails: see [`torn`](super::torn). In both, whatever the server does is done by
//! its own code; only the moment and the kind of the trouble come from here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use regrant_core::{ChainKey, GrantId, Timestamp};
use regrant_server::engine::Stepped;
use regrant_store::{Answer, Cause, Forged, Loaded, Memory, Outcome, Question, Record, Store, Unavailable};

use super::Mutant;
use super::torn::Torn;

/// What becomes of the next commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing is written, and the server hears so.
    Refused(Cause),
    /// It is written, and the server does not hear so.
    AnswerLost,
    /// It is not written, and the server does not hear so.
    QuestionLost,
    /// The device fails, and it is written or is not.
    Device { written: bool },
    /// The process ends, and it is written or is not. On a file: or anything in between.
    Crash { written: bool },
    /// Another node writes first.
    Race,
}

/// A writer that another node's commit may let work.
pub(super) type Writer = Arc<Mutex<Option<Stepped>>>;

/// What all handles share.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<Inner>>);

pub(super) enum Kept {
    Memory(Memory),
    File(Box<Torn>),
}

struct Inner {
    kept: Kept,
    mutant: Option<Mutant>,
    fault: Option<Fault>,
    /// A process ended under a commit: its node is to be taken down.
    is_down: bool,
    rival: Option<Writer>,
    newest: Timestamp,
    /// Copies from before the last commits, for the mutants that live in the past.
    earlier: VecDeque<Memory>,
    races: u64,
}

/// So many copies are kept.
const EARLIER: usize = 3;

impl Disk {
    pub(super) fn new(kept: Kept, mutant: Option<Mutant>) -> Self {
        let newest = match &kept {
            Kept::Memory(memory) => memory.high_water(),
            Kept::File(_) => Timestamp::EPOCH,
        };
        Self(Arc::new(Mutex::new(Inner {
            kept,
            mutant,
            fault: None,
            is_down: false,
            rival: None,
            newest,
            earlier: VecDeque::new(),
            races: 0,
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A handle for a node that starts.
    pub(super) fn open(&self) -> Box<dyn Store> {
        let store: Box<dyn Store> = self.with(|inner| match &mut inner.kept {
            Kept::Memory(memory) => Box::new(memory.clone()) as Box<dyn Store>,
            Kept::File(torn) => Box::new(torn.open()),
        });
        self.with(|inner| inner.newest = inner.newest.max(store.high_water()));
        Box::new(Handle { disk: self.clone(), store })
    }

    /// What becomes of the next commit; `rival` is who writes first, if somebody does.
    pub(super) fn plan(&self, fault: Option<Fault>, rival: Option<Writer>) {
        self.with(|inner| (inner.fault, inner.rival) = (fault, rival));
    }

    /// Whether the plan was carried out, and whether a process ended by it.
    pub(super) fn outcome(&self) -> (bool, bool) {
        self.with(|inner| {
            inner.rival = None;
            (inner.fault.take().is_none(), std::mem::take(&mut inner.is_down))
        })
    }

    /// How often a node wrote between another one's look and its commit.
    pub(super) fn races(&self) -> u64 {
        self.with(|inner| inner.races)
    }

    /// The power goes, with no commit under way: what was answered is there. What a mutant had not written is not.
    pub(super) fn lose_power(&self, dice: u64) {
        self.with(|inner| match (&inner.kept, inner.mutant) {
            (Kept::Memory(memory), Some(Mutant::AnswersBeforeTheDevice)) => {
                if let Some(earlier) = inner.earlier.back() {
                    memory.put_back(earlier);
                }
            }
            (Kept::Memory(memory), Some(Mutant::BringsAnOldRowBack)) => {
                if let Some(earlier) = inner.earlier.front() {
                    bring_back(memory, earlier, dice);
                }
            }
            _ => {}
        });
        self.with(|inner| {
            if let Kept::File(torn) = &mut inner.kept {
                torn.lose_power(dice);
            }
        });
    }

    /// The newest time in the store.
    pub(super) fn newest(&self) -> Timestamp {
        self.with(|inner| match &inner.kept {
            Kept::Memory(memory) => memory.high_water(),
            Kept::File(_) => inner.newest,
        })
    }

    /// What is durable now, in a store of its own that nobody else reads. `None` for a file: it is read by its next start.
    pub(super) fn durable(&self) -> Option<Memory> {
        self.with(|inner| match &inner.kept {
            Kept::Memory(memory) => Some(memory.clone()),
            Kept::File(_) => None,
        })
    }

    /// How often a file was torn.
    pub(super) fn torn(&self) -> u64 {
        self.with(|inner| match &inner.kept {
            Kept::Memory(_) => 0,
            Kept::File(torn) => torn.count(),
        })
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.with(|inner| inner.mutant == Some(mutant))
    }

    /// Copies what is there, for a mutant that needs it.
    fn remember(&self) {
        self.with(|inner| {
            let needs_it = inner.mutant.is_some_and(Mutant::lives_in_the_past);
            if let (Kept::Memory(memory), true) = (&inner.kept, needs_it) {
                inner.earlier.push_back(memory.copy());
                if inner.earlier.len() > EARLIER {
                    inner.earlier.pop_front();
                }
            }
        });
    }
}

/// One grant's row is put back to what it was.
fn bring_back(memory: &Memory, earlier: &Memory, dice: u64) {
    let (mut memory, mut earlier) = (memory.clone(), earlier.clone());
    let all = Question::Grants { client: None, subject: None, after: 0, limit: 100 };
    let Ok(Answer::Grants(rows)) = earlier.ask(&all) else { return };
    let Some(old) = rows.get((dice % rows.len().max(1) as u64) as usize) else { return };
    let Ok(now) = memory.load(&[old.grant.id]) else { return };
    if let Some(Some(held)) = now.first() {
        let records = [
            Record::RemoveGrant { number: old.grant.id.number, expected: held.grant.version },
            Record::Grant { expected: None, grant: old.grant.clone(), mac: old.mac, events: Vec::new() },
        ];
        let _ = memory.commit(&records, Timestamp::EPOCH);
    }
}

struct Handle {
    disk: Disk,
    store: Box<dyn Store>,
}

impl Handle {
    fn write(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.disk.remember();
        let committed = match self.disk.with(|inner| inner.mutant) {
            Some(Mutant::NeverCompares) => self.overwrite(records, now),
            Some(Mutant::TellsNothing) => self.store.commit(&without_events(records), now),
            Some(Mutant::TellsTwice) => self.store.commit(&with_events_twice(records), now),
            _ => self.store.commit(records, now),
        };
        let newest = self.store.high_water();
        self.disk.with(|inner| inner.newest = inner.newest.max(newest));
        committed.map(|outcomes| outcomes.into_iter().take(records.len()).collect())
    }

    /// The planted fault: whatever is there is written over.
    fn overwrite(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        for record in records {
            if let Record::Grant { expected: Some(_), grant, .. } = record
                && let Some(Some(held)) = self.store.load(&[grant.id])?.first()
            {
                let remove = Record::RemoveGrant { number: grant.id.number, expected: held.grant.version };
                self.store.commit(&[remove], now)?;
            }
        }
        let anew: Vec<Record> = records
            .iter()
            .map(|record| match record {
                Record::Grant { grant, mac, events, .. } => {
                    Record::Grant { expected: None, grant: grant.clone(), mac: *mac, events: events.clone() }
                }
                other => other.clone(),
            })
            .collect();
        self.store.commit(&anew, now)
    }

    /// The process ends under this commit.
    fn crash(&mut self, records: &[Record], now: Timestamp, written: bool) {
        let half = self.disk.is(Mutant::WritesHalfACommit);
        let newest = self.disk.with(|inner| inner.newest);
        let is_file = self.disk.with(|inner| {
            if let Kept::File(torn) = &mut inner.kept {
                torn.before();
                return true;
            }
            false
        });
        if half {
            let _ = self.write(&without_events(records), now);
        } else if written || is_file {
            let _ = self.write(records, now);
        }
        self.disk.with(|inner| {
            if let Kept::File(torn) = &mut inner.kept {
                torn.tear();
                // What is left of the commit tells its time when it is opened.
                inner.newest = newest;
            }
            inner.is_down = true;
        });
    }
}

impl Store for Handle {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        if self.disk.is(Mutant::LagsBehind)
            && let Some(mut earlier) = self.disk.with(|inner| inner.earlier.front().cloned())
        {
            let late = earlier.load(ids)?;
            if late.iter().all(Option::is_some) {
                return Ok(late);
            }
        }
        self.store.load(ids)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        let (fault, rival) = self.disk.with(|inner| (inner.fault.take(), inner.rival.take()));
        let failed = |cause| Err(Unavailable { cause, detail: "the simulation wants it so".to_owned() });
        match fault {
            None => self.write(records, now),
            Some(Fault::Race) => {
                let raced = rival.is_some_and(|rival| {
                    let mut rival = rival.lock().unwrap_or_else(PoisonError::into_inner);
                    rival.as_mut().is_some_and(|writer| writer.step(usize::MAX))
                });
                self.disk.with(|inner| inner.races += u64::from(raced));
                self.write(records, now)
            }
            Some(Fault::Refused(cause)) => {
                if self.disk.is(Mutant::WritesAndSaysItDidNot) {
                    let _ = self.write(records, now);
                }
                failed(cause)
            }
            Some(Fault::AnswerLost) => self.write(records, now).and_then(|_| failed(Cause::Unknown)),
            Some(Fault::QuestionLost) => failed(Cause::Unknown),
            Some(Fault::Device { written: true }) => self.write(records, now).and_then(|_| failed(Cause::Device)),
            Some(Fault::Device { written: false }) => failed(Cause::Device),
            Some(Fault::Crash { written }) => {
                self.crash(records, now, written);
                failed(Cause::Device)
            }
        }
    }

    fn high_water(&self) -> Timestamp {
        self.store.high_water()
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        self.store.ask(question)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.store.chain_under(key)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.store.failure()
    }

    fn notice(&mut self) -> Option<String> {
        self.store.notice()
    }
}

fn without_events(records: &[Record]) -> Vec<Record> {
    let quiet = |record: &Record| match record {
        Record::Grant { expected, grant, mac, .. } => {
            Record::Grant { expected: *expected, grant: grant.clone(), mac: *mac, events: Vec::new() }
        }
        other => other.clone(),
    };
    records.iter().map(quiet).collect()
}

fn with_events_twice(records: &[Record]) -> Vec<Record> {
    let events = records.iter().filter_map(|record| match record {
        Record::Grant { events, .. } => Some(events.iter().cloned().map(Record::Event)),
        _ => None,
    });
    records.iter().cloned().chain(events.flatten()).collect()
}
