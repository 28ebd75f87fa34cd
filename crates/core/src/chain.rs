//! The chain that holds events together: each row carries a link, an HMAC over the link before it and its own content.
//!
//! Whoever can write to the store and has not the key cannot change, insert or remove a row in the middle without breaking the
//! chain behind it. Cutting off the newest rows leaves a shorter chain that is whole: only somebody who kept a later link can tell.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::grant::MacWriter;

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
        let mut writer = MacWriter(Zeroizing::new(Vec::with_capacity(LINK_LEN)));
        writer.bytes(b"regrant event v1");
        writer.bytes(&before.0);
        writer.numbers(&[numbers.len() as u64]);
        writer.numbers(numbers);
        writer.numbers(&[texts.len() as u64]);
        for text in texts {
            writer.optional(text.map(str::as_bytes));
        }
        let mut link = [0; 32];
        link.copy_from_slice(hmac::sign(&self.0, &writer.0).as_ref());
        Link(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
