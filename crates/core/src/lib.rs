//! What OAuth says, as pure functions.
//!
//! Fully deterministic: no I/O, no clock, no randomness, no async. Time ([`Timestamp`]) and chance ([`Entropy`]) are
//! arguments. A rule lives here once; the server, the model and the tests all run these very functions.
//!
//! The way of a refresh: [`token::RefreshToken::open`] proves that we minted the text, without any read;
//! [`refresh::decide`] reads like the one table of the design; its [`Decision`] says what to write and what to answer.

#![warn(missing_docs)]

pub mod access;
pub mod chain;
pub mod client;
pub mod codec;
pub mod decision;
pub mod device;
pub mod epoch;
pub mod grant;
pub mod interaction;
pub mod introspect;
pub mod issue;
pub mod keys;
pub mod one_time;
pub mod openid;
pub mod pkce;
pub mod prompt;
pub mod recovery;
pub mod redeem;
pub mod redirect;
pub mod refresh;
pub mod refusal;
pub mod repeated;
pub mod response_type;
pub mod revoke;
pub mod scope;
pub mod secret;
pub mod status;
pub mod time;
pub mod token;

pub use chain::{ChainKey, Link};
pub use client::{Client, ClientId, Policy};
pub use decision::{Change, Decision, Event, EventKind, Write};
pub use epoch::{Covered, Epoch, Selector};
pub use grant::{Grant, GrantId, Terms};
pub use keys::Keys;
pub use openid::OpenId;
pub use refusal::Refusal;
pub use response_type::{ResponseMode, ResponseType};
pub use scope::{Resources, Scope};
pub use secret::{Entropy, Seed, Wiped};
pub use time::Timestamp;
