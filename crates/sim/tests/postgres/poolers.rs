//! Nodes behind PgBouncer in transaction mode: each transaction may have another connection, and a connection may have another server.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use regrant_core::{Grant, Timestamp};
use regrant_store::{Cause, Memory, Outcome, Postgres, PostgresOptions, Store};
use sim::cluster::proxy::Proxy;
use sim::pg::{self, Database, Server};
use sim::pooler::PgBouncer;

use crate::contract::server;
use crate::races::{grant, write};

/// More nodes than connections.
const POOL: usize = 2;

/// One for all checks: it ends with the process.
fn pooler() -> Option<&'static PgBouncer> {
    static POOLER: OnceLock<Option<PgBouncer>> = OnceLock::new();
    let start = || (pg::is_there() && PgBouncer::version().is_some()).then(|| PgBouncer::start(server().port, POOL));
    POOLER.get_or_init(start).as_ref()
}

/// Prepared statements where the pooler keeps them.
fn through(port: u16, database: &Database) -> PostgresOptions {
    let prepares = PgBouncer::version().is_some_and(|version| version >= (1, 21));
    let address = format!("{}?prepared_statements={prepares}", database.at(&[port]).address);
    PostgresOptions::parse(&address).expect("an address")
}

fn place() -> Box<dyn FnMut() -> Box<dyn Store>> {
    let Some(pooler) = pooler() else {
        let memory = Memory::new();
        return Box::new(move || Box::new(memory.clone()));
    };
    let options = through(pooler.port, &server().database());
    Box::new(move || Box::new(Postgres::open(&options).expect("the store opens")))
}

mod contract {
    use super::place;

    regrant_store::contract_tests!(place);
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Check T1: four nodes over two connections on the same rows: of each version there is one.
#[test]
fn nodes_that_share_connections_are_told_apart() {
    const ROUNDS: u64 = 30;
    let Some(pooler) = pooler() else { return };
    let database = server().database();
    let options = through(pooler.port, &database);
    let mut first = Postgres::open(&options).expect("the store opens");
    first.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let won: u64 = thread::scope(|scope| {
        let nodes: Vec<_> = (0..4)
            .map(|node| {
                let options = &options;
                scope.spawn(move || {
                    let mut store = Postgres::open(options).expect("the store opens");
                    let mut won = 0;
                    for version in 2..2 + ROUNDS {
                        let next = Grant { version, generation: 2, write_id: node, ..grant(1) };
                        let written = store.commit(&[write(Some(version - 1), &next)], at(2)).expect("written");
                        won += u64::from(written == [Outcome::Committed]);
                        // Whoever was second waits for nobody: the others are as far, or further.
                        while store.load(&[grant(1).id]).expect("read")[0]
                            .as_ref()
                            .is_some_and(|row| row.grant.version < version)
                        {}
                    }
                    won
                })
            })
            .collect();
        nodes.into_iter().map(|node| node.join().expect("a node")).sum()
    });
    let row = first.load(&[grant(1).id]).expect("read").remove(0).expect("the row");
    assert_eq!((won, row.grant.version), (ROUNDS, 1 + ROUNDS));
}

/// Check Z10: the pool is run dry: nothing happens, whoever asks is told to come again, and is served then.
#[test]
fn a_pool_that_is_run_dry_is_no_answer() {
    if pooler().is_none() {
        return;
    }
    let pooler = PgBouncer::start(server().port, 1);
    let database = server().database();
    let mut store = Postgres::open(&through(pooler.port, &database)).expect("the store opens");
    store.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let mut holder = Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", &pooler.port.to_string(), "-U", "regrant", "-d", &database.name, "-qAt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let (mut ask, hear) = (holder.stdin.take().expect("piped"), holder.stdout.take().expect("piped"));
    std::io::Write::write_all(&mut ask, b"BEGIN;\nSELECT 'held';\n").expect("asked");
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(hear), &mut said).expect("answered");
    assert_eq!(said.trim(), "held");
    let next = Grant { version: 2, ..grant(1) };
    let refused = store.commit(&[write(Some(1), &next)], at(2)).expect_err("no connection is to be had");
    assert!(matches!(refused.cause, Cause::Unreachable | Cause::Unknown), "{refused}");
    drop(ask);
    holder.wait().expect("psql ends");
    let row = store.load(&[grant(1).id]).expect("read").remove(0).expect("the row");
    assert_eq!(row.grant.version, 1, "nothing has happened");
    assert_eq!(store.commit(&[write(Some(1), &next)], at(2)), Ok(vec![Outcome::Committed]));
}

/// Check Z7: the connection to the pooler outlives the server behind it. Where COMMIT waited for the standby nothing is missing; where it
/// did not, that is noticed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_behind_the_pooler_is_noticed() {
    if pooler().is_none() {
        return;
    }
    for waits in [true, false] {
        let mut primary = Server::start(&[]);
        let standby = primary.standby("second");
        if waits {
            primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'second'");
            primary.sql("postgres", "SELECT pg_reload_conf()");
        }
        let target = Arc::new(AtomicU16::new(primary.port));
        let wire = Proxy::start(Arc::clone(&target), false).await;
        let pooler = PgBouncer::start(wire.port, POOL);
        let options = through(pooler.port, &primary.database());
        tokio::task::spawn_blocking(move || {
            let _kept = (&pooler, &wire);
            let mut store = Postgres::open(&options).expect("the store opens");
            store.commit(&[write(None, &grant(1))], at(1)).expect("written");
            if !waits {
                primary.cut_off(&standby);
            }
            for version in 2..6 {
                let next = Grant { version, ..grant(1) };
                store.commit(&[write(Some(version - 1), &next)], at(2)).expect("answered");
            }
            while store.notice().is_some() {}
            primary.kill();
            standby.promote();
            standby.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
            standby.sql("postgres", "SELECT pg_reload_conf()");
            target.store(standby.port, Ordering::SeqCst);
            let mut loaded = store.load(&[grant(1).id]);
            for _ in 0..50 {
                if loaded.is_ok() || store.notice().is_some_and(|notice| notice.contains("went back")) {
                    break;
                }
                loaded = store.load(&[grant(1).id]);
            }
            match loaded {
                Ok(mut rows) => assert_eq!((waits, rows.remove(0).expect("the row").grant.version), (true, 5)),
                Err(refused) => assert!(!waits && refused.detail.contains("regrant recover"), "{waits}: {refused}"),
            }
        })
        .await
        .expect("the story ends");
    }
}
