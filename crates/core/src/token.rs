//! The refresh token: a ratchet whose seed only the client holds (RFC 6749 section 1.5, RFC 9700 section 4.14.2).
//!
//! ```text
//! text = rgr_ + base62( version 1 | key id 1 | era 2 | grant id 16 | generation 4 | seed 32 | tag 20 ) + CRC-32
//! tag  = HMAC-SHA-256(K_tag[key id], "regrant refresh v1" | deployment id | the 56 bytes before the tag), 160 bits
//! ```
//! The tag proves "we minted this" without any read; the seed proves "this is the live one" against the hash in the row.
//! RFC 6749 section 10.4: "The authorization server MUST ensure that refresh tokens cannot be generated, modified, or
//! guessed to produce valid refresh tokens by unauthorized parties."

use aws_lc_rs::{constant_time, hmac};

use crate::codec;
use crate::grant::GrantId;
use crate::keys::{Keys, cut};
use crate::secret::Seed;

/// The published prefix of a refresh token, for secret scanners.
pub const REFRESH_PREFIX: &str = "rgr_";
/// The published prefix of an authorization code.
pub const CODE_PREFIX: &str = "rgk_";
/// The published prefix of a device code.
pub const DEVICE_PREFIX: &str = "rgd_";
/// Characters of each, prefix included.
pub const TOKEN_LEN: usize = codec::text_len(4, TOKEN_BYTES);

const VERSION: u8 = 1;
const TOKEN_BYTES: usize = 76;
const TAGGED_BYTES: usize = 56;

/// A refresh token whose tag proved that we minted it. Nothing else is known yet: not whose it is, nor whether it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Which tag key vouches for it.
    pub tag_key: u8,
    /// How many restores the store had seen when it was minted.
    pub era: u16,
    /// The grant it belongs to.
    pub grant: GrantId,
    /// How many rotations preceded it; the first refresh token of a grant has 1.
    pub generation: u32,
    /// The client's secret.
    pub seed: Seed,
}

/// An authorization code whose tag proved that we minted it: a grant in its state before generation 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Which tag key vouches for it.
    pub tag_key: u8,
    /// How many restores the store had seen when it was minted.
    pub era: u16,
    /// The grant it makes when it is redeemed.
    pub grant: GrantId,
    /// The secret, of which the row holds a hash.
    pub seed: Seed,
}

impl RefreshToken {
    /// Reads and verifies a presented text: size, prefix, checksum, version, tag. `None` means "not ours".
    #[must_use]
    pub fn open(text: &str, keys: &Keys) -> Option<Self> {
        let bytes = codec::decode::<TOKEN_BYTES>(REFRESH_PREFIX, text)?;
        let parts = Parts::read(&bytes)?;
        verify(keys.refresh_tag(parts.tag_key)?, REFRESH_LABEL, keys, &bytes)?;
        let Parts { tag_key, era, wire_id, generation, seed } = parts;
        Some(Self { tag_key, era, grant: GrantId::from_wire(wire_id, keys), generation, seed })
    }

    /// The text for the client. `None` only if the tag key is gone, which cannot be for a live grant.
    #[must_use]
    pub fn text(&self, keys: &Keys) -> Option<String> {
        let parts = Parts {
            tag_key: self.tag_key,
            era: self.era,
            wire_id: self.grant.to_wire(keys),
            generation: self.generation,
            seed: self.seed.clone(),
        };
        Some(parts.write(REFRESH_PREFIX, keys.refresh_tag(self.tag_key)?, REFRESH_LABEL, keys))
    }
}

impl Code {
    /// Reads and verifies a presented code. `None` means "not ours".
    #[must_use]
    pub fn open(text: &str, keys: &Keys) -> Option<Self> {
        let bytes = codec::decode::<TOKEN_BYTES>(CODE_PREFIX, text)?;
        let parts = Parts::read(&bytes)?;
        verify(keys.code_tag(parts.tag_key)?, CODE_LABEL, keys, &bytes)?;
        let Parts { tag_key, era, wire_id, generation, seed } = parts;
        (generation == 0).then(|| Self { tag_key, era, grant: GrantId::from_wire(wire_id, keys), seed })
    }

    /// The text for the client. `None` only if the tag key is gone.
    #[must_use]
    pub fn text(&self, keys: &Keys) -> Option<String> {
        let parts = Parts {
            tag_key: self.tag_key,
            era: self.era,
            wire_id: self.grant.to_wire(keys),
            generation: 0,
            seed: self.seed.clone(),
        };
        Some(parts.write(CODE_PREFIX, keys.code_tag(self.tag_key)?, CODE_LABEL, keys))
    }
}

/// A device code (RFC 8628 section 3.2) whose tag proved that we minted it: a grant that nobody has given yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode(Code);

impl DeviceCode {
    /// A new one, for the grant that will be of this id.
    pub(crate) const fn new(tag_key: u8, era: u16, grant: GrantId, seed: Seed) -> Self {
        Self(Code { tag_key, era, grant, seed })
    }

    /// Reads and verifies a presented device code. `None` means "not ours".
    #[must_use]
    pub fn open(text: &str, keys: &Keys) -> Option<Self> {
        let bytes = codec::decode::<TOKEN_BYTES>(DEVICE_PREFIX, text)?;
        let parts = Parts::read(&bytes)?;
        verify(keys.device_tag(parts.tag_key)?, DEVICE_LABEL, keys, &bytes)?;
        let Parts { tag_key, era, wire_id, generation, seed } = parts;
        (generation == 0).then(|| Self::new(tag_key, era, GrantId::from_wire(wire_id, keys), seed))
    }

    /// The text for the client. `None` only if the tag key is gone.
    #[must_use]
    pub fn text(&self, keys: &Keys) -> Option<String> {
        let Code { tag_key, era, grant, seed } = &self.0;
        let (tag_key, era, wire_id) = (*tag_key, *era, grant.to_wire(keys));
        let parts = Parts { tag_key, era, wire_id, generation: 0, seed: seed.clone() };
        Some(parts.write(DEVICE_PREFIX, keys.device_tag(tag_key)?, DEVICE_LABEL, keys))
    }

    /// The grant that it makes once somebody has allowed it.
    #[must_use]
    pub const fn grant(&self) -> GrantId {
        self.0.grant
    }

    /// As the rules of redeeming see it.
    pub(crate) const fn code(&self) -> &Code {
        &self.0
    }
}

/// One step of the ratchet: the next seed, which needs the presented one, the row's ratchet and the seed key.
///
/// `seed' = HMAC-SHA-256(K_seed, "regrant ratchet v1" | ratchet' | presented seed | grant id | generation + 1)`
#[must_use]
pub(crate) fn next_seed(key: &hmac::Key, ratchet: &[u8; 32], presented: &Seed, wire_id: &[u8; 16], next: u32) -> Seed {
    let mut context = hmac::Context::with_key(key);
    context.update(b"regrant ratchet v1");
    context.update(ratchet);
    context.update(presented.expose());
    context.update(wire_id);
    context.update(&next.to_be_bytes());
    Seed::new(cut(context.sign().as_ref()))
}

const REFRESH_LABEL: &[u8] = b"regrant refresh v1";
const CODE_LABEL: &[u8] = b"regrant code v1";
const DEVICE_LABEL: &[u8] = b"regrant device v1";

/// The fields before the tag, in wire order, big-endian.
struct Parts {
    tag_key: u8,
    era: u16,
    wire_id: [u8; 16],
    generation: u32,
    seed: Seed,
}

impl Parts {
    fn read(bytes: &[u8; TOKEN_BYTES]) -> Option<Self> {
        (bytes[0] == VERSION).then(|| Self {
            tag_key: bytes[1],
            era: u16::from_be_bytes(cut(&bytes[2..])),
            wire_id: cut(&bytes[4..]),
            generation: u32::from_be_bytes(cut(&bytes[20..])),
            seed: Seed::new(cut(&bytes[24..])),
        })
    }

    fn write(&self, prefix: &str, key: &hmac::Key, label: &[u8], keys: &Keys) -> String {
        let mut bytes = zeroize::Zeroizing::new([0; TOKEN_BYTES]);
        bytes[0] = VERSION;
        bytes[1] = self.tag_key;
        bytes[2..4].copy_from_slice(&self.era.to_be_bytes());
        bytes[4..20].copy_from_slice(&self.wire_id);
        bytes[20..24].copy_from_slice(&self.generation.to_be_bytes());
        bytes[24..56].copy_from_slice(self.seed.expose());
        let tag = tag(key, label, keys, &bytes[..TAGGED_BYTES]);
        bytes[TAGGED_BYTES..].copy_from_slice(&tag);
        codec::encode(prefix, bytes.as_ref())
    }
}

/// 160 bits: a forger who may ask 2^64 times succeeds with probability 2^-96 (check K1; RFC 6749 section 10.10 wants 2^-128
/// for one guess and recommends 2^-160, which is what a single guess has).
fn tag(key: &hmac::Key, label: &[u8], keys: &Keys, tagged: &[u8]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(key);
    context.update(label);
    context.update(&keys.deployment().0);
    context.update(tagged);
    cut(context.sign().as_ref())
}

fn verify(key: &hmac::Key, label: &[u8], keys: &Keys, bytes: &[u8; TOKEN_BYTES]) -> Option<()> {
    let expected = tag(key, label, keys, &bytes[..TAGGED_BYTES]);
    constant_time::verify_slices_are_equal(&expected, &bytes[TAGGED_BYTES..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check K1: a forger who guesses once succeeds with probability 2^-160, and 2^64 guesses leave 2^-96; what is documented
    /// follows from the format.
    #[test]
    fn guessing_a_tag_is_as_hard_as_rfc_6749_recommends() {
        let tag_bits = (TOKEN_BYTES - TAGGED_BYTES) * 8;
        assert_eq!(tag_bits, 160, "RFC 6749 section 10.10: SHOULD be less than or equal to 2^(-160)");
        let seed_bits = Seed::new([0; 32]).expose().len() * 8;
        assert_eq!(seed_bits, 256, "behind the tag stands the seed");
        assert_eq!(TOKEN_LEN, 113);
    }
}
