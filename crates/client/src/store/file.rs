//! Sessions in a directory, one sealed file each.
//!
//! - A record is sealed with AES-256-GCM-SIV under a key of a file of its own, of the keychain or of a passphrase ([`Sealing`]), and bound to its name.
//! - It is written beside the old one, synced, and renamed over it: after a crash there is the old record or the new one.
//! - Directory and files are for their owner alone (0700, 0600), and others are refused: who can read them can be logged in with them.
//! - The lock of a session is an advisory lock on a file, which the system gives back when its holder ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::local::{self, Local};
use super::locks::{Locks, private};
use super::sealing::Sealing;
use super::{Lock, Pending, Replaced, Store};
use crate::chance;
use crate::error::StoreError;
use crate::record::Record;

/// What a sealed file begins with: a name and a version.
const HEAD: &[u8] = b"regrant session 1\n";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// A directory of sealed files. Clones are one store.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    locks: Locks,
    key: LessSafeKey,
}

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStore").field("directory", &self.0.locks.directory()).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// If directory or key cannot be made or read, or others may read them; if there are sessions and their key is not there.
    pub fn open(directory: impl Into<PathBuf>, sealing: &Sealing) -> Result<Self, StoreError> {
        let locks = Locks::open(directory.into())?;
        let key = sealing.key(&locks)?;
        let key =
            UnboundKey::new(&AES_256_GCM_SIV, &*key).map_err(|_| StoreError("the key has no 32 bytes".to_owned()))?;
        Ok(Self(Arc::new(Inner { locks, key: LessSafeKey::new(key) })))
    }
}

impl Store for FileStore {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        local::load(&self.0, name)
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        local::replace(&self.0, name, expected, record)
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        local::lock(&self.0, name, patience)
    }
}

impl Local for Inner {
    const UNREACHED: &'static str = "the file was not reached";

    fn locks(&self) -> &Locks {
        &self.locks
    }

    fn load(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let path = self.locks.path(name, "session");
        let failed = |error: &dyn std::fmt::Display| StoreError::new(path.display(), error);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        private(&path, &metadata)?;
        if metadata.len() > LARGEST {
            return Err(failed(&"this is no session: it is too large"));
        }
        let mut sealed = Vec::new();
        file.read_to_end(&mut sealed).map_err(|error| failed(&error))?;
        let (nonce, body) = sealed
            .strip_prefix(HEAD)
            .and_then(<[u8]>::split_first_chunk::<12>)
            .ok_or_else(|| failed(&"this is no session, or one of a newer version"))?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name.as_bytes()), &mut body)
            .map_err(|_| failed(&"it was sealed with another key or passphrase, or changed since"))?;
        serde_json::from_slice(plain).map(Some).map_err(|error| failed(&error))
    }

    fn replace(&self, name: &str, expected: u64, record: &Record) -> Result<Replaced, StoreError> {
        let _alone = self.locks.alone(name)?;
        if self.load(name)?.map_or(0, |record| record.revision) != expected {
            return Ok(Replaced::Stale);
        }
        let path = self.locks.path(name, "session");
        let failed = |error: &dyn std::fmt::Display| StoreError::new(path.display(), error);
        let mut body = Zeroizing::new(serde_json::to_vec(record).map_err(|error| failed(&error))?);
        let nonce = chance::bytes::<12>();
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut *body,
        );
        sealed.map_err(|_| failed(&"it could not be sealed"))?;
        let beside = self.locks.path(name, "new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&[HEAD, &nonce, &body].concat())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            File::open(self.locks.directory())?.sync_all()
        };
        write().map(|()| Replaced::Done).map_err(|error| failed(&error))
    }
}
