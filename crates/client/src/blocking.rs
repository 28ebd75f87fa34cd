//! The same for programs without a runtime: each call waits for its answer. The refreshes run on a thread of their own.
//!
//! Not for use within a runtime: a call there panics, as tokio's own blocking calls do.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;

use crate::error::Error;
use crate::login::LoggedIn;
use crate::profile::Profile;
use crate::record::Tokens;
use crate::secret::Secret;
use crate::session::{Event, Settings};
use crate::store::Store;

/// A session. Clones are one session.
#[derive(Clone, Debug)]
pub struct Session {
    session: crate::Session,
    runtime: Arc<Runtime>,
}

impl Session {
    /// As [`Session::open`](crate::Session::open).
    ///
    /// # Errors
    /// The same; [`Error::Misconfigured`] if no thread can be made.
    pub fn open(store: Arc<dyn Store>, profile: Profile) -> Result<Self, Error> {
        let runtime = runtime()?;
        let session = runtime.block_on(crate::Session::open(store, profile))?;
        Ok(Self { session, runtime: Arc::new(runtime) })
    }

    /// As [`Session::open_with`](crate::Session::open_with).
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_with(store: Arc<dyn Store>, profile: Profile, settings: Settings) -> Result<Self, Error> {
        let runtime = runtime()?;
        let session = runtime.block_on(crate::Session::open_with(store, profile, settings))?;
        Ok(Self { session, runtime: Arc::new(runtime) })
    }

    /// As [`Session::begin`](crate::Session::begin).
    ///
    /// # Errors
    /// The same; [`Error::Misconfigured`] if no thread can be made.
    pub fn begin(store: Arc<dyn Store>, profile: Profile, logged_in: LoggedIn) -> Result<Self, Error> {
        let runtime = runtime()?;
        let session = runtime.block_on(crate::Session::begin(store, profile, logged_in))?;
        Ok(Self { session, runtime: Arc::new(runtime) })
    }

    /// As [`Session::token`](crate::Session::token).
    ///
    /// # Errors
    /// The same.
    pub fn token(&self) -> Result<Secret, Error> {
        self.runtime.block_on(self.session.token())
    }

    /// As [`Session::token_after`](crate::Session::token_after).
    ///
    /// # Errors
    /// The same.
    pub fn token_after(&self, refused: &Secret) -> Result<Secret, Error> {
        self.runtime.block_on(self.session.token_after(refused))
    }

    /// As [`Session::tokens`](crate::Session::tokens).
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        self.session.tokens()
    }

    /// As [`Session::events`](crate::Session::events): read with `blocking_recv`.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.session.events()
    }

    /// As [`Session::logout`](crate::Session::logout).
    ///
    /// # Errors
    /// The same.
    pub fn logout(&self) -> Result<(), Error> {
        self.runtime.block_on(self.session.logout())
    }
}

fn runtime() -> Result<Runtime, Error> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("regrant-client").enable_all().build();
    built.map_err(|error| Error::Misconfigured(format!("no thread: {error}")))
}
