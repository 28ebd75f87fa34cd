//! The resource server over real HTTP, a module per document: RFC 9068 section 4, RFC 6750 section 3, key sets, the revocation feed,
//! introspection. The authorization server here is a small one of the tests' own, so that it can misbehave; `crates/sim` tells the same
//! with the real one.

mod authority;
mod example;

mod introspection;
mod keys;
mod revocations;
mod rfc6750;
mod rfc9068;
mod settings;
