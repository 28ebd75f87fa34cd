//! Where a grant stands in a status list (draft-ietf-oauth-status-list, section 4), and which list that is.
//!
//! No table says so: a list holds a block of [`LIST_SIZE`] grant numbers, its name is the block's number under one AES block, and
//! the place in it is the number's place in the block under a keyed permutation. So every token of a grant, and nobody else's,
//! names the same bit; and neither the name nor the place tells how many grants there are or which of two is older.
//!
//! ```text
//! name  = base62( AES-128( 8 zero bytes | block 8 ) )                 22 characters
//! place = a Feistel network of 10 rounds over 8 + 8 bits; round r adds AES-128( "place" | r | half | block 8 )[0]
//! ```
//! What it does tell: tokens of one grant can be recognised as such by those who see several of them. They carry the same `sub`
//! and `client_id` anyway, and without it nobody could be told that the grant has ended.

use crate::codec;
use crate::keys::{Keys, cut};

/// How many grants one list speaks of: one bit each, 8 KiB before compression, so that a signed list is no larger than a token may
/// be.
pub const LIST_SIZE: usize = 1 << 16;

const ROUNDS: u8 = 10;

/// One bit of one list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Which list: the number of its block.
    pub block: u64,
    /// Which bit of it.
    pub index: u16,
}

impl Place {
    /// The place of the grant of this number.
    #[must_use]
    pub fn of(number: u64, keys: &Keys) -> Self {
        let [.., left, right] = number.to_be_bytes();
        let block = number >> 16;
        let (mut left, mut right) = (left, right);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ pad(block, round, right, keys));
        }
        Self { block, index: u16::from_be_bytes([left, right]) }
    }

    /// The name of its list.
    #[must_use]
    pub fn list(self, keys: &Keys) -> String {
        let mut name = [0; 16];
        name[8..].copy_from_slice(&self.block.to_be_bytes());
        codec::encode_plain(&keys.status().encrypt(name))
    }
}

/// Reads what [`Place::list`] wrote: the block. `None` for every other text.
#[must_use]
pub fn block_of(name: &str, keys: &Keys) -> Option<u64> {
    let opened = keys.status().decrypt(codec::decode_plain(name)?);
    (cut::<8>(&opened) == [0; 8]).then(|| u64::from_be_bytes(cut(&opened[8..])))
}

/// No name of a list is under this block: its first bytes are not zero.
fn pad(block: u64, round: u8, half: u8, keys: &Keys) -> u8 {
    let mut input = *b"place\0\0\0\0\0\0\0\0\0\0\0";
    input[5] = round;
    input[6] = half;
    input[8..].copy_from_slice(&block.to_be_bytes());
    let [first, ..] = keys.status().encrypt(input);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DeploymentId, RootKey};

    fn keys(deployment: u8) -> Keys {
        let seed = [(1, zeroize::Zeroizing::new([1; 32]))];
        Keys::new(&RootKey::new([7; 32]), DeploymentId([deployment; 16]), 0, &seed).expect("keys")
    }

    /// Nobody's end is told as somebody else's.
    #[test]
    fn no_two_grants_share_a_place() {
        let keys = keys(1);
        for block in [0, 1, u64::MAX >> 16] {
            let mut taken = vec![false; LIST_SIZE];
            for number in 0..LIST_SIZE as u64 {
                let place = Place::of(block << 16 | number, &keys);
                assert_eq!(place.block, block);
                assert!(!std::mem::replace(&mut taken[usize::from(place.index)], true));
            }
        }
    }

    /// Of two neighbours neither is before the other more often than chance has it, and blocks differ.
    #[test]
    fn a_place_tells_no_order() {
        let keys = keys(1);
        let place = |number| Place::of(number, &keys).index;
        let rising = (0..10_000).filter(|number| place(*number) < place(number + 1)).count();
        assert!((4_700..5_300).contains(&rising), "{rising} of 10000");
        let same = (0..10_000).filter(|number| place(*number) == place(number + LIST_SIZE as u64)).count();
        assert!(same < 5, "{same} of 10000");
    }

    #[test]
    fn a_list_is_found_by_its_name_alone() {
        let (ours, theirs) = (keys(1), keys(2));
        for number in [1, 65_535, 65_536, u64::MAX] {
            let name = Place::of(number, &ours).list(&ours);
            assert_eq!(block_of(&name, &ours), Some(number >> 16));
            assert_eq!(block_of(&name, &theirs), None, "another deployment's list");
        }
        for name in ["", "0", "0000000000000000000000", &"z".repeat(22), &"a".repeat(1000)] {
            assert_eq!(block_of(name, &ours), None, "{name}");
        }
    }
}
