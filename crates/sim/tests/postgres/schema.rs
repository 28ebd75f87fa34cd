//! What the schema and the statements are free of, so that they run on a distributed engine and behind a pooler; and upgrades.

use std::process::Output;

use regrant_core::{Grant, Timestamp};
use regrant_store::{Outcome, Store as _};
use sim::pg::{self, Database, Server as Postgres};
use sim::process::{Home, Scratch, Server, pause};
use sim::wire::{CONFIG, PASSWORD, USER, text};

use crate::contract::server;
use crate::races::{grant, write};

/// Sequences, foreign keys, triggers, rules, and functions of our own.
fn burdens(database: &Database) -> String {
    const SQL: &str = "SELECT 'sequence ' || relname FROM pg_class WHERE relkind = 'S' \
        UNION ALL SELECT 'foreign key ' || conname FROM pg_constraint WHERE contype = 'f' \
        UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger \
        UNION ALL SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class >= 16384 \
        UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE oid >= 16384";
    server().sql(&database.name, SQL)
}

#[test]
fn the_schema_has_no_sequence_no_foreign_key_and_no_code() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    drop(database.node());
    let tables = server().sql(&database.name, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384");
    assert!(tables.parse::<u32>().is_ok_and(|tables| tables > 20), "{tables}");
    assert_eq!(burdens(&database), "");
    // The question finds what it asks for.
    server().sql(
        &database.name,
        "CREATE TABLE child (id serial, number bigint REFERENCES grants (number)); \
         CREATE FUNCTION one() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    );
    let found = burdens(&database);
    for burden in ["sequence child_id_seq", "foreign key", "trigger", "function one"] {
        assert!(found.contains(burden), "{burden} in {found}");
    }
}

/// Each table of grants is reached by the number that would be its partition key: no index but the primary key and those that lists of
/// grants are made from, and no column of an index changes with a refresh (so that updates are HOT).
#[test]
fn a_refresh_changes_no_column_of_an_index() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let mut store = database.node();
    store.commit(&[write(None, &grant(1))], Timestamp::from_millis(1)).expect("written");
    for version in 2..202 {
        let next = Grant { version, generation: 2, ..grant(1) };
        let written = store.commit(&[write(Some(version - 1), &next)], Timestamp::from_millis(2));
        assert_eq!(written, Ok(vec![Outcome::Committed]));
    }
    let indexes = server().sql(&database.name, "SELECT count(*) FROM pg_indexes WHERE tablename = 'grants'");
    assert_eq!(indexes, "1", "the primary key");
    drop(store);
    let hot = "SELECT n_tup_upd, n_tup_upd - n_tup_hot_upd < 20 FROM pg_stat_user_tables WHERE relname = 'grants'";
    // What a connection has counted is told when it ends.
    let mut said = String::new();
    for _ in 0..1_000 {
        said = server().sql(&database.name, hot);
        if said.starts_with("200|") {
            break;
        }
    }
    assert_eq!(said, "200|t");
}

/// What a real node says to the server, from its first start to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_no_advisory_lock_listens_to_nothing_and_draws_from_no_sequence() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("statements");
    let server = Postgres::start(&["log_statement=all"]);
    let database = server.database();
    let home = Home::make_with(scratch.path(), CONFIG);
    home.store_at(&database.options().address);
    home.add_user();
    let node = Server::start(&home);
    let http = node.http();
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let mut token = text(&http.post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token");
    for _ in 0..5 {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
        token = text(&http.post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token");
    }
    let asked = [("token", token.as_str()), ("client_id", "phone")];
    let _ = http.post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    node.stop();
    server.sql(&database.name, "SELECT 'the end'");
    let mut said = String::new();
    for _ in 0..500 {
        said = statements(&server);
        if said.contains("'the end'") {
            break;
        }
        pause(std::time::Duration::from_millis(10)).await;
    }
    for ours in ["insert into grants (", "update grants g set", "update ledger", "insert into nodes", "'the end'"] {
        assert!(said.contains(ours), "the log tells what was said: {ours}");
    }
    for foreign in ["advisory", "listen", "notify", "nextval", "setval", "for key share", "create function"] {
        assert!(!said.contains(foreign), "{foreign}");
    }
}

fn statements(server: &Postgres) -> String {
    let entries = std::fs::read_dir(&server.home).expect("its directory").flatten().map(|entry| entry.path());
    let logs = entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-")));
    let text: String = logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
    let lines = text.lines().filter(|line| line.contains("statement: ") || line.contains("execute "));
    lines.map(|line| line.to_lowercase() + "\n").collect()
}

/// Check Z12: a migration that only adds is applied under a node that runs and knows nothing of it, with its prepared statements; it goes
/// on, and so does one that starts afterwards.
#[test]
fn a_node_goes_on_when_a_newer_version_adds_to_the_schema() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let (mut old, at) = (database.node(), Timestamp::from_millis);
    old.commit(&[write(None, &grant(1))], at(1)).expect("written");
    let mut version = 1;
    let mut step = |store: &mut regrant_store::Postgres| {
        let next = Grant { version: version + 1, generation: 2, ..grant(1) };
        assert_eq!(store.commit(&[write(Some(version), &next)], at(2)), Ok(vec![Outcome::Committed]));
        version += 1;
        let row = store.load(&[grant(1).id]).expect("readable").remove(0).expect("the row");
        assert_eq!(row.grant.version, version);
    };
    step(&mut old);
    for addition in [
        "ALTER TABLE grants ADD COLUMN region smallint",
        "ALTER TABLE grant_terms ADD COLUMN details text DEFAULT ''",
        "ALTER TABLE nodes ADD COLUMN zone text",
        "ALTER TABLE ledger ADD COLUMN more bigint NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN more bigint",
        "CREATE TABLE later (id bigint PRIMARY KEY)",
        "CREATE INDEX grants_later ON grants (random)",
        "INSERT INTO regrant_schema (version, works_with) VALUES (2, 1)",
    ] {
        server().sql(&database.name, addition);
        step(&mut old);
        step(&mut database.node());
    }
    assert_eq!(old.notice(), None);
}

fn migrate(home: &Home, what: &str) -> Output {
    home.command(&["--json", "migrate", what]).output().expect("regrant runs")
}

fn told(home: &Home, what: &str) -> serde_json::Value {
    let done = migrate(home, what);
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).expect("JSON")
}

fn home_for(scratch: &Scratch, name: &str, database: &Database) -> Home {
    let home = Home::make_with(&scratch.path().join(name), CONFIG);
    home.store_at(&database.options().address);
    home
}

/// Checks Z12, Z13: what is missing is said before anything is done; two that apply it at once do it once; broken off anywhere, nothing
/// of it is there, and it can be done again.
#[test]
fn migrations_are_planned_applied_once_and_whole() {
    if !pg::is_there() {
        return;
    }
    let (scratch, database) = (Scratch::new("migrate"), server().database());
    let home = home_for(&scratch, "home", &database);
    let plan = told(&home, "plan");
    assert_eq!((plan["found"].as_u64(), plan["pending"].as_array().map(Vec::len)), (Some(0), Some(1)), "{plan}");
    let tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384";
    assert_eq!(server().sql(&database.name, tables), "0", "a plan changes nothing");
    // The first statement of it fails, one in the middle, and the last one.
    for table in ["grants", "epochs", "nodes"] {
        server().sql(&database.name, &format!("CREATE TABLE {table} (in_the_way bigint)"));
        assert!(!migrate(&home, "apply").status.success());
        assert_eq!(server().sql(&database.name, tables), "2", "{table}: that table, and the list of migrations");
        server().sql(&database.name, &format!("DROP TABLE {table}"));
    }
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| told(&home, "apply")), scope.spawn(|| told(&home, "apply")));
        (one.join().expect("one"), two.join().expect("two"))
    });
    let applied = |told: &serde_json::Value| told["applied"].as_array().map_or(0, Vec::len);
    assert_eq!(applied(&one) + applied(&two), 1, "{one} and {two}");
    assert_eq!(told(&home, "plan")["pending"].as_array().map(Vec::len), Some(0));
    assert_eq!(applied(&told(&home, "apply")), 0);
    assert!(database.node().load(&[]).is_ok());
}
