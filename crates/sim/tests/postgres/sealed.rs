//! Check K8, of a database: what has no MAC of its own is under the seal. Whoever writes the database and has no key is found out: by a
//! node that starts, by one that runs, and by whoever is about to build upon it.

use std::path::Path;
use std::thread;

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_store::contract::sealed::{begin, epoch, event, key, key_change, tag_key};
use regrant_store::{
    Answer, Cause, KeyKind, MoveError, Outcome, Postgres, Question, Record, Sqlite, SqliteOptions, Store,
};
use sim::pg::{self, Database};
use sim::process::Scratch;

use crate::contract::server;
use crate::moving::{move_file, take_back};
use crate::races::{grant, write};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Opens it as a server does; why not, where it does not.
fn start(database: &Database) -> Result<Postgres, String> {
    let mut store = Postgres::open(&database.options()).map_err(|error| error.to_string())?;
    store.chain_under(key()).map(|()| store).map_err(|forged| forged.0)
}

/// Three events, two wide revocations, and keys, one of them known to others.
fn fill(store: &mut dyn Store) {
    begin(store);
    for record in [
        event("one"),
        epoch(1, "calendar"),
        tag_key(1, None, KeyStatus::Current),
        key_change(KeyKind::Seed, 1, None, KeyStatus::Current),
        event("two"),
        epoch(0, "write\0\u{1a}"),
        tag_key(1, Some(KeyStatus::Current), KeyStatus::Compromised),
        tag_key(2, None, KeyStatus::Current),
        event("three"),
        write(None, &grant(1)),
    ] {
        assert_eq!(store.commit(std::slice::from_ref(&record), at(3)), Ok(vec![Outcome::Committed]), "{record:?}");
    }
}

fn filled() -> Database {
    let database = server().database();
    fill(&mut database.node());
    database
}

/// What somebody could gain from, each by SQL alone.
const CHANGES: [&str; 20] = [
    // The newest event, and the end set back to the one before it.
    "DELETE FROM events WHERE id = 3; UPDATE ledger SET newest = 2, newest_link = (SELECT link FROM events WHERE id = 2)",
    "DELETE FROM events; UPDATE ledger SET newest = 0, newest_link = decode(repeat('00', 32), 'hex')",
    "DELETE FROM events WHERE id = 1; UPDATE ledger SET removed = 1, removed_link = (SELECT decode(repeat('00', 32), 'hex'))",
    "UPDATE ledger SET epoch = 1",
    "UPDATE ledger SET epoch = 0; DELETE FROM epochs",
    "DELETE FROM epochs WHERE number = 1",
    "UPDATE epochs SET undone_at = 5 WHERE number = 1",
    "UPDATE epochs SET scope = 'other' WHERE number = 2",
    "UPDATE epochs SET number = 7 WHERE number = 2",
    "INSERT INTO epochs SELECT 3, at, subject, client, session, tag_key, scope, resource, issued_before, online_only, reason, detail, \
     undo_until, undone_at, but_session, among FROM epochs WHERE number = 1",
    "UPDATE epochs SET but_session = decode(repeat('00', 32), 'hex') WHERE number = 1",
    "UPDATE keys SET status = 'verify' WHERE kind = 'tag' AND id = 1",
    "DELETE FROM keys WHERE kind = 'tag' AND id = 1",
    "UPDATE keys SET outlived_by = 9 WHERE kind = 'tag' AND id = 2",
    "UPDATE ledger SET seal = decode(repeat('00', 32), 'hex')",
    "UPDATE ledger SET seal = ''",
    "UPDATE ledger SET seal = '', seals = 0, sealed_epochs = NULL, sealed_keys = NULL",
    "UPDATE ledger SET seals = seals + 1",
    "UPDATE ledger SET sealed_epochs = NULL, sealed_keys = NULL; DELETE FROM epochs WHERE number = 2",
    // As if it were new: the grants are still there.
    "DELETE FROM keys; DELETE FROM epochs; UPDATE ledger SET seal = '', seals = 0, epoch = 0, sealed_epochs = NULL, sealed_keys = NULL",
];

/// Check K8: no node starts on any of these.
#[test]
fn whoever_writes_the_database_is_found_out_by_a_node_that_starts() {
    if !pg::is_there() {
        return;
    }
    for change in CHANGES {
        let database = filled();
        drop(start(&database).expect("nobody has changed anything"));
        server().sql(&database.name, change);
        assert!(start(&database).is_err(), "{change}");
    }
}

/// Check K8: nor does one that runs go on: within its next look (each half second) or its next connection it decides nothing more, says so
/// once, and goes on by itself when the database fits again.
#[test]
fn whoever_writes_the_database_is_found_out_by_a_node_that_runs() {
    if !pg::is_there() {
        return;
    }
    for (change, back) in [
        (
            "UPDATE keys SET status = 'verify' WHERE kind = 'tag' AND id = 1",
            "UPDATE keys SET status = 'compromised' WHERE kind = 'tag' AND id = 1",
        ),
        ("UPDATE ledger SET epoch = 1", "UPDATE ledger SET epoch = 2"),
        ("UPDATE ledger SET newest = 2", "UPDATE ledger SET newest = 3"),
    ] {
        let database = filled();
        let mut store = start(&database).expect("nobody has changed anything");
        assert!(store.ask(&Question::Changes).is_ok() && store.load(&[grant(1).id]).is_ok());
        server().sql(&database.name, change);
        let refused = store.ask(&Question::Changes).expect_err(change);
        assert_eq!(refused.cause, Cause::Damaged, "{change}: {refused}");
        assert!(store.load(&[grant(1).id]).is_err(), "{change}");
        assert!(store.commit(&[event("more")], at(4)).is_err(), "{change}");
        assert!(store.notice().is_some_and(|notice| notice.contains("changed by something")), "{change}");
        server().sql(&database.name, back);
        assert!(store.ask(&Question::Changes).is_ok(), "{back}");
        assert!(store.load(&[grant(1).id]).is_ok(), "{back}");
        assert_eq!(store.notice(), None);
    }
}

/// A wide revocation that is taken out of the table while a node is away: what it ended does not live again with the next connection.
#[test]
fn a_revocation_that_was_removed_meanwhile_is_missed_with_the_next_connection() {
    if !pg::is_there() {
        return;
    }
    for change in ["DELETE FROM epochs WHERE number = 1", "UPDATE epochs SET undone_at = 5 WHERE number = 2"] {
        let database = filled();
        let mut store = start(&database).expect("nobody has changed anything");
        server().sql(&database.name, change);
        server().hang_up(&database.name);
        let refused = store.load(&[grant(1).id]).expect_err(change);
        assert_eq!(refused.cause, Cause::Damaged, "{change}: {refused}");
    }
}

/// Nothing is built upon a ledger that somebody else has changed: what that one has cut off is not sealed by the next event.
#[test]
fn what_was_cut_off_is_not_sealed_by_the_next_commit() {
    if !pg::is_there() {
        return;
    }
    let database = filled();
    let mut store = start(&database).expect("nobody has changed anything");
    server().sql(&database.name, CHANGES[0]);
    let refused = store.commit(&[event("four")], at(4)).expect_err("the end of the chain is another");
    assert_eq!(refused.cause, Cause::Damaged, "{refused}");
    assert_eq!(server().sql(&database.name, "SELECT count(*), max(id) FROM events"), "2|2", "nothing was added");
}

/// What another node has revoked is altered before this one has read it.
#[test]
fn a_revocation_that_was_altered_on_its_way_is_refused() {
    if !pg::is_there() {
        return;
    }
    let database = filled();
    let (mut one, mut two) = (start(&database).expect("one"), start(&database).expect("two"));
    one.commit(&[epoch(3, "files")], at(4)).expect("written");
    server().sql(&database.name, "UPDATE epochs SET undone_at = 5 WHERE number = 3");
    assert!(two.load(&[grant(1).id]).is_err());
    server().sql(&database.name, "UPDATE epochs SET undone_at = NULL WHERE number = 3");
    assert!(two.load(&[grant(1).id]).is_err(), "nothing is believed before it was looked at again");
    assert!(two.ask(&Question::Changes).is_ok());
    assert!(two.load(&[grant(1).id]).is_ok());
    assert_eq!(two.epoch(), 3);
}

/// Everything that was sealed, with its own seal, as it was before: a node that has seen a later one holds that the database went back.
#[test]
fn an_older_seal_with_all_that_belongs_to_it_is_a_database_that_went_back() {
    if !pg::is_there() {
        return;
    }
    let database = filled();
    let mut store = start(&database).expect("nobody has changed anything");
    let tables = ["events", "ledger", "epochs", "keys"];
    let keep: String = tables.iter().map(|table| format!("CREATE TABLE older_{table} AS TABLE {table};")).collect();
    server().sql(&database.name, &keep);
    store.commit(&[epoch(3, "files"), event("four")], at(4)).expect("written");
    assert!(store.load(&[grant(1).id]).is_ok());
    let back: String = tables
        .iter()
        .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM older_{table};"))
        .collect();
    server().sql(&database.name, &back);
    let refused = store.load(&[grant(1).id]).expect_err("it is older than this node has seen");
    assert!(refused.detail.contains("went back"), "{refused}");
    assert!(store.notice().is_some_and(|notice| notice.contains("regrant recover")));
    assert_eq!(server().sql(&database.name, "SELECT count(*) FROM lost_commits"), "1", "every node hears of it");
}

/// What nodes do with it themselves leaves a seal that fits: undone, forgotten, swept, refused, by several at once.
#[test]
fn every_change_of_our_own_leaves_a_seal_that_fits() {
    if !pg::is_there() {
        return;
    }
    let database = filled();
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
        let mut store = start(&database).unwrap_or_else(|forged| panic!("before {records:?}: {forged}"));
        store.commit(&records, at(7)).expect("written");
    }
    thread::scope(|scope| {
        for node in 0..3 {
            let database = &database;
            scope.spawn(move || {
                let mut store = start(database).expect("it fits");
                for round in 0..8 {
                    let made = [epoch(0, &format!("s{node}-{round}")), event("told")];
                    assert_eq!(store.commit(&made, at(8)), Ok(vec![Outcome::Committed; 2]));
                    let number = store.epoch();
                    store
                        .commit(&[Record::UndoEpoch { number, at: at(9), events: Vec::new() }], at(9))
                        .expect("written");
                    store.commit(&[Record::ForgetEpochs { numbers: vec![number] }], at(9)).expect("written");
                    store.ask(&Question::Changes).expect("it fits");
                }
            });
        }
    });
    let mut store = start(&database).expect("all of it was our own");
    assert!(matches!(store.ask(&Question::Chain), Ok(Answer::Chain(ends)) if ends.newest.0 > 24));
}

/// Refreshes do not touch the ledger: they are neither sealed nor waited for.
#[test]
fn a_refresh_makes_no_seal() {
    if !pg::is_there() {
        return;
    }
    let database = filled();
    let mut store = start(&database).expect("nobody has changed anything");
    assert!(store.load(&[grant(1).id]).is_ok());
    let ledger = "SELECT seals, xmin FROM ledger";
    let before = server().sql(&database.name, ledger);
    for version in 2..20 {
        let next = regrant_core::Grant { version, generation: 2, ..grant(1) };
        assert_eq!(store.commit(&[write(Some(version - 1), &next)], at(9)), Ok(vec![Outcome::Committed]));
    }
    assert_eq!(server().sql(&database.name, ledger), before);
}

fn file(path: &Path) {
    fill(&mut Sqlite::open(path, &SqliteOptions::default()).expect("a store"));
}

/// One rule for both stores: the seal of the file holds in the database, and goes on there.
#[test]
fn a_store_that_is_moved_keeps_its_seal() {
    if !pg::is_there() {
        return;
    }
    let (scratch, database) = (Scratch::new("sealed"), server().database());
    let path = scratch.path().join("regrant.db");
    file(&path);
    move_file(&path, &database.options()).expect("moved");
    take_back(&path);
    assert_eq!(server().sql(&database.name, "SELECT sealed_keys IS NULL, seals > 5 FROM ledger"), "t|t");
    let mut store = start(&database).expect("the file's seal fits");
    assert_eq!(store.commit(&[event("here"), epoch(0, "here")], at(9)), Ok(vec![Outcome::Committed; 2]));
    drop(store);
    drop(start(&database).expect("and the next one"));

    let altered = server().database();
    move_file(&path, &altered.options()).expect("moved");
    take_back(&path);
    server().sql(&altered.name, "DELETE FROM epochs WHERE number = 1");
    assert!(start(&altered).is_err(), "changed before anybody has opened it");

    rusqlite::Connection::open(&path)
        .and_then(|sql| sql.execute_batch("UPDATE meta SET seal = x'', seals = 0"))
        .expect("as of before there were seals");
    let refused = move_file(&path, &server().database().options());
    assert!(matches!(refused, Err(MoveError::Unsealed(_))), "{refused:?}");
}
