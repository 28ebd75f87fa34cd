//! Constant size (law L5).

use sim::process::{Home, Scratch};
use sim::size::{fill, refresh_all};

/// What the journal takes in the file, once, whatever the number of refreshes: 384 KiB.
const JOURNAL: u64 = 384 * 1024;

/// Law L5: 10^4 refreshes of 100 grants leave 100 rows and the room of the journal, and 10^5 leave no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_refreshes_leave_a_hundred_rows_and_the_same_file() {
    for times in [100, 1000] {
        let scratch = Scratch::new("size");
        let home = Home::make(scratch.path());
        let (before, tokens) = fill(&home, 100).await;
        let after = refresh_all(&home, &tokens, times).await;
        println!("before {before:?}\nafter  {after:?}");
        assert_eq!((after.rows["grants"], after.rows["grant_terms"]), (100, 100));
        assert_eq!(after.rows, before.rows, "a refresh leaves no row anywhere");
        assert!(after.bytes <= before.bytes + JOURNAL, "{} and then {} bytes", before.bytes, after.bytes);
    }
}
