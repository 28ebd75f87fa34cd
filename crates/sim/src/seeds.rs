//! Commands of the simulator.

use regrant_server::Clock;
use sim::simulate;

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

pub(crate) fn simulate_all(options: &simulate::Options, tell: bool, json: bool) -> bool {
    if tell {
        let history =
            alone(|| simulate::one(&simulate::Place::make(), options.from, options, &mut |line| println!("{line}")));
        if let Some(broken) = &history.broken {
            println!("{broken}");
        }
        return history.broken.is_none();
    }
    let (clock, all) = (Clock::system(), options.seeds);
    let began = clock.ran();
    let report = simulate::run(options, &|done| {
        let spent = clock.ran().saturating_sub(began).as_secs_f64();
        let left = spent / done.max(1) as f64 * all.saturating_sub(done) as f64;
        let bar = "#".repeat((30 * done / all.max(1)) as usize);
        show(&format!("[{bar:<30}] history {done} of {all}, {left:.0} s left"));
    });
    show("");
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds() == options.mutant.is_none()
}
