//! Law L9: a revocation and what races it. The short form of `cargo run --release -p sim -- races`.

use sim::revoking;

/// Check T40: of thousands of refreshes that race a revocation, none leaves anything that works after the revocation was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_works_that_raced_a_revocation() {
    let place = sim::process::Scratch::new("revocation-races");
    let report = revoking::race(place.path(), 3_000, |_| {}).await;
    assert!(report.holds(), "{report}");
    assert!(report.refreshed_first > 50 && report.revoked_first > 50, "both orders were seen: {report}");
}

/// Check T33: one row ends the grants of some users among many at once, and leaves those of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_row_ends_many_grants_at_once() {
    let place = sim::process::Scratch::new("revocation-epochs");
    let report =
        revoking::epochs(place.path(), revoking::Size { grants: 10_000, users: 100, asked: 200 }, |_| {}).await;
    assert!(report.holds(), "{report}");
}
