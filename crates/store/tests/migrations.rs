//! A file that an older program wrote is brought forward, and keeps what is in it.

use regrant_core::Timestamp;
use regrant_store::{Answer, Question, Record, Sqlite, SqliteOptions, Store as _, User};
use rusqlite::Connection;

mod place;

/// The schema of the first release.
const FIRST: &str = include_str!("../src/sqlite/migrations/0001.sql");

fn user(store: &mut Sqlite, name: &str) -> Option<User> {
    let Answer::User(user) = store.ask(&Question::UserByName(name.to_owned())).expect("an answer") else {
        panic!("not a user")
    };
    user
}

#[test]
fn users_of_the_first_schema_keep_everything_and_gain_empty_attributes() {
    let directory = place::Directory::new();
    let sql = Connection::open(directory.file()).expect("a new file");
    sql.execute_batch(FIRST).expect("good SQL");
    sql.execute_batch(
        "PRAGMA application_id = 0x52475254; PRAGMA user_version = 1;
         INSERT INTO users VALUES ('usr_1', 'ann', '$argon2id$', NULL, 1000), ('usr_2', 'bob', '$argon2id$', 7, 2000);",
    )
    .expect("rows");
    drop(sql);
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens");
    let ann = user(&mut store, "ann").expect("ann");
    let expected = User {
        subject: "usr_1".to_owned(),
        name: "ann".to_owned(),
        password: "$argon2id$".to_owned(),
        disabled_at: None,
        created_at: Timestamp::from_millis(1000),
        updated_at: Timestamp::from_millis(1000),
        version: 1,
        attributes: "{}".to_owned(),
    };
    assert_eq!(ann, expected);
    assert_eq!(user(&mut store, "bob").map(|bob| bob.disabled_at), Some(Some(Timestamp::from_millis(7))));
    let changed = User { version: 2, attributes: r#"{"groups":["a"]}"#.to_owned(), ..ann };
    store.commit(&[Record::PutUser { expected: 1, user: changed.clone() }], Timestamp::EPOCH).expect("a write");
    drop(store);
    let mut store = Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens again");
    assert_eq!(user(&mut store, "ann"), Some(changed));
}
