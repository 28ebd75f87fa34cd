//! A row that something else changed (check K8): each column of both halves, one at a time, on a store that is stopped.

use std::path::Path;

use regrant_core::Timestamp;
use regrant_server::config::StoreLocation;
use regrant_server::{Clock, Config};
use rusqlite::Connection;
use rusqlite::types::Value;
use sim::process::{Home, Inside, Scratch};
use sim::wire::{START, World, log};

const TABLES: [&str; 2] = ["grants", "grant_terms"];
/// What names the row: changed, there is no row of that name.
const NAMES: [(&str, &str); 2] = [("grants", "number"), ("grants", "random")];

/// Two grants of one client, made by a login and by a password, both rotated twice; the store is then closed.
struct Stopped {
    scratch: Scratch,
    config: Config,
    store: std::path::PathBuf,
    victim: String,
    other: String,
    number: i64,
}

async fn stopped() -> Stopped {
    log::listen();
    let scratch = Scratch::new("rows");
    let home = Home::make(scratch.path());
    let world = World::on_sqlite(&home.store()).await;
    std::fs::write(home.root_key_file(), regrant_core::keys::RootKey::new(sim::wire::ROOT).text().as_bytes())
        .expect("the world's root key");
    let code = world.code("phone").await;
    let mut victim = sim::wire::text(&world.redeem("phone", &code).await.expect_status(200).json(), "refresh_token");
    for key in ["a", "b"] {
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", victim.as_str())];
        let reply = world.post("/oauth2/token", "phone", &parameters, &[("idempotency-key", key)]).await;
        victim = sim::wire::text(&reply.expect_status(200).json(), "refresh_token");
    }
    let other = world.first("phone").await;
    let number = world.grant_of(&victim).number.cast_signed();
    drop(world);
    let (config, store) = (home.config(), home.store());
    let inside = loop {
        if let Ok(inside) = Inside::open(config.clone(), clock()) {
            break inside;
        }
        tokio::task::yield_now().await;
    };
    inside.close(&store).await;
    Stopped { scratch, config, store, victim, other, number }
}

fn clock() -> Clock {
    Clock::manual(Timestamp::from_millis(START + 60_000))
}

/// Every column with the values it may be changed to: another one of its type, and NULL where it may be.
fn changes(store: &Path, number: i64) -> Vec<(&'static str, String, Value)> {
    let connection = Connection::open(store).expect("the store");
    let mut changes = Vec::new();
    for table in TABLES {
        let columns: Vec<(String, bool, String)> = {
            let mut statement = connection.prepare(&format!("PRAGMA table_info({table})")).expect("a statement");
            let columns = statement.query_map([], |row| Ok((row.get(1)?, row.get::<_, i64>(3)? == 1, row.get(2)?)));
            columns.expect("columns").flatten().collect()
        };
        for (column, must_be, kind) in columns {
            let sql = format!("SELECT {column} FROM {table} WHERE number = ?1");
            let value: Value = connection.query_row(&sql, [number], |row| row.get(0)).expect("a value");
            for changed in changed(&value, &kind) {
                changes.push((table, column.clone(), changed));
            }
            if value != Value::Null && !must_be && column != "number" {
                changes.push((table, column, Value::Null));
            }
        }
    }
    changes
}

fn changed(value: &Value, kind: &str) -> Vec<Value> {
    match value {
        Value::Integer(number) => vec![Value::Integer(number ^ 1), Value::Integer(number + 1_000_000)],
        Value::Text(text) => vec![Value::Text(format!("{text}x")), Value::Text(String::new())],
        Value::Blob(bytes) => {
            let flipped = (0..bytes.len()).step_by(7).chain([bytes.len() - 1]).map(|at| {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                Value::Blob(flipped)
            });
            flipped.chain([Value::Blob(bytes[1..].to_vec())]).collect()
        }
        Value::Null if kind == "BLOB" => vec![Value::Blob(vec![7; 32])],
        Value::Null => vec![Value::Integer(1)],
        Value::Real(_) => panic!("no column holds a real number"),
    }
    .into_iter()
    .filter(|changed| changed != value)
    .collect()
}

/// All rows of both halves, as they are.
fn dump(store: &Path) -> Vec<Vec<Value>> {
    let connection = Connection::open(store).expect("the store");
    let mut rows = Vec::new();
    for table in TABLES {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY number")).expect("a statement");
        let columns = statement.column_count();
        let found = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
        rows.extend(found.expect("rows").flatten());
    }
    rows
}

fn alarms(store: &Path) -> i64 {
    let connection = Connection::open(store).expect("the store");
    connection.query_row("SELECT count(*) FROM events WHERE kind = 'alarm'", [], |row| row.get(0)).expect("a count")
}

/// Check K8: each column of a grant's row, changed by something else, ends in `invalid_grant` and an alarm; the row stays as it
/// was found, and other grants live on.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_something_else_changed_is_refused_and_an_alarm_is_raised() {
    let stopped = stopped().await;
    let changes = changes(&stopped.store, stopped.number);
    println!("{} changes", changes.len());
    assert!(changes.len() > 60, "{changes:?}");
    for (table, column, value) in changes {
        let what = format!("{table}.{column} = {value:?}");
        let store = stopped.scratch.path().join("changed.db");
        for ending in ["", "-wal", "-shm", ".anchor"] {
            let _ = std::fs::remove_file(format!("{}{ending}", store.display()));
        }
        std::fs::copy(&stopped.store, &store).expect("a copy");
        {
            let connection = Connection::open(&store).expect("the copy");
            let sql = format!("UPDATE {table} SET {column} = ?1 WHERE number = ?2");
            // A column may refuse the value: then nobody can have put it there.
            if connection.execute(&sql, rusqlite::params![value, stopped.number]).is_err() {
                continue;
            }
        }
        let (found, alarms_before) = (dump(&store), alarms(&store));
        let config = Config { store: StoreLocation::Sqlite(store.clone()), ..stopped.config.clone() };
        let inside = Inside::open(config, clock()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let reply = inside.refresh("phone", &stopped.victim).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_grant")), "{what}");
        let is_name = NAMES.contains(&(table, column.as_str()));
        let reason = if is_name { "unknown_grant" } else { "tampered_row" };
        assert_eq!(log::reason(&reply), reason, "{what}");
        assert_eq!(dump(&store), found, "{what}: nothing is written to it");
        let raised = alarms(&store) - alarms_before;
        assert_eq!(raised, i64::from(!is_name), "{what}");
        let other = inside.refresh("phone", &stopped.other).await;
        assert_eq!(other.status.as_u16(), 200, "{what}: {}", other.text());
        inside.close(&store).await;
    }
}

/// Check K8: the untouched row is refreshed, so it was the change that was refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_row_that_nobody_changed_is_refreshed() {
    let stopped = stopped().await;
    let inside = Inside::open(stopped.config.clone(), clock()).expect("the store opens");
    assert_eq!(inside.refresh("phone", &stopped.victim).await.status.as_u16(), 200);
    assert_eq!(alarms(&stopped.store), 0);
}
