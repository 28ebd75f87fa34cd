//! Stored hashes of passwords: ours, and those that other servers made.
//!
//! | text                                             | made by                                             |
//! |--------------------------------------------------|-----------------------------------------------------|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash`           | RFC 9106: ours; argon2i and argon2d are read too    |
//! | `$2a$12$…`, `$2b$…`, `$2y$…`                     | bcrypt; the first 72 bytes of a password count      |
//! | `$pbkdf2-sha512$i=210000,l=64$salt$hash`         | RFC 8018, as a PHC string; sha1, sha256, sha512     |
//! | `$pbkdf2-sha256$29000$salt$hash`                 | the same, as passlib writes it                      |
//! | `pbkdf2_sha256$600000$salt$hash`                 | the same, as Django writes it                       |
//! | `$scrypt$ln=16,r=8,p=1$salt$hash`                | RFC 7914                                            |
//!
//! A hash comes from a file that an operator imports, and is worked on at each login: so its costs are bounded when it is
//! read, by time (a second or so of one core) and by memory (128 MiB). A hash of few bytes would let strangers in by luck:
//! it has at least 16.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::memory::Memory;
use super::{HASH_LEN, MEMORY_KIB, PASSES, SALT_LEN};
use crate::chance;

/// The longest text of a hash.
pub(crate) const MAX_HASH_LEN: usize = 512;
/// The most memory of one verification, in KiB.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
/// Argon2: the most memory times passes, in KiB.
const MAX_ARGON2_WORK: u64 = 512 * 1024;
/// bcrypt: 2^14 rounds take about a second.
const MAX_BCRYPT_COST: u32 = 14;
/// PBKDF2: about a second with SHA-256.
const MAX_ITERATIONS: u32 = 2_000_000;
/// scrypt: the most N times r times p.
const MAX_SCRYPT_WORK: u64 = 1 << 21;

/// A hash, read and within bounds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    how: How,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Argon2 { kind: argon2::Algorithm, version: argon2::Version, memory_kib: u32, passes: u32, lanes: u32 },
    Bcrypt { cost: u32 },
    Pbkdf2 { digest: Digest, iterations: std::num::NonZeroU32 },
    Scrypt { log_n: u8, r: u32, p: u32 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// Why a text is no hash that can be verified. Never repeats the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadHash {
    /// None of the forms.
    #[error("it is none of argon2, bcrypt ($2a$, $2b$, $2y$), pbkdf2 and scrypt in a form that is known here")]
    Unknown,
    /// A known beginning with something else behind it.
    #[error("it is damaged: its parts do not read as {0}")]
    Damaged(&'static str),
    /// It would take too long, or too much memory.
    #[error("its cost is beyond the limit ({0}): each login would block others")]
    TooCostly(&'static str),
    /// Salt or hash too short or too long.
    #[error("its salt has 4 to 128 bytes and its hash 16 to 128, or it is no hash to rely on")]
    Length,
}

impl Stored {
    /// Reads a hash.
    pub(crate) fn read(text: &str) -> Result<Self, BadHash> {
        if text.len() > MAX_HASH_LEN || !text.is_ascii() {
            return Err(BadHash::Unknown);
        }
        let parts: Vec<&str> = text.split('$').collect();
        let stored = match parts.as_slice() {
            ["", kind @ ("argon2id" | "argon2i" | "argon2d"), rest @ ..] => argon2_of(kind, rest)?,
            ["", "2a" | "2b" | "2y", cost, rest] => bcrypt_of(cost, rest)?,
            ["", "scrypt", costs, salt, hash] => scrypt_of(costs, salt, hash)?,
            ["", kind, costs, salt, hash] if kind.starts_with("pbkdf2") => {
                let salt = decode(salt, &alphabet::STANDARD).ok_or(BadHash::Damaged("pbkdf2"))?;
                pbkdf2_of(kind.strip_prefix("pbkdf2-").unwrap_or("sha1"), costs, salt, hash)?
            }
            // Django's salt is the text as it stands.
            [kind, iterations, salt, hash] if kind.starts_with("pbkdf2_") => {
                pbkdf2_of(kind.trim_start_matches("pbkdf2_"), iterations, salt.as_bytes().to_vec(), hash)?
            }
            _ => return Err(BadHash::Unknown),
        };
        if !(4..=128).contains(&stored.salt.len()) || !(16..=128).contains(&stored.hash.len()) {
            return Err(BadHash::Length);
        }
        Ok(stored)
    }

    /// What costs as much as ours, and fits nothing but by a luck of one in 2^256: its hash is of no password.
    pub(super) fn decoy() -> Self {
        let (kind, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
        let how = How::Argon2 { kind, version, memory_kib: MEMORY_KIB, passes: PASSES, lanes: 1 };
        let (salt, hash) = (chance::bytes::<SALT_LEN>().to_vec(), chance::bytes::<HASH_LEN>().to_vec());
        Self { how, salt, hash }
    }

    /// Whether it is at least what a new password is hashed with today: else it is made anew at the next login.
    pub(crate) fn is_current(&self) -> bool {
        matches!(
            self.how,
            How::Argon2 {
                kind: argon2::Algorithm::Argon2id,
                version: argon2::Version::V0x13,
                memory_kib: MEMORY_KIB..,
                passes: PASSES..,
                ..
            }
        ) && self.hash.len() >= HASH_LEN
    }

    /// The name of its scheme, for people.
    pub(crate) const fn scheme(&self) -> &'static str {
        match self.how {
            How::Argon2 { kind: argon2::Algorithm::Argon2id, .. } => "argon2id",
            How::Argon2 { kind: argon2::Algorithm::Argon2i, .. } => "argon2i",
            How::Argon2 { kind: argon2::Algorithm::Argon2d, .. } => "argon2d",
            How::Bcrypt { .. } => "bcrypt",
            How::Pbkdf2 { .. } => "pbkdf2",
            How::Scrypt { .. } => "scrypt",
        }
    }

    /// Whether this is the password. Takes the time that the hash's costs say.
    pub(super) fn fits(&self, password: &[u8], memory: &mut Memory) -> bool {
        let mut out = Zeroizing::new(vec![0_u8; self.hash.len()]);
        let computed = match self.how {
            How::Argon2 { kind, version, memory_kib, passes, lanes } => {
                argon2::Params::new(memory_kib, passes, lanes, Some(out.len())).is_ok_and(|params| {
                    let argon2 = argon2::Argon2::new(kind, version, params);
                    memory.hash(&argon2, password, &self.salt, &mut out).is_ok()
                })
            }
            How::Bcrypt { cost } => self.bcrypt(cost, password, &mut out),
            How::Pbkdf2 { digest, iterations } => {
                pbkdf2::derive(digest.algorithm(), iterations, &self.salt, password, &mut out);
                true
            }
            How::Scrypt { log_n, r, p } => scrypt::Params::new(log_n, r, p)
                .is_ok_and(|params| scrypt::scrypt(password, &self.salt, &params, &mut out).is_ok()),
        };
        computed && verify_slices_are_equal(&out, &self.hash).is_ok()
    }

    /// The scheme hashes the password with its terminator, cut to 72 bytes, and keeps 23 of 24 bytes.
    fn bcrypt(&self, cost: u32, password: &[u8], out: &mut [u8]) -> bool {
        let Ok(salt) = <[u8; 16]>::try_from(self.salt.as_slice()) else { return false };
        let mut key = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        key.extend_from_slice(password);
        key.push(0);
        key.truncate(72);
        let full = bcrypt::bcrypt(cost, salt, &key);
        out.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        true
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("how", &self.how).finish_non_exhaustive()
    }
}

impl Digest {
    const fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

fn argon2_of(kind: &str, rest: &[&str]) -> Result<Stored, BadHash> {
    let damaged = || BadHash::Damaged("argon2");
    // Without a version it is 0x10: that is how the first release wrote it.
    let (version, costs, salt, hash) = match rest {
        [version, costs, salt, hash] => (number(version, "v").ok_or_else(damaged)?, costs, salt, hash),
        [costs, salt, hash] => (0x10, costs, salt, hash),
        _ => return Err(damaged()),
    };
    let kind = argon2::Algorithm::new(kind).map_err(|_| damaged())?;
    let version = argon2::Version::try_from(version).map_err(|_| damaged())?;
    let costs = numbers(costs, ["m", "t", "p"]).ok_or_else(damaged)?;
    let [memory_kib, passes, lanes] = costs;
    if memory_kib > MAX_MEMORY_KIB || u64::from(memory_kib) * u64::from(passes) > MAX_ARGON2_WORK || lanes > 64 {
        return Err(BadHash::TooCostly("argon2: 128 MiB, 512 MiB times passes, 64 lanes"));
    }
    let (salt, hash) = both(salt, hash).ok_or_else(damaged)?;
    argon2::Params::new(memory_kib, passes, lanes, Some(hash.len())).map_err(|_| damaged())?;
    if salt.len() < argon2::MIN_SALT_LEN {
        return Err(BadHash::Length);
    }
    Ok(Stored { how: How::Argon2 { kind, version, memory_kib, passes, lanes }, salt, hash })
}

fn bcrypt_of(cost: &str, rest: &str) -> Result<Stored, BadHash> {
    let damaged = BadHash::Damaged("bcrypt");
    let cost = whole(cost).filter(|_| cost.len() == 2).ok_or(damaged)?;
    if cost > MAX_BCRYPT_COST {
        return Err(BadHash::TooCostly("bcrypt: 14"));
    }
    if cost < 4 || rest.len() != 53 {
        return Err(damaged);
    }
    let (salt, hash) = rest.split_at(22);
    let salt = decode(salt, &alphabet::BCRYPT).ok_or(damaged)?;
    let hash = decode(hash, &alphabet::BCRYPT).ok_or(damaged)?;
    Ok(Stored { how: How::Bcrypt { cost }, salt, hash })
}

fn pbkdf2_of(digest: &str, costs: &str, salt: Vec<u8>, hash: &str) -> Result<Stored, BadHash> {
    let damaged = BadHash::Damaged("pbkdf2");
    let digest = match digest {
        "sha1" => Digest::Sha1,
        "sha256" => Digest::Sha256,
        "sha512" => Digest::Sha512,
        _ => return Err(BadHash::Unknown),
    };
    let hash = decode(hash, &alphabet::STANDARD).ok_or(damaged)?;
    let iterations = match costs.split_once(',') {
        None => number(costs, "i").or_else(|| whole(costs)),
        Some((iterations, length)) => {
            let length = number(length, "l").filter(|length| usize::try_from(*length) == Ok(hash.len()));
            number(iterations, "i").filter(|_| length.is_some())
        }
    };
    let iterations = iterations.and_then(std::num::NonZeroU32::new).ok_or(damaged)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(BadHash::TooCostly("pbkdf2: 2000000 iterations"));
    }
    Ok(Stored { how: How::Pbkdf2 { digest, iterations }, salt, hash })
}

fn scrypt_of(costs: &str, salt: &str, hash: &str) -> Result<Stored, BadHash> {
    let damaged = || BadHash::Damaged("scrypt");
    let [log_n, r, p] = numbers(costs, ["ln", "r", "p"]).ok_or_else(damaged)?;
    if r == 0 || p == 0 || log_n == 0 {
        return Err(damaged());
    }
    let n = 1_u64.checked_shl(log_n).unwrap_or(u64::MAX);
    let work = n.saturating_mul(u64::from(r)).saturating_mul(u64::from(p));
    if log_n >= 32 || n.saturating_mul(u64::from(r)) > u64::from(MAX_MEMORY_KIB) * 8 || work > MAX_SCRYPT_WORK {
        return Err(BadHash::TooCostly("scrypt: 128 MiB, and twice that times p"));
    }
    let (salt, hash) = both(salt, hash).ok_or_else(damaged)?;
    let log_n = u8::try_from(log_n).map_err(|_| damaged())?;
    scrypt::Params::new(log_n, r, p).map_err(|_| damaged())?;
    Ok(Stored { how: How::Scrypt { log_n, r, p }, salt, hash })
}

fn both(salt: &str, hash: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((decode(salt, &alphabet::STANDARD)?, decode(hash, &alphabet::STANDARD)?))
}

/// `name=number`.
fn number(text: &str, name: &str) -> Option<u32> {
    whole(text.strip_prefix(name)?.strip_prefix('=')?)
}

/// `a=1,b=2,c=3`, in this order.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut parts = text.split(',');
    let mut out = [0; N];
    for (slot, name) in out.iter_mut().zip(names) {
        *slot = number(parts.next()?, name)?;
    }
    parts.next().is_none().then_some(out)
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Base64 with or without padding; passlib writes `.` for `+`.
fn decode(text: &str, alphabet: &Alphabet) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(alphabet, config);
    if *alphabet == alphabet::STANDARD {
        return engine.decode(text.replace('.', "+")).ok();
    }
    engine.decode(text).ok()
}
