//! What is good once, or a number of times: the `jti` of a client's assertion, and the tokens that let somebody register a client.

use regrant_core::Timestamp;

/// An initial access token (RFC 7591 section 3), which lets whoever holds it register clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationToken {
    /// SHA-256 of it: the token itself is never stored.
    pub hash: [u8; 32],
    /// For people.
    pub label: String,
    /// How many clients can still be registered with it.
    pub uses: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl RegistrationToken {
    /// Whether somebody can register with it now.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.uses > 0 && !self.expires_at.is_over(now)
    }
}
