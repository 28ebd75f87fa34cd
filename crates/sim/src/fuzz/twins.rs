//! Second implementations, naive and from the documents alone: nothing here calls what it is compared with.

use std::collections::BTreeSet;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// docs/token-format.md: prefix, base62 of fixed width, six digits of CRC-32; by long multiplication.
pub(super) fn decode(prefix: &str, text: &str, len: usize) -> Option<Vec<u8>> {
    let body = text.strip_prefix(prefix)?;
    let mut width = 0;
    // The smallest number of digits that holds so many bytes.
    let mut most = vec![1_u8];
    let mut bound = vec![0_u8; len + 1];
    bound[0] = 1;
    while less(&most, &bound) {
        most = times(&most, 62, 0);
        width += 1;
    }
    if body.len() != width + 6 || !body.is_ascii() {
        return None;
    }
    let (digits, sum) = body.split_at(width);
    let value = number(digits)?;
    let crc = number(sum)?;
    let covered = text.get(..prefix.len() + width)?;
    let expected = crc32(covered.as_bytes()).to_be_bytes();
    if padded(&crc, 4)? != expected {
        return None;
    }
    padded(&value, len)
}

fn number(digits: &str) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for digit in digits.bytes() {
        let digit = DIGITS.iter().position(|known| *known == digit)?;
        value = times(&value, 62, u32::try_from(digit).ok()?);
    }
    Some(value)
}

/// Big-endian bytes: `value * by + plus`.
fn times(value: &[u8], by: u32, plus: u32) -> Vec<u8> {
    let mut carry = plus;
    let mut out = Vec::new();
    for byte in value.iter().rev() {
        carry += u32::from(*byte) * by;
        out.push((carry & 255) as u8);
        carry >>= 8;
    }
    while carry > 0 {
        out.push((carry & 255) as u8);
        carry >>= 8;
    }
    out.reverse();
    out
}

fn padded(value: &[u8], len: usize) -> Option<Vec<u8>> {
    let start = value.iter().position(|byte| *byte != 0).unwrap_or(value.len());
    let value = &value[start..];
    let missing = len.checked_sub(value.len())?;
    Some([vec![0; missing], value.to_vec()].concat())
}

fn less(a: &[u8], b: &[u8]) -> bool {
    let strip = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|byte| *byte == 0).collect() };
    let (a, b) = (strip(a), strip(b));
    (a.len(), a) < (b.len(), b)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

/// The URL standard, section 5.1, but for what is not UTF-8 and for percent signs without two digits: `None`.
pub(super) fn form(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    for piece in bytes.split(|byte| *byte == b'&') {
        if piece.is_empty() {
            continue;
        }
        let mut halves = piece.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        pairs.push((percent_decoded(name)?, percent_decoded(value)?));
    }
    Some(pairs)
}

pub(super) fn percent_decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            out.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    Some(out)
}

/// RFC 4648 section 5, without padding, one text for each value.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| -> Option<u32> {
        match byte {
            b'A'..=b'Z' => Some(u32::from(byte - b'A')),
            b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
            b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
            b'-' => Some(62),
            b'_' => Some(63),
            _ => None,
        }
    };
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes() {
        bits = (bits << 6) | value(byte)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (held < 6 && bits == 0).then_some(out)
}

/// RFC 6749 section 3.3: the set of scope tokens, if it is one.
pub(super) fn scope(text: &str) -> Option<BTreeSet<String>> {
    let is_token = |token: &str| {
        !token.is_empty()
            && token.chars().all(|c| c == '\x21' || ('\x23'..='\x5b').contains(&c) || ('\x5d'..='\x7e').contains(&c))
    };
    if text.is_empty() {
        return Some(BTreeSet::new());
    }
    text.split(' ').map(|token| is_token(token).then(|| token.to_owned())).collect()
}

/// RFC 8252 section 7.3 and RFC 9700 section 2.1: the same bytes, or the same but for the port of a loopback address.
pub(super) fn is_same_redirect(presented: &str, registered: &str) -> bool {
    if presented == registered {
        return true;
    }
    let without_port = |uri: &str| -> Option<String> {
        for host in ["http://127.0.0.1", "http://[::1]"] {
            let Some(rest) = uri.strip_prefix(host) else { continue };
            let Some(after) = rest.strip_prefix(':') else {
                return (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| format!("{host}{rest}"));
            };
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (port, path) = after.split_at(digits);
            let is_port = port.parse::<u16>().is_ok();
            return (is_port && (path.is_empty() || path.starts_with(['/', '?']))).then(|| format!("{host}{path}"));
        }
        None
    };
    without_port(presented).is_some() && without_port(presented) == without_port(registered)
}

/// RFC 7636 section 4.1.
pub(super) fn is_verifier(text: &str) -> bool {
    text.len() > 42
        && text.len() < 129
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~'))
}

/// RFC 7617, of what is after the scheme: user-id and password as they stand.
pub(super) fn basic(credentials: &str) -> Option<(String, String)> {
    let text = credentials.trim_start_matches(' ');
    let plain: String = text
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    if text.contains(['-', '_']) || !text.len().is_multiple_of(4) {
        return None;
    }
    let unpadded = plain.trim_end_matches('=');
    if plain.len() - unpadded.len() > 2 {
        return None;
    }
    let bytes = base64url(unpadded)?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, password) = text.split_once(':')?;
    Some((id.to_owned(), password.to_owned()))
}

/// RFC 7516 section 5.2 and RFC 7518 section 4.6, for `ECDH-ES` with AES-GCM alone.
pub(super) fn jwe(text: &str, secret: &[u8; 32]) -> Option<Vec<u8>> {
    let parts: Vec<&str> = text.split('.').collect();
    let bytes = parts.iter().map(|part| base64url(part)).collect::<Option<Vec<_>>>()?;
    let [header, wrapped, iv, content, tag] = bytes.try_into().ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let member = |value: &Value, name: &str| value[name].as_str().and_then(base64url);
    let (method, length) = match (header["alg"].as_str()?, header["enc"].as_str()?) {
        ("ECDH-ES", "A128GCM") => (&AES_128_GCM, 16_usize),
        ("ECDH-ES", "A256GCM") => (&AES_256_GCM, 32),
        _ => return None,
    };
    let point = [vec![4], member(&header["epk"], "x")?, member(&header["epk"], "y")?].concat();
    let own = PrivateKey::from_private_key(&ECDH_P256, secret).ok()?;
    let agreed = agree(&own, UnparsedPublicKey::new(&ECDH_P256, point), (), |secret| Ok(secret.to_vec())).ok()?;
    let mut said = vec![0, 0, 0, 1];
    said.extend(agreed);
    let parties = [member(&header, "apu").unwrap_or_default(), member(&header, "apv").unwrap_or_default()];
    for part in [header["enc"].as_str()?.as_bytes(), &parties[0], &parties[1]] {
        said.extend((part.len() as u32).to_be_bytes());
        said.extend(part);
    }
    said.extend((length as u32 * 8).to_be_bytes());
    let key = UnboundKey::new(method, &digest(&SHA256, &said).as_ref()[..length]).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
    let mut sealed = [content, tag].concat();
    let opened = LessSafeKey::new(key).open_in_place(nonce, Aad::from(parts[0]), &mut sealed).ok()?;
    wrapped.is_empty().then(|| opened.to_vec())
}
