//! What the schema and the statements are free of, so that they run on a distributed engine and behind a pooler; and upgrades.

use std::process::Output;
use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation};
use regrant_core::secret::Hash;
use regrant_core::{Grant, GrantId, OpenId, Terms, Timestamp};
use regrant_store::{Outcome, Store as _};
use sim::pg::{self, Database, Server as Postgres};
use sim::process::{Home, Scratch, Server, pause};
use sim::wire::{CONFIG, PASSWORD, USER, text};

use crate::contract::server;
use crate::races::{MAC, grant, write};

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
        "INSERT INTO regrant_schema (version, works_with) VALUES (3, 2)",
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
    assert_eq!((plan["found"].as_u64(), plan["pending"].as_array().map(Vec::len)), (Some(0), Some(2)), "{plan}");
    let tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384";
    assert_eq!(server().sql(&database.name, tables), "0", "a plan changes nothing");
    // The first statement of it fails, one in the middle, and the last one.
    for table in ["grants", "epochs", "nodes"] {
        server().sql(&database.name, &format!("CREATE TABLE {table} (in_the_way bigint)"));
        let failed = migrate(&home, "apply");
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(!failed.status.success() && said.contains("the upgrade to schema 1 failed"), "{said}");
        assert_eq!(server().sql(&database.name, tables), "2", "{table}: that table, and the list of migrations");
        server().sql(&database.name, &format!("DROP TABLE {table}"));
    }
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| told(&home, "apply")), scope.spawn(|| told(&home, "apply")));
        (one.join().expect("one"), two.join().expect("two"))
    });
    let applied = |told: &serde_json::Value| told["applied"].as_array().map_or(0, Vec::len);
    assert_eq!(applied(&one) + applied(&two), 2, "{one} and {two}");
    assert_eq!(told(&home, "plan")["pending"].as_array().map(Vec::len), Some(0));
    assert_eq!(applied(&told(&home, "apply")), 0);
    assert!(database.node().load(&[]).is_ok());
}

/// A grant's two rows as schema 1 had them.
fn as_of_1(grant: &Grant, scope: &str) -> String {
    let bytes = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => format!("'\\x{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        None => "NULL".to_owned(),
    };
    let (ended, reason) = match grant.ended {
        Some((at, reason)) => (at.millis().to_string(), reason.code().to_string()),
        None => ("NULL".to_owned(), "NULL".to_owned()),
    };
    let number = |number: u64| number.cast_signed().to_string();
    let hot = [
        number(grant.id.number),
        number(grant.id.random),
        number(grant.version),
        number(grant.write_id),
        grant.rotated_at.millis().to_string(),
        grant.previously_rotated_at.millis().to_string(),
        grant.answered_at.millis().to_string(),
        grant.idle_at.millis().to_string(),
        grant.absolute_at.millis().to_string(),
        ended,
        grant.redeemed_at.map_or_else(|| "NULL".to_owned(), |at| at.millis().to_string()),
        grant.generation.cast_signed().to_string(),
        grant.seed_key.cast_signed().to_string(),
        grant.retries.cast_signed().to_string(),
        grant.era.to_string(),
        grant.tag_key.to_string(),
        reason,
        MAC.key_id.to_string(),
        bytes(Some(&MAC.mac)),
        bytes(grant.current.as_ref().map(|hash| hash.0.as_slice())),
        bytes(grant.ratchet.as_ref().map(<[u8; 32]>::as_slice)),
        bytes(grant.retry_proof.as_ref().map(|hash| hash.0.as_slice())),
    ];
    let terms = &grant.terms;
    let code = terms.code.as_ref();
    let text = |text: &str| format!("'{text}'");
    let cold = [
        number(grant.id.number),
        terms.authenticated_at.millis().to_string(),
        terms.created_at.millis().to_string(),
        number(terms.epoch),
        code.map_or_else(|| "NULL".to_owned(), |code| code.expires_at.millis().to_string()),
        if matches!(terms.binding, Binding::Key(_)) { "2" } else { "0" }.to_owned(),
        u8::from(terms.rotation == Rotation::Reusable).to_string(),
        u8::from(terms.refreshable).to_string(),
        text(terms.client.as_str()),
        text(&terms.subject),
        text(scope),
        text(&terms.resources.to_string()),
        match &terms.binding {
            Binding::Key(hash) => bytes(Some(&hash.0)),
            _ => "NULL".to_owned(),
        },
        bytes(code.map(|code| code.secret.0.as_slice())),
        bytes(code.and_then(|code| code.challenge.as_ref()).map(|hash| hash.0.as_slice())),
        bytes(code.and_then(|code| code.redirect_uri.as_ref()).map(|hash| hash.0.as_slice())),
        bytes(terms.session.as_ref().map(<[u8; 32]>::as_slice)),
        terms.openid.as_ref().map_or_else(|| "NULL".to_owned(), |openid| text(&openid.text())),
    ];
    format!("INSERT INTO grants VALUES ({}); INSERT INTO grant_terms VALUES ({})", hot.join(", "), cold.join(", "))
}

/// Checks Z12, K8: what schema 1 holds is what schema 2 holds; what was changed there by something else is refused here, and it alone. A node does
/// not do it by itself: an operator says when.
#[test]
fn rows_of_the_first_schema_are_written_anew() {
    if !pg::is_there() {
        return;
    }
    const FIRST: &str = include_str!("../../../store/src/postgres/migrations/0001.sql");
    let database = server().database();
    let sql = |sql: &str| server().sql(&database.name, sql);
    sql(
        "CREATE TABLE regrant_schema (version bigint PRIMARY KEY, works_with bigint NOT NULL, applied_at timestamptz DEFAULT now())",
    );
    sql(FIRST);
    sql("INSERT INTO regrant_schema (version, works_with) VALUES (1, 1)");
    let plain = grant(1);
    let hash = |byte: u8| Hash([byte; 32]);
    // Everything that there can be, beyond one page of the migration, and under a number of the upper half.
    let code = CodeTerms {
        secret: hash(5),
        challenge: Some(hash(6)),
        redirect_uri: None,
        expires_at: Timestamp::from_millis(-3),
    };
    let full = Grant {
        id: GrantId { number: u64::MAX - 1, random: u64::MAX },
        generation: u32::MAX,
        current: None,
        retry_proof: Some(hash(7)),
        ended: Some((Timestamp::from_millis(i64::MAX), EndReason::RefreshReplayed)),
        redeemed_at: None,
        terms: Arc::new(Terms {
            binding: Binding::Key(hash(8)),
            rotation: Rotation::Reusable,
            refreshable: false,
            session: Some([9; 32]),
            code: Some(code),
            openid: OpenId::parse("n-0S6\n1\npwd\n\nemail"),
            ..(*plain.terms).clone()
        }),
        ..plain.clone()
    };
    let changed = Grant { id: GrantId { number: 3, random: 7 }, ..plain.clone() };
    sql(&as_of_1(&plain, "read"));
    sql(&as_of_1(&full, "read"));
    sql(&as_of_1(&changed, "read  write"));
    sql(
        "INSERT INTO grants SELECT 100 + i, 7, version, write_id, rotated_at, previously_rotated_at, answered_at, idle_at, absolute_at, ended_at, \
         redeemed_at, generation, seed_key, retries, era, tag_key, end_reason, mac_key, mac, current, ratchet, retry_proof \
         FROM grants, generate_series(1, 2500) i WHERE number = 1",
    );
    sql(
        "INSERT INTO grant_terms SELECT 100 + i, authenticated_at, created_at, epoch, code_expires_at, binding, rotation, refreshable, client, \
         subject, scope, resources, binding_key, code_secret, code_challenge, code_redirect_uri, session, openid \
         FROM grant_terms, generate_series(1, 2500) i WHERE number = 1",
    );
    // And a row of the right kind in every other table.
    let tables = "SELECT c.table_name FROM information_schema.columns c WHERE c.table_schema = 'public' GROUP BY 1";
    let tables = sql(tables);
    let count = |table: &str| sql(&format!("SELECT count(*) FROM {table}"));
    for table in tables.lines().filter(|table| count(table) == "0") {
        let values = format!(
            "SELECT string_agg(CASE data_type WHEN 'bytea' THEN '''\\x00''' WHEN 'text' THEN '''text''' WHEN 'boolean' THEN 'false' ELSE '1' END, \
             ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = '{table}'"
        );
        sql(&format!("INSERT INTO {table} VALUES ({})", sql(&values)));
    }
    let refused = regrant_store::Postgres::open(&database.options()).expect_err("an operator says when").to_string();
    assert!(refused.contains("its schema is 1") && refused.contains("regrant migrate"), "{refused}");
    let mut applied = Vec::new();
    regrant_store::Postgres::migrate(&database.options(), |migration| applied.push(migration.version))
        .expect("applied");
    assert_eq!(applied, [2]);
    assert!(tables.lines().count() > 20, "{tables}");
    for table in tables.lines() {
        assert_ne!(count(table), "0", "{table}");
    }
    // What a node would believe of those.
    sql("DELETE FROM epochs; DELETE FROM lost_commits; DELETE FROM nodes");
    let mut node = database.node();
    let mut read = |grant: &Grant| node.load(&[grant.id]).expect("readable").remove(0).expect("the row");
    for expected in [&plain, &full] {
        let found = read(expected);
        assert_eq!((&found.grant, found.mac), (expected, MAC));
    }
    assert_eq!(read(&changed).mac.key_id, 0, "no MAC fits");
    let last = Grant { id: GrantId { number: 2600, random: 7 }, ..plain };
    assert_eq!(read(&last).grant, last);
    assert_eq!(sql("SELECT count(*) FROM grants"), "2503");
    assert_eq!(sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%of_1%'"), "0", "the old tables are gone");
}
