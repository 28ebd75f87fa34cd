//! What came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::TOLD;

/// Memory may grow by this much over the last nine tenths of the keys, in KiB: what an allocator holds differs by more than a mebibyte
/// from one minute to the next.
const GROWTH: u64 = 8 * 1024;

/// One endpoint.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its path.
    pub path: &'static str,
    /// How often each status was answered.
    pub answers: BTreeMap<u16, u64>,
    /// Requests at which the server hung up without a word.
    pub unanswered: u64,
    /// Answers that must not be, each with its request.
    pub broken: Vec<String>,
}

impl Row {
    pub(super) fn add(&mut self, other: Self) {
        for (status, count) in other.answers {
            *self.answers.entry(status).or_insert(0) += count;
        }
        self.unanswered += other.unanswered;
        self.broken.extend(other.broken);
        self.broken.truncate(TOLD);
    }

    pub(super) fn tell(&mut self, request: &[u8], why: &str) {
        if self.broken.len() < TOLD {
            self.broken.push(format!("{why}: {:?}", String::from_utf8_lossy(request)));
        }
    }

    fn requests(&self) -> u64 {
        self.answers.values().sum::<u64>() + self.unanswered
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Where the chance came from.
    pub seed: u64,
    /// Each endpoint.
    pub rows: Vec<Row>,
    /// The slowest hundredth of honest refreshes took longer than this: alone, and beside a few who send malformed requests.
    pub p99: [Duration; 2],
    /// Honest refreshes beside the worst of it, all answered with 200.
    pub honest: u64,
    /// Panics.
    pub panics: u64,
    /// Keys that were each used once.
    pub keys: Row,
    /// Resident memory in KiB after a tenth of them, and after all.
    pub resident: [u64; 2],
}

impl Report {
    /// Whether no answer was wrong, nothing panicked, and nothing grew.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.broken().is_empty() && self.panics == 0 && self.resident[1] < self.resident[0] + GROWTH
    }

    /// The same, and the slowest of a hundred honest refreshes took less than twice as long. On a quiet machine.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_safe() && self.p99[1] < self.p99[0] * 2
    }

    /// Answers that must not be.
    #[must_use]
    pub fn broken(&self) -> Vec<&str> {
        self.rows.iter().chain([&self.keys]).flat_map(|row| &row.broken).map(String::as_str).collect()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| json!({"endpoint": row.path, "answers": row.answers, "hung_up": row.unanswered}))
            .collect();
        json!({"seed": self.seed, "endpoints": rows, "requests": self.rows.iter().map(Row::requests).sum::<u64>(),
            "broken": self.broken(), "panics": self.panics, "honest": self.honest,
            "p99_us": self.p99.map(|time| time.as_micros() as u64), "distinct_keys": self.keys.requests(),
            "resident_kib": self.resident, "holds": self.holds()})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:42} {:>10} {:>10} {:>10} {:>8} {:>8}",
            "endpoint", "requests", "2xx, 3xx", "4xx", "503", "hung up"
        )?;
        for row in self.rows.iter().chain([&self.keys]) {
            let of = |from: u16, to: u16| row.answers.range(from..to).map(|(_, count)| count).sum::<u64>();
            let name = if row.path.is_empty() { "keys that nobody used before" } else { row.path };
            let (good, bad, later) = (of(0, 400), of(400, 500), of(500, 600));
            writeln!(f, "{name:42} {:>10} {good:>10} {bad:>10} {later:>8} {:>8}", row.requests(), row.unanswered)?;
        }
        writeln!(f, "answers that must not be   {}", self.broken().len())?;
        for one in self.broken().iter().take(TOLD) {
            writeln!(f, "  {one}")?;
        }
        writeln!(f, "panics                     {}", self.panics)?;
        writeln!(f, "honest refreshes           {}, all of them answered with tokens", self.honest)?;
        writeln!(
            f,
            "their p99                  {:?} alone, {:?} beside a few who send such requests",
            self.p99[0], self.p99[1]
        )?;
        writeln!(
            f,
            "resident memory            {} KiB after a tenth of the keys, {} KiB after all",
            self.resident[0], self.resident[1]
        )?;
        writeln!(f, "seed                       {}", self.seed)
    }
}
