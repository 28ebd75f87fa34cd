//! Signed tokens on aws-lc-rs: JWS compact serialization (RFC 7515), JWK (RFC 7517, RFC 7518, RFC 8037),
//! thumbprints (RFC 7638) and JWT claims (RFC 7519), read as strictly as RFC 8725 asks. Encrypted ones are in [`jwe`].
//!
//! Keys are parsed once. A [`SigningKey`] makes tokens, a [`VerifyingKey`] reads them, and each of them knows
//! its one algorithm: what a token's header says about `alg` is compared, never obeyed.
//!
//! ```
//! use regrant_jose::{Algorithm, Expected, SigningKey, VerifyingKey, verify};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(Algorithm::Es256)?;
//! let claims = serde_json::json!({"iss": "https://as.example", "aud": "https://rs.example", "exp": 1_800_000_060});
//! let token = key.sign("at+jwt", &claims)?;
//!
//! let published = VerifyingKey::from_jwk(&key.public_jwk())?;
//! let verified = verify(&token, "at+jwt", &[published])?;
//! Expected { issuer: "https://as.example", audience: "https://rs.example", now: 1_800_000_000, leeway: 5 }
//!     .check(&verified.claims)?;
//! # Ok(())
//! # }
//! ```
//!
//! What goes wrong elsewhere, and why not here:
//!
//! | known fault                                   | here                                                         |
//! |-----------------------------------------------|--------------------------------------------------------------|
//! | `alg: none`, an RSA key used as an HMAC key   | the key has its algorithm; `none` and HMAC are other functions |
//! | a key taken from `jwk`, `jku`, `x5c`, `x5u`   | [`verify`] uses the caller's keys only                       |
//! | an ID token taken for an access token         | the caller names the `typ`, and it must be there             |
//! | an unknown `crit` extension passed over       | any `crit`, and any `b64`, is refused                        |
//! | two readers, two meanings of one member       | duplicate members are refused at every level                 |
//! | one token, several spellings                  | only canonical base64url is read                             |
//! | `exp: "never"` read as "no exp"               | `exp` is required and must be a number                       |
//! | a private key published in a key set          | private members are refused on reading, impossible on writing |

#![warn(missing_docs)]

mod algorithm;
pub mod base64url;
mod claims;
mod error;
mod json;
pub mod jwe;
mod jwk;
mod shared;
mod signing_key;
mod verify;
mod verifying_key;
#[cfg(test)]
mod wycheproof;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{Expected, Times, check_audience, check_issuer, check_times};
pub use error::{ClaimError, JsonFault, KeyError, Part, SignError, VerifyError};
pub use json::read_object;
pub use jwk::{Jwk, JwkSet};
pub use shared::{HS256, NONE, Peeked, peek, read_unsecured, sign_shared, verify_shared};
pub use signing_key::SigningKey;
pub use verify::{Header, MAX_TOKEN_BYTES, Typ, Unverified, Verified, verify};
pub use verifying_key::VerifyingKey;
