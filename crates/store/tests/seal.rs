//! Check K8: what has no MAC of its own is under the seal. Whoever writes the file and has no key is found out when the store is given
//! its key.

use std::path::Path;

use regrant_core::Timestamp;
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_store::contract::sealed::{begin, epoch, event, key, tag_key};
use regrant_store::{Outcome, Record, Sqlite, SqliteOptions, Store, Writes};
use rusqlite::Connection;

mod place;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn open(file: &Path) -> Sqlite {
    Sqlite::open(file, &SqliteOptions::default()).expect("the store opens")
}

/// Opens it as a server does; why not, where it does not.
fn start(file: &Path) -> Result<Sqlite, String> {
    let mut store = open(file);
    store.chain_under(key()).map(|()| store).map_err(|forged| forged.0)
}

/// A store with three events, two wide revocations and two keys, one of them known to others.
fn filled(file: &Path) {
    let mut store = open(file);
    begin(&mut store);
    let compromised = tag_key(1, Some(KeyStatus::Current), KeyStatus::Compromised);
    for record in [
        event("one"),
        epoch(1, "read"),
        tag_key(1, None, KeyStatus::Current),
        event("two"),
        epoch(0, "write"),
        compromised,
        tag_key(2, None, KeyStatus::Current),
        event("three"),
    ] {
        assert_eq!(store.commit(&[record], at(3)).expect("written"), [Outcome::Committed]);
    }
}

fn sql(file: &Path, text: &str) {
    Connection::open(file).and_then(|sql| sql.execute_batch(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
}

/// Each of these made a store that opened, before there was a seal.
#[test]
fn whoever_writes_the_file_is_found_out() {
    for change in [
        // The newest event, and the head set back to the one before it.
        "DELETE FROM events WHERE id = 3; \
         UPDATE event_chain SET newest = 2, newest_link = (SELECT link FROM events WHERE id = 2)",
        "DELETE FROM events; UPDATE event_chain SET newest = 0, newest_link = zeroblob(32)",
        "DELETE FROM events WHERE id = 1; \
         UPDATE event_chain SET removed = 1, removed_link = (SELECT zeroblob(32))",
        "UPDATE meta SET epoch = 1",
        "UPDATE meta SET epoch = 0; DELETE FROM epochs",
        "DELETE FROM epochs WHERE number = 1",
        "UPDATE epochs SET undone_at = 5 WHERE number = 1",
        "UPDATE epochs SET scope = 'other' WHERE number = 2",
        "UPDATE epochs SET number = 7 WHERE number = 2",
        "INSERT INTO epochs SELECT 3, at, subject, client, session, tag_key, scope, resource, issued_before, online_only, reason, \
         detail, undo_until, undone_at, but_session, among FROM epochs WHERE number = 1",
        "UPDATE epochs SET but_session = zeroblob(32) WHERE number = 1",
        "UPDATE epochs SET among = 'but a' WHERE number = 2",
        "UPDATE keys SET status = 'verify' WHERE id = 1",
        "DELETE FROM keys WHERE id = 1",
        "UPDATE keys SET outlived_by = 9 WHERE id = 2",
        "UPDATE meta SET seal = zeroblob(32)",
        "UPDATE meta SET seal = x''",
        "UPDATE meta SET seal = x'', seals = 0",
        "UPDATE meta SET seals = seals + 1",
    ] {
        let directory = place::Directory::new();
        filled(&directory.file());
        drop(start(&directory.file()).expect("nobody has changed anything"));
        sql(&directory.file(), change);
        assert!(start(&directory.file()).is_err(), "{change}");
    }
}

/// Everything that was sealed, with its own seal, as it was before: the anchor has seen a later one.
#[test]
fn an_older_seal_with_all_that_belongs_to_it_is_refused() {
    let directory = place::Directory::new();
    let (file, older) = (directory.file(), directory.file().with_extension("older"));
    filled(&file);
    std::fs::copy(&file, &older).expect("a copy");
    let mut store = start(&file).expect("nobody has changed anything");
    store.commit(&[epoch(3, "files"), event("four")], at(4)).expect("written");
    drop(store);
    let tables = ["events", "event_chain", "epochs", "keys"];
    let back: Vec<String> = tables
        .iter()
        .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM older.{table};"))
        .collect();
    let meta = "UPDATE meta SET epoch = (SELECT epoch FROM older.meta), seal = (SELECT seal FROM older.meta), \
        seals = (SELECT seals FROM older.meta);";
    sql(&file, &format!("ATTACH '{}' AS older; {} {meta}", older.display(), back.concat()));
    let refused = start(&file).expect_err("it is older than the anchor has seen");
    assert!(refused.contains("older"), "{refused}");
}

/// What its own program does with it leaves a seal that fits: undone, forgotten, swept, refused and failed, over restarts.
#[test]
fn every_change_of_our_own_leaves_a_seal_that_fits() {
    for writes in [Writes::Journal, Writes::Rows] {
        let directory = place::Directory::new();
        filled(&directory.file());
        let options = SqliteOptions { writes, ..SqliteOptions::default() };
        for records in [
            vec![Record::UndoEpoch { number: 1, at: at(5), events: Vec::new() }, event("undone")],
            vec![epoch(9, "stale"), Record::UndoEpoch { number: 8, at: at(5), events: Vec::new() }],
            vec![epoch(0, "third"), Record::UndoEpoch { number: 3, at: at(6), events: Vec::new() }, epoch(0, "fourth")],
            vec![Record::ForgetEpochs { numbers: vec![1, 2, 77] }],
            vec![
                tag_key(2, Some(KeyStatus::Verify), KeyStatus::Gone),
                tag_key(2, Some(KeyStatus::Current), KeyStatus::Gone),
            ],
            vec![Record::Sweep { events_before: at(3), limit: 2 }],
            vec![],
        ] {
            let mut store = Sqlite::open(&directory.file(), &options).expect("the store opens");
            store.chain_under(key()).unwrap_or_else(|forged| panic!("before {records:?}: {forged}"));
            store.commit(&records, at(7)).expect("written");
        }
        drop(start(&directory.file()).expect("all of it was its own"));
    }
}

/// A store of before there were seals gets its first one when it is given its key, and cannot lose it again.
#[test]
fn a_store_of_before_is_sealed_once() {
    let directory = place::Directory::new();
    let file = directory.file();
    let mut store = open(&file);
    store
        .commit(&[Record::Initialise { deployment: DeploymentId([3; 16]), root_check: [4; 16] }], at(1))
        .expect("written");
    store.commit(&[epoch(1, "read")], at(2)).expect("written");
    drop(store);
    let mut store = start(&file).expect("it has no seal yet");
    // An ordinary commit is enough.
    store.commit(&[], at(3)).expect("written");
    drop(store);
    drop(start(&file).expect("sealed"));
    sql(&file, "UPDATE epochs SET undone_at = 5");
    assert!(start(&file).is_err());
    sql(&file, "UPDATE epochs SET undone_at = NULL; UPDATE meta SET seal = x'', seals = 0");
    assert!(start(&file).is_err(), "the anchor has seen one");
}
