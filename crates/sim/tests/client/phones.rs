//! Phones in tunnels: every twentieth answer is lost on its way. At this server nobody is logged out by that. As many as one has time for:
//! `sim phones`.

use sim::phones::{Month, compare};
use sim::process::{Scratch, fresh_seed};

/// A short form of `sim phones`: a few hundred phones, a week.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_log_nobody_out_of_this_server() {
    let (scratch, month) = (Scratch::new("phones"), Month { phones: 200, days: 7, seed: fresh_seed() });
    println!("seed {}", month.seed);
    let report = compare(scratch.path(), month, |_| {}).await;
    print!("{report}");
    assert!(report.regrant.lost > 200, "one in twenty of more than 5,600");
    assert_eq!(report.regrant.logged_out, 0);
    // The same phones at a server without a second chance: what the client's own care cannot mend.
    assert!(report.strict.logged_out > month.phones / 2, "{report}");
    assert!(report.holds());
}
