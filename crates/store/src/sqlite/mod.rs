//! The embedded store: one SQLite file, owned by one process, written by one thread.
//!
//! WAL with `synchronous=FULL`: when COMMIT returns, the batch is on the device (law L1). A lock file beside the database
//! keeps a second process out, so that there are never two writers. Every write is in one transaction per batch; a failed one
//! is rolled back whole, and the connection goes on: a full disk stops writing and not reading. What changes in rows of grants
//! goes through the [`journal`], unless [`Writes::Rows`] is asked for; one file serves both. An [`anchor`] outside of the
//! database notices when it is put back to an earlier time.

mod anchor;
mod backup;
mod bounded;
mod columns;
mod commit;
mod consents;
mod devices;
mod epochs;
mod events;
mod guard;
mod halves;
mod journal;
mod known;
mod look;
mod moved;
mod once;
mod open;
mod questions;
mod restoring;
mod revocations;
mod rows;
mod schema;
mod sessions;
mod trouble;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regrant_core::keys::KeyStatus;
use regrant_core::{ChainKey, GrantId, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use anchor::Anchor;
pub use anchor::{Mark, WentBack};
pub use backup::{Copied, CopyError, back_up, look_at, part};
use consents::Limited;
use guard::Guard;
use journal::Journal;
use known::Known;
pub use look::Look;
use open::{Aim, Lock, Opened};
pub use open::{OpenError, give_to_owner};
pub use restoring::{Restored, restore};

use crate::epochs::Epochs;
use crate::{Answer, Cause, Forged, KeyChange, Loaded, Outcome, Question, Record, Store, Unavailable};
use trouble::unavailable;
use writing::Writing;

/// So many pages in the write-ahead log, and they are moved into the file: 4 MiB of it.
const LOG_PAGES: u64 = 1000;

/// How to open a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// What COMMIT waits for.
    pub synchronous: Synchronous,
    /// Whether a missing file is made.
    pub create: bool,
    /// How changed rows of grants are written.
    pub writes: Writes,
    /// Where the anchor is; beside the database, with `.anchor` added to its name, unless set.
    pub anchor: Option<PathBuf>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { synchronous: Synchronous::Full, create: true, writes: Writes::Journal, anchor: None }
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

/// How changed rows of grants are written. A file may be opened in the one way today and in the other tomorrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Writes {
    /// One row a batch, in a journal that is folded into the table little by little: several times as fast.
    #[default]
    Journal,
    /// Each in its place: the plain way, against which the other one is tested.
    Rows,
}

/// One SQLite file. Dropping it empties the write-ahead log into the file and lets go of it.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    high_water: Timestamp,
    /// The wide revocations of the file.
    epochs: Epochs,
    /// What events are chained under, and what is sealed.
    guard: Guard,
    /// How many seals the anchor had seen; `None` in a recovery, where the store may be behind it.
    seals_seen: Option<u64>,
    /// The consents of the file that their users paused or gave an end.
    limited: Limited,
    /// Why nothing more is written: what is on the device is unknown.
    uncertain: Option<Unavailable>,
    /// How long the write-ahead log was behind the last COMMIT, in pages.
    log_pages: Arc<AtomicU64>,
    /// What changed and is not yet in the table; `None` where rows are written at once.
    journal: Option<Journal>,
    known: Known,
    /// Holds the count of commits, too.
    anchor: Anchor,
    /// Held for as long as the store is open: dropped after the connection.
    lock: Lock,
}

impl Sqlite {
    /// Opens a file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]. A file that is not ours, or newer than this program, is not changed.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::begin(path, options.writes, open::open(path, options, Aim::Use)?)
    }

    /// The same, but a store that was used and has no anchor is refused: nothing would tell whether it went back.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_anchored(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::begin(path, options.writes, open::open(path, options, Aim::Anchored)?)
    }

    /// Opens a store that went back, to recover it. Its anchor stays as it is until the next era is opened: a recovery that is broken
    /// off leaves a store that refuses to start, as before.
    ///
    /// # Errors
    /// As [`Sqlite::open`]; another deployment's store, or one that is not there, is no store that went back.
    pub fn recover(path: &Path, options: &SqliteOptions) -> Result<Recovering, OpenError> {
        let opened = open::open(path, options, Aim::Recover)?;
        let (found, seen) = (opened.anchor.mark(), opened.seen);
        Ok(Recovering { store: Self::begin(path, options.writes, opened)?, found, seen })
    }

    fn begin(path: &Path, writes: Writes, opened: Opened) -> Result<Self, OpenError> {
        let Opened { mut connection, high_water, anchor, seen, lock } = opened;
        let seals_seen = (!anchor.is_held()).then(|| seen.map_or(0, |seen| seen.seals));
        let log_pages = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&log_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(|error| open::refused(path, &error))?;
        let epochs = epochs::read(&connection).map_err(|error| open::refused(path, &error))?;
        let guard = Guard::open(&connection).map_err(|error| open::refused(path, &error))?;
        let journal = Some(Journal::rebuild(&connection).map_err(|error| open::refused(path, &error))?);
        let limited = Limited::read(&connection).map_err(|error| open::refused(path, &error))?;
        let mut store = Self {
            connection,
            high_water,
            epochs,
            limited,
            guard,
            seals_seen,
            uncertain: None,
            log_pages,
            journal,
            known: Known::default(),
            anchor,
            lock,
        };
        if writes == Writes::Rows {
            store.fold_all().map_err(|trouble| open::unavailable_at(path, trouble))?;
            store.journal = None;
        }
        Ok(store)
    }

    /// Brings everything into its place, a slice a transaction: a crash in between loses nothing.
    pub(crate) fn fold_all(&mut self) -> Result<(), Unavailable> {
        while self.uncertain.is_none() && self.journal.as_ref().is_some_and(|journal| !journal.is_empty()) {
            self.commit(&[Record::Fold], self.high_water)?;
        }
        self.uncertain.clone().map_or(Ok(()), Err)
    }

    /// For whoever reads whole tables.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where it is, for people.
    pub(crate) fn path(&self) -> String {
        self.connection.path().unwrap_or_default().to_owned()
    }

    /// Leaves a note that it was moved `to` there: from now on nobody opens it.
    pub(crate) fn note_moved(&self, to: &str) -> std::io::Result<()> {
        moved::note(Path::new(&self.path()), to)
    }

    /// How far the store has come.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.anchor.mark()
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
        let moved = self.connection.query_row(pragma, [], |row| row.get::<_, bool>(0)).and_then(|hindered| {
            self.journal.as_mut().map_or(Ok(()), |journal| journal.suit(&self.connection))?;
            Ok(hindered)
        });
        let hindered = moved.map_err(|error| self.doubted(&error))?;
        self.anchor.sync();
        Ok(hindered)
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
        writing::seal(&self.connection).map_err(|error| self.doubted(&error))
    }

    /// Takes note of a trouble that leaves the device in doubt. A file system that became read-only does not: it refused the write
    /// before the device heard of it, as a full one does.
    fn doubted(&mut self, error: &rusqlite::Error) -> Unavailable {
        let trouble = unavailable(error);
        match trouble.cause {
            Cause::Io if trouble::is_refused_write(error) && self.lock.cannot_be_written() => {
                Unavailable { cause: Cause::ReadOnly, ..trouble }
            }
            Cause::Io => self.give_up(trouble.detail),
            _ => trouble,
        }
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
    matches!(record.bare(), Record::Keys { changes, .. } if changes.iter().any(is_over))
}

/// A store that is being recovered.
#[derive(Debug)]
pub struct Recovering {
    /// The store.
    pub store: Sqlite,
    /// How far it has come.
    pub found: Mark,
    /// How far its anchor has seen it; `None` if there is none.
    pub seen: Option<Mark>,
}

/// The mark of a store behind this record: a fresh one is given its identity once, and a restored one a new era.
fn marked(mark: Mark, (record, outcome): (&Record, &Outcome)) -> Mark {
    match (record.bare(), outcome) {
        (Record::Initialise { deployment, .. }, Outcome::Committed) => Mark { deployment: *deployment, ..mark },
        (Record::OpenEra { era, .. }, Outcome::Committed) => Mark { era: *era, ..mark },
        _ => mark,
    }
}

impl Drop for Sqlite {
    /// At rest every grant is whole in its row. Where that cannot be, the journal keeps what it has.
    fn drop(&mut self) {
        let _ = self.fold_all();
        if self.uncertain.is_none() {
            self.anchor.sync();
        }
    }
}

impl Store for Sqlite {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        let loaded = self.known.load(&self.connection, self.journal.as_ref(), ids);
        let mut loaded = loaded.map_err(|error| self.noted(unavailable(&error)))?;
        self.complete(loaded.iter_mut().flatten())?;
        Ok(loaded)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        if let Some(trouble) = &self.uncertain {
            return Err(trouble.clone());
        }
        let high_water = self.high_water.max(now);
        if records.is_empty() && high_water == self.high_water {
            return Ok(Vec::new());
        }
        // A recovery that is broken off must not have caught up with what was lost by its own commits.
        let opens_era = records.iter().any(|record| matches!(record.bare(), Record::OpenEra { .. }));
        let is_counted = opens_era || !self.anchor.is_held();
        let commits = self.anchor.mark().commits + u64::from(is_counted);
        let before = self.guard.sealed.clone();
        let written = Writing::begin(&self.connection, &mut self.guard, &mut self.known, self.journal.as_ref())
            .and_then(|writing| writing.write(records, now, (high_water, commits)))
            .map_err(|error| unavailable(&error));
        // A crash before COMMIT loses the batch, of which nobody has heard; one behind it loses nothing.
        let (outcomes, written) = written.and_then(|written| self.seal().map(|()| written)).map_err(|trouble| {
            self.known.learn(records, None);
            self.guard.sealed = before;
            self.roll_back(&trouble);
            self.noted(trouble)
        })?;
        self.known.learn(records, Some(&outcomes));
        if let (Some(journal), Some(written)) = (&mut self.journal, written) {
            journal.apply(written);
        }
        self.high_water = high_water;
        // Before anybody is answered: what the anchor does not know of may be lost without a trace.
        self.guard.written();
        let mark = Mark { commits, at: high_water, seals: self.guard.sealed.count, ..self.anchor.mark() };
        self.anchor.follow(records.iter().zip(&outcomes).fold(mark, marked));
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
        let answer = questions::answer(&self.connection, self.journal.as_ref(), question);
        let mut answer = answer.map_err(|error| self.noted(unavailable(&error)))?;
        if let Answer::Grants(rows) = &mut answer {
            self.complete(rows.iter_mut())?;
        }
        Ok(answer)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.guard.take(&self.connection, key, self.seals_seen)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.uncertain.clone()
    }

    fn notice(&mut self) -> Option<String> {
        self.anchor.notice()
    }
}
