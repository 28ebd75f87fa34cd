//! A copy of a store, made while it is used or not: whole, as of one moment, and without what must not be in it.
//!
//! `VACUUM INTO` reads one snapshot over a connection of its own, so that the writer goes on meanwhile, and whatever the tables mean is
//! consistent by construction. Seed keys are overwritten before the copy gets its name (law L6). The copy is made durable under
//! another name and then given its own, which nobody may have had before: there is never half a backup under it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::Mark;
use super::open::{self, OpenError};
use super::schema::{self, Origin};
use super::trouble::unavailable;

/// What a copy holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// How far the store had come.
    pub mark: Mark,
    /// Grants, those that have ended included.
    pub grants: u64,
    /// Users.
    pub users: u64,
    /// Clients that are not in the configuration.
    pub clients: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why no copy was made, or a copy cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It would be written over something.
    #[error("{} is there already\n  remedy: name a file that is not there; nothing is ever written over", .0.display())]
    Exists(PathBuf),
    /// It cannot be read as a store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is damaged.
    #[error("{path} is damaged: {detail}\n  remedy: take another backup; nothing was changed", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the engine found.
        detail: String,
    },
    /// A part of it is in a log beside it, which is not copied.
    #[error("{path} is a store that was not closed: its newest part is in {path}-wal\n  remedy: name it as `store` in a configuration and make a copy of it with `regrant backup`. Nothing was changed", path = .0.display())]
    HasLog(PathBuf),
    /// The file system refused.
    #[error("{path} cannot be written: {source}\n  remedy: {remedy}", path = .path.display(), remedy = how_to_write(.source))]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The engine refused.
    #[error("the store could not be copied to {path}: {detail}\n  remedy: free some space, and look into the system's log for failures of the device", path = .path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
}

/// What to do about a directory that takes no copy.
fn how_to_write(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "the server may not write there: under systemd (ProtectSystem=strict) name the directory in `ReadWritePaths=` of a drop-in of the unit \
             (docs/operations.md, Backup); elsewhere mount it for writing"
        }
        _ => "look whether its directory is there, has space, and lets the user that runs the server write",
    }
}

/// Where a copy grows before it gets its name: for whoever shows how far it is.
#[must_use]
pub fn part(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Copies the store at `from` to the file `to`, which must not be there.
///
/// # Errors
/// [`CopyError`]; nothing is left under either name then.
pub fn back_up(from: &Path, to: &Path) -> Result<Copied, CopyError> {
    if to.exists() {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let part = part(to);
    // Of an attempt that was broken off.
    let _ = std::fs::remove_file(&part);
    let copied = copy(from, &part).and_then(|()| look_at(&part)).and_then(|copied| {
        name(&part, to)?;
        Ok(copied)
    });
    if copied.is_err() {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let mut name = part.clone().into_os_string();
            name.push(ending);
            let _ = std::fs::remove_file(name);
        }
    }
    copied
}

/// Gives the finished copy its name, durably and over nothing.
fn name(part: &Path, to: &Path) -> Result<(), CopyError> {
    let unwritable = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => CopyError::Exists(to.to_owned()),
        _ => CopyError::Unwritable { path: to.to_owned(), source },
    };
    File::open(part).and_then(|file| file.sync_all()).map_err(unwritable)?;
    match std::fs::hard_link(part, to) {
        Ok(()) => std::fs::remove_file(part).map_err(unwritable)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists || to.exists() => {
            return Err(CopyError::Exists(to.to_owned()));
        }
        // A file system without links.
        Err(_) => std::fs::rename(part, to).map_err(unwritable)?,
    }
    open::sync_directory(to).map_err(unwritable)
}

fn copy(from: &Path, part: &Path) -> Result<(), CopyError> {
    let unwritable = |source| CopyError::Unwritable { path: part.to_owned(), source };
    let failed = |error: rusqlite::Error| CopyError::Failed { path: part.to_owned(), detail: error.to_string() };
    let file = from.canonicalize().map_err(|_| OpenError::Missing { path: from.to_owned() })?;
    open::may_be_ours(from, &file)?;
    // SQLite would make it readable for everybody; it takes an empty file as it is.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(unwritable)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(&file, flags).map_err(|error| open::refused(from, &error))?;
    source.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed)?;
    is_known(from, schema::origin(&source).map_err(|error| open::refused(from, &error))?)?;
    let name = part.to_str().ok_or_else(|| unwritable(io::ErrorKind::InvalidFilename.into()))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    drop(source);
    let copy = Connection::open(part).map_err(failed)?;
    copy.query_row("PRAGMA secure_delete = ON", [], |_| Ok(())).map_err(failed)?;
    copy.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    copy.execute_batch("DELETE FROM seed_keys").map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))
}

/// The version of a schema that this program knows.
fn is_known(path: &Path, origin: Origin) -> Result<u32, OpenError> {
    let (path, known) = (path.to_owned(), schema::known());
    match origin {
        Origin::Ours(found) if found > known => Err(OpenError::NewerSchema { path, found, known }),
        Origin::Ours(found) => Ok(found),
        Origin::Fresh | Origin::Foreign => Err(OpenError::Foreign { path }),
    }
}

/// Reads a copy through and says what it holds.
///
/// # Errors
/// [`CopyError`] if it is no store, or damaged, or a newer program's.
pub fn look_at(path: &Path) -> Result<Copied, CopyError> {
    let refused = |error: rusqlite::Error| CopyError::Open(open::refused(path, &error));
    let file = path.canonicalize().map_err(|_| OpenError::Missing { path: path.to_owned() })?;
    open::may_be_ours(path, &file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags_and_vfs(&file, flags, super::look::WITHOUT_LOCKS).map_err(refused)?;
    copy.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(refused)?;
    let version = is_known(path, schema::origin(&copy).map_err(refused)?)?;
    let verdict: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| CopyError::Damaged { path: path.to_owned(), detail: unavailable(&error).detail })?;
    if verdict != "ok" {
        return Err(CopyError::Damaged { path: path.to_owned(), detail: verdict });
    }
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        copy.query_row(&sql, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).map_err(refused)
    };
    Ok(Copied {
        mark: open::mark(&copy, version).map_err(refused)?,
        grants: count("grants")?,
        users: count("users")?,
        clients: count("clients")?,
        bytes: file.metadata().map_or(0, |found| found.len()),
    })
}
