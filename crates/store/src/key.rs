//! Rows of keys, as an operator sees them: security section 4.6.

use std::fmt;

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;

/// The kinds of key that an operator sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    /// Tags refresh tokens and codes. Derived: only its status is kept.
    Tag,
    /// Steps the ratchet. Its bytes are in a table of their own, which backups leave out.
    Seed,
    /// Seals opaque access tokens. Derived: only its status is kept.
    Sealing,
    /// Signs access tokens.
    Signing,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tag, Self::Seed, Self::Sealing, Self::Signing];

    /// The word for it, in the store and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Seed => "seed",
            Self::Sealing => "sealing",
            Self::Signing => "signing",
        }
    }

    /// Reverses [`KeyKind::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key's row. It outlives the key, so that its number is never used twice.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Of which kind.
    pub kind: KeyKind,
    /// Its number within the kind, never used twice.
    pub id: u32,
    /// Where it stands in its life.
    pub status: KeyStatus,
    /// The algorithm it is for, or empty.
    pub algorithm: String,
    /// The key, encrypted under the root key; `None` for derived kinds, and where the key was destroyed.
    pub wrapped: Option<Vec<u8>>,
    /// In seconds: the longest that anything can live which it made while it was current, as far as is known by now.
    pub outlived_by: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became current.
    pub current_at: Option<Timestamp>,
    /// When it stopped to be current, or was found to be compromised.
    pub verify_at: Option<Timestamp>,
    /// When it was destroyed.
    pub gone_at: Option<Timestamp>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyRecord");
        shown.field("kind", &self.kind).field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// A key's row as it shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyChange {
    /// The status it is expected to have; `None` if its number must be free.
    pub expected: Option<KeyStatus>,
    /// The row. Without `wrapped` the key's bytes are destroyed.
    pub key: KeyRecord,
}
