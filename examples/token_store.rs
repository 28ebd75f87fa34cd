//! Many users' tokens in the database of a web back end: a [`Store`] over a pool of connections. With SQLx, or any other pool, it is the same
//! three statements for `load` and `replace`, and two for the lock; here they run on SQLite.
//!
//! ```text
//! cargo run -p sim --example token_store -- tokens.db 2000
//! ```
//!
//! | statement                                             | what it holds                                                         |
//! |-------------------------------------------------------|-----------------------------------------------------------------------|
//! | `INSERT … ON CONFLICT DO NOTHING`                     | the first record of a user: whoever is second reads again             |
//! | `UPDATE … WHERE name = … AND revision = …`            | compare-and-replace: nothing newer is overwritten                     |
//! | the row of a lock, with an end                        | one node refreshes; one that is gone gives the row back by its end    |
//!
//! Encrypt the column `record`, or keep the database as you would keep passwords: there are tokens in it.
//!
//! ```sql
//! CREATE TABLE oauth_session (name TEXT PRIMARY KEY, revision BIGINT NOT NULL, record TEXT NOT NULL);
//! CREATE TABLE oauth_lock (name TEXT PRIMARY KEY, holder BIGINT NOT NULL, until BIGINT NOT NULL);
//! ```

#![expect(clippy::print_stdout, reason = "an example, for people at a terminal")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrant_client::answer::{Answer, Verdict, judge};
use regrant_client::store::{Lock, Pending, Replaced};
use regrant_client::{Clock, Profile, Record, Session, Settings, Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the file of the database is missing")?;
    let users: u32 = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let database: Arc<dyn Store> = Arc::new(Database::open(path.into())?);
    // At the callback of each user's login; `Login::finish` gives the tokens there. One name for each user.
    let profile = |user: u32| Profile::new(format!("user-{user}"), "https://as.example", "web");
    for user in 0..users {
        let body = format!(r#"{{"access_token":"a{user}","expires_in":3600,"refresh_token":"r{user}"}}"#).into_bytes();
        let Verdict::Success(tokens) = judge(&Answer { status: 200, body, ..Answer::default() }) else { continue };
        Session::adopt(Arc::clone(&database), profile(user), *tokens, Settings::usual()?).await?;
    }
    // With each request of a user, on any node.
    let last = Session::open(database, profile(users - 1)).await?;
    println!("{users} users; the last one's token has {} characters", last.token().await?.expose().len());
    Ok(())
}

/// The pool. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    clock: Clock,
}

/// How long a holder has the lock that ends without giving it back.
const LEASE: i64 = 60_000;

impl Database {
    /// Opens the database, and makes its tables if they are not there.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let database = Self { path, idle: Arc::default(), clock: Clock::default() };
        // A reader and a writer do not wait for each other.
        database.with(|connection| connection.pragma_update(None, "journal_mode", "wal"))?;
        let tables = "CREATE TABLE IF NOT EXISTS oauth_session
                (name TEXT PRIMARY KEY, revision BIGINT NOT NULL, record TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS oauth_lock (name TEXT PRIMARY KEY, holder BIGINT NOT NULL, until BIGINT NOT NULL);";
        database.with(|connection| connection.execute_batch(tables))?;
        Ok(database)
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::new("the database", error);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.path).map_err(failed)?,
        };
        connection.busy_timeout(Duration::from_secs(30)).map_err(failed)?;
        let done = act(&connection).map_err(failed)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(done)
    }

    fn try_lock(&self, name: &str, holder: i64) -> Result<bool, StoreError> {
        let now = self.clock.now().date;
        let taken = "INSERT INTO oauth_lock VALUES (?1, ?2, ?3)
            ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE oauth_lock.until < ?4";
        self.with(|connection| connection.execute(taken, params![name, holder, now + LEASE, now])).map(|rows| rows == 1)
    }
}

/// Databases have no unsigned numbers.
fn number(revision: u64) -> Result<i64, StoreError> {
    i64::try_from(revision).map_err(|error| StoreError::new("a revision", error))
}

/// Gives the row back, if it is still ours.
struct Held(Database, String, i64);

impl Drop for Held {
    fn drop(&mut self) {
        let given_back = "DELETE FROM oauth_lock WHERE name = ?1 AND holder = ?2";
        let _ = self.0.with(|connection| connection.execute(given_back, params![self.1, self.2]));
    }
}

impl Store for Database {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        Box::pin(async move {
            let found = self.with(|connection| {
                let select = "SELECT record FROM oauth_session WHERE name = ?1";
                connection.query_row(select, [name], |row| row.get::<_, String>(0)).optional()
            })?;
            let read = |text: String| serde_json::from_str(&text).map_err(|error| StoreError::new("a record", error));
            found.map(read).transpose()
        })
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        Box::pin(async move {
            let (revision, expected) = (number(record.revision)?, number(expected)?);
            let text = serde_json::to_string(record).map_err(|error| StoreError::new("a record", error))?;
            let rows = self.with(|connection| {
                if expected == 0 {
                    let insert = "INSERT INTO oauth_session VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
                    connection.execute(insert, params![name, revision, text])
                } else {
                    let update =
                        "UPDATE oauth_session SET revision = ?2, record = ?3 WHERE name = ?1 AND revision = ?4";
                    connection.execute(update, params![name, revision, text, expected])
                }
            })?;
            Ok(if rows == 1 { Replaced::Done } else { Replaced::Stale })
        })
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        Box::pin(async move {
            // Who holds it: nobody else comes to the same number.
            let holder = i64::from_be_bytes(regrant_server::chance::bytes());
            let until = self.clock.ran() + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX / 2);
            while !self.try_lock(name, holder)? {
                if self.clock.ran() >= until {
                    return Ok(Lock::impatient());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(Lock::of(Mutex::new(Held(self.clone(), name.to_owned(), holder))))
        })
    }
}
