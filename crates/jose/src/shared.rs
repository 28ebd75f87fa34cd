//! What is not signed by a key pair: HS256 under a secret that two share, and `none` (RFC 7515 appendix A.5, RFC 7518 sections
//! 3.2 and 3.6). Each has a function of its own, so that neither can stand in for a signature: [`verify`](crate::verify) knows
//! neither of them, and a caller says which of the three it wants before it reads what the token says.

use aws_lc_rs::hmac;
use serde_json::{Map, Value};

use crate::verify::{Parts, Typ, read_part};
use crate::{Part, VerifyError};

/// The one algorithm with a shared secret: HMAC with SHA-256.
pub const HS256: &str = "HS256";
/// No algorithm at all.
pub const NONE: &str = "none";

/// What a token says of itself, which nobody vouches for: good for finding out whose keys to ask for, and for nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Peeked {
    /// `alg`, whatever it is.
    pub algorithm: String,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Looks into a compact JWS of any algorithm, as strictly as [`Unverified::parse`](crate::Unverified::parse).
///
/// # Errors
/// [`VerifyError`] if it is not well-formed.
pub fn peek(token: &str) -> Result<Peeked, VerifyError> {
    let parts = Parts::of(token)?;
    let algorithm = parts.named_algorithm()?.to_owned();
    Ok(Peeked { algorithm, claims: read_part(parts.payload, Part::Payload)? })
}

/// The claims of a token with this secret's HS256.
///
/// RFC 7518 section 3.2: "A key of the same size as the hash output (for instance, 256 bits for "HS256") or larger MUST be used":
/// a shorter secret verifies nothing.
///
/// # Errors
/// [`VerifyError`], for the first thing that is wrong.
pub fn verify_shared(token: &str, typ: Typ<'_>, secret: &[u8]) -> Result<Map<String, Value>, VerifyError> {
    let parts = Parts::of(token)?;
    if parts.named_algorithm()? != HS256 {
        return Err(VerifyError::WrongAlgorithm);
    }
    parts.check_typ(typ)?;
    if secret.len() < 32 {
        return Err(VerifyError::UnknownKey);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    // In constant time, and only the whole tag fits.
    hmac::verify(&key, parts.signing_input.as_bytes(), &parts.signature).map_err(|_| VerifyError::BadSignature)?;
    read_part(parts.payload, Part::Payload)
}

/// The claims of a token that nobody signed: `alg` is exactly `none` and there is no signature (RFC 7518 section 3.6, "MUST NOT
/// accept Unsecured JWSs by default"). For a caller that was told by other means that this sender does not sign.
///
/// # Errors
/// [`VerifyError`], for the first thing that is wrong.
pub fn read_unsecured(token: &str, typ: Typ<'_>) -> Result<Map<String, Value>, VerifyError> {
    let parts = Parts::of(token)?;
    if parts.named_algorithm()? != NONE {
        return Err(VerifyError::WrongAlgorithm);
    }
    parts.check_typ(typ)?;
    // Section 3.6: "Recipients MUST verify that the JWS Signature value is the empty octet sequence."
    if !parts.signature.is_empty() {
        return Err(VerifyError::BadSignature);
    }
    read_part(parts.payload, Part::Payload)
}

/// A token with this secret's HS256, for who proves itself by one.
///
/// # Errors
/// [`SignError`](crate::SignError) if the claims are too large.
pub fn sign_shared(typ: &str, claims: &Value, secret: &[u8]) -> Result<String, crate::SignError> {
    let header = serde_json::json!({"alg": HS256, "typ": typ});
    let part = |value: &Value| crate::base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    let token = format!("{input}.{}", crate::base64url::encode(tag.as_ref()));
    if token.len() > crate::MAX_TOKEN_BYTES { Err(crate::SignError::TooLarge) } else { Ok(token) }
}
