//! Why a token cannot be encrypted, or does not open: RFC 7516 sections 5.1 and 5.2.

use std::error::Error;
use std::fmt;

use crate::{JsonFault, KeyError};

/// Why a token could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptError {
    /// It would exceed [`MAX_ENCRYPTED_BYTES`](crate::jwe::MAX_ENCRYPTED_BYTES).
    TooLarge,
    /// The cryptographic module could not encrypt.
    Encrypting,
}

impl fmt::Display for EncryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the encrypted token would be too large",
            Self::Encrypting => "the token could not be encrypted",
        })
    }
}

impl Error for EncryptError {}

/// Why a token does not open. For the log: whoever sent it hears one sentence, whichever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecryptError {
    /// More than [`MAX_ENCRYPTED_BYTES`](crate::jwe::MAX_ENCRYPTED_BYTES).
    TooLarge,
    /// Not exactly five parts.
    NotFiveParts,
    /// A part is not canonical base64url.
    NotBase64url,
    /// The header is not the JSON object it must be.
    BadJson(JsonFault),
    /// This member of the header is missing, or not what it must be.
    BadHeaderMember(&'static str),
    /// `alg` is none of ours, or not of this key's kind.
    UnsupportedAlgorithm,
    /// `enc` is none of ours.
    UnsupportedEncryption,
    /// There is a `crit`, and we understand no extension (RFC 7516 section 4.1.13).
    CriticalExtension,
    /// There is a `zip`: nothing is decompressed here.
    Compressed,
    /// `kid` names none of our keys.
    UnknownKey,
    /// The sender's `epk` is no key of P-256.
    BadEphemeralKey(KeyError),
    /// It does not open: which step failed is not told (RFC 7516 section 11.5).
    DoesNotOpen,
}

impl fmt::Display for DecryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the encrypted token is too large"),
            Self::NotFiveParts => f.write_str("not a JWE in compact serialization"),
            Self::NotBase64url => f.write_str("a part of the encrypted token is not canonical base64url"),
            Self::BadJson(fault) => write!(f, "the header {fault}"),
            Self::BadHeaderMember(name) => write!(f, "the header's \"{name}\" is missing or malformed"),
            Self::UnsupportedAlgorithm => f.write_str("unsupported key management algorithm"),
            Self::UnsupportedEncryption => f.write_str("unsupported content encryption algorithm"),
            Self::CriticalExtension => f.write_str("the token has a critical extension"),
            Self::Compressed => f.write_str("the token is compressed"),
            Self::UnknownKey => f.write_str("the token is encrypted to another key"),
            Self::BadEphemeralKey(why) => write!(f, "the sender's ephemeral key: {why}"),
            Self::DoesNotOpen => f.write_str("the token does not open"),
        }
    }
}

impl Error for DecryptError {}
