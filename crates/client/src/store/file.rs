//! Sessions in a directory, one sealed file each.
//!
//! - A record is sealed with AES-256-GCM-SIV under a key of a file of its own or of a passphrase, and bound to its name.
//! - It is written beside the old one, synced, and renamed over it: after a crash there is the old record or the new one.
//! - Directory and files are for their owner alone (0700, 0600), and others are refused: who can read them can be logged in with them.
//! - The lock of a session is an advisory lock on a file, which the system gives back when its holder ends, however it ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, pbkdf2};
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::{Lock, Pending, Replaced, Store};
use crate::chance;
use crate::error::StoreError;
use crate::record::Record;
use crate::secret::Secret;

/// What a sealed file begins with: a name and a version.
const HEAD: &[u8] = b"regrant session 1\n";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;
/// How often a lock that somebody holds is asked for.
const BETWEEN: Duration = Duration::from_millis(10);
/// OWASP's figure for PBKDF2 with HMAC-SHA-256.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// What the files are sealed with.
#[derive(Clone, Debug)]
pub enum Sealing {
    /// A random key in a file of its own, which is made if it is not there. Keep it apart from backups of the sessions.
    KeyFile(PathBuf),
    /// A passphrase that the user knows.
    Passphrase(Secret),
}

/// A directory of sealed files. Clones are one store.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    key: LessSafeKey,
}

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStore").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// If directory or key cannot be made or read, or others may read them.
    pub fn open(directory: impl Into<PathBuf>, sealing: &Sealing) -> Result<Self, StoreError> {
        let directory = directory.into();
        let failed = |error| StoreError::new(directory.display(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        private(&directory, &std::fs::metadata(&directory).map_err(failed)?)?;
        let key = match sealing {
            Sealing::KeyFile(path) => key_of_file(path)?,
            Sealing::Passphrase(passphrase) => {
                let salt = secret_file(&directory.join("salt"))?;
                let mut key = Zeroizing::new([0; 32]);
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &*salt, passphrase.expose().as_bytes(), &mut *key);
                key
            }
        };
        let key =
            UnboundKey::new(&AES_256_GCM_SIV, &*key).map_err(|_| StoreError("the key has no 32 bytes".to_owned()))?;
        Ok(Self(Arc::new(Inner { directory, key: LessSafeKey::new(key) })))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        act: impl FnOnce(&Inner, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        let done = tokio::task::spawn_blocking(move || act(&inner, &name)).await;
        done.unwrap_or_else(|error| Err(StoreError::new("the file was not reached", error)))
    }
}

impl Store for FileStore {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        Box::pin(self.blocking(name, Inner::load))
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        let record = record.clone();
        Box::pin(self.blocking(name, move |inner, name| inner.replace(name, expected, &record)))
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        Box::pin(async move {
            let file = self.blocking(name, |inner, name| open_lock(&inner.path(name, "lock"))).await?;
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
        })
    }
}

impl Inner {
    /// A file of a session: its name, as far as it is fit for a file's, and a part of its hash, which tells all names apart.
    fn path(&self, name: &str, extension: &str) -> PathBuf {
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(32).collect();
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{plain}-{hash}.{extension}"))
    }

    fn load(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let path = self.path(name, "session");
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
        // Held for the comparison and the rename alone: the lock of the session is another one.
        let guard = open_lock(&self.path(name, "write"))?;
        flock(&guard, FlockOperation::LockExclusive).map_err(|error| StoreError::new("the lock file", error))?;
        if self.load(name)?.map_or(0, |record| record.revision) != expected {
            return Ok(Replaced::Stale);
        }
        let path = self.path(name, "session");
        let failed = |error: &dyn std::fmt::Display| StoreError::new(path.display(), error);
        let mut body = Zeroizing::new(serde_json::to_vec(record).map_err(|error| failed(&error))?);
        let nonce = chance::bytes::<12>();
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut *body,
        );
        sealed.map_err(|_| failed(&"it could not be sealed"))?;
        let beside = self.path(name, "new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&[HEAD, &nonce, &body].concat())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map(|()| Replaced::Done).map_err(|error| failed(&error))
    }
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|error| StoreError::new(path.display(), error))
}

/// Refuses what others may read or write.
fn private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), StoreError> {
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let wanted = if metadata.is_dir() { "700" } else { "600" };
    Err(StoreError(format!("{0}: others may read it. Run: chmod {wanted} {0}", path.display())))
}

fn key_of_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| StoreError::new(parent.display(), error))?;
    }
    secret_file(path)
}

/// 32 random bytes that are made once, whoever is first. They are written beside and linked, so that nobody reads a half of them.
fn secret_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::new(path.display(), error);
    if !path.exists() {
        let beside = path.with_extension(format!("{:08x}", u32::from_be_bytes(chance::bytes())));
        let make = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&*Zeroizing::new(chance::bytes::<32>()))?;
            file.sync_all()?;
            match std::fs::hard_link(&beside, path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        };
        let made = make();
        let _ = std::fs::remove_file(&beside);
        made.map_err(|error| failed(&error))?;
    }
    private(path, &std::fs::metadata(path).map_err(|error| failed(&error))?)?;
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| failed(&error))?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| failed(&"this is no key: it has not 32 bytes"))?;
    Ok(Zeroizing::new(bytes))
}
