//! `sim power`.

use clap::Args;
use regrant_server::Clock;
use sim::power::{self, Options, Report};
use sim::process::{Scratch, fresh_seed};

use crate::seeds::print_it;
use crate::{Waits, Way, show};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How often it fails under load.
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    /// How often it fails while a server makes its store or a user.
    #[arg(long, default_value_t = 40)]
    births: u64,
    /// How many clients refresh at the same time.
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// Where the chance comes from; a fresh one is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How the store writes.
    #[arg(long, value_enum, default_value = "turns")]
    writes: Way,
    /// `off` must fail: it shows that the check bites.
    #[arg(long, value_enum, default_value = "full")]
    synchronous: Waits,
}

/// Runs it, and says whether it held.
pub(crate) async fn cut(arguments: &Arguments, json: bool) -> bool {
    let scratch = Scratch::new("power");
    if let Err(why) = power::can_mount(scratch.path()) {
        eprintln!("no file system can be mounted here: {why}");
        return false;
    }
    let careless =
        (arguments.synchronous == Waits::Off).then(|| std::env::current_exe().expect("this program has a path"));
    let options = Options {
        births: arguments.births,
        cycles: arguments.cycles,
        clients: arguments.clients,
        seed: arguments.seed.unwrap_or_else(fresh_seed),
        writes: arguments.writes.in_turn(),
        careless,
    };
    if !json {
        println!("seed {}", options.seed);
    }
    let (clock, all) = (Clock::system(), options.births + options.cycles);
    let began = clock.ran();
    let mut progress = |now: &Report| {
        let done = now.births + now.kill.cycles;
        let spent = clock.ran().saturating_sub(began).as_secs_f64();
        let left = spent / done.max(1) as f64 * all.saturating_sub(done) as f64;
        let bar = "#".repeat((30 * done / all.max(1)) as usize);
        let (told, torn) = (now.kill.acknowledged, now.counts.torn);
        show(&format!(
            "[{bar:<30}] cut {done} of {all}, {told} rotations acknowledged, {torn} writes torn, {left:.0} s left"
        ));
    };
    let report = power::run(&options, scratch.path(), &mut progress).await;
    show("");
    match report {
        Ok(report) => {
            print_it(&report, &report.json(), json);
            report.holds()
        }
        Err(error) => {
            eprintln!("the disk cannot be mounted: {error}");
            false
        }
    }
}
