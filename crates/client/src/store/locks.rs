//! A directory for its owner alone, with the locks of sessions in it: advisory ones, which the system gives back when their holder ends,
//! however it ends.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use rustix::fs::{FlockOperation, flock};

use super::Lock;
use crate::error::StoreError;

/// How often a lock that somebody holds is asked for.
const BETWEEN: Duration = Duration::from_millis(10);

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct Locks(PathBuf);

impl Locks {
    /// Opens it, and makes it if it is not there. One that others may read is refused.
    pub(super) fn open(directory: PathBuf) -> Result<Self, StoreError> {
        let failed = |error| StoreError::new(directory.display(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        private(&directory, &std::fs::metadata(&directory).map_err(failed)?)?;
        Ok(Self(directory))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// A file of a session: its name, as far as it is fit for a file's, and a part of its hash, which tells all names apart.
    pub(super) fn path(&self, name: &str, extension: &str) -> PathBuf {
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(32).collect();
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.0.join(format!("{plain}-{hash}.{extension}"))
    }

    /// Waits until nobody else writes this name. It is held for a comparison and a write alone: the lock of the session is another one.
    pub(super) fn alone(&self, name: &str) -> Result<File, StoreError> {
        alone(&self.path(name, "write"))
    }

    /// The lock of the session; the file of it is opened already.
    pub(super) async fn lock(file: File, patience: Duration) -> Result<Lock, StoreError> {
        let tried = async {
            loop {
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => return Ok(()),
                    Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(BETWEEN).await,
                    Err(error) => return Err(StoreError::new("the lock file", error)),
                }
            }
        };
        match tokio::time::timeout(patience, tried).await {
            Ok(Ok(())) => Ok(Lock::of(file)),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Lock::impatient()),
        }
    }

    /// The file of the session's lock.
    pub(super) fn file(&self, name: &str) -> Result<File, StoreError> {
        open(&self.path(name, "lock"))
    }
}

/// Waits until nobody else has the lock of this file.
pub(super) fn alone(path: &Path) -> Result<File, StoreError> {
    let guard = open(path)?;
    flock(&guard, FlockOperation::LockExclusive).map_err(|error| StoreError::new("the lock file", error))?;
    Ok(guard)
}

fn open(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|error| StoreError::new(path.display(), error))
}

/// Refuses what others may read or write.
pub(super) fn private(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let wanted = if metadata.is_dir() { "700" } else { "600" };
    Err(StoreError(format!("{0}: others may read it. Run: chmod {wanted} {0}", path.display())))
}
