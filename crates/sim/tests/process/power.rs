//! Power cuts under load, on a file system that forgets what nobody waited for (laws L1, L2, L3; security.md section 3.2).

use std::path::Path;

use regrant_store::Writes;
use sim::power::{Options, Report, can_mount, run};
use sim::process::{Scratch, fresh_seed, skip};

async fn cut(options: &Options) -> Option<Report> {
    let scratch = Scratch::new("power");
    if !Path::new("/dev/fuse").exists() {
        // A kernel without it: no package mends that, so CI has no say.
        println!("skipped: the power cuts: this kernel has no /dev/fuse");
        return None;
    }
    if let Err(why) = can_mount(scratch.path()) {
        skip("the power cuts", &format!("no file system can be mounted: {why}"));
        return None;
    }
    println!("seed {}", options.seed);
    let report = run(options, scratch.path(), &mut |_| {}).await.expect("the disk is mounted");
    println!("{report}");
    Some(report)
}

fn options(writes: &'static [Writes]) -> Options {
    Options { births: 4, cycles: 12, clients: 16, seed: fresh_seed(), writes, careless: None }
}

/// Check Z6, laws L1, L2, L3: whatever of what nobody waited for is there after a cut, or not, or in part: nothing acknowledged is lost, nothing forks,
/// nobody is logged out, and a server starts; in both ways of writing, and where they take turns.
#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_lose_nothing_that_was_acknowledged() {
    for writes in [&[Writes::Journal][..], &[Writes::Rows], &[Writes::Journal, Writes::Rows]] {
        let Some(report) = cut(&options(writes)).await else { return };
        assert!(report.holds(), "{report}");
        assert_eq!((report.kill.cycles, report.births), (12, 4));
        // The test was one: rotations were acknowledged, requests died with the server, and the disk forgot.
        assert!(report.kill.acknowledged > 50 && report.kill.interrupted > 12, "{report}");
        assert!(report.counts.syncs > 100 && report.counts.lost > 0, "{report}");
    }
}

/// Law L1: the same check notices a store that does not wait for the device.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_wait_loses_what_it_acknowledged() {
    let careless = Some(Path::new(env!("CARGO_BIN_EXE_sim")).to_owned());
    let Some(report) = cut(&Options { births: 0, careless, ..options(&[Writes::Journal]) }).await else { return };
    assert!(!report.holds(), "{report}");
}
