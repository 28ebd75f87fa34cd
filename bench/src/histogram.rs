//! Latencies, counted in buckets that grow with what they hold, as HdrHistogram's do: 64 to each power of two, so that a
//! percentile is told within 1.6 %, from a nanosecond to hours, in constant memory and without a sort.

use std::time::Duration;

/// Buckets of one power of two, as a power of two.
const FINENESS: u32 = 6;
const PER_POWER: usize = 1 << FINENESS;
/// Up to 2^42 ns, which is 73 minutes.
const BUCKETS: usize = (42 - FINENESS as usize + 1) * PER_POWER;

/// How often each latency was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
            self.count += 1;
        }
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    /// The latency in milliseconds that this share of all did not exceed; 0 of nothing.
    #[must_use]
    pub fn millis(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle(index) / 1e6;
            }
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2().saturating_sub(FINENESS);
    // Below two powers of the fineness every number has its own bucket; above, `power` of its low bits are dropped.
    let index = (power as usize) * PER_POWER + (nanos >> power) as usize;
    index.min(BUCKETS - 1)
}

fn middle(index: usize) -> f64 {
    let power = (index / PER_POWER).saturating_sub(1);
    let low = (index - power * PER_POWER) as f64;
    (low + 0.5) * (1_u64 << power) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_told_within_two_percent() {
        for nanos in [1_000, 65_537, 1_234_567, 89_000_000, 3_600_000_000_000_u64] {
            let mut seen = Histogram::default();
            seen.record(Duration::from_nanos(nanos));
            let told = seen.millis(0.5) * 1e6;
            assert!((told / nanos as f64 - 1.0).abs() < 0.02, "{nanos} was told as {told}");
        }
    }

    #[test]
    fn percentiles_stand_where_sorting_would_put_them() {
        let mut seen = Histogram::default();
        (1..=1000).for_each(|micros| seen.record(Duration::from_micros(micros)));
        for (share, millis) in [(0.5, 0.5), (0.99, 0.99), (0.999, 0.999), (1.0, 1.0)] {
            assert!((seen.millis(share) / millis - 1.0).abs() < 0.02, "{share}: {}", seen.millis(share));
        }
    }

    #[test]
    fn buckets_are_in_order_and_none_is_left_out() {
        let mut last = 0;
        for nanos in 0..1_000_000 {
            let now = bucket(nanos);
            assert!(now == last || now == last + 1, "{nanos} is in {now}, the one before in {last}");
            last = now;
        }
    }
}
