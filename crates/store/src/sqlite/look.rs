//! A look at a stopped store: nothing is made, locked, migrated or moved, and the log is read where it lies.
//!
//! SQLite itself would make the log's index, take locks and, in the end, move the log. Without locks and with the index in memory it
//! does none of it; that is sound only while nobody else writes, so the lock of an owner is looked for first.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use regrant_core::{ChainKey, GrantId, Timestamp};
use rusqlite::{Connection, OpenFlags};

use super::guard::Guard;
use super::journal::Journal;
use super::known::Known;
use super::open::{self, Aim, OpenError};
use super::schema::{self, Origin};
use super::trouble::unavailable;
use super::{Mark, SqliteOptions, epochs, questions};
use crate::epochs::Epochs;
use crate::{Answer, Cause, Forged, Loaded, Outcome, Question, Record, Store, Unavailable};

/// The virtual file system of SQLite that takes no locks and shares no memory.
pub(super) const WITHOUT_LOCKS: &str = "unix-none";

/// A store that can only be read. What would be written is [`Cause::ReadOnly`].
#[derive(Debug)]
pub struct Look {
    connection: Connection,
    mark: Mark,
    version: u32,
    epochs: Epochs,
    journal: Journal,
    known: Known,
}

impl Look {
    /// Looks at a stopped store.
    ///
    /// # Errors
    /// Why a server could not open it, as far as that can be seen; [`OpenError::InUse`] if one has it open.
    pub fn at(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open(path, options, Aim::Use).map(|(look, _)| look)
    }

    /// Looks at a stopped store that may have gone back, and at what its anchor has seen.
    ///
    /// # Errors
    /// As [`Sqlite::recover`](super::Sqlite::recover).
    pub fn before_recovery(path: &Path, options: &SqliteOptions) -> Result<(Self, Option<Mark>), OpenError> {
        Self::open(path, options, Aim::Recover)
    }

    fn open(path: &Path, options: &SqliteOptions, aim: Aim) -> Result<(Self, Option<Mark>), OpenError> {
        let file = path.canonicalize().map_err(|_| OpenError::Missing { path: path.to_owned() })?;
        if let Some(pid) = owner(&file) {
            return Err(OpenError::InUse { path: path.to_owned(), pid: Some(pid) });
        }
        open::may_be_ours(path, &file)?;
        let refused = |error: rusqlite::Error| open::refused(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(&file, flags, WITHOUT_LOCKS).map_err(refused)?;
        // Before the first look at the file: the index of the log is then built in this process, and no file is made for it.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(refused)?;
        let version = match schema::origin(&connection).map_err(refused)? {
            Origin::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
            Origin::Ours(found) if found > schema::known() => {
                return Err(OpenError::NewerSchema { path: path.to_owned(), found, known: schema::known() });
            }
            Origin::Ours(found) => found,
            Origin::Fresh => return Err(OpenError::Missing { path: path.to_owned() }),
        };
        let mark = open::mark(&connection, version).map_err(refused)?;
        let (_, seen) = open::anchored(path, &file, options, Some(mark), aim)?;
        // An older schema may have no room for them, and then there are none.
        let is_current = version == schema::known();
        let epochs = if is_current { epochs::read(&connection).map_err(refused)? } else { Epochs::default() };
        // What a crash left there is newer than the rows.
        let journal = if is_current { Journal::rebuild(&connection).map_err(refused)? } else { Journal::default() };
        Ok((Self { connection, mark, version, epochs, journal, known: Known::default() }, seen))
    }

    /// How far it has come.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// The version of its schema, and the one that the next start brings it to.
    #[must_use]
    pub const fn versions(&self) -> (u32, u32) {
        (self.version, schema::known())
    }

    fn not_yet(&self) -> String {
        format!("the store has schema version {}, and the next start brings it to {}", self.version, schema::known())
    }
}

impl Store for Look {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        let loaded = self.known.load(&self.connection, Some(&self.journal), ids);
        let mut loaded = loaded.map_err(|error| unavailable(&error))?;
        loaded.iter_mut().flatten().for_each(|row| self.epochs.cover(row));
        Ok(loaded)
    }

    fn commit(&mut self, _records: &[Record], _now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        Err(Unavailable { cause: Cause::ReadOnly, detail: "the store is only looked at".to_owned() })
    }

    fn high_water(&self) -> Timestamp {
        self.mark.at
    }

    fn epoch(&self) -> u64 {
        self.epochs.counter()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        // The tables of an older schema are brought into today's form by the next start, and read only then.
        if self.version != schema::known() {
            return match question {
                Question::Deployment => questions::deployment(&self.connection, self.version)
                    .map(Answer::Deployment)
                    .map_err(|error| unavailable(&error)),
                _ => Err(Unavailable { cause: Cause::ReadOnly, detail: self.not_yet() }),
            };
        }
        questions::answer(&self.connection, Some(&self.journal), question).map_err(|error| unavailable(&error))
    }

    /// Nothing is written here, and so nothing is chained; the seal is looked at.
    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        let unreadable = |error: rusqlite::Error| Forged(format!("the seal cannot be looked at: {error}"));
        // How far the anchor has seen it is for a start to say: this may be before a recovery.
        Guard::open(&self.connection).map_err(unreadable)?.take(&self.connection, key, None)
    }

    fn failure(&self) -> Option<Unavailable> {
        None
    }
}

/// The process that holds the lock of a store, as the kernel tells (proc(5), `/proc/locks`): asking for the lock would keep a server
/// out that starts in this moment.
fn owner(file: &Path) -> Option<u32> {
    let lock = open::lock_file(file);
    let found = lock.metadata().ok()?;
    let noted: Option<u32> = std::fs::read_to_string(&lock).ok().and_then(|text| text.trim().parse().ok());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    locks.lines().filter(|line| line.contains(" FLOCK ")).find_map(|line| {
        let mut words = line.split_whitespace().skip(4);
        let (pid, place) = (words.next()?.parse().ok()?, words.next()?);
        let mut place = place.split(':');
        let mut number = || u32::from_str_radix(place.next()?, 16).ok();
        let on = (number()?, number()?);
        let inode: u64 = place.next()?.parse().ok()?;
        // Layered file systems have a device of their own here; then it is the one whose number is noted.
        (inode == found.ino() && (on == device || noted == Some(pid))).then_some(pid)
    })
}
