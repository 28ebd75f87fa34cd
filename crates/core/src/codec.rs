//! Text for binary values: a published prefix, base62 of fixed width, six base62 digits of CRC-32.
//!
//! The prefix and the checksum let secret scanners find a leaked token and let us reject a typo before any cryptography.
//! Exactly one text stands for a value: fixed width, digits in the order 0-9A-Za-z, no number above the largest.
//! Checksum: CRC-32 (IEEE) over the prefix and the digits.

use crate::secret::wipe;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NOT_A_DIGIT: u8 = 255;
const VALUES: [u8; 256] = values();
const CHECKSUM_DIGITS: usize = 6;
/// 62^10 fits 64 bits: digits are converted ten at a time.
const CHUNK: usize = 10;
const CHUNK_BASE: u64 = 62_u64.pow(10);
/// A limb, and the bytes in it.
type Limb = u64;
const LIMB: usize = 8;

const fn values() -> [u8; 256] {
    let mut table = [NOT_A_DIGIT; 256];
    let mut i = 0;
    while i < 62 {
        table[DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// How many base62 digits hold `bytes` bytes: the smallest d with 62^d ≥ 256^bytes.
#[must_use]
pub const fn digits_for(bytes: usize) -> usize {
    // log(256) / log(62) = 1.343 602 3…; exact for every length used here (a test compares with big-number arithmetic).
    (bytes * 13_436_024).div_ceil(10_000_000)
}

/// The length of the text of a value of `bytes` bytes under a prefix of `prefix` characters.
#[must_use]
pub const fn text_len(prefix: usize, bytes: usize) -> usize {
    prefix + digits_for(bytes) + CHECKSUM_DIGITS
}

/// Writes `prefix`, the digits of `bytes` and the checksum.
#[must_use]
pub fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(text_len(prefix.len(), bytes.len()));
    text.push_str(prefix);
    push_digits(&mut text, bytes, digits_for(bytes.len()));
    let sum = crc32fast::hash(text.as_bytes());
    push_digits(&mut text, &sum.to_be_bytes(), CHECKSUM_DIGITS);
    text
}

/// Reads what [`encode`] wrote; `None` for anything else, whatever it is.
#[must_use]
pub fn decode<const N: usize>(prefix: &str, text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != text_len(prefix.len(), N) || !text.starts_with(prefix.as_bytes()) {
        return None;
    }
    let (body, sum) = text.split_at(text.len() - CHECKSUM_DIGITS);
    let sum: [u8; 4] = parse_digits(sum)?;
    if crc32fast::hash(body).to_be_bytes() != sum {
        return None;
    }
    parse_digits(body.get(prefix.len()..)?)
}

/// The digits of a number without prefix and checksum, for identifiers that are no secrets.
#[must_use]
pub fn encode_plain(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_digits(&mut text, bytes, digits_for(bytes.len()));
    text
}

/// Reads what [`encode_plain`] wrote.
#[must_use]
pub fn decode_plain<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != digits_for(N) {
        return None;
    }
    parse_digits(text.as_bytes())
}

/// Appends the big-endian number `bytes` as exactly `width` digits.
fn push_digits(text: &mut String, bytes: &[u8], width: usize) {
    // The number in limbs, most significant first, divided by 62^10 until nothing is left.
    let mut limbs: Vec<Limb> = Vec::with_capacity(bytes.len().div_ceil(LIMB));
    limbs.extend(
        bytes.rchunks(LIMB).rev().map(|chunk| chunk.iter().fold(0, |limb: Limb, byte| (limb << 8) | Limb::from(*byte))),
    );
    let mut digits = vec![DIGITS[0]; width.next_multiple_of(CHUNK)];
    let mut first = 0;
    for chunk in digits.rchunks_mut(CHUNK) {
        let mut rest = 0;
        for limb in limbs.iter_mut().skip(first) {
            (*limb, rest) = divided(rest, *limb);
        }
        // What has become zero stays zero: each step leaves a smaller number to divide.
        first += limbs.iter().skip(first).take_while(|limb| **limb == 0).count();
        for digit in chunk.iter_mut().rev() {
            *digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
    }
    let spare = digits.len() - width;
    text.push_str(std::str::from_utf8(&digits[spare..]).unwrap_or_default());
    wipe(&mut digits);
    wipe(&mut limbs);
}

/// The limbs `rest` and `limb` divided by 62^10, and what is left. `rest` was left by a division, and so the quotient is a limb.
const fn divided(rest: Limb, limb: Limb) -> (Limb, Limb) {
    let number = ((rest as u128) << Limb::BITS) | limb as u128;
    let quotient = number / CHUNK_BASE as u128;
    (quotient as Limb, (number - quotient * CHUNK_BASE as u128) as Limb)
}

/// Reads a big-endian number of at most `N` bytes; `None` for a foreign character or a larger number.
fn parse_digits<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    // Least significant first; those above `used` are zero still.
    let mut limbs = vec![0; N.div_ceil(LIMB)];
    let mut used = 0;
    for chunk in digits.chunks(CHUNK) {
        let (mut factor, mut carry): (Limb, Limb) = (1, 0);
        for digit in chunk {
            let value = VALUES[usize::from(*digit)];
            if value == NOT_A_DIGIT {
                return None;
            }
            factor *= 62;
            carry = carry * 62 + Limb::from(value);
        }
        for limb in limbs.iter_mut().take(used) {
            let number = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = number as Limb;
            carry = (number >> Limb::BITS) as Limb;
        }
        // Less than 62^10, and so one limb at most.
        if carry != 0 {
            *limbs.get_mut(used)? = carry;
            used += 1;
        }
    }
    let (mut out, mut spare) = ([0; N], 0);
    for (index, limb) in limbs.iter().enumerate() {
        for (byte, value) in limb.to_le_bytes().into_iter().enumerate() {
            match N.checked_sub(LIMB * index + byte + 1) {
                Some(at) => out[at] = value,
                None => spare |= value,
            }
        }
    }
    wipe(&mut limbs);
    (spare == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 62^d by school arithmetic, compared with 256^n.
    fn power(base: u32, exponent: usize) -> Vec<u32> {
        let mut number = vec![1_u32];
        for _ in 0..exponent {
            let mut carry = 0_u64;
            for limb in &mut number {
                let product = u64::from(*limb) * u64::from(base) + carry;
                *limb = product as u32;
                carry = product >> 32;
            }
            if carry != 0 {
                number.push(carry as u32);
            }
        }
        number
    }

    fn at_least(a: &[u32], b: &[u32]) -> bool {
        a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev())).is_ge()
    }

    #[test]
    fn the_width_is_the_smallest_that_holds_every_value() {
        for bytes in 1..=128 {
            let width = digits_for(bytes);
            assert!(at_least(&power(62, width), &power(256, bytes)), "{bytes}");
            assert!(!at_least(&power(62, width - 1), &power(256, bytes)), "{bytes}");
        }
    }

    #[test]
    fn known_values_have_known_texts() {
        assert_eq!(encode_plain(&[0]), "00");
        assert_eq!(encode_plain(&[61]), "0z");
        assert_eq!(encode_plain(&[62]), "10");
        assert_eq!(encode_plain(&[255]), "47");
        assert_eq!(decode_plain::<1>("47"), Some([255]));
        assert_eq!(decode_plain::<1>("48"), None, "256 does not fit a byte");
    }

    #[test]
    fn the_checksum_is_crc_32_of_the_ieee() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(bytes in any::<[u8; 76]>()) {
            let text = encode("rgr_", &bytes);
            prop_assert_eq!(text.len(), 113);
            prop_assert_eq!(decode::<76>("rgr_", &text), Some(bytes));
            prop_assert_eq!(decode::<76>("rgk_", &text), None);
        }

        #[test]
        fn only_one_text_is_read(text in "rgr_[0-9A-Za-z]{109}") {
            if let Some(bytes) = decode::<76>("rgr_", &text) {
                prop_assert_eq!(encode("rgr_", &bytes), text);
            }
        }

        #[test]
        fn nothing_that_is_read_panics(text in ".{0,200}") {
            let _ = decode::<76>("rgr_", &text);
            let _ = decode_plain::<16>(&text);
        }
    }
}
