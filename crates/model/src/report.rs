//! What a search found, as a table for people.

use std::fmt;
use std::time::Duration;

use super::{Law, Options};

/// How often each thing happened, over all transitions. A count of zero would mean that the world was too small to tell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Codes redeemed.
    pub redemptions: u64,
    /// New generations.
    pub rotations: u64,
    /// The same successor again.
    pub retries: u64,
    /// 503: late.
    pub stragglers: u64,
    /// A spent token or code ended the grant.
    pub replays: u64,
    /// Refused: another client, or without its key.
    pub strangers: u64,
    /// Refused for any other reason.
    pub refusals: u64,
    /// Decided again, because the row had been written since it was loaded.
    pub stale: u64,
    /// Nothing was committed.
    pub crashes_before_commit: u64,
    /// Committed and never answered.
    pub crashes_after_commit: u64,
    /// Messages lost.
    pub losses: u64,
    /// Messages doubled.
    pub doubles: u64,
    /// Revocations by an operator.
    pub revocations: u64,
    /// Restores from an older copy.
    pub rollbacks: u64,
}

impl Counters {
    /// How many there are.
    pub(super) const COUNT: usize = 14;

    /// Those of [`Self::named`], in its order.
    pub(super) const fn of(counts: &[u64; Self::COUNT]) -> Self {
        let [redemptions, rotations, retries, stragglers, replays, strangers, refusals, ..] = *counts;
        let [.., stale, crashes_before_commit, crashes_after_commit, losses, doubles, revocations, rollbacks] = *counts;
        Self {
            redemptions,
            rotations,
            retries,
            stragglers,
            replays,
            strangers,
            refusals,
            stale,
            crashes_before_commit,
            crashes_after_commit,
            losses,
            doubles,
            revocations,
            rollbacks,
        }
    }

    /// Each with its name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); Self::COUNT] {
        [
            ("codes redeemed", self.redemptions),
            ("rotations", self.rotations),
            ("retries", self.retries),
            ("stragglers", self.stragglers),
            ("replays", self.replays),
            ("strangers refused", self.strangers),
            ("other refusals", self.refusals),
            ("stale, decided again", self.stale),
            ("crashes before the commit", self.crashes_before_commit),
            ("crashes after the commit", self.crashes_after_commit),
            ("messages lost", self.losses),
            ("messages doubled", self.doubles),
            ("revocations", self.revocations),
            ("restores from a copy", self.rollbacks),
        ]
    }
}

/// The result of one search.
#[derive(Clone, Debug)]
pub struct Report {
    /// The world.
    pub options: Options,
    /// Distinct states.
    pub states: u64,
    /// The chance that a state was not looked at because its fingerprint was another's, at most.
    pub missed: f64,
    /// Transitions between them.
    pub transitions: u64,
    /// The length of the longest shortest history.
    pub depth: u32,
    /// Whether there is no state beyond these.
    pub is_complete: bool,
    /// What happened.
    pub counters: Counters,
    /// How often a thief was answered unnoticed, at most, in one history.
    pub rides: u32,
    /// The first law found broken.
    pub violation: Option<Violation>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A broken law with the shortest history that leads to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// What happened, step by step.
    pub trace: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let thief = if options.thief { "a thief" } else { "no thief" };
        write!(f, "{:?}, {} worker(s), {thief}, {} generations", options.holder, options.workers, options.generations)?;
        match options.fault {
            Some(fault) => writeln!(f, ", planted fault {fault:?}")?,
            None => writeln!(f)?,
        }
        let end = if self.is_complete { "all there are" } else { "stopped there" };
        let (seconds, depth) = (self.elapsed.as_secs_f64(), self.depth);
        writeln!(
            f,
            "  {:<26} {:>12}  {end}, at most {depth} steps deep, in {seconds:.1} s",
            "distinct states", self.states
        )?;
        writeln!(f, "  {:<26} {:>12.1e}  at most", "chance of one missed", self.missed)?;
        writeln!(f, "  {:<26} {:>12}", "transitions", self.transitions)?;
        for (name, count) in self.counters.named() {
            writeln!(f, "  {name:<26} {count:>12}")?;
        }
        writeln!(f, "  {:<26} {:>12}", "unnoticed rides of a thief", self.rides)?;
        match &self.violation {
            None => writeln!(f, "  no law was broken"),
            Some(violation) => violation.fmt(f),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  BROKEN {}", self.law)?;
        for (number, step) in self.trace.iter().enumerate() {
            writeln!(f, "  {:>4}. {step}", number + 1)?;
        }
        Ok(())
    }
}
