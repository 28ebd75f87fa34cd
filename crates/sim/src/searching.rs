//! `sim model`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use model::{Holder, Options, Pace, Report, Search};
use regrant_server::Clock;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::show;

/// A search with a file is put aside so often by itself.
const SAVED_EVERY_SECONDS: u64 = 600;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Stop after this many states of each world.
    #[arg(long, default_value_t = 1_000_000)]
    states: u64,
    /// How large the worlds are.
    #[arg(long, value_enum, default_value = "moderate")]
    world: World,
    /// Only the world of this kind of client.
    #[arg(long, value_enum)]
    holder: Option<Kind>,
    /// Put the search aside in this file, one for each kind of client: on SIGTERM, on Ctrl-C and every ten minutes. The next run of the same
    /// program goes on from there.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum World {
    /// Searched to its end in seconds.
    Small,
    /// With everything in it but restores.
    Moderate,
    /// More of everything: nobody has seen its end.
    Large,
}

/// Who the honest client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    /// It proves a key.
    Key,
    /// It has a secret.
    Secret,
    /// It is public and sends an `Idempotency-Key`.
    IdempotencyKey,
    /// It has nothing but its token.
    Plain,
}

impl Kind {
    const fn holder(self) -> Holder {
        match self {
            Self::Key => Holder::Key,
            Self::Secret => Holder::Secret,
            Self::IdempotencyKey => Holder::IdempotencyKey,
            Self::Plain => Holder::Plain,
        }
    }
}

/// Searches the worlds, and says whether no law was broken.
pub(crate) async fn search(arguments: &Arguments, json: bool) -> bool {
    let is_over = Arc::new(AtomicBool::new(false));
    if arguments.checkpoint.is_some() {
        let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }
    tokio::task::block_in_place(|| all(arguments, &is_over, json))
}

fn all(arguments: &Arguments, is_over: &AtomicBool, json: bool) -> bool {
    let mut worlds = Vec::new();
    for holder in Holder::ALL.into_iter().filter(|holder| arguments.holder.is_none_or(|kind| kind.holder() == *holder))
    {
        let world = match arguments.world {
            World::Small => Options::small(holder),
            World::Moderate => Options::new(holder),
            World::Large => Options::large(holder),
        };
        let options = Options { states: arguments.states, ..world };
        let file = arguments.checkpoint.as_ref().map(|file| with(file, &format!("{holder:?}")));
        let told = match file.as_deref().map(found) {
            Some(Some(told)) => told,
            _ => match one(&options, file.as_deref(), is_over) {
                Ok(Some(report)) => {
                    if !json {
                        println!("{report}");
                    }
                    keep(&report, file.as_deref())
                }
                Ok(None) => {
                    eprintln!("put aside; the same command goes on");
                    return false;
                }
                Err(error) => {
                    eprintln!("{}: {error}", file.unwrap_or_default().display());
                    return false;
                }
            },
        };
        worlds.push(told);
    }
    let holds = worlds.iter().all(|world| world["violation"].is_null());
    if json {
        println!("{}", json!({"worlds": worlds, "holds": holds}));
    }
    holds
}

/// One world to its end, or until somebody says that it is over.
fn one(options: &Options, file: Option<&Path>, is_over: &AtomicBool) -> std::io::Result<Option<Report>> {
    let program = model::program()?;
    let mut search = match file.filter(|file| file.exists()) {
        Some(file) => Search::load(options, file, &program)?,
        None => Search::begin(options),
    };
    let (clock, before) = (Clock::system(), search.states());
    let began = clock.ran();
    let mut saved = began;
    loop {
        let report = search.go(&mut |states| {
            let now = clock.ran();
            let spent = now.saturating_sub(began).as_secs_f64();
            let left = spent / (states - before).max(1) as f64 * options.states.saturating_sub(states) as f64;
            let bar = "#".repeat((30 * states / options.states.max(states).max(1)) as usize);
            let (holder, all) = (options.holder, options.states);
            show(&format!("[{bar:<30}] {holder:?}: {states} of at most {all} states, {left:.0} s left"));
            let is_due = file.is_some() && now.saturating_sub(saved).as_secs() >= SAVED_EVERY_SECONDS;
            if is_due || is_over.load(Ordering::SeqCst) { Pace::Pause } else { Pace::On }
        });
        show("");
        if report.is_some() {
            return Ok(report);
        }
        if let Some(file) = file {
            search.save(file, &program)?;
            saved = clock.ran();
        }
        if is_over.load(Ordering::SeqCst) {
            return Ok(None);
        }
    }
}

/// What an earlier run has come to the end of.
fn found(file: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(with(file, "json")).ok()?).ok()
}

/// The result, kept in place of the search.
fn keep(report: &Report, file: Option<&Path>) -> Value {
    let counters: serde_json::Map<_, _> =
        report.counters.named().into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    let holder = format!("{:?}", report.options.holder);
    let broken = report.violation.as_ref().map(ToString::to_string);
    let told = json!({"holder": holder, "states": report.states, "missed": report.missed, "transitions": report.transitions,
        "depth": report.depth, "complete": report.is_complete, "seconds": report.elapsed.as_secs_f64(), "counters": counters,
        "rides": report.rides, "violation": broken});
    if let Some(file) = file {
        std::fs::write(with(file, "json"), told.to_string()).expect("the result is kept");
        let _ = std::fs::remove_file(file);
    }
    told
}

fn with(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
