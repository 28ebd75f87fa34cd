//! Breadth first over all states, each visited once. States are told apart by 64-bit fingerprints: among ten million the
//! chance that any two share one is below 10^-5.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use super::Options;
use super::bench::Bench;
use super::laws::{self, Law};
use super::report::{Counters, Report, Violation};
use super::state::State;
use super::step::{Step, Told, World};

/// How often `progress` is told the number of states.
const TOLD_EVERY: u64 = 1 << 16;

/// Searches a world until a law is broken, nothing new is found, or there are `options.states` states. `progress` hears the
/// number of states now and then.
#[expect(clippy::disallowed_methods, reason = "how long it took is told to people and decides nothing")]
pub fn run(options: &Options, progress: &mut dyn FnMut(u64)) -> Report {
    let began = Instant::now();
    let mut bench = Bench::new(options.holder, options.fault, options.unproven);
    let (row, token) = if options.from_code { bench.with_code() } else { bench.redeemed() };
    let world = World { options, bench, counters: Counters::default() };
    let begin = State::begin(row, token);
    let mut search =
        Search { world, begin, known: HashSet::default(), ways: Vec::new(), depth: 0, transitions: 0, rides: 0 };
    let end = search.all(progress);
    Report {
        options: options.clone(),
        states: search.ways.len() as u64,
        transitions: search.transitions,
        depth: search.depth,
        is_complete: matches!(end, End::NothingNew),
        counters: search.world.counters,
        rides: u32::from(search.rides),
        violation: match end {
            End::Broken { law, from, step } => Some(Violation { law, trace: search.trace(from, step) }),
            End::NothingNew | End::Enough => None,
        },
        elapsed: began.elapsed(),
    }
}

enum End {
    NothingNew,
    Enough,
    Broken { law: Law, from: usize, step: Step },
}

/// How a state was first reached.
struct Way {
    from: usize,
    step: Step,
}

struct Search<'a> {
    world: World<'a>,
    begin: State,
    known: HashSet<u64, BuildHasherDefault<AsItIs>>,
    ways: Vec<Way>,
    depth: u32,
    transitions: u64,
    rides: u8,
}

impl Search<'_> {
    fn all(&mut self, progress: &mut dyn FnMut(u64)) -> End {
        let (mut level, mut steps, mut told) = (Vec::new(), Vec::new(), 0);
        let begin = self.begin;
        self.learn(begin, 0, Step::Pass(0), &mut level);
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for (state, number) in &level {
                self.world.steps(state, &mut steps);
                for step in &steps {
                    let broken = match self.world.after(state, *step) {
                        Err(law) => Some(law),
                        Ok(next) => self.learn(next, *number, *step, &mut next_level),
                    };
                    if let Some(law) = broken {
                        return End::Broken { law, from: *number, step: *step };
                    }
                    self.transitions += 1;
                }
                if self.ways.len() as u64 >= self.world.options.states {
                    return End::Enough;
                }
                if self.ways.len() as u64 / TOLD_EVERY > told {
                    told = self.ways.len() as u64 / TOLD_EVERY;
                    progress(self.ways.len() as u64);
                }
            }
            self.depth += u32::from(!next_level.is_empty());
            level = next_level;
        }
        End::NothingNew
    }

    /// Takes a state that was not known, and asks whether it may be.
    fn learn(&mut self, state: State, from: usize, step: Step, level: &mut Vec<(State, usize)>) -> Option<Law> {
        let bench = &mut self.world.bench;
        if !self.known.insert(state.fingerprint(|seed| bench.leads(seed, &state.row))) {
            return None;
        }
        level.push((state, self.ways.len()));
        self.ways.push(Way { from, step });
        self.rides = self.rides.max(state.rides);
        laws::of_state(&state, bench)
    }

    /// The history that leads to a state and the step that broke a law, told from the beginning.
    fn trace(&mut self, mut at: usize, last: Step) -> Vec<String> {
        let mut steps = vec![last];
        while at != 0 {
            let way = &self.ways[at];
            steps.push(way.step);
            at = way.from;
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

/// Fingerprints are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
