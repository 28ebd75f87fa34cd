//! What a run has shown.

use std::fmt;

use serde_json::{Value, json};

use super::{Broken, Coverage, History, Options};

/// All histories of a run, added up.
#[derive(Clone, Debug)]
pub struct Report {
    options: Options,
    /// Histories.
    pub seeds: u64,
    /// What happened how often.
    pub coverage: Coverage,
    /// The first law that was broken.
    pub broken: Option<Broken>,
}

impl Report {
    pub(super) fn of(options: &Options) -> Self {
        Self { options: *options, seeds: 0, coverage: Coverage::default(), broken: None }
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(super) fn add(&mut self, history: History) {
        self.seeds += 1;
        self.coverage.add(&history.coverage);
        let earlier = self.broken.as_ref().map(|broken| broken.seed);
        if earlier.is_none_or(|earlier| earlier > history.seed) {
            self.broken = history.broken.or(self.broken.take());
        }
    }

    /// What the histories behind these have shown.
    pub(super) fn take(&mut self, next: Self) {
        self.seeds += next.seeds;
        self.coverage.add(&next.coverage);
        self.broken = self.broken.take().or(next.broken);
    }

    /// Whether no law was broken.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.broken.is_none()
    }

    /// The command that replays what went wrong.
    #[must_use]
    pub fn replay(&self) -> Option<String> {
        let broken = self.broken.as_ref()?;
        let mutant = self.options.mutant.and_then(|mutant| clap::ValueEnum::to_possible_value(&mutant));
        let mutant = mutant.map_or_else(String::new, |word| format!(" --mutant {}", word.get_name()));
        let (seed, steps, every) = (broken.seed, self.options.steps, self.options.file_every);
        Some(format!(
            "cargo run --profile proof -p sim -- simulate --from {seed} --seeds 1 --steps {steps} --file-every {every}{mutant} --tell"
        ))
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let coverage: serde_json::Map<String, Value> =
            self.coverage.all().map(|(name, count)| (name.to_owned(), json!(count))).collect();
        let broken = self.broken.as_ref().map(|broken| {
            json!({"seed": broken.seed, "step": broken.step, "law": broken.law.to_string(), "what": broken.what})
        });
        json!({
            "from": self.options.from,
            "seeds": self.seeds,
            "steps": self.seeds * self.options.steps,
            "coverage": coverage,
            "missing": self.coverage.missing(),
            "broken": broken,
            "replay": self.replay(),
            "holds": self.holds(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "histories                     {} of {} steps", self.seeds, self.options.steps)?;
        for (name, count) in self.coverage.all() {
            writeln!(f, "{name:<30}{count}")?;
        }
        let missing = self.coverage.missing();
        if !missing.is_empty() {
            writeln!(f, "never happened                {}", missing.join(", "))?;
        }
        match (&self.broken, self.replay()) {
            (Some(broken), Some(replay)) => {
                writeln!(f, "broken                        {broken}\nreplay it                     {replay}")
            }
            _ => writeln!(f, "broken                        nothing"),
        }
    }
}
