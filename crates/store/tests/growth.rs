//! Law L5: one row per grant, of constant size, whatever the number of refreshes.

use regrant_core::{Grant, Timestamp};
use regrant_store::{Outcome, Sqlite, SqliteOptions, Store, Writes};

mod place;
mod rows;

#[test]
fn a_hundred_thousand_refreshes_leave_the_file_as_large_as_it_was() {
    refresh(Writes::Rows, 0);
}

/// The journal takes its place once, and no more of it.
#[test]
fn a_hundred_thousand_refreshes_leave_the_journal_as_long_as_it_was() {
    refresh(Writes::Journal, 50);
}

fn refresh(writes: Writes, warm_up: u64) {
    const GRANTS: u64 = 100;
    const ROUNDS: u64 = 1_000;
    let keys = rows::keys();
    let directory = place::Directory::new();
    let options = SqliteOptions { writes, ..SqliteOptions::default() };
    let mut store = Sqlite::open(&directory.file(), &options).expect("the store opens");
    let mut grants: Vec<Grant> = (1..=GRANTS).map(rows::grant).collect();
    let new: Vec<_> = grants.iter().map(|grant| rows::write(None, grant, &keys)).collect();
    store.commit(&new, Timestamp::EPOCH).expect("the store can be written");
    let size = |store: &mut Sqlite| {
        store.checkpoint().expect("the log can be emptied");
        std::fs::metadata(directory.file()).expect("the file is there").len()
    };
    let mut before = size(&mut store);
    for round in 1..=ROUNDS + warm_up {
        for grant in &mut grants {
            grant.version += 1;
            grant.generation += 1;
            grant.write_id = grant.version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let updates: Vec<_> = grants.iter().map(|grant| rows::write(Some(round), grant, &keys)).collect();
        let now = Timestamp::from_millis(i64::try_from(round).expect("small"));
        let outcomes = store.commit(&updates, now).expect("the store can be written");
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed));
        let log = std::fs::metadata(directory.file().with_file_name("regrant.db-wal")).expect("the log is there");
        assert!(log.len() < 16 << 20, "the log has {} bytes", log.len());
        if round == warm_up {
            before = size(&mut store);
        }
    }
    let after = size(&mut store);
    assert!(after <= before + before / 20, "{before} bytes have become {after}");
    drop(store);
    let sql = rusqlite::Connection::open(directory.file()).expect("a file of SQLite");
    for (table, expected) in [("grants", GRANTS), ("grant_terms", GRANTS), ("journal", 0)] {
        let rows: i64 = sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count");
        assert_eq!(rows.cast_unsigned(), expected, "{table}");
    }
    let (rows, last): (i64, i64) = sql
        .query_row("SELECT count(*), max(version) FROM grants", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a row");
    assert_eq!((rows.cast_unsigned(), last.cast_unsigned()), (GRANTS, ROUNDS + warm_up + 1));
}
