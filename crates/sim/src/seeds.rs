//! Commands of the simulator.

use std::path::Path;

use sim::{evidence, simulate};

use crate::bar::Bar;
use crate::show;

pub(crate) fn print_it(report: &impl std::fmt::Display, told: &serde_json::Value, json: bool) {
    if json {
        println!("{told}");
    } else {
        print!("{report}");
    }
}

/// In a thread that belongs to no runtime: a server that finds one hands its answers to it, and who is first is chance.
pub(crate) fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}

pub(crate) fn simulate_all(options: &simulate::Options, checkpoint: Option<&Path>, tell: bool, json: bool) -> bool {
    if tell {
        let history =
            alone(|| simulate::one(&simulate::Place::make(), options.from, options, &mut |line| println!("{line}")));
        if let Some(broken) = &history.broken {
            println!("{broken}");
        }
        return history.broken.is_none();
    }
    let bar = Bar::begin_behind(checkpoint.map_or(0, simulate::saved_in));
    let progress = |done| bar.show("history", done, options.seeds);
    let ran = match checkpoint {
        Some(file) => simulate::run_in(options, file, &progress),
        None => Ok(simulate::run(options, &progress)),
    };
    show("");
    let report = match ran {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{}: {error}", checkpoint.unwrap_or(Path::new("")).display());
            return false;
        }
    };
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds() == options.mutant.is_none()
}

/// Each planted fault within a thousand seeds.
pub(crate) fn mutants(json: bool) -> bool {
    let mut most = 0;
    let mut missed = Vec::new();
    for mutant in simulate::Mutant::ALL {
        let options = simulate::Options { seeds: 1_000, file_every: 0, mutant: Some(mutant), ..Default::default() };
        let report = simulate::run(&options, &|_| {});
        if !json {
            println!(
                "{mutant:?}: {}",
                report.broken.as_ref().map_or_else(|| "not found".to_owned(), ToString::to_string)
            );
        }
        match &report.broken {
            Some(broken) => most = most.max(broken.seed + 1),
            None => missed.push(mutant),
        }
    }
    let planted = simulate::Mutant::ALL.len();
    if json {
        let found = planted - missed.len();
        println!("{}", serde_json::json!({"planted": planted, "found": found, "most_seeds": most}));
    }
    missed.is_empty()
}

/// The evidence page.
pub(crate) fn evidence(run: bool, names: &[String]) -> bool {
    // Read again before each writing: others may run other claims at the same time.
    let all = || evidence::shown().expect("docs/evidence.json can be read");
    let mut holds = true;
    for claim in evidence::CLAIMS {
        let is_wanted = names.is_empty() || names.iter().any(|name| name == claim.name);
        if !run || !is_wanted {
            continue;
        }
        println!("{}", claim.typed());
        let shown = evidence::run(&claim).expect("the command runs");
        println!("  {} s, {:?}", shown.seconds, shown.counts);
        holds &= shown.holds;
        let mut all = all();
        all.insert(claim.name.to_owned(), shown);
        evidence::write(&all).expect("the page is written");
    }
    evidence::write(&all()).expect("the page is written");
    holds
}
