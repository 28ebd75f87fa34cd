//! Check K8: a row that was changed behind our back is refused, and only that row.
//!
//! Each column of both tables is set to each of many values, by SQL. The row must then be gone or fail its MAC; the row
//! beside it must be as it was. Columns are found in the schema, so that one that is added later is tried as well.

use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation};
use regrant_core::secret::Hash;
use regrant_core::{Grant, GrantId, Keys, Terms, Timestamp};
use regrant_store::{Loaded, OpenError, Sqlite, SqliteOptions, Store, Synchronous, Writes};
use rusqlite::Connection;

mod place;
mod rows;

const CHANGES: &[&str] = &[
    "NULL",
    "-1",
    "0",
    "1",
    "2",
    "99",
    "256",
    "65536",
    "4294967296",
    "9223372036854775807",
    "{} + 1",
    "-{}",
    "x''",
    "zeroblob(16)",
    "zeroblob(31)",
    "zeroblob(32)",
    "''",
    "'read'",
    "'write read'",
    "'read  write'",
    "'read read write'",
    "' read write'",
    "'read write '",
    "'urn:b urn:a'",
    "'no uri'",
    "'usr_bob'",
    "CAST(x'ff' AS TEXT)",
    "{} || ' '",
    "{} || char(0)",
    "upper({})",
];

#[test]
fn no_change_to_a_column_goes_unnoticed() {
    no_change_goes_unnoticed(Writes::Journal);
}

#[test]
fn no_change_to_a_column_goes_unnoticed_where_rows_are_written_in_place() {
    no_change_goes_unnoticed(Writes::Rows);
}

fn no_change_goes_unnoticed(writes: Writes) {
    let keys = rows::keys();
    for grant in [sparse(), full()] {
        let beside = Grant { id: GrantId { number: 2, ..grant.id }, ..grant.clone() };
        let directory = place::Directory::new();
        let options = SqliteOptions { writes, ..SqliteOptions::default() };
        let open = || Sqlite::open(&directory.file(), &options).expect("the store opens");
        let records = [rows::write(None, &grant, &keys), rows::write(None, &beside, &keys)];
        open().commit(&records, Timestamp::EPOCH).expect("the store can be written");
        let sql = Connection::open(directory.file()).expect("a file of SQLite");
        sql.pragma_update(None, "synchronous", "OFF").expect("a setting");
        let mut store = open();
        let mut tried = 0;
        for (table, column) in columns(&sql) {
            for change in CHANGES {
                let change = change.replace("{}", &column);
                // What the schema itself refuses cannot be tried.
                let _ = sql.execute(&format!("UPDATE {table} SET {column} = {change} WHERE number = 1"), []);
                if is_changed(&sql, table) {
                    tried += 1;
                    let [found, next] = &store.load(&[grant.id, beside.id]).expect("the others can be read")[..] else {
                        panic!("two rows")
                    };
                    assert!(!is_believed(found.as_ref(), &keys), "{table}.{column} = {change}: {found:?}");
                    assert!(is_believed(next.as_ref(), &keys), "{table}.{column} = {change}: the row beside it");
                    restore(&sql);
                }
            }
        }
        assert!(tried > 300, "{tried}");
        assert!(
            is_believed(store.load(&[grant.id]).expect("readable")[0].as_ref(), &keys),
            "the test has put all back"
        );
    }
}

/// A changed byte of the journal: the file is not opened, or each of the two grants is as it was written once or not believed;
/// and one of them is not as it was written last, or the change would have gone unnoticed.
#[test]
fn no_change_to_the_journal_goes_unnoticed() {
    let keys = rows::keys();
    let directory = place::Directory::new();
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    let [first, second] = [full(), Grant { id: GrantId { number: 2, ..full().id }, ..full() }];
    let next = |grant: &Grant| Grant { version: 2, generation: 2, ended: None, ..grant.clone() };
    let new = [&first, &second].map(|grant| rows::write(None, grant, &keys));
    let newer = [&first, &second].map(|grant| rows::write(Some(1), &next(grant), &keys));
    store.commit(&new, Timestamp::EPOCH).expect("the store can be written");
    store.commit(&newer, Timestamp::EPOCH).expect("the store can be written");
    store.checkpoint().expect("the log can be emptied");
    let sql = Connection::open(directory.file()).expect("a file of SQLite");
    let batch: Vec<u8> = sql.query_row("SELECT batch FROM journal", [], |row| row.get(0)).expect("one row");
    let (mut refused, mut doubted) = (0, 0);
    for (at, change) in (0..batch.len()).flat_map(|at| [1_u8, 128].map(|change| (at, change))) {
        let mut changed = batch.clone();
        changed[at] ^= change;
        let copy = place::Directory::new();
        std::fs::copy(directory.file(), copy.file()).expect("a copy");
        let other = Connection::open(copy.file()).expect("a file of SQLite");
        other.pragma_update(None, "synchronous", "OFF").expect("a setting");
        other.execute("UPDATE journal SET batch = ?1", [&changed]).expect("changed");
        drop(other);
        let options = SqliteOptions { synchronous: Synchronous::Off, ..SqliteOptions::default() };
        let mut store = match Sqlite::open(&copy.file(), &options) {
            Ok(store) => store,
            Err(OpenError::Damaged { detail, .. }) => {
                assert!(detail.contains("row 1 of the journal"), "{detail}");
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let found = store.load(&[first.id, second.id]).expect("readable");
        let believed = found.iter().filter(|found| is_believed(found.as_ref(), &keys)).count();
        let newest = |found: &Option<Loaded>| found.as_ref().is_some_and(|found| found.grant.version == 2);
        assert!(believed < 2 || !found.iter().all(newest), "byte {at} changed by {change}: {found:?}");
        doubted += usize::from(believed < 2);
    }
    assert!(refused > 10 && doubted > 300, "{refused} {doubted}");
}

/// A row that is missing between others is told, whatever its grants.
#[test]
fn a_gap_in_the_journal_is_told() {
    let keys = rows::keys();
    let directory = place::Directory::new();
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    store.commit(&[rows::write(None, &full(), &keys)], Timestamp::EPOCH).expect("the store can be written");
    for version in 2..=4 {
        let next = Grant { version, ..full() };
        store
            .commit(&[rows::write(Some(version - 1), &next, &keys)], Timestamp::EPOCH)
            .expect("the store can be written");
    }
    store.checkpoint().expect("the log can be emptied");
    let copy = place::Directory::new();
    std::fs::copy(directory.file(), copy.file()).expect("a copy");
    let sql = Connection::open(copy.file()).expect("a file of SQLite");
    assert_eq!(sql.execute("DELETE FROM journal WHERE id = 2", []), Ok(1));
    drop(sql);
    let error = Sqlite::open(&copy.file(), &SqliteOptions::default()).expect_err("a row is missing");
    assert!(error.to_string().contains("row 3 of the journal cannot be read, or one before it is missing"), "{error}");
}

#[test]
fn half_a_row_is_not_believed() {
    let keys = rows::keys();
    let directory = place::Directory::new();
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    let grant = full();
    store.commit(&[rows::write(None, &grant, &keys)], Timestamp::EPOCH).expect("the store can be written");
    let sql = Connection::open(directory.file()).expect("a file of SQLite");
    sql.execute("DELETE FROM grant_terms", []).expect("deleted");
    let found = store.load(&[grant.id]).expect("readable");
    assert!(found[0].is_some() && !is_believed(found[0].as_ref(), &keys));
    sql.execute("DELETE FROM grants", []).expect("deleted");
    assert_eq!(store.load(&[grant.id]), Ok(vec![None]));
}

/// A cold half that was left behind hinders nobody.
#[test]
fn a_forgotten_cold_half_is_replaced() {
    let keys = rows::keys();
    let directory = place::Directory::new();
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    store.commit(&[rows::write(None, &full(), &keys)], Timestamp::EPOCH).expect("the store can be written");
    let sql = Connection::open(directory.file()).expect("a file of SQLite");
    sql.execute("DELETE FROM grants", []).expect("deleted");
    store.commit(&[rows::write(None, &sparse(), &keys)], Timestamp::EPOCH).expect("the store can be written");
    assert!(is_believed(store.load(&[sparse().id]).expect("readable")[0].as_ref(), &keys));
}

fn is_believed(found: Option<&Loaded>, keys: &Keys) -> bool {
    found.is_some_and(|found| found.grant.is_intact(found.mac, keys))
}

/// Whether row 1 is no longer equal to its copy.
fn is_changed(sql: &Connection, table: &str) -> bool {
    let question = format!("SELECT NOT EXISTS (SELECT * FROM {table} INTERSECT SELECT * FROM temp.copy_of_{table})");
    sql.query_row(&question, [], |row| row.get(0)).expect("an answer")
}

/// Puts back row 1 from its copies.
fn restore(sql: &Connection) {
    for table in ["grants", "grant_terms"] {
        sql.execute_batch(&format!(
            "DELETE FROM {table} WHERE number <> 2; INSERT INTO {table} SELECT * FROM temp.copy_of_{table};"
        ))
        .expect("put back");
    }
}

fn columns(sql: &Connection) -> Vec<(&'static str, String)> {
    let mut columns = Vec::new();
    for table in ["grants", "grant_terms"] {
        sql.execute_batch(&format!("CREATE TEMP TABLE copy_of_{table} AS SELECT * FROM {table} WHERE number = 1"))
            .expect("a copy");
        let mut names = sql.prepare("SELECT name FROM pragma_table_info(?1)").expect("a statement");
        let names = names.query_map([table], |row| row.get(0)).expect("columns");
        columns.extend(names.map(|name| (table, name.expect("a name"))));
    }
    columns
}

/// Every option absent, every switch off.
fn sparse() -> Grant {
    let grant = rows::grant(1);
    let terms = Terms { refreshable: false, ..Terms::clone(&grant.terms) };
    Grant { current: None, ratchet: None, redeemed_at: None, terms: Arc::new(terms), ..grant }
}

/// Every option set, every switch on.
fn full() -> Grant {
    let (hash, at) = (Hash([5; 32]), Timestamp::from_millis(3_000));
    let code = CodeTerms { secret: hash, challenge: Some(hash), redirect_uri: Some(hash), expires_at: at };
    let grant = rows::grant(1);
    Grant {
        retry_proof: Some(hash),
        ended: Some((at, EndReason::RevokedByUser)),
        terms: Arc::new(Terms {
            binding: Binding::Key(hash),
            code: Some(code),
            rotation: Rotation::Reusable,
            epoch: 3,
            session: Some([6; 32]),
            openid: Some(regrant_core::OpenId::default()),
            ..Terms::clone(&grant.terms)
        }),
        ..grant
    }
}
