//! The keychain of the machine: for the key of sealed files ([`Sealing::Keychain`](crate::Sealing::Keychain)), or for the sessions
//! themselves ([`KeychainStore`](crate::KeychainStore)).
//!
//! | [`Keychain`] | what it is                                              | keeps what it is given                     |
//! |--------------|---------------------------------------------------------|--------------------------------------------|
//! | `desktop`    | Linux: the Secret Service (GNOME, KDE, KeePassXC), by D-Bus | until it is deleted                    |
//! |              | macOS: the Keychain of the user                         | the same                                   |
//! | `kernel`     | Linux: the kernel's keyring of the user                 | until the machine restarts, or some days without use |
//! | `with`       | whatever implements the crate `keyring-core`            | as it says                                 |
//!
//! A keychain has no compare-and-replace, and does not say when a write would survive the loss of power. So the sealed file is the better
//! place for sessions, and the keychain for its key, which is written once.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyring_core::CredentialStore;
use keyring_core::api::CredentialPersistence;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::store::sealing::{Key, read_key};

#[cfg(target_os = "linux")]
mod secret_service;

/// How often a keychain must say that it has nothing.
const ASKED: u32 = 4;
/// How long it is left alone in between.
const BETWEEN: Duration = Duration::from_millis(5);

/// What a keychain has under a name.
type Kept = Zeroizing<Vec<u8>>;

/// A keychain, and the name of a program in it. Clones are one keychain.
#[derive(Clone)]
pub struct Keychain {
    service: String,
    behind: Behind,
}

#[derive(Clone)]
enum Behind {
    Keyring(Arc<CredentialStore>),
    #[cfg(target_os = "linux")]
    SecretService,
}

impl Keychain {
    /// The keychain of the user who is logged in at this machine, for a program of that name.
    ///
    /// # Errors
    /// If there is none here.
    #[cfg(target_os = "linux")]
    pub fn desktop(service: impl Into<String>) -> Result<Self, StoreError> {
        secret_service::is_there()?;
        Ok(Self { service: service.into(), behind: Behind::SecretService })
    }

    /// The keychain of the user who is logged in at this machine, for a program of that name.
    ///
    /// # Errors
    /// If there is none here.
    #[cfg(target_os = "macos")]
    pub fn desktop(service: impl Into<String>) -> Result<Self, StoreError> {
        let store = apple_native_keyring_store::keychain::Store::new();
        let store = store.map_err(|error| StoreError::new("the keychain", error))?;
        Ok(Self::with(store, service))
    }

    /// The kernel's keyring of this user. It forgets all when the machine restarts, and what is not used for some days
    /// (`/proc/sys/kernel/keys/persistent_keyring_expiry`): for sessions that may end then.
    ///
    /// # Errors
    /// If this kernel has none.
    #[cfg(target_os = "linux")]
    pub fn kernel(service: impl Into<String>) -> Result<Self, StoreError> {
        let store = linux_keyutils_keyring_store::Store::new();
        let store = store.map_err(|error| StoreError::new("the kernel's keyring", error))?;
        Ok(Self::with(store, service))
    }

    /// A store of the crate `keyring-core`.
    #[must_use]
    pub fn with(store: Arc<CredentialStore>, service: impl Into<String>) -> Self {
        Self { service: service.into(), behind: Behind::Keyring(store) }
    }

    /// Whether what it is given is there until somebody deletes it. If not, the sessions end with its memory.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match &self.behind {
            Behind::Keyring(store) => matches!(store.persistence(), CredentialPersistence::UntilDelete),
            #[cfg(target_os = "linux")]
            Behind::SecretService => true,
        }
    }

    /// Keeps the key of sealed files that is in that file, which may be removed then: the sessions open with either.
    ///
    /// # Errors
    /// If the file is no key, or the keychain has another one under that account, or does not keep it.
    pub fn adopt_key(&self, account: &str, key_file: &Path) -> Result<(), StoreError> {
        let key = read_key(key_file)?;
        match self.key(account)? {
            Some(there) if there != key => Err(StoreError(format!("{self} has another key for {account}"))),
            Some(_) => Ok(()),
            None => self.keep_key(account, &key),
        }
    }

    /// Deletes what is kept under that account, if anything is.
    ///
    /// # Errors
    /// If the keychain does not.
    pub fn delete(&self, account: &str) -> Result<(), StoreError> {
        match &self.behind {
            Behind::Keyring(store) => {
                let _one = one_at_a_time();
                let deleted = store.build(&self.service, account, None).and_then(|entry| entry.delete_credential());
                match deleted {
                    Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
                    Err(error) => Err(StoreError::new(self, error)),
                }
            }
            #[cfg(target_os = "linux")]
            Behind::SecretService => secret_service::delete(&self.service, account),
        }
    }

    /// The key of sealed files, if there is one under that account.
    pub(crate) fn key(&self, account: &str) -> Result<Option<Key>, StoreError> {
        let Some(text) = self.get(account)? else { return Ok(None) };
        let bytes = STANDARD.decode(text.trim_ascii()).ok().map(Zeroizing::new);
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        key.map(|key| Some(Zeroizing::new(key))).ok_or_else(|| StoreError(format!("{account} in {self} is no key")))
    }

    /// Keeps a key, as text: so people can make a copy of it with the keychain's own tools.
    pub(crate) fn keep_key(&self, account: &str, key: &Key) -> Result<(), StoreError> {
        self.put(account, Zeroizing::new(STANDARD.encode(**key)).as_bytes())
    }

    /// What is kept under that account. That nothing is there would log somebody out, so it is believed when it was heard several times:
    /// the kernel's keyring says so of a key that another process links at the moment.
    pub(crate) fn get(&self, account: &str) -> Result<Option<Kept>, StoreError> {
        for _ in 1..ASKED {
            if let Some(kept) = self.get_once(account)? {
                return Ok(Some(kept));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells when another process is done with its keyring"
            )]
            std::thread::sleep(BETWEEN);
        }
        self.get_once(account)
    }

    fn get_once(&self, account: &str) -> Result<Option<Kept>, StoreError> {
        match &self.behind {
            Behind::Keyring(store) => {
                let _one = one_at_a_time();
                match store.build(&self.service, account, None).and_then(|entry| entry.get_secret()) {
                    Ok(secret) => Ok(Some(Zeroizing::new(secret))),
                    Err(keyring_core::Error::NoEntry) => Ok(None),
                    Err(error) => Err(StoreError::new(self, error)),
                }
            }
            #[cfg(target_os = "linux")]
            Behind::SecretService => secret_service::get(&self.service, account),
        }
    }

    /// Keeps that, and reads it again: a keychain that loses what it has taken must not be believed.
    pub(crate) fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        match &self.behind {
            Behind::Keyring(store) => {
                let _one = one_at_a_time();
                let put = store.build(&self.service, account, None).and_then(|entry| entry.set_secret(secret));
                put.map_err(|error| StoreError::new(self, error))?;
            }
            #[cfg(target_os = "linux")]
            Behind::SecretService => secret_service::put(&self.service, account, secret)?,
        }
        match self.get(account)? {
            Some(there) if there.as_slice() == secret => Ok(()),
            _ => Err(StoreError(format!("{self} did not keep {account}"))),
        }
    }
}

/// `keyring-core`: "the underlying credential stores may not handle access to a single credential from different threads reliably".
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For people: where to look.
impl fmt::Display for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.behind {
            Behind::Keyring(store) => {
                let vendor = store.vendor();
                write!(f, "the keychain of {}", vendor.split(',').next().unwrap_or_default())
            }
            #[cfg(target_os = "linux")]
            Behind::SecretService => f.write_str("the Secret Service"),
        }
    }
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keychain({self}, {})", self.service)
    }
}
