//! The contract of stores: held by the two of the library, and by one over a database's pool, as a web back end has it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrant_client::store::{Lock, Pending, Replaced, contract};
use regrant_client::{Clock, FileStore, MemoryStore, Record, Sealing, Secret, Session, Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};
use sim::process::Scratch;

use super::support::{Strict, settings};

#[tokio::test(flavor = "multi_thread")]
async fn every_store_keeps_its_contract() {
    let scratch = Scratch::new("contract");
    contract::holds(&MemoryStore::new()).await;
    let key = Sealing::KeyFile(scratch.path().join("key"));
    contract::holds(&FileStore::open(scratch.path().join("a"), &key).expect("a store")).await;
    let passphrase = Sealing::Passphrase(Secret::new("correct horse"));
    contract::holds(&FileStore::open(scratch.path().join("b"), &passphrase).expect("a store")).await;
    contract::holds(&Database::open(scratch.path().join("sessions.db")).expect("a store")).await;
}

/// A sealed file holds no token in clear, opens with its own key alone, and not if others may read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_is_sealed() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("sealed");
    let (directory, key) = (scratch.path().join("sessions"), scratch.path().join("key"));
    let server = Strict::start(60).await;
    let open = |key: &str| FileStore::open(&directory, &Sealing::KeyFile(scratch.path().join(key))).expect("a store");
    server.session(Arc::new(open("key")), &Clock::manual()).await;
    let files: Vec<PathBuf> =
        std::fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    let session = files.iter().find(|path| path.extension().is_some_and(|end| end == "session")).expect("a session");
    let bytes = std::fs::read(session).expect("a file");
    assert!(!bytes.windows(7).any(|part| part == b"refresh"), "it is not sealed");
    for path in files.iter().chain([&key]) {
        let mode = std::fs::metadata(path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert!(open("other-key").load("s").await.is_err(), "another key opens it");
    // A session of another name is another session: the name is sealed in.
    let stolen = session.with_file_name(session.file_name().expect("a name").to_string_lossy().replace("s-", "t-"));
    std::fs::copy(session, stolen).expect("a copy");
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(session, loose).expect("a mode");
    let refused = open("key").load("s").await.expect_err("others may read it");
    assert!(refused.0.contains("chmod 600"), "{refused}");
}

/// A store over a pool of connections: two statements, and a lock that is a row with an end.
///
/// ```sql
/// CREATE TABLE oauth_session (name TEXT PRIMARY KEY, revision BIGINT NOT NULL, record TEXT NOT NULL);
/// CREATE TABLE oauth_lock (name TEXT PRIMARY KEY, holder BIGINT NOT NULL, until BIGINT NOT NULL);
/// ```
#[derive(Debug)]
struct Database {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    clock: Clock,
}

/// How long a holder has the lock that ends without giving it back.
const LEASE: i64 = 60_000;

impl Database {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let database = Self { path, idle: Arc::default(), clock: Clock::default() };
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
            let holder = i64::from_be_bytes(regrant_server::chance::bytes());
            let until = self.clock.ran() + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX / 2);
            while !self.try_lock(name, holder)? {
                if self.clock.ran() >= until {
                    return Ok(Lock::impatient());
                }
                sim::process::pause(Duration::from_millis(10)).await;
            }
            let mine = Self { path: self.path.clone(), idle: Arc::clone(&self.idle), clock: self.clock.clone() };
            Ok(Lock::of(Mutex::new(Held(mine, name.to_owned(), holder))))
        })
    }
}

/// Many users' sessions in one table, and each of them is refreshed once, though two nodes want to.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_over_one_database_refresh_each_session_once() {
    let scratch = Scratch::new("pool");
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let node = || Arc::new(Database::open(scratch.path().join("sessions.db")).expect("a store"));
    let (first, second) = (node(), node());
    let mut sessions = Vec::new();
    for user in 0..20 {
        let profile = server.profile(&format!("user-{user}"));
        Session::adopt(first.clone(), profile.clone(), server.first(), settings(&clock)).await.expect("a session");
        for node in [&first, &second] {
            let opened = Session::open_with(node.clone(), profile.clone(), settings(&clock)).await;
            sessions.push(opened.expect("a session"));
        }
    }
    clock.advance(Duration::from_secs(3600));
    let asking: Vec<_> =
        sessions.into_iter().map(|session| tokio::spawn(async move { session.token().await })).collect();
    for asked in asking {
        asked.await.expect("it ends").expect("a token");
    }
    assert_eq!((server.asked(), server.refused()), (20, 0));
}
