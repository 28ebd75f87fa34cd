//! An entry of the journal: the hot half of one grant in about 130 bytes, or word that the grant was removed.
//!
//! ```text
//! batch  = version 1 | entry …
//! entry  = number varint | flags 1 | nothing more, if the grant was removed
//!        | random 8 | version varint | write id 8 | generation varint | current 32? | ratchet 32? | tag key 1 | era varint
//!        | seed key varint | retries varint | retry proof 32? | rotated at varint | six other times as varints, as far as there
//!        | are any, as differences from it | end reason 1? | MAC key 1 | MAC 16
//! ```
//!
//! Each value has one spelling. What cannot be read back makes the whole row unreadable, and the file is not opened: nobody knows
//! which grants it was about. A value that was changed and can be read fails its grant's MAC, as in the table.

use regrant_core::grant::{EndReason, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{GrantId, Timestamp};

use crate::sqlite::hot::Hot;
use crate::sqlite::known::Place;

/// The first byte of a batch.
pub(super) const VERSION: u8 = 1;

const REMOVED: u8 = 1;
const CURRENT: u8 = 2;
const RATCHET: u8 = 4;
const PROOF: u8 = 8;
const ENDED: u8 = 16;
const REDEEMED: u8 = 32;

/// Appends a batch's entry for a grant whose hot half is `body`.
pub(super) fn write_entry(batch: &mut Vec<u8>, number: u64, body: &[u8]) {
    write_varint(batch, number);
    batch.extend_from_slice(body);
}

/// Appends a batch's entry for a grant that was removed.
pub(super) fn write_removal(batch: &mut Vec<u8>, number: u64) {
    write_varint(batch, number);
    batch.push(REMOVED);
}

/// What follows the number. `body` is where it is put together, and nothing else.
pub(super) fn encode(hot: &Hot, body: &mut Vec<u8>) -> Box<[u8]> {
    body.clear();
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    body.push(
        flag(hot.current.is_some(), CURRENT)
            | flag(hot.ratchet.is_some(), RATCHET)
            | flag(hot.retry_proof.is_some(), PROOF)
            | flag(hot.ended.is_some(), ENDED)
            | flag(hot.redeemed_at.is_some(), REDEEMED),
    );
    body.extend_from_slice(&hot.id.random.to_be_bytes());
    write_varint(body, hot.version);
    body.extend_from_slice(&hot.write_id.to_be_bytes());
    write_varint(body, u64::from(hot.generation));
    for hash in [hot.current.map(|hash| hash.0), hot.ratchet].iter().flatten() {
        body.extend_from_slice(hash);
    }
    body.push(hot.tag_key);
    for number in [u32::from(hot.era), hot.seed_key, hot.retries] {
        write_varint(body, u64::from(number));
    }
    if let Some(proof) = &hot.retry_proof {
        body.extend_from_slice(&proof.0);
    }
    let base = hot.rotated_at.millis();
    write_signed(body, base);
    let others = [Some(hot.previously_rotated_at), Some(hot.answered_at), Some(hot.idle_at), Some(hot.absolute_at)];
    let optional = [hot.ended.map(|(at, _)| at), hot.redeemed_at];
    for at in others.iter().chain(&optional).flatten() {
        write_signed(body, at.millis().wrapping_sub(base));
    }
    body.extend(hot.ended.map(|(_, reason)| reason.code()));
    body.push(hot.mac.key_id);
    body.extend_from_slice(&hot.mac.mac);
    body.as_slice().into()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(number: u64, body: &[u8]) -> Option<Hot> {
    let mut reader = Reader(body);
    let flags = reader.byte()?;
    let hot = reader.hot(number, flags)?;
    reader.0.is_empty().then_some(hot)
}

/// Where a row stands, by the beginning of its body.
pub(super) fn place(body: &[u8]) -> Option<Place> {
    let mut reader = Reader(body.get(1..)?);
    Some(Place { random: u64::from_be_bytes(reader.bytes()?), version: reader.varint()? })
}

/// Tells the entries of a batch one by one: number, and body unless the grant was removed. How many there were; `None` if it
/// cannot be read to its end.
pub(super) fn read_batch<'a>(batch: &'a [u8], mut tell: impl FnMut(u64, Option<&'a [u8]>)) -> Option<u32> {
    let mut reader = Reader(batch);
    if reader.byte()? != VERSION {
        return None;
    }
    let mut count = 0;
    while !reader.0.is_empty() {
        let (number, body) = reader.entry()?;
        tell(number, body);
        count += 1;
    }
    Some(count)
}

/// Seven bits a byte, the least first; the last byte is below 128 and, unless it is the only one, not 0.
fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number.to_le_bytes()[0] | 128);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The sign in the lowest bit, so that small numbers are short on both sides of 0.
fn write_signed(bytes: &mut Vec<u8>, number: i64) {
    write_varint(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let number = self.varint()?;
        let body = self.0;
        let flags = self.byte()?;
        if flags == REMOVED {
            return Some((number, None));
        }
        self.hot(number, flags)?;
        Some((number, Some(&body[..body.len() - self.0.len()])))
    }

    fn hot(&mut self, number: u64, flags: u8) -> Option<Hot> {
        if flags & !(CURRENT | RATCHET | PROOF | ENDED | REDEEMED) != 0 {
            return None;
        }
        let has = |flag: u8| flags & flag != 0;
        let random = u64::from_be_bytes(self.bytes()?);
        let version = self.varint()?;
        let write_id = u64::from_be_bytes(self.bytes()?);
        let generation = self.small()?;
        let current = self.optional(has(CURRENT))?.map(Hash);
        let ratchet = self.optional(has(RATCHET))?;
        let tag_key = self.byte()?;
        let (era, seed_key, retries) = (self.small()?, self.small()?, self.small()?);
        let retry_proof = self.optional(has(PROOF))?.map(Hash);
        let base = self.signed()?;
        let mut time = || self.signed().map(|difference| Timestamp::from_millis(base.wrapping_add(difference)));
        let (previously_rotated_at, answered_at, idle_at, absolute_at) = (time()?, time()?, time()?, time()?);
        let ended_at = if has(ENDED) { Some(time()?) } else { None };
        let redeemed_at = if has(REDEEMED) { Some(time()?) } else { None };
        let ended = match ended_at {
            Some(at) => Some((at, EndReason::from_code(self.byte()?)?)),
            None => None,
        };
        let mac = RowMac { key_id: self.byte()?, mac: self.bytes()? };
        Some(Hot {
            id: GrantId { number, random },
            version,
            write_id,
            generation,
            current,
            ratchet,
            tag_key,
            era,
            seed_key,
            rotated_at: Timestamp::from_millis(base),
            previously_rotated_at,
            answered_at,
            retries,
            retry_proof,
            idle_at,
            absolute_at,
            ended,
            redeemed_at,
            mac,
        })
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    #[expect(clippy::option_option, reason = "absent from the row, and missing from the bytes, are two things")]
    fn optional(&mut self, is_there: bool) -> Option<Option<[u8; 32]>> {
        if is_there { self.bytes().map(Some) } else { Some(None) }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 127);
            number |= bits << shift;
            if byte < 128 {
                let has_one_spelling = (byte != 0 || shift == 0) && bits << shift >> shift == bits;
                return has_one_spelling.then_some(number);
            }
        }
        None
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hot() -> impl Strategy<Value = Hot> {
        let hash = || prop::option::of(any::<[u8; 32]>());
        let number = || prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX)];
        let time = || {
            prop_oneof![any::<i64>(), -300..300_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Timestamp::from_millis)
        };
        let numbers = (number(), any::<u64>(), number(), any::<u64>(), any::<(u32, u8, u16, u32, u32)>());
        let times =
            (time(), time(), time(), time(), time(), prop::option::of((time(), 1..=6_u8)), prop::option::of(time()));
        (numbers, hash(), hash(), hash(), times, any::<(u8, [u8; 16])>()).prop_map(
            |((number, random, version, write_id, small), current, ratchet, proof, times, (key_id, mac))| Hot {
                id: GrantId { number, random },
                version,
                write_id,
                generation: small.0,
                current: current.map(Hash),
                ratchet,
                tag_key: small.1,
                era: small.2,
                seed_key: small.3,
                rotated_at: times.0,
                previously_rotated_at: times.1,
                answered_at: times.2,
                retries: small.4,
                retry_proof: proof.map(Hash),
                idle_at: times.3,
                absolute_at: times.4,
                ended: times.5.and_then(|(at, code)| Some((at, EndReason::from_code(code)?))),
                redeemed_at: times.6,
                mac: RowMac { key_id, mac },
            },
        )
    }

    fn read(batch: &[u8]) -> Option<Vec<(u64, Option<Hot>)>> {
        let mut found = Vec::new();
        read_batch(batch, |number, body| found.push((number, body.and_then(|body| decode(number, body)))))?;
        Some(found)
    }

    proptest! {
        /// Every value comes back, and each has one spelling.
        #[test]
        fn a_batch_is_read_as_it_was_written(rows in prop::collection::vec((hot(), any::<bool>()), 0..5)) {
            let (mut batch, mut written) = (vec![VERSION], Vec::new());
            for (hot, is_removed) in rows {
                let body = encode(&hot, &mut Vec::new());
                prop_assert_eq!(place(&body), Some(Place { random: hot.id.random, version: hot.version }));
                if is_removed {
                    write_removal(&mut batch, hot.id.number);
                } else {
                    write_entry(&mut batch, hot.id.number, &body);
                }
                written.push((hot.id.number, (!is_removed).then_some(hot)));
            }
            prop_assert_eq!(read(&batch), Some(written));
        }

        /// A changed byte is another value or no batch; never the same one, and never a panic.
        #[test]
        fn no_changed_byte_goes_unnoticed(hot in hot(), at in any::<prop::sample::Index>(), change in 1..=255_u8) {
            let mut batch = vec![VERSION];
            write_entry(&mut batch, hot.id.number, &encode(&hot, &mut Vec::new()));
            let at = at.index(batch.len());
            batch[at] ^= change;
            prop_assert_ne!(read(&batch), Some(vec![(hot.id.number, Some(hot))]));
            batch.truncate(at);
            prop_assert_ne!(read(&batch), Some(vec![(hot.id.number, Some(hot))]));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }

    /// What the bounds of memory and of the file are counted in.
    #[test]
    fn an_entry_of_today_is_small() {
        let at = |minutes: i64| Timestamp::from_millis(1_800_000_000_000 + minutes * 60_000);
        let hot = Hot {
            id: GrantId { number: 1_000_000, random: u64::MAX },
            version: 1000,
            write_id: u64::MAX,
            generation: 1000,
            current: Some(Hash([1; 32])),
            ratchet: Some([2; 32]),
            tag_key: 1,
            era: 0,
            seed_key: 300,
            rotated_at: at(0),
            previously_rotated_at: at(-60),
            answered_at: at(0),
            retries: 0,
            retry_proof: None,
            idle_at: at(43_200),
            absolute_at: at(500_000),
            ended: None,
            redeemed_at: Some(at(-60_000)),
            mac: RowMac { key_id: 1, mac: [3; 16] },
        };
        assert!(encode(&hot, &mut Vec::new()).len() <= 140, "{}", encode(&hot, &mut Vec::new()).len());
    }
}
