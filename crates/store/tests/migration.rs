//! An older store under this program: the schema of each version, filled as the program of its time filled it, opens with all of it.

use std::path::Path;

use regrant_core::grant::EndReason;
use regrant_core::keys::KeyStatus;
use regrant_core::{Epoch, Grant, Selector, Timestamp};
use regrant_store::{
    Answer, KeyKind, KeyRecord, Look, OpenError, Outcome, Question, Record, Sqlite, SqliteOptions, Store, back_up,
};
use rusqlite::Connection;

mod place;
mod rows;

/// The first schema, as it was released.
const FIRST: &str = include_str!("../src/sqlite/migrations/0001.sql");

/// A store of version 1: the settings that last, the mark, the schema, and these rows.
fn version_one(file: &Path, rows: &str) {
    let sql = Connection::open(file).expect("a file");
    sql.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; BEGIN;").expect("settings");
    sql.execute_batch(FIRST).expect("the schema");
    sql.execute_batch(rows).expect("rows");
    sql.execute_batch("PRAGMA application_id = 1380405844; PRAGMA user_version = 1; COMMIT;").expect("the mark");
}

fn keys(store: &mut Sqlite, kind: KeyKind) -> Vec<KeyRecord> {
    let Answer::Keys(keys) = store.ask(&Question::Keys(kind)).expect("readable") else { panic!("not keys") };
    keys
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn key(kind: KeyKind, id: u32, made: i64, wrapped: Option<&[u8]>) -> KeyRecord {
    KeyRecord {
        kind,
        id,
        status: KeyStatus::Current,
        algorithm: String::new(),
        wrapped: wrapped.map(<[u8]>::to_vec),
        outlived_by: 0,
        created_at: at(made),
        current_at: Some(at(made)),
        verify_at: None,
        gone_at: None,
    }
}

const IDENTITY: &str =
    "UPDATE meta SET deployment = zeroblob(16), root_check = zeroblob(16), next_grant = 5, high_water = 900;";

/// Every wrapped key keeps its number and its bytes, the newest of a kind mints, and the derived keys get their rows.
#[test]
fn the_keys_of_the_first_schema_go_on() {
    let directory = place::Directory::new();
    let rows = "INSERT INTO signing_keys VALUES (1, 'ES256', x'0102', 100);
        INSERT INTO seed_keys VALUES (4, '', x'04', 400), (6, '', x'06', 600), (5, '', x'05', 500);
        INSERT INTO users VALUES ('usr_ann', 'ann', 'hash', NULL, 1);";
    version_one(&directory.file(), &format!("{IDENTITY}{rows}"));
    for _ in 0..2 {
        let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
        assert_eq!(store.high_water(), at(900));
        let signing = KeyRecord { algorithm: "ES256".to_owned(), ..key(KeyKind::Signing, 1, 100, Some(&[1, 2])) };
        assert_eq!(keys(&mut store, KeyKind::Signing), [signing]);
        let old = |id, made, until, bytes: &[u8]| KeyRecord {
            status: KeyStatus::Verify,
            verify_at: Some(at(until)),
            ..key(KeyKind::Seed, id, made, Some(bytes))
        };
        let seeds = [old(4, 400, 500, &[4]), old(5, 500, 600, &[5]), key(KeyKind::Seed, 6, 600, Some(&[6]))];
        assert_eq!(keys(&mut store, KeyKind::Seed), seeds);
        for kind in [KeyKind::Tag, KeyKind::Sealing] {
            assert_eq!(keys(&mut store, kind), [key(kind, 1, 100, None)], "{kind}: number 1 was always there");
        }
        let user = store.ask(&Question::UserByName("ann".to_owned())).expect("readable");
        assert!(matches!(user, Answer::User(Some(_))));
    }
}

/// Of several signing keys all stay published; how long the tokens of the old ones live, nobody knows.
#[test]
fn old_signing_keys_of_the_first_schema_verify_on() {
    let directory = place::Directory::new();
    let rows = "INSERT INTO signing_keys VALUES (1, 'ES256', x'01', 100), (2, 'ES256', x'02', 200);";
    version_one(&directory.file(), &format!("{IDENTITY}{rows}"));
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    let found = keys(&mut store, KeyKind::Signing);
    assert_eq!(found.iter().map(|key| key.status).collect::<Vec<_>>(), [KeyStatus::Verify, KeyStatus::Current]);
    assert_eq!((found[0].verify_at, found[0].outlived_by), (Some(at(200)), 315_360_000));
}

/// A store that nobody has used yet has no keys, and can be given its identity.
#[test]
fn a_fresh_store_of_the_first_schema_stays_fresh() {
    let directory = place::Directory::new();
    version_one(&directory.file(), "");
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    for kind in KeyKind::ALL {
        assert_eq!(keys(&mut store, kind), []);
    }
    let deployment = regrant_core::keys::DeploymentId([1; 16]);
    let initialise = Record::Initialise { deployment, root_check: [1; 16] };
    assert_eq!(store.commit(&[initialise], at(1)), Ok(vec![Outcome::Committed]));
}

/// A grant of before there were wide revocations is believed as it was, was made under a count of 0, and is covered by the first.
#[test]
fn a_grant_of_the_first_schema_is_still_believed() {
    let (keys, directory) = (rows::keys(), place::Directory::new());
    let grant = rows::grant(1);
    let hex: String = grant.mac(&keys).mac.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "a00193180f383995a2f63c62267b640d", "the MAC that the program of that time wrote");
    let repeat = |byte: &str| byte.repeat(32);
    let rows = format!(
        "INSERT INTO grants VALUES (1, 77, 1, 1, 1, x'{}', x'{}', 1, 0, 1, 2000, 2000, 2000, 0, NULL, 2000, 2000, NULL, NULL, 2000, 1, \
         x'{hex}');
         INSERT INTO grant_terms VALUES (1, 'app', 'usr_ann', 'read write', 'urn:a urn:b', 0, NULL, 0, 1, 2000, 2000, NULL, NULL, NULL, \
         NULL);",
        repeat("01"),
        repeat("02"),
    );
    version_one(&directory.file(), &format!("{IDENTITY}{rows}"));
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    let found = |store: &mut Sqlite| {
        let row = store.load(&[grant.id]).expect("readable").pop().flatten().expect("a row");
        row.believed(&keys).expect("intact")
    };
    assert_eq!((found(&mut store).grant, store.epoch()), (grant.clone(), 0));
    let grant = Grant { version: 2, generation: 2, ..grant };
    assert_eq!(store.commit(&[rows::write(Some(1), &grant, &keys)], at(2500)), Ok(vec![Outcome::Committed]));
    assert_eq!(found(&mut store).grant, grant, "and is refreshed as ever");
    let selector = Selector { subject: Some("usr_ann".to_owned()), ..Selector::default() };
    let epoch = Epoch {
        number: 1,
        at: at(3000),
        reason: selector.reason(),
        selector,
        detail: String::new(),
        undo_until: None,
        undone_at: None,
    };
    store.commit(&[Record::Epoch { epoch, events: Vec::new() }], at(3000)).expect("a write");
    assert_eq!(found(&mut store).grant.ended, Some((at(3000), EndReason::UserRevoked)));
}

/// Every migration, in order.
fn migrations() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite/migrations");
    (1..).map_while(|version| std::fs::read_to_string(directory.join(format!("{version:04}.sql"))).ok()).collect()
}

/// A store of this version with a row in every table that it had. What a program reads when it opens the file makes sense; the rest is
/// of the right kind.
fn version(file: &Path, version: usize) -> Vec<String> {
    let sql = Connection::open(file).expect("a file");
    sql.execute_batch("PRAGMA journal_mode = WAL; BEGIN;").expect("settings");
    migrations()[..version].iter().for_each(|migration| sql.execute_batch(migration).expect("the schema"));
    sql.execute_batch(IDENTITY).expect("an identity");
    let names = |statement: &str| -> Vec<(String, String)> {
        let mut statement = sql.prepare(statement).expect("good SQL");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.collect::<Result<_, _>>().expect("names and kinds")
    };
    let tables = names("SELECT name, type FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    for (table, _) in &tables {
        let is_there = sql.prepare(&format!("SELECT 1 FROM {table}")).and_then(|mut rows| rows.exists([]));
        if is_there.expect("readable") {
            continue;
        }
        let columns = names(&format!("SELECT name, type FROM pragma_table_info('{table}')"));
        let values = columns.iter().map(|(column, kind)| match (table.as_str(), column.as_str(), kind.as_str()) {
            ("journal", "batch", _) => "x'01'",
            ("keys", "kind", _) => "'tag'",
            ("keys", "status", _) => "'current'",
            ("epochs", "among", _) => "NULL",
            (_, _, "INTEGER") => "1",
            (_, _, "TEXT") => "'text'",
            _ => "zeroblob(32)",
        });
        let values = values.collect::<Vec<_>>().join(", ");
        sql.execute_batch(&format!("INSERT INTO {table} VALUES ({values})")).expect(table);
    }
    sql.execute_batch(&format!("PRAGMA application_id = 1380405844; PRAGMA user_version = {version}; COMMIT;"))
        .expect("the mark");
    tables.into_iter().map(|(table, _)| table).collect()
}

/// Whatever a store holds, it comes from each version to today's, and keeps it.
#[test]
fn a_store_of_each_version_with_a_row_in_every_table_opens() {
    for from in 1..migrations().len() {
        let directory = place::Directory::new();
        let tables = version(&directory.file(), from);
        let opened = Sqlite::open(&directory.file(), &SqliteOptions::default());
        let mut store = opened.unwrap_or_else(|error| panic!("version {from}: {error}"));
        let denied = store.ask(&Question::AccessDenied([0; 32])).expect("readable");
        assert!(matches!(denied, Answer::AccessDenied(true)), "version {from}: {denied:?}");
        drop(store);
        let sql = Connection::open(directory.file()).expect("a file");
        let one = |statement: &str| sql.query_row(statement, [], |row| row.get::<_, i64>(0));
        assert_eq!(one("PRAGMA user_version").ok(), i64::try_from(migrations().len()).ok());
        for table in tables.iter().filter(|table| !["signing_keys", "journal"].contains(&table.as_str())) {
            assert!(one(&format!("SELECT count(*) FROM {table}")).expect(table) > 0, "version {from}: {table}");
        }
        if from < 10 {
            let told = "SELECT count(*) FROM revocations WHERE about = CAST('token' || jti AS BLOB)";
            assert_eq!(one(told).ok(), Some(1), "version {from}: resource servers hear of it");
        }
    }
}

/// What was done is kept, what failed is not, and neither is called damage.
#[test]
fn an_upgrade_that_fails_says_which_and_what_is_done() {
    for (from, says) in [(9, "The store has schema 9, as before"), (7, "The store had schema 7, and has 9 now")] {
        let directory = place::Directory::new();
        version(&directory.file(), from);
        let sql = Connection::open(directory.file()).expect("a file");
        sql.execute_batch("CREATE TABLE revocations (mine)").expect("something in its way");
        let error = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect_err("it is in the way");
        assert!(matches!(error, OpenError::Upgrade { to: 10, .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("the upgrade to schema 10 failed") && error.contains(says), "{error}");
        assert!(error.contains("remedy: ") && !error.contains("damaged") && !error.contains("Nothing was"), "{error}");
        let now: i64 = sql.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("readable");
        assert_eq!(now, 9, "as it says");
        sql.execute_batch("DROP TABLE revocations").expect("out of its way");
        drop(sql);
        drop(Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the rest of the upgrade"));
    }
}

/// What `doctor` does before the first start of a newer program: it asks nothing that the file cannot answer yet.
#[test]
fn a_look_at_a_store_of_each_version_tells_the_version_and_whose_it_is() {
    for from in 1..migrations().len() {
        let directory = place::Directory::new();
        version(&directory.file(), from);
        let mut look = Look::at(&directory.file(), &SqliteOptions::default()).expect("a look");
        assert_eq!(look.versions(), (from as u32, migrations().len() as u32));
        let deployment = look.ask(&Question::Deployment);
        assert!(matches!(deployment, Ok(Answer::Deployment(Some(_)))), "version {from}: {deployment:?}");
        let clients = look.ask(&Question::Clients).expect_err("not yet");
        assert!(clients.detail.contains("the next start brings it to"), "{clients:?}");
    }
}

#[test]
fn a_copy_of_a_newer_store_is_refused_by_the_name_of_the_store() {
    let directory = place::Directory::new();
    drop(Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens"));
    Connection::open(directory.file()).expect("a file").execute_batch("PRAGMA user_version = 99").expect("newer");
    let copy = directory.file().with_file_name("copy.db");
    let error = back_up(&directory.file(), &copy).expect_err("newer").to_string();
    assert!(error.contains(&format!("the store {} has schema version 99", directory.file().display())), "{error}");
    assert!(!error.contains(".part") && !copy.exists(), "{error}");
}
