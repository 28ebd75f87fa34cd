//! Constant size (law L5).

use sim::process::{Home, Scratch};
use sim::size::{fill, refresh_all};

/// Law L5: 10^5 refreshes of 100 grants leave 100 rows, and the file as large as 10^4 do: what the journal needs it needs once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_refreshes_leave_a_hundred_rows_and_the_same_file() {
    let (few, many) = (Scratch::new("size-few"), Scratch::new("size-many"));
    let (few, many) = (Home::make(few.path()), Home::make(many.path()));
    let before = refresh_all(&few, &fill(&few, 100).await.1, 100).await;
    let after = refresh_all(&many, &fill(&many, 100).await.1, 1000).await;
    println!("before {before:?}\nafter  {after:?}");
    assert_eq!((after.rows["grants"], after.rows["grant_terms"]), (100, 100));
    assert_eq!(after.rows, before.rows, "a refresh leaves no row anywhere");
    assert!(after.bytes.abs_diff(before.bytes) * 20 <= before.bytes, "{} and then {} bytes", before.bytes, after.bytes);
}
