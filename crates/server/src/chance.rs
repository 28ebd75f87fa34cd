//! Where chance comes from: the one file that asks a random generator.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use regrant_core::{Entropy, Wiped};

/// `N` bytes from the operating system's generator by way of aws-lc-rs.
///
/// # Panics
/// If the generator fails. A server without chance must not go on: every secret it minted would be worthless.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// The chance for one decision.
#[must_use]
pub fn entropy() -> Entropy {
    Entropy::from_bytes(&bytes())
}

/// The chance for so many decisions, asked for at once: asking costs more than what is given. They are made now: nothing is kept for
/// later, or a machine that is copied while it runs would give out the same chance twice.
pub(crate) fn entropies(decisions: usize) -> Vec<Entropy> {
    let mut bytes = Wiped::new(vec![0; decisions * Entropy::LEN]);
    fill(&mut bytes);
    let (each, _) = bytes.as_chunks();
    each.iter().map(Entropy::from_bytes).collect()
}

/// A number that names something and is no secret: it is not given out twice, as far as chance has it, and does not tell how many
/// there were. A counter under a key of this process, which asks for no chance each time.
pub(crate) fn name() -> u64 {
    static NAMES: LazyLock<(RandomState, AtomicU64)> = LazyLock::new(Default::default);
    let (key, next) = &*NAMES;
    key.hash_one(next.fetch_add(1, Ordering::Relaxed))
}

#[expect(clippy::disallowed_methods, reason = "the one place where a random generator is asked")]
fn fill(bytes: &mut [u8]) {
    if SystemRandom::new().fill(bytes).is_err() {
        panic!("the random generator failed: no secret can be made without it");
    }
}
