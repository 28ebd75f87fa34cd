//! Encrypted tokens: JWE compact serialization (RFC 7516) with the algorithms of RFC 7518 sections 4 and 5 that are still good.
//!
//! | `alg`                                | how the content's key goes over                                        |
//! |--------------------------------------|------------------------------------------------------------------------|
//! | `ECDH-ES`                            | it is what two keys on P-256 agree on (RFC 7518 section 4.6)           |
//! | `ECDH-ES+A128KW`, `ECDH-ES+A256KW`   | wrapped under that                                                     |
//! | `RSA-OAEP-256`, `RSA-OAEP`           | encrypted to an RSA key (section 4.3)                                  |
//!
//! | `enc`           | what it is                                                                                  |
//! |-----------------|---------------------------------------------------------------------------------------------|
//! | `A256GCM`, `A128GCM` | AES-GCM (RFC 7518 section 5.3)                                                          |
//! | `A128CBC-HS256` | AES-CBC and HMAC (section 5.2), which OpenID Connect Registration section 2 has as default   |
//!
//! What is not here, and why:
//!
//! | known fault                                          | here                                                            |
//! |------------------------------------------------------|-----------------------------------------------------------------|
//! | Bleichenbacher's oracle of `RSA1_5`                  | there is no `RSA1_5`                                             |
//! | Manger's oracle of OAEP                              | a key that does not open is replaced by chance (RFC 7516 section 11.5) |
//! | a small token that becomes a gigabyte (`zip`)        | any `zip` is refused                                             |
//! | years of work for one token (`PBES2`, `p2c`)         | there are no passwords                                           |
//! | points off their curve (CVE-2017-16007)              | `epk` is a key of P-256, which aws-lc looks at                   |
//! | a token without integrity                            | there is no `enc` without a tag, and no short tag                |
//!
//! An encrypted token says nothing of who wrote it: everybody knows the key it is encrypted to. Who has to know reads the signed
//! token in it (RFC 7519 section 5.2, "nested"), by [`verify`](crate::verify).

mod agree;
mod content;
mod decrypting_key;
mod encrypting_key;
mod error;

use std::fmt;
use std::str::FromStr;

pub use decrypting_key::{Decrypted, DecryptingKey, decrypt};
pub use encrypting_key::EncryptingKey;
pub use error::{DecryptError, EncryptError};

use crate::UnknownAlgorithm;

/// The longest encrypted token that is made or read, in bytes: the longest signed one inside, and what goes around it.
pub const MAX_ENCRYPTED_BYTES: usize = 24 * 1024;

/// How the key of the content goes over: `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDH on P-256; what is agreed on is the content's key.
    EcdhEs,
    /// ECDH on P-256, and the content's key wrapped with AES-128.
    EcdhEsA128Kw,
    /// ECDH on P-256, and the content's key wrapped with AES-256.
    EcdhEsA256Kw,
    /// RSAES OAEP with SHA-256 and MGF1 with SHA-256.
    RsaOaep256,
    /// RSAES OAEP with SHA-1, whose collisions do not matter there; for clients that know no other.
    RsaOaep,
}

impl KeyAlgorithm {
    /// All of them, the preferred first.
    pub const ALL: [Self; 5] = [Self::EcdhEs, Self::EcdhEsA128Kw, Self::EcdhEsA256Kw, Self::RsaOaep256, Self::RsaOaep];
    /// Those of a key on P-256.
    pub const ECDH: [Self; 3] = [Self::EcdhEs, Self::EcdhEsA128Kw, Self::EcdhEsA256Kw];

    /// The name in the IANA registry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA128Kw => "ECDH-ES+A128KW",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::RsaOaep => "RSA-OAEP",
        }
    }
}

/// How the content is encrypted: `enc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentAlgorithm {
    /// AES-256 in GCM.
    A256Gcm,
    /// AES-128 in GCM.
    A128Gcm,
    /// AES-128 in CBC and HMAC with SHA-256.
    A128CbcHs256,
}

impl ContentAlgorithm {
    /// All of them, the preferred first.
    pub const ALL: [Self; 3] = [Self::A256Gcm, Self::A128Gcm, Self::A128CbcHs256];

    /// The name in the IANA registry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A256Gcm => "A256GCM",
            Self::A128Gcm => "A128GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ContentAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;

    /// Exact and case-sensitive.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

impl FromStr for ContentAlgorithm {
    type Err = UnknownAlgorithm;

    /// Exact and case-sensitive.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

/// Whether a token has the five parts of an encrypted one. RFC 7516 section 9: "If the object is using the JWS Compact
/// Serialization or the JWE Compact Serialization, the number of base64url-encoded segments separated by period ('.') characters
/// differs".
#[must_use]
pub fn is_encrypted(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_is_found_by_its_name_and_no_other_is() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for algorithm in ContentAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for name in ["", "RSA1_5", "dir", "A128KW", "PBES2-HS256+A128KW", "rsa-oaep", "ECDH-ES+A192KW", "none"] {
            assert_eq!(name.parse::<KeyAlgorithm>(), Err(UnknownAlgorithm), "{name}");
        }
        for name in ["", "A192GCM", "A256CBC-HS512", "a128gcm", "A128CBC", "none"] {
            assert_eq!(name.parse::<ContentAlgorithm>(), Err(UnknownAlgorithm), "{name}");
        }
    }

    #[test]
    fn five_parts_are_an_encrypted_token_and_three_are_not() {
        assert!(is_encrypted("a.b.c.d.e") && is_encrypted("...."));
        assert!(!is_encrypted("a.b.c") && !is_encrypted("") && !is_encrypted("a.b.c.d.e.f"));
    }
}
