//! The embedded store: one SQLite file, owned by one process, written by one thread.
//!
//! WAL with `synchronous=FULL`: when COMMIT returns, the batch is on the device (law L1). A lock file beside the database
//! keeps a second process out, so that there are never two writers. Every write is in one transaction per batch; a failed one
//! is rolled back whole, and the connection goes on: a full disk stops writing and not reading.

mod commit;
mod questions;
mod rows;
mod schema;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use regrant_core::{GrantId, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Answer, Cause, Loaded, Outcome, Question, Record, Store, Unavailable};
use schema::Origin;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// What COMMIT waits for.
    pub synchronous: Synchronous,
    /// Whether a missing file is made.
    pub create: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { synchronous: Synchronous::Full, create: true }
    }
}

/// What COMMIT waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Synchronous {
    /// The device.
    Full,
    /// Nothing. Loses what was answered when the power goes: only for the test that must notice it.
    Off,
}

/// Why a file cannot be opened. Each message names the path and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it.
    #[error("the store {path} is in use by another process{}\n  remedy: stop that server first; a store has one owner at a time", pid.map_or_else(String::new, |pid| format!(" (pid {pid})")), path = .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// Its owner, if the lock file tells.
        pid: Option<u32>,
    },
    /// A newer program wrote it.
    #[error("the store {path} has schema version {found}, and this program knows versions up to {known}\n  remedy: use the newer program; going back would lose what it wrote. Nothing was changed", path = .path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The version of the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Another application's database.
    #[error("{path} is a database of another application\n  remedy: name another file in `store`. Nothing was changed", path = .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// No database at all.
    #[error("{path} is not a database\n  remedy: name another file in `store`, or restore this one from a backup. Nothing was changed", path = .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A directory is missing, or a part of the path is no directory.
    #[error("the store {path} cannot be made there: {source}\n  remedy: make the directory {directory} first, or name another file in `store`", path = .path.display(), directory = .path.parent().unwrap_or(Path::new(".")).display())]
    NoDirectory {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not there, and was not to be made.
    #[error("there is no store {path}\n  remedy: start the server once, or name the right file in `store`", path = .path.display())]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("the store {path} cannot be written: {detail}\n  remedy: give the user that runs the server write permission for the file and its directory, and check that the file system is not mounted read-only", path = .path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// No space.
    #[error("there is no space left for the store {path}\n  remedy: free some space; nothing was changed", path = .path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Anything else.
    #[error("the store {path} cannot be opened: {detail}\n  remedy: check the file system; if the file is damaged, restore it from a backup", path = .path.display())]
    Broken {
        /// The database.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
}

/// One SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    high_water: Timestamp,
    /// Held for as long as the store is open; the system lets go of it when the process dies.
    _lock: File,
}

impl Sqlite {
    /// Opens a file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]. A file that is not ours, or newer than this program, is not changed.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let is_new = !path.exists();
        if is_new && !options.create {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let lock = lock(path)?;
        let mut connection = connect(path).map_err(|error| refused(path, &error))?;
        let found = match schema::origin(&connection).map_err(|error| refused(path, &error))? {
            Origin::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
            Origin::Ours(found) if found > schema::known() => {
                return Err(OpenError::NewerSchema { path: path.to_owned(), found, known: schema::known() });
            }
            Origin::Ours(found) => found,
            Origin::Fresh => 0,
        };
        let high_water = prepare(&mut connection, options, found).map_err(|error| refused(path, &error))?;
        Ok(Self { connection, high_water, _lock: lock })
    }

    /// Moves everything from the write-ahead log into the database file and empties the log.
    ///
    /// # Errors
    /// [`Unavailable`] if the file cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), Unavailable> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| unavailable(&error))
    }
}

impl Store for Sqlite {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        questions::load(&self.connection, ids).map_err(|error| unavailable(&error))
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        let high_water = self.high_water.max(now);
        let raised = (high_water > self.high_water).then_some(high_water);
        match commit::all(&self.connection, records, now, raised) {
            Ok(outcomes) => {
                self.high_water = high_water;
                Ok(outcomes)
            }
            Err(error) => {
                // Nothing of the batch may stay: a later COMMIT must not carry it.
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                Err(unavailable(&error))
            }
        }
    }

    fn high_water(&self) -> Timestamp {
        self.high_water
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        questions::answer(&self.connection, question).map_err(|error| unavailable(&error))
    }
}

/// Takes the lock file, and writes our process id into it for whoever comes second.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(|source| unlockable(path, source))?;
    if lock.try_lock().is_err() {
        let mut text = String::new();
        let _ = lock.read_to_string(&mut text);
        return Err(OpenError::InUse { path: path.to_owned(), pid: text.trim().parse().ok() });
    }
    // Only for people: that it cannot be written changes nothing.
    let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
    Ok(lock)
}

fn unlockable(path: &Path, source: std::io::Error) -> OpenError {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let path = path.to_owned();
    match source.kind() {
        NotFound | NotADirectory => OpenError::NoDirectory { path, source },
        PermissionDenied | ReadOnlyFilesystem => OpenError::ReadOnly { path, detail: source.to_string() },
        StorageFull => OpenError::Full { path },
        _ => OpenError::Broken { path, detail: source.to_string() },
    }
}

/// Opens the connection. A new file is ours alone (0600); SQLite gives its `-wal` and `-shm` the same mode.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    if !path.exists() {
        // That it cannot be made is what SQLite is about to say better.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(250))?;
    Ok(connection)
}

/// Settings, migrations, and the newest time.
fn prepare(connection: &mut Connection, options: &SqliteOptions, found: u32) -> rusqlite::Result<Timestamp> {
    // The page size is fixed when the first page is written, so it comes first.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(
        None,
        "synchronous",
        match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Off => "OFF",
        },
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    schema::migrate(connection, found)?;
    // A file that cannot be written is noticed now, and not by the first client.
    connection.execute("UPDATE meta SET high_water = high_water WHERE only = 1", [])?;
    connection.query_row("SELECT high_water FROM meta WHERE only = 1", [], |row| row.get(0).map(Timestamp::from_millis))
}

fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly { path, detail },
        Some(ErrorCode::DiskFull) => OpenError::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { path, pid: None },
        _ => OpenError::Broken { path, detail },
    }
}

fn unavailable(error: &rusqlite::Error) -> Unavailable {
    let cause = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Cause::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Cause::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Cause::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Cause::Damaged,
        _ => Cause::Io,
    };
    Unavailable { cause, detail: error.to_string() }
}
