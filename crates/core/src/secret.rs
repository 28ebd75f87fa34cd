//! Secrets as types: redacted when printed, zeroed when dropped, compared in constant time; and chance as an argument.

use std::ops::{Deref, DerefMut};

use aws_lc_rs::{constant_time, digest};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text, or bytes, wiped when they are dropped. What is in a vector `zeroize` wipes one value after the other, and the room behind it at once:
/// it is emptied first, so that all of it is such room.
#[derive(Clone, Default)]
pub struct Wiped<T: Empties>(T);

/// What can be emptied where it is.
pub trait Empties: Zeroize {
    /// The room stays as it was.
    fn empty(&mut self);
}

impl<T: Zeroize> Empties for Vec<T> {
    fn empty(&mut self) {
        self.clear();
    }
}

impl Empties for String {
    fn empty(&mut self) {
        self.clear();
    }
}

impl<T: Empties> Wiped<T> {
    /// Takes it over.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Empties> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Empties> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Empties> std::fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wiped(redacted)")
    }
}

impl<T: Empties> Drop for Wiped<T> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Wipes a value where it is, and leaves it empty.
pub fn wipe(value: &mut impl Empties) {
    value.empty();
    value.zeroize();
}

/// The secret half of a refresh token or code: 256 bits that only the client keeps. The store holds [`Seed::hash`].
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Drop for Seed {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Seed {}

impl Zeroize for Seed {
    /// As a slice, which is wiped at once.
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl Seed {
    /// Takes 32 secret bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for the codec and the ratchet only.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the seed: all that the store ever holds of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(redacted)")
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Seed {}

/// A SHA-256 value. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(out)
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Hash {}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// All the chance that one decision may use, drawn before it is asked: 32 secret bytes, a write id and a number.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Entropy {
    secret: [u8; 32],
    write_id: u64,
    draw: u32,
}

impl Entropy {
    /// How many random bytes one decision takes.
    pub const LEN: usize = 44;

    /// Takes the bytes of a cryptographic random generator.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (mut secret, mut write_id, mut draw) = ([0; 32], [0; 8], [0; 4]);
        secret.copy_from_slice(&bytes[..32]);
        write_id.copy_from_slice(&bytes[32..40]);
        draw.copy_from_slice(&bytes[40..]);
        Self { secret, write_id: u64::from_be_bytes(write_id), draw: u32::from_be_bytes(draw) }
    }

    /// The 32 secret bytes: the ratchet of a rotation, or the seed of a first refresh token.
    #[must_use]
    pub const fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// Names this write, so that a commit of unknown outcome can be recognised by reading the row.
    #[must_use]
    pub const fn write_id(&self) -> u64 {
        self.write_id
    }

    /// A uniform number, for the spread of `expires_in`.
    #[must_use]
    pub const fn draw(&self) -> u32 {
        self.draw
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(redacted)")
    }
}
