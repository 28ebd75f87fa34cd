//! What can go wrong, told by what to do about it.

use std::time::Duration;

/// Why there is no token. Each kind asks for another act: log in again, wait, or mend the configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The session is over: the user must log in again. Only an `invalid_grant` in JSON, for the token that is still on record,
    /// says so (RFC 6749 section 5.2).
    #[error("the session is over ({0}): log in again")]
    Terminal(String),
    /// Nothing is lost: the same will work later.
    #[error("no token now, try again in {after:?}: {cause}")]
    Retry {
        /// When to try again.
        after: Duration,
        /// What was in the way.
        cause: String,
    },
    /// The client or the server is set up wrongly: waiting does not help, and logging in again does not either.
    #[error("set up wrongly: {0}")]
    Misconfigured(String),
    /// The user or the server said no to a login.
    #[error("the login was refused: {0}")]
    Refused(String),
    /// The tokens could not be read or kept.
    #[error("the token store: {0}")]
    Store(String),
    /// Nobody has logged in yet, or somebody has logged out.
    #[error("nobody is logged in")]
    LoggedOut,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error.0)
    }
}

/// Why a store could not read or write. The text names the remedy where there is one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

impl StoreError {
    /// With what was tried and what came of it.
    #[must_use]
    pub fn new(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}
