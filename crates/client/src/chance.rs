//! Where chance comes from: the one file of this crate that asks a random generator.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// If the generator fails: without chance no state, verifier or key is worth anything.
#[expect(clippy::disallowed_methods, reason = "the one place where a random generator is asked")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        panic!("the random generator failed");
    }
    bytes
}

/// 256 bits as 43 characters of base64url: for `state`, `nonce`, PKCE verifiers and `Idempotency-Key`.
pub(crate) fn text() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// A share between 0 and 1.
pub(crate) fn share() -> f64 {
    f64::from(u32::from_be_bytes(bytes())) / f64::from(u32::MAX)
}
