//! Breadth first over all states, each visited once. States are told apart by 64-bit fingerprints ([`super::known`]); those that wait are
//! packed ([`super::packed`]); of each one is kept from which it was reached and how, in five bytes, so that a broken law has its history.

use std::time::{Duration, Instant};

use super::bench::Bench;
use super::known::Known;
use super::laws::{self, Law};
use super::packed::Queue;
use super::report::{Counters, Report, Violation};
use super::state::State;
use super::step::{Step, Told, World};
use super::{Options, Pace};

/// How often `progress` is told the number of states.
const TOLD_EVERY: u64 = 1 << 16;

/// Searches a world until a law is broken, nothing new is found, or there are `options.states` states. `progress` hears the
/// number of states now and then.
pub fn run(options: &Options, progress: &mut dyn FnMut(u64)) -> Report {
    let mut search = Search::begin(options);
    loop {
        let report = search.go(&mut |states| {
            progress(states);
            Pace::On
        });
        if let Some(report) = report {
            return report;
        }
    }
}

/// A search that can be put aside and taken up again.
pub struct Search<'a> {
    pub(super) world: World<'a>,
    pub(super) begin: State,
    pub(super) known: Known,
    pub(super) waiting: Queue,
    pub(super) ways: Ways,
    /// The number of the first that waits.
    pub(super) at: u64,
    /// The number at which the next level begins.
    pub(super) level_end: u64,
    pub(super) depth: u32,
    pub(super) transitions: u64,
    pub(super) rides: u8,
    /// What earlier runs took.
    pub(super) spent: Duration,
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("states", &self.states()).finish_non_exhaustive()
    }
}

/// How each state was first reached: from which, and by what step.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) from: Vec<u32>,
    pub(super) steps: Vec<u8>,
}

impl Ways {
    fn push(&mut self, from: u64, step: Step) {
        // A search stops at `options.states`, which is below 2^32.
        self.from.push(from as u32);
        self.steps.push(step.code());
    }
}

enum End {
    NothingNew,
    Enough,
    Broken { law: Law, from: u64, step: Step },
}

impl<'a> Search<'a> {
    /// A search from the first state.
    #[must_use]
    pub fn begin(options: &'a Options) -> Self {
        let mut search = Self::empty(options);
        let begin = search.begin;
        // The first state breaks no law: it is a fresh grant.
        search.learn(begin, 0, Step::Pass(options.tick));
        search.level_end = 1;
        search
    }

    /// One that has seen nothing, not even the first state.
    pub(super) fn empty(options: &'a Options) -> Self {
        let mut bench = Bench::new(options.holder, options.fault, options.unproven);
        let (row, token) = if options.from_code { bench.with_code() } else { bench.redeemed() };
        Self {
            world: World { options, bench, counters: Counters::default() },
            begin: State::begin(row, token),
            known: Known::default(),
            waiting: Queue::default(),
            ways: Ways::default(),
            at: 0,
            level_end: 0,
            depth: 0,
            transitions: 0,
            rides: 0,
            spent: Duration::ZERO,
        }
    }

    /// Distinct states so far.
    #[must_use]
    pub const fn states(&self) -> u64 {
        self.known.count()
    }

    /// Goes on to the end, or until `progress` says to pause: `None` then.
    #[expect(clippy::disallowed_methods, reason = "how long it took is told to people and decides nothing")]
    pub fn go(&mut self, progress: &mut dyn FnMut(u64) -> Pace) -> Option<Report> {
        let began = Instant::now();
        let end = self.all(progress);
        self.spent += began.elapsed();
        end.map(|end| self.report(&end))
    }

    fn report(&mut self, end: &End) -> Report {
        Report {
            options: self.world.options.clone(),
            states: self.states(),
            missed: super::known::missed(self.states()),
            transitions: self.transitions,
            depth: self.depth,
            is_complete: matches!(end, End::NothingNew),
            counters: self.world.counters,
            rides: u32::from(self.rides),
            violation: match end {
                End::Broken { law, from, step } => Some(Violation { law: *law, trace: self.trace(*from, *step) }),
                End::NothingNew | End::Enough => None,
            },
            elapsed: self.spent,
        }
    }

    fn all(&mut self, progress: &mut dyn FnMut(u64) -> Pace) -> Option<End> {
        let (mut steps, mut told) = (Vec::new(), self.states() / TOLD_EVERY);
        loop {
            if self.states() >= self.world.options.states.min(u64::from(u32::MAX)) {
                return Some(End::Enough);
            }
            let Some(state) = self.waiting.pop() else {
                return Some(End::NothingNew);
            };
            let number = self.at;
            if number == self.level_end {
                self.depth += 1;
                self.level_end = self.states();
            }
            self.world.steps(&state, &mut steps);
            for step in &steps {
                let broken = match self.world.after(&state, *step) {
                    Err(law) => Some(law),
                    Ok(next) => self.learn(next, number, *step),
                };
                if let Some(law) = broken {
                    return Some(End::Broken { law, from: number, step: *step });
                }
                self.transitions += 1;
            }
            self.at += 1;
            if self.states() / TOLD_EVERY > told {
                told = self.states() / TOLD_EVERY;
                if progress(self.states()) == Pace::Pause {
                    return None;
                }
            }
        }
    }

    /// Takes a state that was not known, and asks whether it may be.
    fn learn(&mut self, state: State, from: u64, step: Step) -> Option<Law> {
        let bench = &mut self.world.bench;
        if !self.known.insert(state.fingerprint(|seed| bench.leads(seed, &state.row))) {
            return None;
        }
        self.waiting.push(&state);
        self.ways.push(from, step);
        self.rides = self.rides.max(state.rides);
        laws::of_state(&state, bench)
    }

    /// The history that leads to a state and the step that broke a law, told from the beginning.
    fn trace(&mut self, mut at: u64, last: Step) -> Vec<String> {
        let mut steps = vec![last];
        while at != 0 {
            let place = at as usize;
            steps.extend(Step::of_code(self.ways.steps[place], self.world.options.tick));
            at = u64::from(self.ways.from[place]);
        }
        let mut state = self.begin;
        let mut told = Vec::new();
        for step in steps.into_iter().rev() {
            told.push(Told(step, &state).to_string());
            // The last step is the one that breaks a law: nothing comes after it.
            let Ok(next) = self.world.after(&state, step) else {
                break;
            };
            state = next;
        }
        told
    }
}
