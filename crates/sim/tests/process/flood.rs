//! A flood of forged tokens on the real server.

use sim::flood::{Options, run};
use sim::process::Scratch;

/// Checks X16, X11: forged tokens cost the store nothing, the honest client beside them no refusal, and the log a bounded number of
/// lines. How fast it is, is measured by command.
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_cost_no_read_of_the_store() {
    let scratch = Scratch::new("flood");
    let report = run(Options { seconds: 4, connections: 4 }, scratch.path()).await;
    println!("{report}");
    assert!(report.holds(), "{report}");
    let forged: u64 = report.answers.values().sum();
    assert!(forged > 1000 && report.answers.contains_key(&429), "{report}");
    // A hundred lines a second about strangers, one for each honest refresh, and what the server says of itself.
    assert!(report.lines < 100 * 10 + 2 * report.honest + 1500, "{report}");
}
