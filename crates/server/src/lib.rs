//! What the world touches: HTTP, pages, the engine, the configuration. A library with a [`router`] to mount, and what the
//! `regrant` binary is made of.
//!
//! The straight way of a refresh, each file entered once:
//!
//! ```text
//! token.rs   form → request; client authenticated; token opened (pure)       bad requests end here
//! engine.rs  joins the current batch, waits
//! core       decide(grant, request, client, keys, now, entropy) → Decision   pure
//! store      load(ids) … commit(records): one durable transaction for the batch
//! mint.rs    tokens minted and signed after the commit, off the writer
//! answer.rs  the only file that writes an OAuth error
//! ```

pub mod admin;
pub mod answer;
pub mod app;
pub mod authorize;
mod cascade;
pub mod chance;
pub mod claims;
mod client_assertion;
pub mod client_auth;
mod client_keys;
pub mod clock;
pub mod config;
pub mod correlation;
mod cors;
mod deliver;
mod device;
pub mod encryption;
pub mod engine;
mod feed;
mod fetched;
mod follow;
pub mod form;
mod global_revocation;
mod hook;
mod id_token;
mod id_token_hint;
mod interaction;
mod introspect;
pub mod issuer;
pub mod keyring;
mod limits;
mod metadata;
pub mod metrics;
mod mint;
mod outbound;
pub mod pages;
mod passwords;
pub mod peer;
pub mod profile;
pub mod reasons;
mod reasons_page;
pub mod recover;
pub mod registration;
mod repeated;
mod request;
mod request_object;
pub mod revocations;
mod revoke;
pub mod rotation;
mod router;
pub mod serve;
mod session;
mod session_state;
mod settle;
mod sight;
mod signature;
mod spans;
mod subject;
pub mod sweep;
pub mod timekeeper;
mod to_the_end;
mod token;
mod userinfo;
mod whereabouts;

pub use app::{App, StartError};
pub use clock::Clock;
pub use config::Config;
pub use peer::Peer;
pub use router::router;
pub use serve::{serve, serve_with};
