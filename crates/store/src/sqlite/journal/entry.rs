//! An entry of the journal: the hot half of one grant in about 130 bytes, or word that the grant was removed.
//!
//! ```text
//! batch  = version 1 | entry …
//! entry  = number varint | 1, if the grant was removed
//!        | number varint | the hot half, as [`Hot::encode`] writes it
//! ```
//!
//! Each value has one spelling. What cannot be read back makes the whole row unreadable, and the file is not opened: nobody knows
//! which grants it was about. A value that was changed and can be read fails its grant's MAC, as in the table.

use crate::hot::{self, Hot, Reader, write_varint};
use crate::sqlite::known::Place;

/// The first byte of a batch.
pub(super) const VERSION: u8 = 1;

/// In place of the flags that a hot half begins with.
const REMOVED: u8 = 1;

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
    hot.encode(body);
    body.as_slice().into()
}

/// Where a row stands, by the beginning of its body.
pub(super) fn place(body: &[u8]) -> Option<Place> {
    hot::place(body).map(|(random, version)| Place { random, version })
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
        let (number, body) = entry(&mut reader)?;
        tell(number, body);
        count += 1;
    }
    Some(count)
}

fn entry<'a>(reader: &mut Reader<'a>) -> Option<(u64, Option<&'a [u8]>)> {
    let number = reader.varint()?;
    let body = reader.0;
    if body.first() == Some(&REMOVED) {
        reader.byte()?;
        return Some((number, None));
    }
    reader.hot(number)?;
    Some((number, Some(&body[..body.len() - reader.0.len()])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regrant_core::grant::{EndReason, RowMac};
    use regrant_core::secret::Hash;
    use regrant_core::{GrantId, Timestamp};

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
        read_batch(batch, |number, body| found.push((number, body.and_then(|body| Hot::decode(number, body)))))?;
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
