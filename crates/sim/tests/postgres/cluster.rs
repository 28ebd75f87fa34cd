//! `sim cluster`, as long as there is time for here.

use sim::cluster::{Options, run};
use sim::pg;
use sim::pooler::HaProxy;
use sim::process::{Scratch, fresh_seed};

/// Fifteen kills, two failovers, ten partitions; the load is what two cores can carry beside everything else.
fn all() -> Options {
    Options {
        nodes: 3,
        clients: 12,
        kills: 15,
        failovers: 2,
        partitions: 10,
        freezes: 1,
        restarts: 1,
        is_balanced: false,
        beside: None,
        seed: fresh_seed(),
        is_planted: false,
    }
}

/// Checks Z7, Z8, T1, T7, N4: nothing that was answered is lost, nobody is logged out, nothing forks, and no revocation is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_nothing_that_it_has_answered() {
    if pg::is_there() {
        let scratch = Scratch::new("cluster");
        let report = run(all(), scratch.path(), &mut |what| println!("{what}")).await;
        assert!(report.holds(), "{report}");
        assert_eq!(report.faults, [15, 2, 10, 1, 1]);
        assert!(report.acknowledged > 200, "{report}");
    }
}

/// The same behind HAProxy, which asks `/readyz`: clients know it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_in_front_of_nodes_hides_that_they_are_killed() {
    if pg::is_there() && HaProxy::is_there() {
        let scratch = Scratch::new("balanced");
        let options =
            Options { clients: 8, kills: 3, failovers: 0, partitions: 3, freezes: 0, is_balanced: true, ..all() };
        let report = run(options, scratch.path(), &mut |what| println!("{what}")).await;
        assert!(report.holds(), "{report}");
        assert!(report.acknowledged > 20, "{report}");
    }
}

/// A database that confirms what it has not kept is found out: the check bites.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_wait_is_found_out() {
    if pg::is_there() {
        let scratch = Scratch::new("cluster");
        let options =
            Options { kills: 0, failovers: 2, partitions: 0, freezes: 0, restarts: 0, is_planted: true, ..all() };
        let report = run(options, scratch.path(), &mut |_| {}).await;
        assert!(!report.holds(), "{report}");
    }
}
