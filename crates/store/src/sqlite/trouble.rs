//! The engine's errors as the contract's causes.

use rusqlite::{Error, ErrorCode, ffi};

use crate::{Cause, Unavailable};

/// What to tell of an error of SQLite, or of a value in a table that we cannot have written.
pub(super) fn unavailable(error: &Error) -> Unavailable {
    let cause = match error.sqlite_error() {
        Some(engine) => cause(engine),
        None => Cause::Damaged,
    };
    Unavailable { cause, detail: error.to_string() }
}

/// Whether it was a write that failed, and not the wait for the device: perhaps the file system did not even begin it.
pub(super) fn is_refused_write(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|engine| engine.extended_code == ffi::SQLITE_IOERR_WRITE)
}

fn cause(error: &ffi::Error) -> Cause {
    match (error.code, error.extended_code) {
        // The index of the write-ahead log is a file too: no room for it is no room.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Cause::Full,
        // A lock that could be neither taken nor let go of: this connection no longer knows what it holds, and would wait for itself
        // for ever.
        (ErrorCode::FileLockingProtocolFailed, _)
        | (
            _,
            ffi::SQLITE_IOERR_LOCK | ffi::SQLITE_IOERR_UNLOCK | ffi::SQLITE_IOERR_RDLOCK | ffi::SQLITE_IOERR_SHMLOCK,
        ) => Cause::Device,
        (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => Cause::ReadOnly,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Cause::Locked,
        // `Unknown` is SQLITE_ERROR: for statements that never change it means that a table or column is missing.
        (
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::Unknown,
            _,
        ) => Cause::Damaged,
        _ => Cause::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_of_the_engine_has_its_cause() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, Cause::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, Cause::Full),
            (ffi::SQLITE_READONLY, Cause::ReadOnly),
            (ffi::SQLITE_READONLY_DBMOVED, Cause::ReadOnly),
            (ffi::SQLITE_BUSY, Cause::Locked),
            (ffi::SQLITE_BUSY_SNAPSHOT, Cause::Locked),
            (ffi::SQLITE_LOCKED, Cause::Locked),
            (ffi::SQLITE_IOERR, Cause::Io),
            (ffi::SQLITE_IOERR_FSYNC, Cause::Io),
            (ffi::SQLITE_IOERR_WRITE, Cause::Io),
            (ffi::SQLITE_CANTOPEN, Cause::Io),
            (ffi::SQLITE_PROTOCOL, Cause::Device),
            (ffi::SQLITE_IOERR_UNLOCK, Cause::Device),
            (ffi::SQLITE_CORRUPT, Cause::Damaged),
            (ffi::SQLITE_NOTADB, Cause::Damaged),
            (ffi::SQLITE_ERROR, Cause::Damaged),
        ] {
            let error = Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(unavailable(&error).cause, expected, "{code}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_ours_is_damage() {
        assert_eq!(unavailable(&Error::IntegralValueOutOfRange(0, -1)).cause, Cause::Damaged);
    }
}
