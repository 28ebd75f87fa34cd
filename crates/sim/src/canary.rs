//! Canaries: secrets that are known to the test, looked for in everything that the server leaves behind (law L6).
//!
//! A secret may hide in another dress: each is looked for as it is, percent-encoded, in hex, in base64 of both alphabets at
//! every alignment, and as the decimal list that `Debug` makes of bytes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::exploit::format::Token;

/// A secret to look for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Canary {
    /// What it is, for people.
    pub name: String,
    dresses: Vec<Vec<u8>>,
}

/// A secret that was found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Where.
    pub place: String,
    /// Which.
    pub name: String,
    /// At which byte.
    pub at: usize,
}

impl Canary {
    /// A secret text: a password, a client secret, an access token, a cookie.
    #[must_use]
    pub fn text(name: impl Into<String>, secret: &str) -> Self {
        let mut dresses = dresses(secret.as_bytes());
        let encoded = regrant_server::form::encode(secret);
        dresses.extend([encoded.replace("%20", "+").into_bytes(), encoded.replace('+', "%20").into_bytes()]);
        // What JSON and Debug make of it.
        dresses.push(serde_json::to_string(secret).unwrap_or_default().trim_matches('"').as_bytes().to_vec());
        Self::of(name, dresses)
    }

    /// Secret bytes: a key, a seed.
    #[must_use]
    pub fn bytes(name: impl Into<String>, secret: &[u8]) -> Self {
        Self::of(name, dresses(secret))
    }

    /// A refresh token or code: any 24 characters of the secret part of its text, and the seed itself. What comes before tells only
    /// whose it is, and may be shown shortened.
    ///
    /// # Panics
    /// If it is neither.
    #[must_use]
    pub fn token(name: impl Into<String>, text: &str) -> Self {
        let seed = Token::read(text).expect("a refresh token or a code").seed;
        let mut found = dresses(&seed);
        for start in [44, 72] {
            found.extend(dresses(&text.as_bytes()[start..start + 24]));
        }
        Self::of(name, found)
    }

    fn of(name: impl Into<String>, mut dresses: Vec<Vec<u8>>) -> Self {
        dresses.sort_unstable();
        dresses.dedup();
        Self { name: name.into(), dresses }
    }

    /// Where it first stands in this place.
    #[must_use]
    pub fn find(&self, haystack: &[u8]) -> Option<usize> {
        search("", haystack, std::slice::from_ref(self)).first().map(|finding| finding.at)
    }
}

/// Looks for each of them in a place, in one pass: the memory of a process is long.
#[must_use]
pub fn search(place: &str, haystack: &[u8], canaries: &[Canary]) -> Vec<Finding> {
    let mut heads: HashMap<[u8; 2], Vec<(usize, &[u8])>> = HashMap::new();
    for (which, canary) in canaries.iter().enumerate() {
        for dress in &canary.dresses {
            if let [first, second, ..] = dress[..] {
                heads.entry([first, second]).or_default().push((which, dress));
            }
        }
    }
    let mut is_head = vec![false; 1 << 16];
    heads.keys().for_each(|head| is_head[usize::from(u16::from_be_bytes(*head))] = true);
    let mut found = vec![None; canaries.len()];
    for (at, pair) in haystack.windows(2).enumerate() {
        if !is_head[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
            continue;
        }
        for (which, dress) in heads.get(pair).into_iter().flatten() {
            if found[*which].is_none() && haystack[at..].starts_with(dress) {
                found[*which] = Some(at);
            }
        }
    }
    let found = canaries.iter().zip(found).filter_map(|(canary, at)| Some((canary, at?)));
    found.map(|(canary, at)| Finding { place: place.to_owned(), name: canary.name.clone(), at }).collect()
}

fn dresses(secret: &[u8]) -> Vec<Vec<u8>> {
    assert!(secret.len() >= 8, "too short to be recognised");
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimals: Vec<String> = secret.iter().map(u8::to_string).collect();
    let mut dresses = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), decimals.join(", ").into_bytes()];
    dresses.push(decimals.join(",").into_bytes());
    dresses.push(hex.into_bytes());
    for shift in 0..3 {
        let shifted = [vec![0; shift], secret.to_vec()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            // The first characters mix with what stands before, the last ones with what follows.
            let start = [0, 2, 3][shift];
            let end = shifted.len() * 8 / 6;
            dresses.push(encoded.as_bytes()[start..end].to_vec());
        }
    }
    dresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_dress() {
        let secret = b"a secret + of bytes\xff\x00\x7f";
        let canary = Canary::bytes("it", secret);
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut places =
            vec![hex.clone().into_bytes(), hex.to_uppercase().into_bytes(), format!("{secret:?}").into_bytes()];
        for before in ["", "x", "xy", "xyz"] {
            let inner = [before.as_bytes(), secret, b"tail"].concat();
            places.push(STANDARD_NO_PAD.encode(&inner).into_bytes());
            places.push(URL_SAFE_NO_PAD.encode(&inner).into_bytes());
            places.push(inner);
        }
        for place in places {
            assert!(canary.find(&place).is_some(), "{}", String::from_utf8_lossy(&place));
        }
        assert_eq!(canary.find(b"nothing of it"), None);
        assert_eq!(canary.find(b""), None);
        assert_eq!(canary.find(&[b"a secret, a ", &secret[..]].concat()), Some(12), "the place of the whole of it");
        let text = Canary::text("it", "correct horse +1");
        assert!(text.find(b"password=correct+horse+%2B1&").is_some());
    }
}
