//! Where chance comes from: the one file that asks a random generator.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use regrant_core::Entropy;

/// `N` bytes from the operating system's generator by way of aws-lc-rs.
///
/// # Panics
/// If the generator fails. A server without chance must not go on: every secret it minted would be worthless.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where a random generator is asked")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        panic!("the random generator failed: no secret can be made without it");
    }
    bytes
}

/// The chance for one decision.
#[must_use]
pub fn entropy() -> Entropy {
    Entropy::from_bytes(&bytes())
}
