//! The seal: one MAC over what no other MAC holds together, so that whoever can write the store and has no key cannot take from it. One
//! rule for both stores that last: a store that is moved keeps its seal.
//!
//! | what is sealed                    | what somebody could do without it                                    |
//! |-----------------------------------|----------------------------------------------------------------------|
//! | the ends of the chain of events   | cut off the newest events, and let the chain end before them         |
//! | all wide revocations, their count | remove one, or lower the count: what it ended lives again            |
//! | all rows of keys, but seed keys'  | call a compromised key good again                                    |
//! | how often there was another seal  | put older ones of these back, with the seal that belonged to them    |
//!
//! Rows are held together by the sum (XOR) of a MAC of each, which is kept as rows come and go: a seal costs the same whatever their
//! number. Seed keys are left out, for backups leave them out; they are wrapped, and mint nothing by themselves.

use regrant_core::chain::Value;
use regrant_core::{ChainKey, Link};

use crate::ChainEnds;

/// The columns of a wide revocation, in the order in which its MAC takes them. Later ones come at the end and are NULL by default.
macro_rules! epoch_columns {
    () => {
        "number, at, subject, client, session, tag_key, scope, resource, issued_before, online_only, reason, detail, undo_until, \
         undone_at, but_session, among"
    };
}
/// The same for a key.
macro_rules! key_columns {
    () => {
        "kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at"
    };
}
pub(crate) use {epoch_columns, key_columns};

/// How many columns of a wide revocation there were when there were seals first.
const FIRST_COLUMNS: usize = 14;

/// A table whose rows are sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Table {
    /// Wide revocations.
    Epochs,
    /// Keys, but seed keys.
    Keys,
}

impl Table {
    /// The MAC of a row with these values, in the order of its columns.
    pub(crate) fn link(self, key: &ChainKey, mut values: Vec<Value<'_>>) -> Link {
        match self {
            Self::Keys => key.row("keys", &values),
            Self::Epochs => {
                // A row that says nothing in a later column has the MAC that it had before there was one.
                while values.len() > FIRST_COLUMNS && matches!(values.last(), Some(Value::Null)) {
                    values.pop();
                }
                key.row("epochs", &values)
            }
        }
    }
}

/// The sum over the rows of a table: in any order, and adding twice is removing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum(pub(crate) [u8; 32]);

impl Sum {
    /// Takes a row in, or out again.
    pub(crate) fn add(&mut self, link: &Link) {
        for (byte, other) in self.0.iter_mut().zip(link.0) {
            *byte ^= other;
        }
    }
}

/// What is sealed, as of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sealed {
    /// How often there was another seal.
    pub(crate) count: u64,
    /// The ends of the chain of events.
    pub(crate) ends: ChainEnds,
    /// Over the wide revocations.
    pub(crate) epochs: Sum,
    /// How many there ever were.
    pub(crate) counter: u64,
    /// Over the keys.
    pub(crate) keys: Sum,
}

impl Sealed {
    /// The seal.
    pub(crate) fn seal(&self, key: &ChainKey) -> Link {
        let Self { count, ends, epochs, counter, keys } = self;
        let numbers = [*count, *counter, ends.removed.0, ends.newest.0];
        let links = [ends.removed.1, ends.newest.1, Link(epochs.0), Link(keys.0)];
        key.seal(&numbers, &links)
    }

    pub(crate) fn add(&mut self, table: Table, link: &Link) {
        match table {
            Table::Epochs => self.epochs.add(link),
            Table::Keys => self.keys.add(link),
        }
    }
}
