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
            let bytes = bytes(&sql, table, &column);
            for change in CHANGES.iter().map(|change| change.replace("{}", &column)).chain(bytes) {
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
        assert!(tried > 200, "{tried}");
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

/// The schema in which each half had columns, as its migrations made it.
const COLUMNS: [&str; 20] = [
    include_str!("../src/sqlite/migrations/0001.sql"),
    include_str!("../src/sqlite/migrations/0002.sql"),
    include_str!("../src/sqlite/migrations/0003.sql"),
    include_str!("../src/sqlite/migrations/0004.sql"),
    include_str!("../src/sqlite/migrations/0005.sql"),
    include_str!("../src/sqlite/migrations/0006.sql"),
    include_str!("../src/sqlite/migrations/0007.sql"),
    include_str!("../src/sqlite/migrations/0008.sql"),
    include_str!("../src/sqlite/migrations/0009.sql"),
    include_str!("../src/sqlite/migrations/0010.sql"),
    include_str!("../src/sqlite/migrations/0011.sql"),
    include_str!("../src/sqlite/migrations/0012.sql"),
    include_str!("../src/sqlite/migrations/0013.sql"),
    include_str!("../src/sqlite/migrations/0014.sql"),
    include_str!("../src/sqlite/migrations/0015.sql"),
    include_str!("../src/sqlite/migrations/0016.sql"),
    include_str!("../src/sqlite/migrations/0017.sql"),
    include_str!("../src/sqlite/migrations/0018.sql"),
    include_str!("../src/sqlite/migrations/0019.sql"),
    include_str!("../src/sqlite/migrations/0020.sql"),
];

/// Columns of before, and the values that a row is changed to.
const CHANGED: [(&str, &str, &[&str]); 2] = [
    (
        "grants",
        "random version write_id generation current ratchet tag_key era seed_key rotated_at previously_rotated_at answered_at \
         retries retry_proof idle_at absolute_at ended_at end_reason redeemed_at mac_key mac",
        &["-1", "99", "4294967296", "{} + 1", "NULL", "zeroblob(16)", "zeroblob(31)", "zeroblob(32)"],
    ),
    (
        "grant_terms",
        "client subject scope resources binding binding_key rotation refreshable authenticated_at created_at code_secret \
         code_challenge code_redirect_uri code_expires_at epoch session openid",
        &[
            "-1",
            "99",
            "{} + 1",
            "NULL",
            "zeroblob(31)",
            "zeroblob(32)",
            "{} || ' '",
            "'read  write'",
            "CAST(x'ff' AS TEXT)",
        ],
    ),
];

/// Rows of columns are written anew as values when the file is opened: each is as it was, what was changed in one before is refused
/// as it was then.
#[test]
fn rows_of_before_are_written_anew_and_believed_as_they_were() {
    let keys = rows::keys();
    let mut changes = vec![None];
    for (table, columns, values) in CHANGED {
        let each = columns.split_whitespace().flat_map(|column| values.iter().map(move |value| (column, value)));
        changes.extend(each.map(|(column, value)| Some((table, column, value.replace("{}", column)))));
    }
    let (directory, open) = (place::Directory::new(), |path: &std::path::Path| Connection::open(path).expect("a file"));
    let sql = open(&directory.file());
    COLUMNS.iter().for_each(|migration| sql.execute_batch(migration).expect("the schema"));
    sql.execute_batch("PRAGMA application_id = 1380405844; PRAGMA user_version = 20").expect("the mark");
    // One grant for each change, and one beside it that nothing touches.
    let mut written = Vec::new();
    for (number, change) in (1..).step_by(2).zip(&changes) {
        for (number, grant) in [(number, full()), (number + 1, sparse())] {
            let grant = Grant { id: GrantId { number, ..grant.id }, ..grant };
            insert_columns(&sql, &grant, &keys);
            written.push((grant, change.clone().filter(|_| number % 2 == 1)));
        }
    }
    let mut tried = 0;
    for (grant, change) in &mut written {
        let Some((table, column, value)) = change else { continue };
        let number = grant.id.number;
        let sentence =
            format!("UPDATE {table} SET {column} = {value} WHERE number = {number} AND {column} IS NOT {value}");
        // What the schema itself refused could not be tried then.
        if sql.execute(&sentence, []).is_ok_and(|rows| rows == 1) {
            tried += 1;
        } else {
            *change = None;
        }
    }
    assert!(tried > 150, "{tried}");
    drop(sql);
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    for (grant, change) in &written {
        let found = store.load(&[grant.id]).expect("readable").remove(0);
        if change.is_some() {
            assert!(!is_believed(found.as_ref(), &keys), "{change:?}: {found:?}");
        } else {
            assert!(is_believed(found.as_ref(), &keys));
            assert_eq!(found.map(|found| found.grant), Some(grant.clone()));
        }
    }
    drop(store);
    let left: i64 = open(&directory.file())
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%_of_20'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
}

/// A row of each half, as the program of schema 20 wrote it.
fn insert_columns(sql: &Connection, grant: &Grant, keys: &Keys) {
    let (mac, terms) = (grant.mac(keys), &grant.terms);
    let bytes = |bytes: Option<&[u8]>| {
        bytes.map_or("NULL".to_owned(), |bytes| {
            format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        })
    };
    let hash = |hash: Option<&Hash>| bytes(hash.map(|hash| hash.0.as_slice()));
    let time = |at: Option<Timestamp>| at.map_or("NULL".to_owned(), |at| at.millis().to_string());
    let hot = [
        grant.id.number.to_string(),
        grant.id.random.to_string(),
        grant.version.to_string(),
        grant.write_id.to_string(),
        grant.generation.to_string(),
        hash(grant.current.as_ref()),
        bytes(grant.ratchet.as_ref().map(<[u8; 32]>::as_slice)),
        grant.tag_key.to_string(),
        grant.era.to_string(),
        grant.seed_key.to_string(),
        time(Some(grant.rotated_at)),
        time(Some(grant.previously_rotated_at)),
        time(Some(grant.answered_at)),
        grant.retries.to_string(),
        hash(grant.retry_proof.as_ref()),
        time(Some(grant.idle_at)),
        time(Some(grant.absolute_at)),
        time(grant.ended.map(|(at, _)| at)),
        grant.ended.map_or("NULL".to_owned(), |(_, reason)| reason.code().to_string()),
        time(grant.redeemed_at),
        mac.key_id.to_string(),
        bytes(Some(&mac.mac)),
    ];
    let (binding, key) = match &terms.binding {
        Binding::Bearer => (0, None),
        Binding::Client => (1, None),
        Binding::Key(key) => (2, Some(key)),
    };
    let text = |text: &str| format!("'{text}'");
    let code = terms.code.as_ref();
    let cold = [
        grant.id.number.to_string(),
        text(terms.client.as_str()),
        text(&terms.subject),
        text(&terms.scope.to_string()),
        text(&terms.resources.to_string()),
        binding.to_string(),
        hash(key),
        i32::from(terms.rotation == Rotation::Reusable).to_string(),
        i32::from(terms.refreshable).to_string(),
        time(Some(terms.authenticated_at)),
        time(Some(terms.created_at)),
        hash(code.map(|code| &code.secret)),
        hash(code.and_then(|code| code.challenge.as_ref())),
        hash(code.and_then(|code| code.redirect_uri.as_ref())),
        time(code.map(|code| code.expires_at)),
        terms.epoch.to_string(),
        bytes(terms.session.as_ref().map(<[u8; 32]>::as_slice)),
        terms.openid.as_ref().map_or("NULL".to_owned(), |openid| text(&openid.text())),
    ];
    let order = "number, client, subject, scope, resources, binding, binding_key, rotation, refreshable, authenticated_at, created_at, \
                 code_secret, code_challenge, code_redirect_uri, code_expires_at, epoch, session, openid";
    sql.execute_batch(&format!(
        "INSERT INTO grants VALUES ({}); INSERT INTO grant_terms ({order}) VALUES ({});",
        hot.join(", "),
        cold.join(", ")
    ))
    .expect("rows");
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

/// A value of bytes with each of them changed, and without its last one.
fn bytes(sql: &Connection, table: &str, column: &str) -> Vec<String> {
    let question = format!("SELECT {column} FROM {table} WHERE number = 1");
    let Ok(value) = sql.query_row(&question, [], |row| row.get::<_, Vec<u8>>(0)) else { return Vec::new() };
    let hex = |bytes: &[u8]| format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let changed = (0..value.len()).flat_map(|at| [1_u8, 128].map(|change| (at, change))).map(|(at, change)| {
        let mut changed = value.clone();
        changed[at] ^= change;
        hex(&changed)
    });
    changed.chain([hex(&value[..value.len() - 1])]).collect()
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
