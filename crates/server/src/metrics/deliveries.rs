//! What is delivered of events, and how much waits. The names of recipients are words of the configuration, at most 17.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use regrant_core::Timestamp;

use super::seconds;

type Label = [(&'static str, String); 1];
type Labels = [(&'static str, String); 2];

/// Series of each recipient, and the position of the newest event.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    position: Gauge,
    sent: Family<Labels, Counter>,
    dead: Family<Label, Counter>,
    /// Of logouts, to clients: who they are is in the log, for anybody may be one.
    told: Family<Label, Counter>,
    unheard: Counter,
    waiting: Family<Label, Gauge>,
    oldest: Family<Label, Gauge>,
    /// When the oldest event happened that waits: its age is told at the scrape.
    since: Mutex<BTreeMap<String, Option<Timestamp>>>,
}

impl Deliveries {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Position of the newest event in the chain, after the first that this server wrote";
        registry.register("events_position", help, self.position.clone());
        let help = "Tries to deliver an event, by recipient and result";
        registry.register("webhook_deliveries", help, self.sent.clone());
        let help = "Events that were given up: regrant webhooks list";
        registry.register("webhook_dead_letters", help, self.dead.clone());
        let help = "Tries to tell a client of a logout, by result";
        registry.register("logout_deliveries", help, self.told.clone());
        let help = "Logouts that a client will not hear of any more: regrant webhooks logouts";
        registry.register("logouts_undelivered", help, self.unheard.clone());
        let help = "Positions between what was delivered and the newest event";
        registry.register("webhook_waiting_events", help, self.waiting.clone());
        let help = "Age of the oldest event that was not delivered";
        registry.register_with_unit("webhook_oldest_age", help, Unit::Seconds, self.oldest.clone());
    }

    pub(crate) fn position(&self, newest: u64) {
        self.position.set(i64::try_from(newest).unwrap_or(i64::MAX));
    }

    pub(crate) fn sent(&self, to: &str, is_delivered: bool, events: u64) {
        let result = if is_delivered { "ok" } else { "failed" };
        self.sent.get_or_create(&[("webhook", to.to_owned()), ("result", result.to_owned())]).inc_by(events);
    }

    pub(crate) fn died(&self, to: &str) {
        self.dead.get_or_create(&label(to)).inc();
    }

    pub(crate) fn told(&self, is_heard: bool) {
        let result = if is_heard { "ok" } else { "failed" };
        self.told.get_or_create(&[("result", result.to_owned())]).inc();
    }

    pub(crate) fn unheard(&self) {
        self.unheard.inc();
    }

    pub(crate) fn waiting(&self, to: &str, events: u64, oldest: Option<Timestamp>) {
        self.waiting.get_or_create(&label(to)).set(i64::try_from(events).unwrap_or(i64::MAX));
        self.since.lock().unwrap_or_else(PoisonError::into_inner).insert(to.to_owned(), oldest);
    }

    pub(crate) fn forget(&self, to: &str) {
        self.waiting.remove(&label(to));
        self.oldest.remove(&label(to));
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(to);
    }

    pub(super) fn age(&self, now: Timestamp) {
        for (to, oldest) in self.since.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.oldest.get_or_create(&label(to)).set(oldest.map_or(0, |oldest| seconds(now.since(oldest))));
        }
    }
}

fn label(to: &str) -> Label {
    [("webhook", to.to_owned())]
}
