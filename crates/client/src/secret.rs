//! A text that nobody may see by accident: redacted when it is printed, zeroed when it is dropped.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A token or another secret text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent and never to be logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first 128 bits of its SHA-256 as hexadecimal digits: tells one token from another, and says nothing else about it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.0.as_bytes());
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("rgr_1")), "Secret(redacted)");
    }

    #[test]
    fn fingerprints_tell_secrets_apart() {
        assert_ne!(Secret::new("a").fingerprint(), Secret::new("b").fingerprint());
        assert_eq!(Secret::new("a").fingerprint().len(), 32);
    }
}
