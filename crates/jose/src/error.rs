//! Why a key, a token or a claim is refused: RFC 7515 section 5.2, RFC 7517 section 5 and RFC 8725 section 3.
//!
//! None of these texts carries anything out of the token or the key, so all of them may be logged.

use std::error::Error;
use std::fmt;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// The PKCS#8 document is malformed, inconsistent, or holds a key of another kind or curve.
    BadPkcs8,
    /// `kty` and `crv` name a kind of key we do not use.
    UnsupportedType,
    /// The JWK lacks a member its kind requires, as RFC 7518 section 6 and RFC 8037 section 2 list them.
    MissingMember(&'static str),
    /// The member is not canonical base64url of the right length.
    BadMember(&'static str),
    /// The numbers form no public key: a point off its curve, say.
    BadPublicKey,
    /// The RSA modulus has fewer than 2048 bits (RFC 7518 section 3.3) or more than 4096 (a price too high to verify).
    RsaSize,
    /// The JWK's `alg` is none of ours, or does not go with its kind.
    UnsupportedAlgorithm,
    /// An RSA key must say for which `alg` it is: two would fit, and guessing is how confusions start.
    AlgorithmMissing,
    /// `use` or `key_ops` says that the key does not verify signatures.
    NotForSignatures,
    /// `use` or `key_ops` says that nothing is encrypted to the key.
    NotForEncryption,
    /// The cryptographic module could not make a key.
    Generation,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPkcs8 => f.write_str("the PKCS#8 document holds no usable key of this algorithm"),
            Self::UnsupportedType => f.write_str("unsupported key type or curve"),
            Self::MissingMember(name) => write!(f, "the key lacks its member \"{name}\""),
            Self::BadMember(name) => write!(f, "the key's member \"{name}\" is malformed"),
            Self::BadPublicKey => f.write_str("the key's numbers form no public key"),
            Self::RsaSize => f.write_str("an RSA key must have 2048 to 4096 bits"),
            Self::UnsupportedAlgorithm => f.write_str("the key's algorithm is unsupported or does not fit its type"),
            Self::AlgorithmMissing => f.write_str("an RSA key must name its algorithm"),
            Self::NotForSignatures => f.write_str("the key is not meant for signatures"),
            Self::NotForEncryption => f.write_str("the key is not meant for encryption"),
            Self::Generation => f.write_str("the key could not be generated"),
        }
    }
}

impl Error for KeyError {}

/// Why a token could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignError {
    /// The claims do not serialize to a JSON object.
    NotAnObject,
    /// The token would exceed [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES), and nobody strict would read it.
    TooLarge,
    /// The cryptographic module could not sign.
    Signing,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "the claims are not a JSON object",
            Self::TooLarge => "the token would be too large",
            Self::Signing => "the signature could not be made",
        })
    }
}

impl Error for SignError {}

/// A part of a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first: the JOSE header.
    Header,
    /// The second: the claims.
    Payload,
    /// The third.
    Signature,
}

/// What is wrong with a part's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON, not UTF-8, or followed by something.
    Syntax,
    /// JSON, but no object.
    NotAnObject,
    /// Two members of one object have the same name, after unescaping.
    DuplicateMember,
    /// Objects and arrays are nested more than 16 deep.
    TooDeep,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "is not JSON",
            Self::NotAnObject => "is not a JSON object",
            Self::DuplicateMember => "has a member twice",
            Self::TooDeep => "is nested too deep",
        })
    }
}

/// Why a token is not accepted. For the log: the wire hears `invalid_token` or the like, whichever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// More than [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES).
    TooLarge,
    /// Not exactly three parts: a JWE, a JSON serialization, or no token at all.
    NotThreeParts,
    /// The part is not canonical base64url.
    NotBase64url(Part),
    /// The part is not the JSON object it must be.
    BadJson(Part, JsonFault),
    /// The header lacks `alg`, or this member (`alg`, `typ`, `kid`) is no string.
    BadHeaderMember(&'static str),
    /// `alg` is none of ours; `none` ends here too.
    UnsupportedAlgorithm,
    /// There is a `crit`; we understand no extension, so each critical one is to be refused (RFC 7515 section 4.1.11).
    CriticalExtension,
    /// There is a `b64` (RFC 7797), which a JWT must not have and whose meaning differs between readers.
    UnencodedPayload,
    /// `typ` is absent or names another kind of token (RFC 8725 section 3.11).
    WrongType,
    /// No key has the header's `kid`, or no key could fit a header without one.
    UnknownKey,
    /// The key with this `kid` is for another algorithm than `alg`.
    WrongAlgorithm,
    /// More than one key fits, and the token does not say which.
    AmbiguousKey,
    /// The signature is not this key's for these bytes.
    BadSignature,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Part| match part {
            Part::Header => "header",
            Part::Payload => "payload",
            Part::Signature => "signature",
        };
        match self {
            Self::TooLarge => f.write_str("the token is too large"),
            Self::NotThreeParts => f.write_str("not a JWS in compact serialization"),
            Self::NotBase64url(which) => write!(f, "the {} is not canonical base64url", part(which)),
            Self::BadJson(which, fault) => {
                write!(f, "the {} {fault}", part(which))
            }
            Self::BadHeaderMember(name) => write!(f, "the header's \"{name}\" is missing or not a string"),
            Self::UnsupportedAlgorithm => f.write_str("unsupported signature algorithm"),
            Self::CriticalExtension => f.write_str("the token has a critical extension"),
            Self::UnencodedPayload => f.write_str("the token has a \"b64\" header"),
            Self::WrongType => f.write_str("the token is of another type"),
            Self::UnknownKey => f.write_str("no known key has signed the token"),
            Self::WrongAlgorithm => f.write_str("the token's algorithm is not its key's"),
            Self::AmbiguousKey => f.write_str("the token does not say which key signed it"),
            Self::BadSignature => f.write_str("the signature does not verify"),
        }
    }
}

impl Error for VerifyError {}

/// Why the claims of a genuine token are not accepted. The name is the claim's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// A required claim is not there.
    Missing(&'static str),
    /// The claim is there and is not what its definition says: a string for a time, a `null`, a year past 9999.
    Malformed(&'static str),
    /// `exp` is now or past.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iat` is still to come: the clocks disagree, or somebody signs ahead.
    IssuedInFuture,
    /// `iss` names somebody else.
    OtherIssuer,
    /// `aud` does not name us.
    OtherAudience,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the claim \"{name}\" is missing"),
            Self::Malformed(name) => write!(f, "the claim \"{name}\" is malformed"),
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
            Self::IssuedInFuture => f.write_str("the token was issued in the future"),
            Self::OtherIssuer => f.write_str("the token is from another issuer"),
            Self::OtherAudience => f.write_str("the token is for another audience"),
        }
    }
}

impl Error for ClaimError {}
