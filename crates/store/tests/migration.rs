//! An older store under this program: the schema of each version, filled as the program of its time filled it, opens with all of it.

use std::path::Path;

use regrant_core::grant::EndReason;
use regrant_core::keys::KeyStatus;
use regrant_core::{Epoch, Grant, Selector, Timestamp};
use regrant_store::{Answer, KeyKind, KeyRecord, Outcome, Question, Record, Sqlite, SqliteOptions, Store};
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
