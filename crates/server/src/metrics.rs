//! What is counted and measured, and how it is told to Prometheus.
//!
//! A registry belongs to its [`App`](crate::App): nothing is global to the process, for the server is a library, too. What a refresh
//! touches are atomic numbers. No label holds what a stranger can choose: endpoints and outcomes are words of our own, and clients
//! are registered ones, at most `metrics.clients` of them (check X7).

mod clients;
mod deliveries;
mod format;
mod histogram;
mod keys;
mod listener;
mod process;
mod queue;
mod repeated;
mod requests;
mod saved;
mod store;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use regrant_core::Timestamp;

use crate::app::App;
use crate::sweep::Swept;

pub use format::Format;
pub use listener::{Listening, MAX_CONNECTIONS, MetricsError, listen};

pub(crate) use queue::{PasswordPlace, PasswordQueue, WriterQueue};
pub(crate) use requests::{Rotation, Told, Verdict};
pub(crate) use store::Metered;

use clients::{Clients, Saved};
use deliveries::Deliveries;
use keys::KeyBook;
use process::Process;
use repeated::RepeatedValues;
use requests::Requests;
use store::StoreMeter;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All series of one server.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Requests,
    pub(crate) clients: Clients,
    pub(crate) store: StoreMeter,
    pub(crate) keys: KeyBook,
    pub(crate) writer: WriterQueue,
    pub(crate) passwords: PasswordQueue,
    pub(crate) deliveries: Deliveries,
    pub(crate) repeated: RepeatedValues,
    sweep: Sweep,
    process: Process,
    started_at: Timestamp,
    uptime: Gauge,
    key_ages: Family<Labels<2>, Gauge>,
    /// One scrape at a time sets the gauges that are read when asked for.
    scrape: Mutex<()>,
}

#[derive(Default)]
struct Sweep {
    passes: Counter,
    failures: Counter,
    removed: Family<Labels<1>, Counter>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// All series at nothing. `most_clients` is how many clients get a label of their own.
    pub(crate) fn new(most_clients: usize, started_at: Timestamp) -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("regrant");
        let requests = Requests::new(own);
        let clients = Clients::new(own, most_clients);
        let store = StoreMeter::new(own);
        let (writer, passwords) = (WriterQueue::default(), PasswordQueue::default());
        writer.register(own);
        passwords.register(own);
        let deliveries = Deliveries::default();
        deliveries.register(own);
        let repeated = RepeatedValues::default();
        repeated.register(own);
        let sweep = Sweep::default();
        own.register("sweep_passes", "Passes of the background sweep that were finished", sweep.passes.clone());
        own.register("sweep_failures", "Passes that the store interrupted", sweep.failures.clone());
        own.register("sweep_removed", "What the sweep removed, by what it was", sweep.removed.clone());
        let (uptime, key_ages) = (Gauge::default(), Family::default());
        own.register_with_unit("uptime", "Since this server was opened", Unit::Seconds, uptime.clone());
        let help = "Age of the oldest key of this kind and status";
        own.register_with_unit("key_age", help, Unit::Seconds, Family::clone(&key_ages));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The program that runs", build);
        let process = Process::new(registry.sub_registry_with_prefix("process"));
        let scrape = Mutex::new(());
        let keys = KeyBook::default();
        Self {
            registry,
            requests,
            clients,
            store,
            keys,
            writer,
            passwords,
            deliveries,
            repeated,
            sweep,
            process,
            started_at,
            uptime,
            key_ages,
            scrape,
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, told: &Told<'_>) {
        let saved = if self.requests.count(told) { Saved::Counted } else { Saved::Nothing };
        if let Some(client) = told.client {
            self.clients.count(client, told.verdict, told.outcome, saved);
        }
    }

    /// What a pass of the sweep did; `None` if it was interrupted.
    pub(crate) fn swept(&self, swept: Option<&Swept>) {
        let Some(swept) = swept else {
            self.sweep.failures.inc();
            return;
        };
        self.sweep.passes.inc();
        for (what, count) in [
            ("ratchet", swept.ratchets),
            ("grant", swept.grants),
            ("seed_key", swept.seed_keys),
            ("revocation", swept.epochs),
        ] {
            self.sweep.removed.get_or_create(&[("what", what)]).inc_by(count);
        }
    }

    fn text(&self, now: Timestamp, ages: &[keys::KeyAge], format: Format) -> String {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.uptime.set(seconds(now.since(self.started_at)));
        self.key_ages.clear();
        for age in ages {
            let gauge = self.key_ages.get_or_create_owned(&[("kind", age.kind), ("status", age.status)]);
            gauge.set(gauge.get().max(seconds(age.age)));
        }
        self.deliveries.age(now);
        self.process.read();
        format::write(&self.registry, format)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl App {
    /// All series in Prometheus' text format: for programs that mount the router and serve them themselves.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics_as(Format::Prometheus)
    }

    /// The same in either format.
    #[must_use]
    pub fn metrics_as(&self, format: Format) -> String {
        self.metrics.text(self.engine.now(), &keys::ages(self), format)
    }
}
