//! The hot half of a grant: what each refresh changes, with the MAC over both halves; and its bytes.
//!
//! In SQLite's table it is a row of columns, in the journal and in PostgreSQL the bytes that [`encode`](Hot::encode) makes: 130 for a grant of
//! today, where 22 columns are as many parameters and results for each row.
//!
//! ```text
//! flags 1 | random 8 | version varint | write id 8 | generation varint | current 32? | ratchet 32? | tag key 1 | era varint
//!   | seed key varint | retries varint | retry proof 32? | rotated at varint | six other times as varints, as far as there
//!   are any, as differences from it | end reason 1? | MAC key 1 | MAC 16
//! ```
//!
//! Each value has one spelling.

use std::sync::Arc;

use regrant_core::grant::{EndReason, RowMac};
use regrant_core::issue::SubjectStatus;
use regrant_core::secret::Hash;
use regrant_core::{Grant, GrantId, Terms, Timestamp};

use crate::Loaded;

/// The flags of what is there; 1 is the journal's.
const CURRENT: u8 = 2;
const RATCHET: u8 = 4;
const PROOF: u8 = 8;
const ENDED: u8 = 16;
const REDEEMED: u8 = 32;

/// A grant without its terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hot {
    pub(crate) id: GrantId,
    pub(crate) version: u64,
    pub(crate) write_id: u64,
    pub(crate) generation: u32,
    pub(crate) current: Option<Hash>,
    pub(crate) ratchet: Option<[u8; 32]>,
    pub(crate) tag_key: u8,
    pub(crate) era: u16,
    pub(crate) seed_key: u32,
    pub(crate) rotated_at: Timestamp,
    pub(crate) previously_rotated_at: Timestamp,
    pub(crate) answered_at: Timestamp,
    pub(crate) retries: u32,
    pub(crate) retry_proof: Option<Hash>,
    pub(crate) idle_at: Timestamp,
    pub(crate) absolute_at: Timestamp,
    pub(crate) ended: Option<(Timestamp, EndReason)>,
    pub(crate) redeemed_at: Option<Timestamp>,
    pub(crate) mac: RowMac,
}

/// The key id of a row that cannot be one of ours: no grant has it, so no MAC fits.
const UNREADABLE: u8 = 0;

impl Hot {
    pub(crate) const fn of(grant: &Grant, mac: RowMac) -> Self {
        Self {
            id: grant.id,
            version: grant.version,
            write_id: grant.write_id,
            generation: grant.generation,
            current: grant.current,
            ratchet: grant.ratchet,
            tag_key: grant.tag_key,
            era: grant.era,
            seed_key: grant.seed_key,
            rotated_at: grant.rotated_at,
            previously_rotated_at: grant.previously_rotated_at,
            answered_at: grant.answered_at,
            retries: grant.retries,
            retry_proof: grant.retry_proof,
            idle_at: grant.idle_at,
            absolute_at: grant.absolute_at,
            ended: grant.ended,
            redeemed_at: grant.redeemed_at,
            mac,
        }
    }

    /// The whole grant.
    pub(crate) fn with(self, terms: Arc<Terms>, subject: SubjectStatus) -> Loaded {
        let grant = Grant {
            id: self.id,
            version: self.version,
            write_id: self.write_id,
            generation: self.generation,
            current: self.current,
            ratchet: self.ratchet,
            tag_key: self.tag_key,
            era: self.era,
            seed_key: self.seed_key,
            rotated_at: self.rotated_at,
            previously_rotated_at: self.previously_rotated_at,
            answered_at: self.answered_at,
            retries: self.retries,
            retry_proof: self.retry_proof,
            idle_at: self.idle_at,
            absolute_at: self.absolute_at,
            ended: self.ended,
            redeemed_at: self.redeemed_at,
            terms,
        };
        Loaded { grant, mac: self.mac, subject, covered: None }
    }

    /// In place of one that cannot be read.
    const fn unreadable(id: GrantId) -> Self {
        let never = Timestamp::from_millis(0);
        let mac = RowMac { key_id: UNREADABLE, mac: [0; 16] };
        Self {
            id,
            version: 0,
            write_id: 0,
            generation: 0,
            current: None,
            ratchet: None,
            tag_key: 0,
            era: 0,
            seed_key: 0,
            rotated_at: never,
            previously_rotated_at: never,
            answered_at: never,
            retries: 0,
            retry_proof: None,
            idle_at: never,
            absolute_at: never,
            ended: None,
            redeemed_at: None,
            mac,
        }
    }

    /// A half as it was read from a row that has columns of its id and version, too: those decide, and the bytes must say the same.
    pub(crate) fn found(id: GrantId, version: u64, read: Option<Self>) -> Self {
        let hot = read.filter(|read| (read.id, read.version) == (id, version));
        hot.unwrap_or_else(|| Self { version, ..Self::unreadable(id) })
    }

    /// For a half that we cannot have written, or whose other half we cannot: no MAC fits any more.
    pub(crate) fn doubted(mut self) -> Self {
        self.mac.key_id = UNREADABLE;
        self
    }

    /// Appends it to what is there.
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        body.push(
            flag(self.current.is_some(), CURRENT)
                | flag(self.ratchet.is_some(), RATCHET)
                | flag(self.retry_proof.is_some(), PROOF)
                | flag(self.ended.is_some(), ENDED)
                | flag(self.redeemed_at.is_some(), REDEEMED),
        );
        body.extend_from_slice(&self.id.random.to_be_bytes());
        write_varint(body, self.version);
        body.extend_from_slice(&self.write_id.to_be_bytes());
        write_varint(body, u64::from(self.generation));
        for hash in [self.current.map(|hash| hash.0), self.ratchet].iter().flatten() {
            body.extend_from_slice(hash);
        }
        body.push(self.tag_key);
        for number in [u32::from(self.era), self.seed_key, self.retries] {
            write_varint(body, u64::from(number));
        }
        if let Some(proof) = &self.retry_proof {
            body.extend_from_slice(&proof.0);
        }
        let base = self.rotated_at.millis();
        write_signed(body, base);
        let others =
            [Some(self.previously_rotated_at), Some(self.answered_at), Some(self.idle_at), Some(self.absolute_at)];
        let optional = [self.ended.map(|(at, _)| at), self.redeemed_at];
        for at in others.iter().chain(&optional).flatten() {
            write_signed(body, at.millis().wrapping_sub(base));
        }
        body.extend(self.ended.map(|(_, reason)| reason.code()));
        body.push(self.mac.key_id);
        body.extend_from_slice(&self.mac.mac);
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(number: u64, body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let hot = reader.hot(number)?;
        reader.0.is_empty().then_some(hot)
    }
}

/// Random half and version, by the beginning of a body.
pub(crate) fn place(body: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader(body.get(1..)?);
    Some((u64::from_be_bytes(reader.bytes()?), reader.varint()?))
}

/// Seven bits a byte, the least first; the last byte is below 128 and, unless it is the only one, not 0.
pub(crate) fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number.to_le_bytes()[0] | 128);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The sign in the lowest bit, so that small numbers are short on both sides of 0.
pub(crate) fn write_signed(bytes: &mut Vec<u8>, number: i64) {
    write_varint(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

/// Takes values one by one.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn hot(&mut self, number: u64) -> Option<Hot> {
        let flags = self.byte()?;
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

    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    #[expect(clippy::option_option, reason = "absent from the row, and missing from the bytes, are two things")]
    pub(crate) fn optional(&mut self, is_there: bool) -> Option<Option<[u8; 32]>> {
        if is_there { self.bytes().map(Some) } else { Some(None) }
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
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

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.signed().map(Timestamp::from_millis)
    }

    pub(crate) fn text(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
