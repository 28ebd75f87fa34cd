//! Opening a file: whose is it, may we write it, are we alone? Each refusal names the path and the remedy.
//!
//! Nothing of the file is changed before it is known to be ours, and where it was left: the path is looked at, the lock is taken, the
//! header is read, the anchor is compared, and only then come the settings that last and the migrations.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::keys::DeploymentId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::anchor::{self, Anchor, Mark, WentBack};
use super::moved;
use super::schema::{self, Origin};
use super::trouble::unavailable;
use super::{SqliteOptions, Synchronous};
use crate::{Cause, Unavailable};

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
    /// The path is a directory.
    #[error("the store {path} is a directory\n  remedy: name a file in `store`, for example {example}", path = .path.display(), example = .path.join("regrant.db").display())]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Its directory cannot be written.
    #[error("the directory of the store {path} cannot be written: {detail}\n  remedy: give the user that runs the server write permission for the directory {directory}, and check that the file system is not mounted read-only", path = .path.display(), directory = .path.parent().unwrap_or(Path::new(".")).display())]
    ReadOnlyDirectory {
        /// The database.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file cannot be written.
    #[error("the store {path} cannot be written: {detail}\n  remedy: give the user that runs the server write permission for the file, and check that the file system is not mounted read-only", path = .path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// No space.
    #[error("there is no space left for the store {path}\n  remedy: free some space, and start again", path = .path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// What is in it cannot have been written by SQLite.
    #[error("the store {path} is damaged: {detail}\n  remedy: keep a copy of it for inspection, and restore it from a backup. Nothing was changed", path = .path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
    /// It knows less than was answered.
    #[error("{0}")]
    WentBack(Box<WentBack>),
    /// It was used, and there is no anchor to compare it with.
    #[error("the store {path} was used, and its anchor {anchor} is not there or is damaged, so that nothing tells whether an older copy was put back\n  remedy: put the anchor back, or name the configuration of this store (`--config`), whose `anchor_file` it is; if you know that it is the newest, say --without-anchor. Nothing was changed", path = .path.display(), anchor = .anchor.display())]
    NoAnchor {
        /// The database.
        path: PathBuf,
        /// Where the anchor would be.
        anchor: PathBuf,
    },
    /// It was moved to a database.
    #[error("the store {path} was moved to {to}. If both were served from, neither would know what was revoked or refreshed on the other\n  remedy: set `store` to that address; if nothing was served from there and nothing will be, remove the note {note}. Nothing was changed", path = .path.display(), note = .note.display())]
    Moved {
        /// The database.
        path: PathBuf,
        /// Where it has gone.
        to: String,
        /// What says so.
        note: PathBuf,
    },
    /// The anchor cannot be read or made.
    #[error("the anchor {path} cannot be opened: {source}\n  remedy: give the user that runs the server permission to write it and its directory, or name another file in `anchor_file`", path = .path.display())]
    Anchor {
        /// The anchor.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else is where the anchor should be.
    #[error("{path} is there, and is no anchor: whatever it is would be written over\n  remedy: name another file in `anchor_file`, or move this one away if nobody needs it there. Nothing was changed", path = .path.display())]
    NotAnAnchor {
        /// The file.
        path: PathBuf,
    },
    /// A migration failed.
    #[error("the store {path} could not be upgraded: the upgrade to schema {to} failed: {detail}. {done}\n  remedy: {remedy}, and report this", path = .path.display(), done = upgraded(*.found, *.to), remedy = how_to_go_on(*.found, *.to))]
    Upgrade {
        /// The database.
        path: PathBuf,
        /// The version that it had.
        found: u32,
        /// The version that it would have got.
        to: u32,
        /// The engine's words.
        detail: String,
    },
    /// A server of a database does not serve.
    #[error("the store {place} cannot be used: {problem}\n  remedy: {remedy}")]
    Server {
        /// Its address.
        place: String,
        /// What is wrong.
        problem: String,
        /// What helps.
        remedy: String,
    },
    /// Anything else.
    #[error("the store {path} cannot be opened: {detail}\n  remedy: check that the file system is a local one, and the system's log for failures of the device", path = .path.display())]
    Broken {
        /// The database.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
}

/// What an upgrade that failed has done: each step is whole or not there.
fn upgraded(found: u32, to: u32) -> String {
    match to.saturating_sub(1) {
        before if before == found => format!("The store has schema {found}, as before"),
        done => format!("The store had schema {found}, and has {done} now"),
    }
}

/// Which program a store is for whose upgrade failed.
const fn how_to_go_on(found: u32, to: u32) -> &'static str {
    if found + 1 == to {
        "keep a copy of it, run the program that wrote it, which still opens it"
    } else {
        "keep a copy of it, restore the backup that was made before the upgrade for the program that ran before"
    }
}

/// A file that is open and prepared.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The newest time in it.
    pub(super) high_water: Timestamp,
    pub(super) anchor: Anchor,
    /// What the anchor had seen.
    pub(super) seen: Option<Mark>,
    pub(super) lock: Lock,
}

/// What a store is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aim {
    /// To be used.
    Use,
    /// The same, if its anchor is there.
    Anchored,
    /// To be recovered: it may be behind its anchor.
    Recover,
}

/// Opens and prepares the file.
pub(super) fn open(path: &Path, options: &SqliteOptions, aim: Aim) -> Result<Opened, OpenError> {
    if path.is_dir() {
        return Err(OpenError::IsDirectory { path: path.to_owned() });
    }
    let is_new = !path.exists();
    if is_new && (!options.create || aim == Aim::Recover) {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let file = one_name(path, is_new).map_err(|source| unusable_directory(path, source))?;
    let lock = lock(path, &file)?;
    if is_new {
        anchored(path, &file, options, None, aim)?;
        make(&file).map_err(|source| unusable_directory(path, source))?;
    }
    may_be_ours(path, &file)?;
    let refused = |error: rusqlite::Error| refused(path, &error);
    let mut connection = connect(&file).map_err(refused)?;
    if connection.is_readonly("main").map_err(refused)? {
        let detail = "the file may only be read".to_owned();
        return Err(OpenError::ReadOnly { path: path.to_owned(), detail });
    }
    let found = match schema::origin(&connection).map_err(refused)? {
        Origin::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
        Origin::Ours(found) if found > schema::known() => {
            return Err(OpenError::NewerSchema { path: path.to_owned(), found, known: schema::known() });
        }
        Origin::Ours(found) => found,
        Origin::Fresh => 0,
    };
    // Until all is well, closing moves nothing: a device that fails here is not asked again (check Z4).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(refused)?;
    let before = if found > 0 { Some(mark(&connection, found).map_err(refused)?) } else { None };
    let (anchor, seen) = anchored(path, &file, options, before, aim)?;
    if aim == Aim::Anchored && seen.is_none() && before.is_some_and(|mark| mark.commits > 0) {
        return Err(OpenError::NoAnchor { path: path.to_owned(), anchor });
    }
    set(&connection, options).map_err(refused)?;
    schema::migrate(&mut connection, found).map_err(|failed| not_upgraded(path, found, &failed))?;
    let is_moved = settle(&connection).map_err(refused)?;
    let mark = mark(&connection, schema::known()).map_err(refused)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(refused)?;
    if aim == Aim::Recover {
        let anchor = Anchor::held(&anchor, mark, move |made| give_to_owner(made, &file));
        return Ok(Opened { connection, high_water: mark.at, anchor, seen, lock });
    }
    // What stands in the log alone may never have reached the device: an anchor that is there does not go ahead of it.
    let known = if is_moved { mark } else { seen.unwrap_or(mark) };
    let mut set = Anchor::set(&anchor, known, move |made| give_to_owner(made, &file))
        .map_err(|source| no_anchor(&anchor, source))?;
    if seen.is_none() && mark.commits > 0 {
        set.tell(format!(
            "the store was used (it is at commit {}), and its anchor {} was not there or was damaged: it was made anew. If the database was put \
             back meanwhile, nothing could notice it",
            mark.commits,
            anchor.display()
        ));
    }
    set.begin(mark);
    Ok(Opened { connection, high_water: mark.at, anchor: set, seen, lock })
}

/// Compares a store with its anchor: where that is, and what it has seen. One that was moved away is not here any more.
pub(super) fn anchored(
    path: &Path,
    file: &Path,
    options: &SqliteOptions,
    found: Option<Mark>,
    aim: Aim,
) -> Result<(PathBuf, Option<Mark>), OpenError> {
    moved::refuse(path, file)?;
    let anchor = options.anchor.clone().unwrap_or_else(|| anchor::beside(file));
    let seen = anchor::read(&anchor).map_err(|source| no_anchor(&anchor, source))?;
    match anchor::compare(path, &anchor, found, seen) {
        Err(older) if aim == Aim::Recover && older.is_of_the_same_store() => {}
        compared => compared.map_err(OpenError::WentBack)?,
    }
    Ok((anchor, seen))
}

fn no_anchor(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::InvalidData => OpenError::NotAnAnchor { path },
        _ => OpenError::Anchor { path, source },
    }
}

/// How far the store has come. Before version 5 nothing was counted.
pub(super) fn mark(connection: &Connection, version: u32) -> rusqlite::Result<Mark> {
    let commits = if version < 5 { "0" } else { "commits" };
    let seals = if version < 13 { "0" } else { "seals" };
    let sql = format!("SELECT deployment, era, {commits}, high_water, {seals} FROM meta WHERE only = 1");
    connection.query_row(&sql, [], |row| {
        Ok(Mark {
            deployment: DeploymentId(row.get::<_, Option<[u8; 16]>>(0)?.unwrap_or_default()),
            era: row.get(1)?,
            commits: row.get::<_, i64>(2)?.cast_unsigned(),
            at: Timestamp::from_millis(row.get(3)?),
            seals: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    })
}

/// The path without symbolic links, so that two names of one file have one lock.
pub(super) fn one_name(path: &Path, is_new: bool) -> io::Result<PathBuf> {
    if !is_new {
        return path.canonicalize();
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(directory.metadata().err().unwrap_or_else(|| io::ErrorKind::NotADirectory.into()));
    }
    Ok(directory.canonicalize()?.join(name))
}

/// The lock on a store. The system lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Whether the file system of the store takes no writes any more (`EROFS`): after an error of the device many become read-only.
    pub(super) fn cannot_be_written(&self) -> bool {
        let owner = format!("{}\n", std::process::id());
        let done = self.0.write_all_at(owner.as_bytes(), 0);
        done.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }
}

impl Drop for Lock {
    /// Not left to closing the file: a child process that is just being started holds a copy of it for a moment.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Where the lock on a store is.
pub(super) fn lock_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Takes the lock file, and writes our process id into it for whoever comes second. The file stays: removing it would let
/// a third process lock a new one while the second still holds the old.
pub(super) fn lock(path: &Path, file: &Path) -> Result<Lock, OpenError> {
    let name = lock_file(file);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(|source| unusable_directory(path, source))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = lock.read_to_string(&mut text);
            return Err(OpenError::InUse { path: path.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(unusable_directory(path, source)),
    }
    give_to_owner(&lock, file);
    // Only for people: that it cannot be written changes nothing.
    let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
    Ok(Lock(lock))
}

/// A new file is ours alone (0600); SQLite gives its `-wal` and `-shm` the same mode. Its name is made durable at once.
fn make(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    give_to_owner(&made, file);
    made.sync_all()?;
    sync_directory(file)
}

/// Makes the names in a file's directory durable.
pub(super) fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// What the superuser makes belongs to the owner of the store, or of its directory while there is none: a command that root gives
/// must not lock the server out. That it cannot be given changes nothing.
pub fn give_to_owner(made: &File, store: &Path) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let is_roots = made.metadata().is_ok_and(|found| found.uid() == 0);
    let of_store = store.metadata().ok().filter(|found| found.len() > 0);
    let owner = of_store.or_else(|| store.parent()?.metadata().ok());
    if let Some(owner) = owner.filter(|owner| is_roots && owner.uid() != 0) {
        let _ = fchown(made, Some(owner.uid()), Some(owner.gid()));
    }
}

/// Refuses what is no file of SQLite.
pub(super) fn may_be_ours(path: &Path, file: &Path) -> Result<(), OpenError> {
    if may_be_a_database(file).map_err(|source| unreadable(path, &source))? {
        Ok(())
    } else {
        Err(OpenError::NotADatabase { path: path.to_owned() })
    }
}

/// Whether the file is empty or begins as each SQLite file does. Asked of SQLite too late: it takes a file shorter than its
/// header for an empty one, and would write over it.
fn may_be_a_database(file: &Path) -> io::Result<bool> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut beginning = Vec::new();
    File::open(file)?.take(MAGIC.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == MAGIC)
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_millis(250))?;
    Ok(connection)
}

/// The settings.
fn set(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    // The page size is fixed when the first page is written, so it comes first. A page that is not in memory is read, copied and
    // checked whole for the one row that is wanted: small ones are half the work.
    connection.pragma_update(None, "page_size", 4096)?;
    // Or the planner looks at each value that is bound, and prepares the statement anew for it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let detail = format!("the file system cannot carry a write-ahead log (journal mode {mode})");
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(detail)));
    }
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Off => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // SQLite's own checkpoint hides the failure of the device, and asks it again later: a second wait that succeeds says nothing
    // about what the first one lost. Ours does not (check Z4).
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // What is deleted is overwritten: a dropped seed key and an erased ratchet are gone from the file (law L6).
    connection.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Whether everything is in the file itself then.
fn settle(connection: &Connection) -> rusqlite::Result<bool> {
    // A file that cannot be written is noticed now, and not by the first client.
    connection.execute("UPDATE meta SET high_water = high_water WHERE only = 1", [])?;
    // What an earlier run left in the log may have been read from memory that never reached the device. Written into the
    // file it is durable; if a full disk hinders that, it stays where it is.
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        Err(error) if unavailable(&error).cause != Cause::Full => Err(error),
        moved => Ok(moved.is_ok()),
    }
}

pub(super) fn unusable_directory(path: &Path, source: io::Error) -> OpenError {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let path = path.to_owned();
    match source.kind() {
        NotFound | NotADirectory => OpenError::NoDirectory { path, source },
        PermissionDenied | ReadOnlyFilesystem => OpenError::ReadOnlyDirectory { path, detail: source.to_string() },
        StorageFull => OpenError::Full { path },
        _ => OpenError::Broken { path, detail: source.to_string() },
    }
}

fn unreadable(path: &Path, source: &io::Error) -> OpenError {
    OpenError::Broken { path: path.to_owned(), detail: source.to_string() }
}

pub(super) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        return OpenError::NotADatabase { path: path.to_owned() };
    }
    unavailable_at(path, unavailable(error))
}

/// A disk that is full says nothing against the migration.
fn not_upgraded(path: &Path, found: u32, failed: &schema::Failed) -> OpenError {
    let Unavailable { cause, detail } = unavailable(&failed.error);
    match cause {
        Cause::Full | Cause::ReadOnly | Cause::Locked => unavailable_at(path, Unavailable { cause, detail }),
        _ => OpenError::Upgrade { path: path.to_owned(), found, to: failed.to, detail },
    }
}

pub(super) fn unavailable_at(path: &Path, Unavailable { cause, detail }: Unavailable) -> OpenError {
    let path = path.to_owned();
    match cause {
        Cause::Full => OpenError::Full { path },
        Cause::ReadOnly => OpenError::ReadOnly { path, detail },
        Cause::Locked => OpenError::InUse { path, pid: None },
        Cause::Io | Cause::Device | Cause::Unreachable | Cause::Unknown | Cause::Clock | Cause::Unkept => {
            OpenError::Broken { path, detail }
        }
        Cause::Damaged => OpenError::Damaged { path, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those settings that only the connection itself knows. 2 is FULL (law L1).
    #[test]
    fn the_connection_waits_for_the_device() {
        let path = std::env::temp_dir().join(format!("regrant-settings-{}.db", std::process::id()));
        let Opened { connection, lock: _lock, .. } =
            open(&path, &SqliteOptions::default(), Aim::Use).expect("the store opens");
        let setting = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect(name);
        let settings = ["synchronous", "secure_delete", "cell_size_check", "trusted_schema", "foreign_keys"];
        assert_eq!(settings.map(setting), [2, 1, 1, 0, 0]);
        drop(connection);
        for name in [path.clone(), path.with_extension("db.lock"), path.with_extension("db.anchor")] {
            let _ = std::fs::remove_file(name);
        }
    }
}
