//! What sealed files are sealed with: a key of a file, of the keychain, or of a passphrase.
//!
//! A key that is lost is every session lost. So one is made only where nothing is sealed yet: a key file that is not there, or a keychain
//! that says it has none, beside sessions, is an error with a remedy, and never a new key.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::locks::{Locks, private};
use crate::chance;
use crate::error::StoreError;
#[cfg(feature = "keychain")]
use crate::keychain::Keychain;
use crate::secret::Secret;

/// OWASP's figure for PBKDF2 with HMAC-SHA-256.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// The key of the files.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// What the files are sealed with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Sealing {
    /// A random key in a file of its own, which is made with the first session. Keep it apart from backups of the sessions.
    KeyFile(PathBuf),
    /// A passphrase that the user knows.
    Passphrase(Secret),
    /// A random key in the keychain, under this account; it is made with the first session.
    #[cfg(feature = "keychain")]
    Keychain(Keychain, String),
}

impl Sealing {
    /// The key. Whoever makes it is alone in the directory.
    pub(super) fn key(&self, locks: &Locks) -> Result<Key, StoreError> {
        match self {
            Self::KeyFile(path) => {
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
                    made.map_err(|error| StoreError::new(parent.display(), error))?;
                }
                let is_there = path.exists();
                let lost = nothing_is_sealed(locks.directory(), &path.display().to_string());
                // Somebody else may have made it and sealed the first session meanwhile.
                if !is_there && !path.exists() {
                    lost?;
                }
                secret_file(path)
            }
            Self::Passphrase(passphrase) => {
                let salt = secret_file(&locks.directory().join("salt"))?;
                let mut key = Zeroizing::new([0; 32]);
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &*salt, passphrase.expose().as_bytes(), &mut *key);
                Ok(key)
            }
            #[cfg(feature = "keychain")]
            Self::Keychain(keychain, account) => {
                let _alone = super::locks::alone(&locks.directory().join("key.lock"))?;
                if let Some(key) = keychain.key(account)? {
                    return Ok(key);
                }
                nothing_is_sealed(locks.directory(), &format!("{account} in {keychain}"))?;
                let key = Zeroizing::new(chance::bytes());
                keychain.keep_key(account, &key)?;
                Ok(key)
            }
        }
    }
}

/// Sessions without their key are lost if another is made: they are not known to be.
fn nothing_is_sealed(directory: &Path, key: &str) -> Result<(), StoreError> {
    let failed = |error| StoreError::new(directory.display(), error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        if entry.map_err(failed)?.path().extension().is_some_and(|extension| extension == "session") {
            let directory = directory.display();
            return Err(StoreError(format!(
                "the key of the sessions in {directory} is not there: {key}. Bring it back; or give the sessions up (rm {directory}/*.session) and log in again"
            )));
        }
    }
    Ok(())
}

/// 32 random bytes that are made once, whoever is first. They are written beside and linked, so that nobody reads a half of them.
fn secret_file(path: &Path) -> Result<Key, StoreError> {
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
    read_key(path)
}

/// A key file, if it is for its owner alone.
pub(crate) fn read_key(path: &Path) -> Result<Key, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::new(path.display(), error);
    private(path, &std::fs::metadata(path).map_err(|error| failed(&error))?)?;
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| failed(&error))?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| failed(&"this is no key: it has not 32 bytes"))?;
    Ok(Zeroizing::new(bytes))
}
