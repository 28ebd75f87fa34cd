//! The embedded store: one SQLite file, owned by one process, written by one thread.
//!
//! WAL with `synchronous=FULL`: when COMMIT returns, the batch is on the device (law L1). A lock file beside the database
//! keeps a second process out, so that there are never two writers. Every write is in one transaction per batch; a failed one
//! is rolled back whole, and the connection goes on: a full disk stops writing and not reading.

mod commit;
mod consents;
mod epochs;
mod open;
mod questions;
mod rows;
mod schema;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regrant_core::keys::KeyStatus;
use regrant_core::{GrantId, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use consents::Limited;
use open::Lock;
pub use open::OpenError;

use crate::epochs::Epochs;
use crate::{Answer, Cause, KeyChange, Loaded, Outcome, Question, Record, Store, Unavailable};
use trouble::unavailable;

/// So many pages in the write-ahead log, and they are moved into the file.
const LOG_PAGES: u64 = 1000;

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

/// One SQLite file. Dropping it empties the write-ahead log into the file and lets go of it.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    high_water: Timestamp,
    /// The wide revocations of the file.
    epochs: Epochs,
    /// The consents of the file that their users paused or gave an end.
    limited: Limited,
    /// Why nothing more is written: what is on the device is unknown.
    uncertain: Option<Unavailable>,
    /// How long the write-ahead log was behind the last COMMIT, in pages.
    log_pages: Arc<AtomicU64>,
    /// Held for as long as the store is open: dropped after the connection.
    _lock: Lock,
}

impl Sqlite {
    /// Opens a file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]. A file that is not ours, or newer than this program, is not changed.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let (mut connection, high_water, lock) = open::open(path, options)?;
        let log_pages = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&log_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(|error| open::refused(path, &error))?;
        let epochs = epochs::read(&connection).map_err(|error| open::refused(path, &error))?;
        let limited = Limited::read(&connection).map_err(|error| open::refused(path, &error))?;
        Ok(Self { connection, high_water, epochs, limited, uncertain: None, log_pages, _lock: lock })
    }

    /// Moves everything from the write-ahead log into the database file and empties the log.
    ///
    /// # Errors
    /// [`Unavailable`] if the file cannot be written, or somebody reads it for too long.
    pub fn checkpoint(&mut self) -> Result<(), Unavailable> {
        if self.move_log("PRAGMA wal_checkpoint(TRUNCATE)")? {
            let detail = "another process reads the database: the log could not be emptied".to_owned();
            return Err(Unavailable { cause: Cause::Locked, detail });
        }
        Ok(())
    }

    /// Runs a checkpoint; whether somebody was in its way. A device that fails here has perhaps lost what it was told to keep:
    /// the log still has it all, as long as nobody asks the same device again and believes it (check Z4).
    fn move_log(&mut self, pragma: &str) -> Result<bool, Unavailable> {
        if let Some(trouble) = &self.uncertain {
            return Err(trouble.clone());
        }
        let moved = self.connection.query_row(pragma, [], |row| row.get::<_, bool>(0));
        moved.map_err(|error| self.doubted(unavailable(&error)))
    }

    /// Rows with what was said about many of them at once, and about their clients.
    fn complete<'a>(&mut self, mut rows: impl Iterator<Item = &'a mut Loaded>) -> Result<(), Unavailable> {
        let completed = rows.try_for_each(|row| {
            self.epochs.cover(row);
            self.limited.limit(&self.connection, row)
        });
        completed.map_err(|error| self.noted(unavailable(&error)))
    }

    /// COMMIT. If the device fails here, the batch may be found after a crash or not: nothing may be written behind it
    /// before the store is opened anew, or what was answered later could depend on what was never kept.
    fn seal(&mut self) -> Result<(), Unavailable> {
        commit::seal(&self.connection).map_err(|error| self.doubted(unavailable(&error)))
    }

    /// Takes note of a trouble that leaves the device in doubt.
    fn doubted(&mut self, trouble: Unavailable) -> Unavailable {
        if trouble.cause == Cause::Io { self.give_up(trouble.detail) } else { trouble }
    }

    /// Takes note of a trouble after which this connection is of no use.
    fn noted(&mut self, trouble: Unavailable) -> Unavailable {
        if trouble.cause == Cause::Device { self.give_up(trouble.detail) } else { trouble }
    }

    /// Nothing more is written, not even when the file is closed: the log stays for whoever opens it anew.
    fn give_up(&mut self, detail: String) -> Unavailable {
        // That it cannot be set would mean that there is no connection, and then there is nothing to be closed either.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.uncertain.insert(Unavailable { cause: Cause::Device, detail }).clone()
    }

    /// Nothing of a failed batch may stay: a later COMMIT must not carry it. SQLite has often rolled back by itself.
    fn roll_back(&mut self, trouble: &Unavailable) {
        if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
            self.give_up(trouble.detail.clone());
        }
    }
}

fn destroys_a_key(record: &Record) -> bool {
    let is_over = |change: &KeyChange| matches!(change.key.status, KeyStatus::Compromised | KeyStatus::Gone);
    matches!(record, Record::Keys { changes, .. } if changes.iter().any(is_over))
}

impl Store for Sqlite {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        let loaded = questions::load(&self.connection, ids).map_err(|error| self.noted(unavailable(&error)));
        let mut loaded = loaded?;
        self.complete(loaded.iter_mut().flatten())?;
        Ok(loaded)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        if let Some(trouble) = &self.uncertain {
            return Err(trouble.clone());
        }
        let high_water = self.high_water.max(now);
        let raised = (high_water > self.high_water).then_some(high_water);
        if records.is_empty() && raised.is_none() {
            return Ok(Vec::new());
        }
        let written = commit::write(&self.connection, records, now, raised).map_err(|error| unavailable(&error));
        // A crash before COMMIT loses the batch, of which nobody has heard; one behind it loses nothing.
        let outcomes = written.and_then(|outcomes| self.seal().map(|()| outcomes)).map_err(|trouble| {
            self.roll_back(&trouble);
            self.noted(trouble)
        })?;
        self.high_water = high_water;
        self.epochs.committed(records.iter().zip(&outcomes));
        self.limited.committed(records.iter().zip(&outcomes));
        if records.iter().any(destroys_a_key) {
            // The key is gone; this takes its copy out of the log too. If it fails, the next checkpoint does it.
            let _ = self.checkpoint();
        } else if self.log_pages.load(Ordering::Relaxed) >= LOG_PAGES {
            // The batch is durable whatever becomes of this: no room and a reader in the way are for the next commit to try
            // again, and a failing device is told by `failure`.
            let _ = self.move_log("PRAGMA wal_checkpoint(PASSIVE)");
        }
        Ok(outcomes)
    }

    fn high_water(&self) -> Timestamp {
        self.high_water
    }

    fn epoch(&self) -> u64 {
        self.epochs.counter()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        // What is in memory needs no read.
        match question {
            Question::Epochs => {
                return Ok(Answer::Epochs { counter: self.epochs.counter(), epochs: self.epochs.all() });
            }
            Question::CoveredAccess(token) => return Ok(Answer::CoveredAccess(self.epochs.covering_access(token))),
            _ => {}
        }
        let mut answer =
            questions::answer(&self.connection, question).map_err(|error| self.noted(unavailable(&error)))?;
        if let Answer::Grants(rows) = &mut answer {
            self.complete(rows.iter_mut())?;
        }
        Ok(answer)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.uncertain.clone()
    }
}
