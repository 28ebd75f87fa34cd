//! The database fails: nothing that was answered is lost, and nothing that was not is half done (checks T6, T7, Z7 to Z10).

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::thread;

use regrant_core::grant::RowMac;
use regrant_core::{Grant, Timestamp};
use regrant_store::{Cause, KeyKind, OpenError, Outcome, Postgres, Question, Record, Store};
use sim::cluster::proxy::{Proxy, Wire};
use sim::pg::{self, Server};

use crate::contract::server;
use crate::races::{grant, write};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const MAC: RowMac = RowMac { key_id: 1, mac: [1; 16] };

/// The row at this version.
fn version(version: u64) -> Record {
    let row = Grant { version, generation: version as u32, write_id: version, ..grant(1) };
    Record::Grant { expected: Some(version - 1), grant: row, mac: MAC, events: Vec::new() }
}

/// The next version; where the answer was lost, what is there. How many were settled.
fn step(store: &mut dyn Store, reached: &mut u64) -> u64 {
    match store.commit(&[version(*reached + 1)], at(2)) {
        Ok(outcomes) => {
            assert_eq!(outcomes, [Outcome::Committed]);
            *reached += 1;
            0
        }
        Err(trouble) if trouble.cause == Cause::Unknown => {
            let is_there = found(store);
            assert!(is_there == *reached || is_there == *reached + 1, "{is_there} behind {reached}");
            *reached = is_there;
            1
        }
        Err(trouble) => {
            assert_eq!(trouble.cause, Cause::Unreachable, "{trouble}");
            0
        }
    }
}

/// A look whose connection is ended under it is an answer to come again, and no answer about the row: whoever asks again has it.
fn found(store: &mut dyn Store) -> u64 {
    for _ in 0..100 {
        match store.load(&[grant(1).id]) {
            Ok(mut rows) => return rows.remove(0).expect("the row").grant.version,
            Err(trouble) => {
                assert!(matches!(trouble.cause, Cause::Unknown | Cause::Unreachable), "{trouble}");
            }
        }
    }
    panic!("not once in a hundred times");
}

/// Check Z9: `pg_terminate_backend` (57P01) under a node at rest, and under one in the middle of it, costs nobody anything.
#[test]
fn a_connection_that_is_ended_is_made_again() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let mut store = database.node();
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let (mut reached, mut settled) = (1, 0);
    for _ in 0..10 {
        server().hang_up(&database.name);
        settled += step(&mut store, &mut reached);
    }
    let name = database.name;
    let ender = thread::spawn(move || (0..20).for_each(|_| server().hang_up(&name)));
    while !ender.is_finished() {
        settled += step(&mut store, &mut reached);
    }
    ender.join().expect("it ended them");
    assert_eq!(found(&mut store), reached, "{settled} were settled");
}

/// Check Z9: two nodes that lock each other's rows in other orders: one of them is told 40P01, and does it again.
#[test]
fn a_deadlock_is_nobodys_failure() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let mut store = database.node();
    let rows: Vec<Record> = (1..=20).map(|number| write(None, &grant(number))).collect();
    store.commit(&rows, at(1)).expect("written");
    let write_all = |numbers: Vec<u64>| {
        let mut store = database.node();
        move || {
            let mut won = 0;
            for round in 2..12 {
                // One statement a row: new rows and known ones take turns.
                let mut batch = Vec::new();
                for number in &numbers {
                    let row = Grant { version: round, ..grant(*number) };
                    batch.push(Record::Grant { expected: Some(round - 1), grant: row, mac: MAC, events: Vec::new() });
                    batch.push(Record::Fold);
                }
                let outcomes = store.commit(&batch, at(2)).expect("written in the end");
                won += outcomes.iter().filter(|outcome| **outcome == Outcome::Committed).count();
            }
            won
        }
    };
    let won: usize = thread::scope(|scope| {
        let there = scope.spawn(write_all((1..=20).collect()));
        let back = scope.spawn(write_all((1..=20).rev().collect()));
        there.join().expect("a node") + back.join().expect("another")
    });
    assert!(won >= 20, "{won} rows were written");
}

/// Checks Z7, Z9: the server is killed and starts again: what was answered is there, and the node goes on by itself.
#[test]
fn a_server_that_was_killed_has_kept_what_was_answered() {
    if !pg::is_there() {
        return;
    }
    let mut server = Server::start(&[]);
    let database = server.database();
    let mut store = database.node();
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let mut reached = 1;
    for _ in 0..3 {
        for _ in 0..5 {
            assert_eq!(store.commit(&[version(reached + 1)], at(2)), Ok(vec![Outcome::Committed]));
            reached += 1;
        }
        server.kill();
        let trouble = store.commit(&[version(reached + 1)], at(2)).expect_err("nobody is there");
        assert!(matches!(trouble.cause, Cause::Unreachable | Cause::Unknown), "{trouble}");
        server.begin(&[]);
        assert_eq!(found(&mut store), reached);
    }
}

/// Check Z7: the standby that COMMIT waits for takes over, and has everything that was answered. A node that knows both goes to it.
#[test]
fn a_standby_that_takes_over_has_what_was_answered() {
    if !pg::is_there() {
        return;
    }
    let mut primary = Server::start(&[]);
    let standby = primary.standby("second");
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'second'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let database = primary.database();
    let mut store = Postgres::open(&database.at(&[primary.port, standby.port])).expect("opens");
    assert_eq!(store.notice(), None, "it waits for its standby");
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let mut reached = 1;
    while reached < 20 {
        assert_eq!(store.commit(&[version(reached + 1)], at(2)), Ok(vec![Outcome::Committed]));
        reached += 1;
    }
    primary.kill();
    standby.promote();
    // The new primary waits for nobody: it was told so by the old one's settings, which it has.
    standby.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
    standby.sql("postgres", "SELECT pg_reload_conf()");
    assert_eq!(found(&mut store), reached);
    assert_eq!(store.commit(&[version(reached + 1)], at(3)), Ok(vec![Outcome::Committed]));
    assert_eq!(store.notice(), None, "nothing went back");
}

/// Check Z7: a COMMIT that the server no longer waits with for its standby is no answer, in whatever language the server says so, and
/// whatever the role wants to hear.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_longer_waits_is_no_answer_in_any_language() {
    if !pg::is_there() {
        return;
    }
    let server = Server::start(&[]);
    let wire = Proxy::start(Arc::new(AtomicU16::new(server.port)), false).await;
    wire.set(Wire::SpeaksGerman);
    server.sql("postgres", "ALTER ROLE regrant SET client_min_messages = error");
    let told = tokio::task::spawn_blocking(move || {
        let mut store = Postgres::open(&server.database().at(&[wire.port])).expect("opens");
        store.commit(&[write(None, &grant(1))], at(1)).expect("written");
        server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        server.sql("postgres", "SELECT pg_reload_conf()");
        thread::scope(|scope| {
            // The first ones may be done before the server has heard that somebody is to be waited for.
            let waits = scope.spawn(|| (2..).find_map(|next| store.commit(&[version(next)], at(2)).err()));
            let cancels = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
                WHERE wait_event = 'SyncRep' AND application_name = 'regrant'";
            while server.sql("postgres", cancels) == "0" {}
            waits.join().expect("a node").expect("in the end")
        })
    });
    let told = told.await.expect("the story ends");
    assert_eq!((told.cause, told.detail.as_str()), (Cause::Unknown, "the server no longer waited for its standby"));
}

/// Law L9: what another node has noticed is no answer of this one either, whatever is asked; but for what tells that something is to be decided.
#[test]
fn nothing_is_vouched_for_while_the_database_is_in_doubt() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let mut store = database.node();
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let subject = || "usr_ann".to_owned();
    let vouching = [
        Question::Grants { client: None, subject: None, after: 0, limit: 1 },
        Question::Revocations { after: 0, limit: 1 },
        Question::AccessDenied([1; 32]),
        Question::UserBySubject(subject()),
        Question::UserByName("ann".to_owned()),
        Question::Session([1; 32]),
        Question::Consent { subject: subject(), client: "app".to_owned() },
        Question::Clients,
        Question::Keys(KeyKind::Seed),
        Question::Deployment,
    ];
    let telling = [Question::Changes, Question::Events { grant: None, limit: 1 }];
    assert!(vouching.iter().chain(&telling).all(|question| store.ask(question).is_ok()) && !store.is_in_doubt());
    let note = "INSERT INTO lost_commits (node, era, known, known_at, told, told_at) VALUES ('another', 0, 1, 1, 2, 2)";
    server().sql(&database.name, note);
    for question in &vouching {
        let refused = store.ask(question).expect_err("nobody knows what of it is true");
        assert!(refused.detail.contains("regrant recover"), "{question:?}: {refused}");
    }
    assert!(telling.iter().all(|question| store.ask(question).is_ok()) && store.is_in_doubt());
    server().sql(&database.name, "DELETE FROM lost_commits");
    assert!(vouching.iter().all(|question| store.ask(question).is_ok()) && !store.is_in_doubt());
}

/// Security section 4.4: a standby that COMMIT did not wait for is told of loudly, and what it has lost is noticed.
#[test]
fn a_standby_that_lost_something_is_noticed() {
    if !pg::is_there() {
        return;
    }
    let mut primary = Server::start(&[]);
    let standby = primary.standby("second");
    let database = primary.database();
    let mut store = Postgres::open(&database.at(&[primary.port, standby.port])).expect("opens");
    let notice = store.notice().expect("it says that nobody waits");
    assert!(notice.contains("synchronous_standby_names"), "{notice}");
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    primary.cut_off(&standby);
    for next in 2..6 {
        store.commit(&[version(next)], at(2)).expect("answered, and lost");
    }
    primary.kill();
    standby.promote();
    // Nothing is decided on it, and nothing is said of it but that it cannot be.
    let refused = store.load(&[grant(1).id]).expect_err("nobody knows what of it is true");
    assert_eq!((refused.cause, refused.detail.contains("regrant recover")), (Cause::Unreachable, true), "{refused}");
    let refused = store.commit(&[version(2)], at(3)).expect_err("nor is anything written");
    assert_eq!(refused.cause, Cause::Unreachable, "{refused}");
    assert!(store.ask(&Question::Deployment).is_err(), "it is not ready");
    let notice = store.notice().expect("it is noticed");
    assert!(notice.contains("went back") && notice.contains("told of 6 commits"), "{notice}");
    // Whoever comes later is told so, too.
    let late = Postgres::open(&database.at(&[primary.port, standby.port]));
    assert!(matches!(&late, Err(OpenError::Server { problem, .. }) if problem.contains("went back")), "{late:?}");
}

/// A server that may lose what it has confirmed is no store.
#[test]
fn a_server_without_fsync_is_refused() {
    if !pg::is_there() {
        return;
    }
    let server = Server::start(&["fsync=off"]);
    let refused = Postgres::open(&server.database().options());
    assert!(matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("fsync")), "{refused:?}");
}

/// Check Z14: a schema that needs a newer program is not touched.
#[test]
fn a_newer_schema_is_refused() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    drop(database.node());
    server().sql(&database.name, "INSERT INTO regrant_schema (version, works_with) VALUES (99, 99)");
    let refused = Postgres::open(&database.options());
    assert!(matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("newer")), "{refused:?}");
    // One that only adds is no reason to stop: the nodes of the version before go on (check Z12).
    server().sql(&database.name, "UPDATE regrant_schema SET works_with = 1 WHERE version = 99");
    assert!(Postgres::open(&database.options()).is_ok());
}
