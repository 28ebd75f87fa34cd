//! Middleware for those who accept access tokens: the resource servers of RFC 6749.
//!
//! A [`ResourceServer`] judges one token at a time; [`ResourceServer::require`] makes a [`Protect`] layer of it, for axum or any other
//! tower service over [`http`]. A JWT (RFC 9068) is validated where it arrives, without a request for each token; what was revoked before
//! its time is heard of by the authorization server's revocation feed, seconds later; and what cannot be judged here is asked about by
//! introspection (RFC 7662).
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use regrant_resource::{AccessToken, Credentials, ResourceServer};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ResourceServer::builder("https://id.example.com", "https://notes.example.com/")
//!     .credentials(Credentials::new("notes-api", std::env::var("NOTES_API_SECRET")?))
//!     .follow_revocations()
//!     .build()?;
//! let notes = get(|Extension(token): Extension<AccessToken>| async move { format!("notes of {}", token.subject()) });
//! let app = Router::new().route("/notes", notes.layer(server.require(["notes:read"])));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is checked of a JWT
//!
//! | question, in this order                                           | RFC 9068 section 4              | refused as |
//! |-------------------------------------------------------------------|---------------------------------|------------|
//! | at most 16 KiB, three parts, no `crit`                            |                                 | [`Refusal::Malformed`] |
//! | `typ` is `at+jwt`                                                 | "MUST verify that the typ header value is at+jwt" | [`Refusal::NotVerified`] |
//! | a published key of this `kid` signed it, with the key's own algorithm | "MUST reject any JWT in which the value of alg is none" | [`Refusal::NotVerified`] |
//! | `iss` is the authorization server, `aud` names this resource server | "MUST exactly match", "MUST be rejected if aud does not contain" | [`Refusal::OtherClaims`] |
//! | `exp` is to come, `nbf` and `iat` are not, give or take the leeway | "The current time MUST be before" | [`Refusal::OtherClaims`] |
//! | `sub`, `client_id`, `iat`, `jti` are there                        | section 2.2                     | [`Refusal::OtherClaims`] |
//! | neither it, nor its grant, nor all like it were revoked           |                                 | [`Refusal::Revoked`] |
//! | it has the scopes that the route requires                         |                                 | [`Refusal::InsufficientScope`] |
//!
//! # What is fetched, and how often
//!
//! | what                    | when                                            | at most                            | limits  |
//! |-------------------------|-------------------------------------------------|------------------------------------|---------|
//! | metadata (RFC 8414)     | at the first token, then every hour             | once in 5 s if it fails            | 256 KiB |
//! | keys (RFC 7517)         | at the first token, then every 5 minutes        | once in 5 s if it fails            | 256 KiB, 64 keys |
//! | keys, for an unknown `kid` | at once                                      | once a minute, however many kids   |         |
//! | revocations             | when a token comes 5 s after the last look      | one at a time                      | 64 KiB a page, 500,000 entries |
//! | introspection           | for each token that cannot be judged here       | one for each token                 | 256 KiB |
//!
//! Each has 5 s. Nothing runs in the background: a server that nobody asks asks nobody. Of what strangers send, nothing is remembered.
//!
//! # When the feed is old
//!
//! A feed that was not confirmed for [`Builder::feed_max_age`] (60 s) says nothing of what was revoked since. What happens then is
//! a choice that this crate does not make silently: [`WhenOld`].

#![warn(missing_docs)]

mod bearer;
mod builder;
mod clock;
mod feed;
#[cfg(feature = "client")]
mod hyper_client;
mod introspection;
mod judge;
mod keys;
mod layer;
mod metadata;
mod refusal;
mod token;
mod transport;

pub use builder::{BadSetting, Builder, Credentials, WhenOld};
pub use clock::{Clock, SystemClock};
#[cfg(feature = "client")]
pub use hyper_client::HyperClient;
pub use judge::ResourceServer;
pub use layer::{Protect, Protected};
pub use refusal::Refusal;
pub use token::AccessToken;
pub use transport::{Answered, HttpClient, NoAnswer};
