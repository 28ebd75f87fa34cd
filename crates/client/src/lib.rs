//! Tokens that renew themselves: one refresh for every expiry, across tasks, processes and crashes, with any OAuth 2.0 server.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use regrant_client::{FileStore, Profile, Sealing, Session};
//!
//! let store = FileStore::open("sessions", &Sealing::KeyFile("sessions.key".into()))?;
//! let profile = Profile::new("work", "https://as.example", "my-app");
//! let tokens = Session::open(Arc::new(store), profile).await?;
//! let answer = tokens.client().get("https://api.example/thing").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Most lost sessions are the client's own doing. What goes wrong, and what is done about it here:
//!
//! | elsewhere                                                     | here                                                            |
//! |---------------------------------------------------------------|-----------------------------------------------------------------|
//! | seven processes refresh one token at once, six are logged out | one refresh at a time: a flight in the process, a lock among processes, and the newer record wins |
//! | the answer came, the process ended before it was kept         | the intent is kept first, with its `Idempotency-Key`: the next start repeats the same refresh |
//! | the request was cancelled between answer and file             | the refresh is a task of its own, which nobody's dropping cancels |
//! | the disk is full when the rotated token arrives               | the store is written before the refresh is sent                 |
//! | a proxy's error page is taken for the end of the session      | only `invalid_grant` in JSON, for the token on record, is its end |
//! | a clock that is wrong by a day: a refresh with every request  | ages come from the time since the machine's start, not from its date |
//! | a dead token is tried again and again                         | it is asked about once                                          |
//!
//! Errors say what to do: see [`Error`].

#![warn(missing_docs)]

pub mod answer;
pub mod blocking;
mod carry;
mod chance;
mod client;
mod clock;
pub mod discovery;
mod dpop;
mod error;
pub mod freshness;
mod id_token;
#[cfg(feature = "keychain")]
pub mod keychain;
mod layer;
pub mod login;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod profile;
mod record;
mod refresh;
mod secret;
mod server;
mod session;
pub mod store;
mod transport;

pub use client::{Client, Request, RequestError};
pub use clock::{Clock, Stamp};
pub use error::{Error, StoreError};
pub use id_token::Identity;
#[cfg(feature = "keychain")]
pub use keychain::Keychain;
pub use layer::{Bearer, Bearing};
pub use login::{Device, LoggedIn, Login, Loopback};
#[cfg(feature = "reqwest-middleware")]
pub use middleware::BearerMiddleware;
pub use profile::{Credential, Profile};
pub use record::{Intent, Record, Tokens};
pub use secret::Secret;
pub use session::{Event, Session, Settings};
pub use store::file::FileStore;
#[cfg(feature = "keychain")]
pub use store::keychain::KeychainStore;
pub use store::sealing::Sealing;
pub use store::{MemoryStore, Store};
pub use transport::{Answered, Call, Form, Http, NoAnswer, Transport};
