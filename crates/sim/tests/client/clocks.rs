//! A machine whose date is wrong by a day, in either direction, before and after a restart.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::{Clock, MemoryStore, Session};

use super::support::{Strict, settings};

const DAY: i64 = 24 * 3600 * 1000;
const START: i64 = 1_800_000_000_000;

/// While the machine runs, its date says nothing: no refresh is asked for because it was set.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_set_costs_no_refresh() {
    for date in [START - DAY, START + DAY] {
        let (server, clock) = (Strict::start(3600).await, Clock::manual());
        let store = Arc::new(MemoryStore::new());
        let session = server.session(store.clone(), &clock).await;
        clock.set_date(date);
        session.token().await.expect("a token");
        let other = Session::open_with(store, server.profile("s"), settings(&clock)).await.expect("a session");
        other.token().await.expect("a token");
        assert_eq!(server.asked(), 0, "{date}");
    }
}

/// After a restart the date is all there is: what cannot be known costs one refresh, and then everything is known again.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_date_after_a_restart_costs_one_refresh_at_most() {
    for date in [START - DAY, START - 1, START + 60_000, START + DAY] {
        let server = Strict::start(3600).await;
        let store = Arc::new(MemoryStore::new());
        let before = Clock::manual();
        before.advance(Duration::from_secs(1000));
        server.session(store.clone(), &before).await;
        // The machine has started anew, so less time has passed since.
        let after = Clock::manual();
        after.set_date(date);
        for _ in 0..5 {
            let session =
                Session::open_with(store.clone(), server.profile("s"), settings(&after)).await.expect("a session");
            session.token().await.expect("a token");
            after.advance(Duration::from_secs(60));
        }
        assert!(server.asked() <= 1, "{} requests at {date}", server.asked());
        assert_eq!(server.refused(), 0);
    }
}
