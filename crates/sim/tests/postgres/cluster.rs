//! The short form of `sim cluster`.

use sim::cluster::{Options, run};
use sim::pg;
use sim::process::{Scratch, fresh_seed};

fn short() -> Options {
    Options { nodes: 2, clients: 8, kills: 2, failovers: 1, partitions: 3, seed: fresh_seed(), is_planted: false }
}

/// Checks Z7, Z8, T1, T7: nothing that was answered is lost, nobody is logged out, nothing forks, and no revocation is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_nothing_that_it_has_answered() {
    if pg::is_there() {
        let scratch = Scratch::new("cluster");
        let report = run(short(), scratch.path(), &mut |_| {}).await;
        assert!(report.holds(), "{report}");
        assert_eq!(report.faults, (2, 1, 3));
    }
}

/// A database that confirms what it has not kept is found out: the check bites.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_wait_is_found_out() {
    if pg::is_there() {
        let scratch = Scratch::new("cluster");
        let options = Options { kills: 0, failovers: 2, partitions: 0, is_planted: true, ..short() };
        let report = run(options, scratch.path(), &mut |_| {}).await;
        assert!(!report.holds(), "{report}");
    }
}
