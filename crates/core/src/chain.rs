//! The chain that holds events together: each row carries a link, an HMAC over the link before it and its own content.
//!
//! Whoever can write to the store and has not the key cannot change, insert or remove a row in the middle without breaking the
//! chain behind it. Cutting off the newest rows leaves a shorter chain that is whole: where it ends is under a seal of the same key, with
//! what else a store holds that has no MAC of its own.

use std::fmt;

use aws_lc_rs::hmac;

use crate::grant::MacWriter;
use crate::secret::Wiped;

/// Longer than the encoding of most events.
const LINK_LEN: usize = 384;

/// What a row adds to the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// Before the first row.
    pub const START: Self = Self([0; 32]);

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A value of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// None.
    Null,
    /// A whole number.
    Number(i64),
    /// A text, as its bytes.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// The key of a chain.
#[derive(Clone)]
pub struct ChainKey(hmac::Key);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

impl ChainKey {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// One that everybody knows: for stores that nobody has given a key. It finds accidents, and no attacker.
    #[must_use]
    pub fn public() -> Self {
        Self::new(&[0; 32])
    }

    /// The link of a row with these numbers and texts behind the link `before`. No two rows are fed alike: numbers are fixed, texts
    /// carry their length, and one that is absent differs from one that is empty.
    #[must_use]
    pub fn link(&self, before: &Link, numbers: &[u64], texts: &[Option<&str>]) -> Link {
        let mut writer = MacWriter(Wiped::new(Vec::with_capacity(LINK_LEN)));
        writer.bytes(b"regrant event v1");
        writer.bytes(&before.0);
        writer.numbers(&[numbers.len() as u64]);
        writer.numbers(numbers);
        writer.numbers(&[texts.len() as u64]);
        for text in texts {
            writer.optional(text.map(str::as_bytes));
        }
        self.mac(&writer)
    }

    /// Of a row of a table: no two rows of all tables are fed alike.
    #[must_use]
    pub fn row(&self, table: &str, values: &[Value<'_>]) -> Link {
        let mut writer = MacWriter(Wiped::new(Vec::with_capacity(LINK_LEN)));
        writer.bytes(b"regrant row v1");
        writer.bytes(table.as_bytes());
        writer.numbers(&[values.len() as u64]);
        for value in values {
            match value {
                Value::Null => writer.numbers(&[0]),
                Value::Number(number) => writer.numbers(&[1, number.cast_unsigned()]),
                Value::Text(text) => {
                    writer.numbers(&[2]);
                    writer.bytes(text);
                }
                Value::Bytes(bytes) => {
                    writer.numbers(&[3]);
                    writer.bytes(bytes);
                }
            }
        }
        self.mac(&writer)
    }

    /// Over everything that a store seals.
    #[must_use]
    pub fn seal(&self, numbers: &[u64], links: &[Link]) -> Link {
        let mut writer = MacWriter(Wiped::new(Vec::with_capacity(LINK_LEN)));
        writer.bytes(b"regrant seal v1");
        writer.numbers(&[numbers.len() as u64]);
        writer.numbers(numbers);
        links.iter().for_each(|link| writer.bytes(&link.0));
        self.mac(&writer)
    }

    fn mac(&self, writer: &MacWriter) -> Link {
        let mut link = [0; 32];
        link.copy_from_slice(hmac::sign(&self.0, &writer.0).as_ref());
        Link(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an operator writes down of a chain, to compare it later: every byte, in order, two digits each.
    #[test]
    fn a_link_is_written_in_64_hexadecimal_digits() {
        let link = Link(std::array::from_fn(|place| place as u8 * 8));
        assert_eq!(link.hex(), "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8");
        assert_eq!(Link::START.hex(), "0".repeat(64));
    }

    #[test]
    fn every_part_of_a_row_and_what_is_before_it_is_in_its_link() {
        let key = ChainKey::public();
        let known = key.link(&Link::START, &[1, 2], &[Some("a"), None]);
        assert_eq!(known, key.link(&Link::START, &[1, 2], &[Some("a"), None]));
        for other in [
            key.link(&known, &[1, 2], &[Some("a"), None]),
            key.link(&Link::START, &[2, 1], &[Some("a"), None]),
            key.link(&Link::START, &[1], &[Some("a"), None]),
            key.link(&Link::START, &[1, 2], &[Some("a"), Some("")]),
            key.link(&Link::START, &[1, 2], &[None, Some("a")]),
            ChainKey::new(&[1; 32]).link(&Link::START, &[1, 2], &[Some("a"), None]),
        ] {
            assert_ne!(other, known);
        }
    }

    #[test]
    fn no_two_rows_are_fed_alike() {
        let key = ChainKey::public();
        let rows = [
            key.row("keys", &[Value::Text(b"a"), Value::Null]),
            key.row("epochs", &[Value::Text(b"a"), Value::Null]),
            key.row("keys", &[Value::Bytes(b"a"), Value::Null]),
            key.row("keys", &[Value::Text(b"a")]),
            key.row("keys", &[Value::Null, Value::Text(b"a")]),
            key.row("keys", &[Value::Text(b"a"), Value::Number(0)]),
            key.seal(&[1], &[Link::START]),
            key.seal(&[1, 0], &[Link::START]),
            key.seal(&[1], &[Link([1; 32])]),
            ChainKey::new(&[1; 32]).seal(&[1], &[Link::START]),
        ];
        for (place, row) in rows.iter().enumerate() {
            assert!(!rows[..place].contains(row), "{place}");
        }
    }
}
