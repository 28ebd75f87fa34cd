//! A text that nobody may see by accident: redacted when it is printed, zeroed when the last one who has it drops it.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A token or another secret text. Clones share it: a copy would be one more place to zero, which takes longer than all else that a request
/// with a fresh token waits for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
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

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
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
