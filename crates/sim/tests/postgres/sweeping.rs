//! Rows of nodes that were killed: gone after a day, and nothing with them.

use std::time::Duration;

use regrant_core::Timestamp;
use regrant_store::{Cause, Outcome, Postgres, Record, Store};
use sim::pg::{self, Database};

use crate::contract::server;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn sweep(store: &mut Postgres, now: i64) {
    let record = Record::Sweep { events_before: at(0), limit: 100 };
    assert_eq!(store.commit(&[record], at(now)), Ok(vec![Outcome::Committed]));
}

fn rows(database: &Database) -> String {
    server().sql(&database.name, "SELECT count(*) FROM nodes")
}

/// Its connection ends under it: it says nothing to anybody.
fn kill(database: &Database, store: Postgres) {
    server().hang_up(&database.name);
    drop(store);
}

/// The newest time is another row's, and grant numbers are nobody's row's.
#[test]
fn the_row_of_a_killed_node_is_swept_after_a_day_and_its_numbers_are_not_used_again() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    for (number, now) in [1_000, 2_000, 3_000].into_iter().enumerate() {
        let mut store = database.node();
        let reserved = Record::ReserveGrants { next: 1 + 1024 * (number as u64 + 1) };
        assert_eq!(store.commit(&[reserved], at(now)), Ok(vec![Outcome::Committed]));
        kill(&database, store);
    }
    assert_eq!(rows(&database), "3");
    let mut store = database.node();
    sweep(&mut store, 3_000);
    assert_eq!(rows(&database), "4", "killed a moment ago");
    sweep(&mut store, DAY + 2_500);
    assert_eq!(rows(&database), "2", "the last one is not silent for a day yet");
    assert_eq!(store.high_water(), at(DAY + 2_500));
    for (next, expected) in [(1_025, Outcome::Stale), (3_073, Outcome::Stale), (3_074, Outcome::Committed)] {
        assert_eq!(store.commit(&[Record::ReserveGrants { next }], at(DAY)), Ok(vec![expected]), "{next}");
    }
    drop(store);
    assert_eq!(database.node().high_water(), at(DAY + 2_500));
}

/// A node that stood still for more than a day finds no row of its own, and knows why: nobody takes it for a database that went back.
#[test]
fn a_node_that_was_silent_for_a_day_goes_on() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let (mut silent, mut reconnects, mut sweeps) = (database.node(), database.node(), database.node());
    for store in [&mut silent, &mut reconnects] {
        for now in 1..5 {
            store.commit(&[], at(now)).expect("written");
        }
    }
    sweep(&mut sweeps, 3 * DAY);
    assert_eq!(rows(&database), "1");
    silent.commit(&[], at(3 * DAY + 1)).expect("a new row");
    server().hang_up(&database.name);
    let mut noted = reconnects.commit(&[], at(3 * DAY + 2));
    if noted.as_ref().is_err_and(|trouble| trouble.cause == Cause::Unknown) {
        // It was on its way when the connection ended.
        noted = reconnects.commit(&[], at(3 * DAY + 3));
    }
    noted.expect("a new row, and a new connection");
    for store in [&mut silent, &mut reconnects, &mut sweeps] {
        assert_eq!(store.notice(), None);
        store.load(&[]).expect("nothing is in doubt");
    }
    assert_eq!(rows(&database), "3");
    assert_eq!(server().sql(&database.name, "SELECT count(*) FROM lost_commits"), "0");
    // One whose row is gone without having been swept was told of what is not there.
    server().sql(&database.name, "DELETE FROM nodes");
    silent.commit(&[], at(3 * DAY).plus(Duration::from_secs(1))).expect_err("it went back");
    assert!(silent.notice().is_some_and(|notice| notice.contains("went back")));
    assert!(reconnects.load(&[]).is_err(), "every node hears of it");
}
