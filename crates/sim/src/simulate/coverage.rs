//! What happened how often, so that nobody has to believe that a fault was ever tried.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage(BTreeMap<Cow<'static, str>, u64>);

/// The faults that a run of some length must have met, each at least once.
pub const FAULTS: [&str; 27] = [
    "network: request lost",
    "network: answer lost",
    "network: request doubled",
    "network: answer doubled",
    "network: overtaken",
    "network: node cut off",
    "clock: back",
    "clock: ahead",
    "clock: implausible",
    "clock: skewed",
    "crash: between commits",
    "crash: before a commit",
    "crash: after a commit",
    "crash: file torn",
    "commit: refused",
    "commit: answer lost",
    "commit: question lost",
    "commit: device failed",
    "commit: raced by another node",
    "party: thief asks",
    "party: two workers",
    "party: operator revokes",
    "party: client revokes",
    "party: user disabled",
    "keys: rotated",
    "said: later (503)",
    "said: refused (400)",
];

impl Coverage {
    pub(super) fn count(&mut self, name: &'static str) {
        *self.0.entry(Cow::Borrowed(name)).or_default() += 1;
    }

    pub(super) fn set(&mut self, name: &'static str, count: u64) {
        self.0.insert(Cow::Borrowed(name), count);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    /// How often this happened.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All of it, in order of name.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_ref(), *count))
    }

    /// The faults that never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        FAULTS.into_iter().filter(|name| self.of(name) == 0).collect()
    }
}
