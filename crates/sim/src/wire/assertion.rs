//! Clients that prove themselves with a JWT: the key pair of every world, and assertions by it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use regrant_jose::{Algorithm, SigningKey, sign_shared};
use serde_json::{Value, json};

use super::{SECRET, START};

/// RFC 7523 section 2.2.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The key of every client of `private_key_jwt` in a configuration where `KEYS` stands for its public half.
///
/// # Panics
/// If no key can be made.
pub fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).expect("a key"))
}

/// The public halves of these as a JWK set.
#[must_use]
pub fn set(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>()})
}

/// The same as TOML: an inline table.
#[must_use]
pub fn toml(set: &Value) -> String {
    set.to_string().replace("\":", "\" = ")
}

/// A `jti` that was never used.
#[must_use]
pub fn jti() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The claims of an assertion by this client for this audience, good for a minute from `now` on, in seconds.
#[must_use]
pub fn claims(client: &str, audience: &str, now: i64) -> Value {
    json!({"iss": client, "sub": client, "aud": audience, "jti": jti(), "iat": now, "exp": now + 60})
}

/// When every world begins, in seconds.
#[must_use]
pub const fn start() -> i64 {
    START / 1000
}

/// An assertion with these claims by this key.
///
/// # Panics
/// If it cannot be signed.
#[must_use]
pub fn sign(key: &SigningKey, claims: &Value) -> String {
    key.sign("JWT", claims).expect("a token")
}

/// An assertion with these claims under the secret of every world.
///
/// # Panics
/// If it cannot be signed.
#[must_use]
pub fn sign_with_secret(claims: &Value) -> String {
    sign_shared("JWT", claims, SECRET.as_bytes()).expect("a token")
}

/// The same with a header of one's own, by a key of ES256.
///
/// # Panics
/// If it is a key of another kind.
#[must_use]
pub fn sign_with_header(key: &SigningKey, header: &Value, claims: &Value) -> String {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let encode = |value: &Value| regrant_jose::base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(claims));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.to_pkcs8()).expect("a key of ES256");
    let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), input.as_bytes()).expect("a signature");
    format!("{input}.{}", regrant_jose::base64url::encode(signature.as_ref()))
}
