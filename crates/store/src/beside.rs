//! What is kept beside grants and events: where a grant was used, how far a delivery has come, and what could not be delivered.

use regrant_core::Timestamp;

/// The most dead letters that are kept for one recipient: beyond it the oldest go.
pub const MOST_DEAD_LETTERS: u32 = 10_000;

/// How far the delivery to one recipient has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The recipient's name in the configuration.
    pub to: String,
    /// Every event up to this position was delivered, or is among the dead letters, or is none of its kinds.
    pub position: u64,
}

/// An event that could not be delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The recipient's name.
    pub to: String,
    /// The event's position.
    pub event: u64,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, for people.
    pub failure: String,
}

/// Where a grant was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// When it was first used from there.
    pub at: Timestamp,
    /// The network, shortened; empty if it is not known.
    pub network: String,
    /// The family of the program; empty if it said nothing.
    pub agent: String,
}

/// Where a grant was made, and where it was used last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// Where it was made.
    pub first: Place,
    /// Where it was used last, since when.
    pub last: Place,
}
