//! A histogram of durations or sizes made of atomic numbers: what is measured on the way of a refresh takes no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The upper bounds of latencies, in microseconds: from a request that touches no disk to one that waits for a failing one.
pub(super) const LATENCY: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// The upper bounds of batches, in jobs.
pub(super) const BATCH: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Counts per bucket. A clone counts into the same.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: &'static [u64],
    /// What one of the unit is in the numbers that are counted: a million microseconds are one second.
    unit: f64,
    /// One for each bound, and one for what lies above them all.
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations, told in seconds.
    pub(super) fn latency() -> Self {
        Self::new(LATENCY, 1_000_000.0)
    }

    /// Of batches, told in jobs.
    pub(super) fn batch() -> Self {
        Self::new(BATCH, 1.0)
    }

    fn new(bounds: &'static [u64], unit: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, unit, buckets, sum: AtomicU64::new(0) }))
    }

    /// Counts a duration.
    pub(crate) fn took(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a size.
    pub(crate) fn observe(&self, value: u64) {
        let Inner { bounds, buckets, sum, .. } = &*self.0;
        let place = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    #[expect(clippy::cast_precision_loss, reason = "a sum beyond 2^53 microseconds may lose its last digit")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Inner { bounds, unit, buckets, sum } = &*self.0;
        let counts: Vec<u64> = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let upper = bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        let told: Vec<(f64, u64)> = upper.zip(counts.iter().copied()).collect();
        let sum = sum.load(Ordering::Relaxed) as f64 / unit;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &told, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}
