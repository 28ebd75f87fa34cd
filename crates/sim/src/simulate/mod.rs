//! The simulator: a whole deployment in one thread, on virtual time, from a seed.
//!
//! The nodes are the server's own: its router, engine, core and store code, opened by [`App::open_stepped`](regrant_server::App). Around them:
//!
//! ```text
//! parties   honest clients of each class, with one worker or two; a thief; an operator
//! network   loses, doubles, delays and reorders requests and answers; cuts nodes off
//! clocks    one for each node: they run, stand, jump
//! disk      one database for all nodes, or SQLite on a file whose power fails; commits that fail, that nobody hears of, under which
//!           the process ends, or between whose look and write another node writes
//! ```
//!
//! Each step, dice choose what happens. After each, the [`laws`] are looked at: Hist1 to Hist10. A seed is a history: the same seed, the
//! same program, the same history. Planted faults ([`Mutant`]) show that the laws bite.

mod acts;
mod coverage;
mod disk;
pub mod failpoints;
mod judge;
mod laws;
mod network;
mod node;
pub mod orders;
mod parties;
mod points;
mod report;
mod saved;
mod template;
mod torn;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

pub use coverage::{Coverage, FAULTS};
pub use laws::{Broken, Law};
pub use report::Report;
pub use saved::{run_in, saved_in};
use template::Template;
use world::World;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many steps each.
    pub steps: u64,
    /// How many at the same time.
    pub threads: usize,
    /// Every so many seeds, one runs on a SQLite file; 0 for none.
    pub file_every: u64,
    /// What is wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { from: 0, seeds: 5_000, steps: 1_000, threads, file_every: 20, mutant: None }
    }
}

/// A planted fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mutant {
    /// Rows are written without comparing: the naive read-then-write.
    NeverCompares,
    /// COMMIT is answered before the device has it: what was last answered is gone when the power goes.
    AnswersBeforeTheDevice,
    /// Of a commit under which the process ends, the rows are there, and what they tell of is not.
    WritesHalfACommit,
    /// Decisions are made on rows of some commits ago: a replica that lags.
    LagsBehind,
    /// After a power cut one row is what it was some commits before.
    BringsAnOldRowBack,
    /// A commit is refused for want of space, and was made.
    WritesAndSaysItDidNot,
    /// Events are not kept.
    TellsNothing,
    /// Events are kept twice.
    TellsTwice,
    /// A proxy repeats the answer that a token once got.
    RepeatsAnswers,
    /// Whoever presents a token is taken for its client.
    LetsAnybodyIn,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NeverCompares,
        Self::AnswersBeforeTheDevice,
        Self::WritesHalfACommit,
        Self::LagsBehind,
        Self::BringsAnOldRowBack,
        Self::WritesAndSaysItDidNot,
        Self::TellsNothing,
        Self::TellsTwice,
        Self::RepeatsAnswers,
        Self::LetsAnybodyIn,
    ];

    const fn lives_in_the_past(self) -> bool {
        matches!(self, Self::AnswersBeforeTheDevice | Self::LagsBehind | Self::BringsAnOldRowBack)
    }
}

/// One history.
#[derive(Clone, Debug)]
pub struct History {
    /// Its seed.
    pub seed: u64,
    /// Two equal histories have the same.
    pub digest: u64,
    /// What happened how often.
    pub coverage: Coverage,
    /// The law that it broke.
    pub broken: Option<Broken>,
}

/// Runs one seed. `tell` hears each step in words.
#[must_use]
pub fn one(template: &Place, seed: u64, options: &Options, tell: &mut dyn FnMut(&str)) -> History {
    let on_file = options.file_every > 0 && seed % options.file_every == options.file_every - 1;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(&template.0, seed, on_file, options.mutant, tell);
        world.run(options.steps);
        world.history()
    }));
    ran.unwrap_or_else(|panic| {
        let word = panic.downcast_ref::<String>().cloned();
        let word = word.or_else(|| panic.downcast_ref::<&str>().map(|word| (*word).to_owned())).unwrap_or_default();
        let broken = Broken { seed, step: 0, law: Law::NoPanic, what: word };
        History { seed, digest: 0, coverage: Coverage::default(), broken: Some(broken) }
    })
}

/// What all seeds begin with: a deployment with its keys and users.
pub struct Place(Template);

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl Place {
    /// Makes one.
    #[must_use]
    pub fn make() -> Self {
        Self(Template::make())
    }
}

/// Runs all seeds, and stops at the first broken law. `progress` hears how many are done.
pub fn run(options: &Options, progress: &(dyn Fn(u64) + Sync)) -> Report {
    at(&Place::make(), options, progress)
}

fn at(place: &Place, options: &Options, progress: &(dyn Fn(u64) + Sync)) -> Report {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let all = Mutex::new(Report::of(options));
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let is_over = all.lock().unwrap_or_else(PoisonError::into_inner).is_broken();
                    if number >= options.seeds || is_over {
                        return;
                    }
                    let history = one(place, options.from + number, options, &mut |_| {});
                    all.lock().unwrap_or_else(PoisonError::into_inner).add(history);
                    progress(done.fetch_add(1, Ordering::SeqCst) + 1);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
