//! A store that is watched: each touch of it is a point, with a name, at which something can happen.

use std::sync::{Arc, Mutex, PoisonError};

use regrant_core::{ChainKey, GrantId, Timestamp};
use regrant_store::{Answer, Cause, Forged, Loaded, Memory, Outcome, Question, Record, Store, Unavailable};

use super::failpoints::Mode;

/// The store, watched.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Watched>>);

#[derive(Default)]
pub(super) struct Watched {
    pub(super) is_on: bool,
    pub(super) passed: Vec<String>,
    pub(super) plan: Option<(String, Mode)>,
    pub(super) has_come: bool,
    pub(super) is_down: bool,
    pub(super) stall: Option<Box<dyn FnOnce() + Send>>,
}

impl Watch {
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_come(&self) -> bool {
        self.with(|watched| watched.has_come)
    }

    /// A point is passed: what is to happen at it, if anything.
    pub(super) fn pass(&self, point: &str) -> Option<Mode> {
        let (mode, stall) = self.with(|watched| {
            if !watched.is_on {
                return (None, None);
            }
            let count = watched.passed.iter().filter(|known| known.starts_with(point)).count() + 1;
            let name = format!("{point} {count}");
            watched.passed.push(name.clone());
            let planned = watched.plan.take_if(|(planned, _)| *planned == name);
            let Some((_, mode)) = planned else { return (None, None) };
            watched.has_come = true;
            watched.is_down |= mode == Mode::Crash;
            (Some(mode), watched.stall.take().filter(|_| mode == Mode::Stall))
        });
        if let Some(stall) = stall {
            stall();
        }
        mode
    }
}

pub(super) struct Pointed {
    pub(super) store: Memory,
    pub(super) watch: Watch,
}

impl Pointed {
    fn at<T>(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut Memory) -> Result<T, Unavailable>,
        lost: Cause,
    ) -> Result<T, Unavailable> {
        let failed = |cause| Err(Unavailable { cause, detail: "a failpoint".to_owned() });
        match self.watch.pass(&format!("before {what}")) {
            Some(Mode::Crash) => return failed(Cause::Device),
            Some(Mode::Error) => return failed(Cause::Io),
            Some(Mode::Stall) | None => {}
        }
        let done = act(&mut self.store)?;
        match self.watch.pass(&format!("after {what}")) {
            Some(Mode::Crash) => failed(Cause::Device),
            Some(Mode::Error) => failed(lost),
            Some(Mode::Stall) | None => Ok(done),
        }
    }
}

impl Store for Pointed {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        self.at("load", |store| store.load(ids), Cause::Io)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.at("commit", |store| store.commit(records, now), Cause::Unknown)
    }

    fn high_water(&self) -> Timestamp {
        self.store.high_water()
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        self.at("ask", |store| store.ask(question), Cause::Io)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.store.chain_under(key)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.store.failure()
    }
}
