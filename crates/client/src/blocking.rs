//! The same for programs without a runtime: each call waits for its answer. The refreshes run on a thread of their own.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use regrant_client::blocking::{Login, Session};
//! use regrant_client::{FileStore, Profile, Sealing};
//!
//! let store = Arc::new(FileStore::open("sessions", &Sealing::KeyFile("sessions.key".into()))?);
//! let profile = Profile::new("work", "https://as.example", "my-app");
//! let loopback = Login::new(profile.clone())?.loopback("/callback")?;
//! println!("Log in at {}", loopback.url());
//! let tokens = Session::begin(store, profile, loopback.wait()?)?;
//! let text = tokens.client().get("https://api.example/thing").send()?.text()?;
//! # Ok(())
//! # }
//! ```
//!
//! Not for use within a runtime: a call there panics, as tokio's own blocking calls do.

mod client;
mod login;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;

use crate::answer::TokenAnswer;
use crate::error::Error;
use crate::login::LoggedIn;
use crate::profile::Profile;
use crate::record::Tokens;
use crate::secret::Secret;
use crate::session::{Event, Settings};
use crate::store::Store;

pub use client::{Client, Request, Response};
pub use login::{Device, Login, Loopback};

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

    /// As [`Session::adopt`](crate::Session::adopt).
    ///
    /// # Errors
    /// The same; [`Error::Misconfigured`] if no thread can be made.
    pub fn adopt(
        store: Arc<dyn Store>,
        profile: Profile,
        tokens: TokenAnswer,
        settings: Settings,
    ) -> Result<Self, Error> {
        let runtime = runtime()?;
        let session = runtime.block_on(crate::Session::adopt(store, profile, tokens, settings))?;
        Ok(Self { session, runtime: Arc::new(runtime) })
    }

    /// An HTTP client that presents a fresh token with each request.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(reqwest::Client::new())
    }

    /// The same with an HTTP client that you have set up.
    #[must_use]
    pub fn client_with(&self, http: reqwest::Client) -> Client {
        Client { client: self.session.client_with(http), runtime: Arc::clone(&self.runtime) }
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

    /// As [`Session::reread`](crate::Session::reread).
    ///
    /// # Errors
    /// The same.
    pub fn reread(&self) -> Result<(), Error> {
        self.runtime.block_on(self.session.reread())
    }

    /// As [`Session::ends_in`](crate::Session::ends_in).
    #[must_use]
    pub fn ends_in(&self) -> Option<Duration> {
        self.session.ends_in()
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
