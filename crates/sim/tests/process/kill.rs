//! SIGKILL at random under load (laws L1, L2, L3; security.md section 3.4).

use regrant_store::Writes;
use sim::kill::{Fault, Options, Report, run};
use sim::process::{Scratch, fresh_seed};

async fn kill(options: Options) -> Report {
    println!("seed {}", options.seed);
    let scratch = Scratch::new("kill");
    let report = run(options, scratch.path(), &mut |_| {}).await;
    println!("{report}");
    report
}

/// Laws L1, L2, L3: over 60 kills no acknowledged rotation is lost, every client goes on, and no token has two successors.
/// Check T3: killed at any instant of a rotation, the old token or its retry works afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_kills_lose_nothing_that_was_acknowledged_and_log_nobody_out() {
    let report = kill(Options { cycles: 60, clients: 64, seed: fresh_seed(), fault: None, writes: &[] }).await;
    assert_eq!((report.lost, report.forks, report.sessions_lost), (0, 0, 0), "{report}");
    assert_eq!(report.cycles, 60);
    // The test was one: rotations were acknowledged, requests died with the server, and were asked again.
    assert!(report.acknowledged > 500, "{report}");
    assert!(report.interrupted > 60 && report.retried > 60, "{report}");
    assert!(report.repeated_after_kill > 0, "{report}");
}

/// Laws L1, L2, L3: the same where each row is written in its place, and where the two ways take turns: what a killed server put off
/// is found by the other kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_kills_lose_nothing_where_the_ways_of_writing_take_turns() {
    for writes in [&[Writes::Rows][..], &[Writes::Journal, Writes::Rows]] {
        let report = kill(Options { cycles: 12, clients: 64, seed: fresh_seed(), fault: None, writes }).await;
        assert_eq!((report.lost, report.forks, report.sessions_lost), (0, 0, 0), "{report}");
        assert!(report.acknowledged > 50 && report.repeated > 0, "{report}");
    }
}

/// Law L1: the same check notices a store that lost what it had acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_a_cycle_is_noticed() {
    let report = kill(Options { cycles: 4, clients: 16, seed: 7, fault: Some(Fault::SetBack), writes: &[] }).await;
    assert!(report.lost > 0 && report.sessions_lost > 0, "{report}");
}

/// Check A8: the same for device codes: over thirty kills between asking, allowing and tokens, whatever a device or its user was told holds, no
/// code gives tokens twice, and one whose answer was lost is spent or gives them to whoever asks again.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_give_no_device_its_tokens_twice() {
    let seed = fresh_seed();
    println!("seed {seed}");
    let scratch = Scratch::new("kill-devices");
    let report = sim::kill::device::run(30, 24, seed, None, scratch.path()).await;
    println!("{report:?}");
    assert_eq!(report.troubles, [""; 0]);
    assert!(report.cycles == 30 && report.given > 100 && report.interrupted > 100, "{report:?}");
    assert!(report.given_after_kill + report.spent > 5, "{report:?}");
}

/// Law L1: the same check notices a store that lost what a device was told.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_devices_is_noticed() {
    let scratch = Scratch::new("kill-devices-set-back");
    let report = sim::kill::device::run(4, 24, 7, Some(Fault::SetBack), scratch.path()).await;
    assert!(!report.troubles.is_empty(), "{report:?}");
}
