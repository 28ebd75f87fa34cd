//! What a change of a registration gives anew: the next token (RFC 7592 section 3) and, where the client had none that it can use, a secret.
//!
//! Both are derived from the token that asked. Who did not hear the answer asks again and is told the same: two requests at once, or
//! one that the network repeats, lead to one token and not to two of which the first is nobody's. Who holds a copy of the store, where the hash
//! of a token is, or the root key, but not the token that asked, derives nothing.

use aws_lc_rs::hmac;
use regrant_core::ClientId;
use regrant_core::one_time::{Kind, client_secret, registration_token};
use zeroize::Zeroizing;

use crate::app::App;

/// The token that comes after this one.
pub(super) fn token(app: &App, id: &ClientId, shown: &str) -> Zeroizing<String> {
    registration_token(Kind::Registration, *derived(app, b"token", id, shown))
}

/// The secret that a change by this token gives.
pub(super) fn secret(app: &App, id: &ClientId, shown: &str) -> Zeroizing<String> {
    client_secret(*derived(app, b"secret", id, shown))
}

/// A token's text is of one length, and so neither it nor the identifier reads as a part of the other.
fn derived(app: &App, what: &[u8], id: &ClientId, shown: &str) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&app.registration_key);
    for part in [what, b" ", shown.as_bytes(), id.as_str().as_bytes()] {
        context.update(part);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}
