//! Why a server does not start.

use std::path::PathBuf;

use regrant_store::{OpenError, Unavailable};

use crate::config::Config;
use crate::keyring::KeyringError;

/// Why the server cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The keys cannot be opened.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// A client of the store is no longer valid under this configuration.
    #[error(
        "client {0} of the store does not fit the configuration: {1}\n  remedy: declare what it needs ([[scope]], [[resource]]), change it with `regrant client set {0}`, or remove it with `regrant client remove {0}`"
    )]
    Client(String, String),
    /// The same client in the file and in the store.
    #[error(
        "client {0} is declared in the configuration file and was also added to the store\n  remedy: remove one of them (`regrant client remove {0}` removes the one in the store)"
    )]
    ClientTwice(String),
    /// The store failed while it was read.
    #[error(
        "the store failed at start: {0}\n  remedy: look into the system's log for failures of the device; if the store is damaged, keep a copy of it and restore it from a backup"
    )]
    Unavailable(#[from] Unavailable),
    /// The clock is far ahead of what the store has seen.
    #[error("the clock is {days} days ahead of the newest time in the store: if it is wrong, starting now would end every session for good, and keep the time there\n  remedy: set the clock; or, if it is right because the server was off for that long, start it once with `regrant serve --accept-clock`. Nothing was changed", days = .0.as_secs() / 86_400)]
    Clock(std::time::Duration),
    /// The revocation journal cannot be opened.
    #[error("the revocation journal {path} cannot be opened: {source}\n  remedy: give the user that runs the server permission to write it and its directory, or name another file in `revocations_file`; if it belongs to another deployment, move it away", path = .path.display())]
    Revocations {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The revocation journal has seen more of the store than is there.
    #[error("the store went back: it has come to {store}, and the revocation journal {path} tells of {journal}. An older copy was put back, and what was revoked since would live again\n  remedy: put the newest copy back, or run `regrant recover --without-anchor`, which revokes it again (docs/operations.md). Nothing was changed", path = .path.display())]
    BehindJournal {
        /// The journal.
        path: PathBuf,
        /// How far it has come.
        journal: String,
        /// How far the store has.
        store: String,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// For the process: 75 if the store is in use, 78 if the configuration does not fit, else 69.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Store(OpenError::InUse { .. }) => 75,
            Self::Store(OpenError::WentBack(_) | OpenError::NoAnchor { .. } | OpenError::Moved { .. })
            | Self::BehindJournal { .. } => 78,
            // The next start finds what another node was first to make, or a store that answers again.
            Self::Keys(KeyringError::Store(_) | KeyringError::Changed) => 69,
            Self::Keys(_) | Self::Client(..) | Self::ClientTwice(_) | Self::Clock(_) => 78,
            Self::Store(_) | Self::Unavailable(_) | Self::Revocations { .. } | Self::Thread(_) => 69,
        }
    }
}

/// The same with the setting that names the store, and where that is written.
pub(super) fn named(error: OpenError, config: &Config) -> StartError {
    StartError::Store(match (error, &config.store_place) {
        (OpenError::Server { place, problem, remedy }, Some(said)) => {
            OpenError::Server { place: format!("{place} (`store`, {said})"), problem, remedy }
        }
        (error, _) => error,
    })
}
