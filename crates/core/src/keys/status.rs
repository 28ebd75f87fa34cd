//! Where a key stands in its life, and the ways in which a key can be missing.
//!
//! | status        | mints | opens what it made            | then                                                    |
//! |---------------|-------|-------------------------------|---------------------------------------------------------|
//! | `next`        | no    | –                             | published ahead, becomes `current`                      |
//! | `current`     | yes   | yes                           | becomes `verify` when the next one takes over           |
//! | `verify`      | no    | yes                           | `gone` when nothing that it made can be alive           |
//! | `compromised` | no    | tags only, and they prove less | a spent token under it ends nothing; the others are dead |
//! | `gone`        | no    | no                            | its number is never used again                          |

/// Where a key stands in its life: next → current → verify → gone; compromised is the emergency exit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyStatus {
    /// Made, and not yet used.
    Next,
    /// Mints and verifies.
    Current,
    /// Verifies only.
    Verify,
    /// Known to others: what it tagged still works by its seed, but proves nothing else.
    Compromised,
    /// No longer there.
    Gone,
}

impl KeyStatus {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Next, Self::Current, Self::Verify, Self::Compromised, Self::Gone];

    /// The word for it, in the store and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Verify => "verify",
            Self::Compromised => "compromised",
            Self::Gone => "gone",
        }
    }

    /// Reverses [`KeyStatus::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Looking for a seed key can fail in two ways that deserve different answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeedKeyMissing {
    /// Made elsewhere and not here yet: ask again shortly.
    NotYet,
    /// Destroyed: nobody can repeat that answer.
    Gone,
}

/// The keys given do not make a working set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadKeys;

impl std::fmt::Display for BadKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the keys do not make a working set: there must be one current tag key, one current sealing key and at least one seed key")
    }
}

impl std::error::Error for BadKeys {}
