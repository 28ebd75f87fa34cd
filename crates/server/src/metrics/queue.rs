//! How much waits: for the writer, and for a password to be verified.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::histogram::Histogram;

/// The jobs before the one writer.
#[derive(Clone, Debug)]
pub(crate) struct WriterQueue {
    waiting: Gauge,
    refused: Counter,
    batches: Histogram,
}

impl Default for WriterQueue {
    fn default() -> Self {
        Self { waiting: Gauge::default(), refused: Counter::default(), batches: Histogram::batch() }
    }
}

impl WriterQueue {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("writer_queue_jobs", "Jobs that wait for the writer", self.waiting.clone());
        let help = "Jobs that were turned away because the queue was full";
        registry.register("writer_queue_refused_jobs", help, self.refused.clone());
        registry.register("batch_jobs", "Jobs in a batch of the writer", self.batches.clone());
    }

    /// A job was sent.
    pub(crate) fn sent(&self) {
        self.waiting.inc();
    }

    /// A job found the queue full.
    pub(crate) fn refused(&self) {
        self.waiting.dec();
        self.refused.inc();
    }

    /// A batch was taken.
    pub(crate) fn taken(&self, jobs: usize) {
        self.waiting.dec_by(i64::try_from(jobs).unwrap_or(i64::MAX));
        self.batches.observe(jobs as u64);
    }
}

/// The passwords that wait for a thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct PasswordQueue {
    waiting: Gauge,
    refused: Counter,
}

/// A place in the queue, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct PasswordPlace(Gauge);

impl Drop for PasswordPlace {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl PasswordQueue {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Passwords that are verified or wait for it";
        registry.register("password_queue_jobs", help, self.waiting.clone());
        let help = "Passwords that were turned away because the queue was full";
        registry.register("password_queue_refused_jobs", help, self.refused.clone());
    }

    /// A password waits, until the place is dropped.
    pub(crate) fn enter(&self) -> PasswordPlace {
        self.waiting.inc();
        PasswordPlace(self.waiting.clone())
    }

    /// A password found the queue full.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }
}
