//! A store that is measured: around the real one, which does all the work.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use regrant_core::grant::EndReason;
use regrant_core::{ChainKey, EventKind, GrantId, Timestamp};
use regrant_store::{Answer, Cause, Forged, Loaded, Outcome, Question, Record, Store, Unavailable};

use super::histogram::Histogram;
use super::{Labels, Metrics};
use crate::clock::Stopwatch;

/// What is told of the store.
#[derive(Debug)]
pub(crate) struct StoreMeter {
    commit: Histogram,
    errors: Family<Labels<1>, Counter>,
    stale: Counter,
    created: Counter,
    ended: Family<Labels<1>, Counter>,
    alarms: Counter,
}

impl StoreMeter {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let commit = Histogram::latency();
        let help = "Of one durable transaction, with its fsync";
        registry.register_with_unit("commit_duration", help, Unit::Seconds, commit.clone());
        let (errors, stale, created) = (Family::default(), Counter::default(), Counter::default());
        registry.register("store_errors", "What the store could not do, by cause", Family::clone(&errors));
        registry.register("stale_writes", "Writes that somebody else came before; decided again", stale.clone());
        registry.register("grants_created", "Grants that were made", created.clone());
        let ended = Family::default();
        for reason in EndReason::ALL {
            let _ = ended.get_or_create(&[("reason", reason.as_str())]);
        }
        registry.register("grants_ended", "Grants that were ended, by reason", Family::clone(&ended));
        let alarms = Counter::default();
        let help = "Tampered rows, tokens from the future and impossible generations: look at once";
        registry.register("alarms", help, alarms.clone());
        for cause in [Cause::Full, Cause::ReadOnly, Cause::Locked, Cause::Io, Cause::Unreachable, Cause::Damaged] {
            // Told as 0 before the first, so that an alert sees it rise.
            let _ = errors.get_or_create(&[("cause", word(cause))]);
        }
        Self { commit, errors, stale, created, ended, alarms }
    }

    fn heard<T>(&self, result: Result<T, Unavailable>) -> Result<T, Unavailable> {
        result.inspect_err(|trouble| {
            self.errors.get_or_create(&[("cause", word(trouble.cause))]).inc();
        })
    }

    fn committed(&self, record: &Record, outcome: Outcome) {
        if outcome == Outcome::Stale {
            self.stale.inc();
            return;
        }
        match record.bare() {
            Record::Grant { events, .. } => events.iter().for_each(|event| self.event(event.event.kind)),
            Record::Event(event) => self.event(event.event.kind),
            _ => {}
        }
    }

    fn event(&self, kind: EventKind) {
        match kind {
            EventKind::GrantCreated => self.created.inc(),
            EventKind::GrantEnded(reason) => self.ended.get_or_create(&[("reason", reason.as_str())]).inc(),
            EventKind::Alarm | EventKind::AlarmAt(_) | EventKind::Constant(_) => self.alarms.inc(),
            _ => 0,
        };
    }
}

fn tells(record: &Record) -> bool {
    match record.bare() {
        Record::Grant { events, .. } | Record::Keys { events, .. } => !events.is_empty(),
        Record::Event(_) => true,
        _ => false,
    }
}

const fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Full => "full",
        Cause::ReadOnly => "read_only",
        Cause::Locked => "locked",
        Cause::Io => "io",
        Cause::Device => "device",
        Cause::Unreachable => "unreachable",
        Cause::Unknown => "unknown",
        Cause::Clock => "clock",
        Cause::Unkept => "unkept",
        Cause::Damaged => "damaged",
    }
}

/// The real store, and what is told of it.
pub(crate) struct Metered {
    store: Box<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Metered {
    pub(crate) fn new(store: Box<dyn Store>, metrics: &Arc<Metrics>) -> Self {
        Self { store, metrics: Arc::clone(metrics) }
    }
}

impl Store for Metered {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        self.metrics.store.heard(self.store.load(ids))
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        let watch = Stopwatch::start();
        let outcomes = self.metrics.store.heard(self.store.commit(records, now))?;
        self.metrics.store.commit.took(watch.elapsed());
        for (record, outcome) in records.iter().zip(&outcomes) {
            self.metrics.store.committed(record, *outcome);
            self.metrics.keys.committed(record, *outcome);
        }
        if records.iter().any(tells)
            && let Ok(Answer::Chain(ends)) = self.store.ask(&Question::Chain)
        {
            self.metrics.deliveries.position(ends.newest.0);
        }
        Ok(outcomes)
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

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn is_in_doubt(&self) -> bool {
        self.store.is_in_doubt()
    }

    fn high_water(&self) -> Timestamp {
        self.store.high_water()
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        let answer = self.metrics.store.heard(self.store.ask(question))?;
        if let Answer::Keys(keys) = &answer {
            self.metrics.keys.read(keys);
        }
        Ok(answer)
    }
}
