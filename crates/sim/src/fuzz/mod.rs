//! What outside bytes meet, each parser by itself and behind its endpoint: what a fuzzer runs, and what `./test` replays.
//!
//! A target takes any bytes and panics if a law is broken. Where there is a second implementation, written from the documents alone
//! ([`twins`]) or somebody else's, both must say the same. `fuzz/` makes one program of all of them for a coverage-guided fuzzer;
//! `fuzz/corpus/NAME/` holds what it has found worth keeping, and is replayed by an ordinary test, with some thousand mutations from a
//! seed for each.

mod doors;
mod plain;
mod twins;

use std::path::{Path, PathBuf};

use crate::process::Dice;

/// A name, what it is about, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names its corpus, too.
    pub name: &'static str,
    /// What meets the bytes.
    pub about: &'static str,
    /// With what it is compared, if it is.
    pub beside: &'static str,
    /// Runs it.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8]), about: &'static str, beside: &'static str) -> Target {
    Target { name, about, beside, run }
}

/// All of them.
pub const TARGETS: [Target; 25] = [
    target(
        "refresh_token",
        plain::refresh_token,
        "refresh tokens, codes, device codes",
        "a reader from docs/token-format.md",
    ),
    target("access_token", plain::access_token, "opaque access tokens and jti", ""),
    target("codec", plain::codec, "base62 with its checksum", "big-number arithmetic"),
    target("form", plain::form, "bodies and queries", "a reader from the URL standard"),
    target("client_auth", plain::client_auth, "Basic, post, assertions", "a reader of Basic"),
    target("jwt", plain::jwt, "JWT and JWS: header, claims, signature", ""),
    target("jwe", plain::jwe, "JWE: header, keys, content", "a reader of ECDH-ES from RFC 7518"),
    target("json", plain::json, "JSON objects", "serde_json"),
    target("jwk", plain::jwk, "JWK and JWK sets, private-key material refused", ""),
    target("times", plain::times, "exp, nbf, iat, iss, aud", ""),
    target("base64url", plain::base64url, "base64url", "a reader from RFC 4648"),
    target("redirect", plain::redirect, "redirect URIs, registered and presented", "a comparison from RFC 8252"),
    target("scope", plain::scope, "scope and resource", "a reader from RFC 6749"),
    target("pkce", plain::pkce, "challenges and verifiers", "a reader from RFC 7636"),
    target("names", plain::names, "client ids, response types, prompts, claim names", ""),
    target("claims", plain::claims, "claim values", ""),
    target("config", plain::config, "the configuration file", ""),
    target("door_token", doors::token, "the token endpoint, whole", ""),
    target("door_authorize", doors::authorize, "the authorization endpoint, request objects, `claims`", ""),
    target("door_register", doors::register, "metadata documents of clients", ""),
    target("door_introspect", doors::introspect, "introspection and revocation", ""),
    target("door_cookies", doors::cookies, "cookies, form tokens, pages", ""),
    target("door_cursors", doors::cursors, "page cursors and queries of the admin API", ""),
    target("door_admin", doors::admin, "bodies of the admin API", ""),
    target("door_heads", doors::heads, "methods, paths and headers", ""),
];

/// Where the corpus of a target is.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name)
}

/// All inputs of a corpus, in order.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn inputs(name: &str) -> Vec<Vec<u8>> {
    let directory = std::fs::read_dir(corpus(name)).unwrap_or_else(|error| panic!("no corpus of {name}: {error}"));
    let mut files: Vec<PathBuf> = directory.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

/// Something like this input, from dice: bytes changed, cut, doubled, put in, or taken from another input.
#[must_use]
pub fn mutated(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..dice.between(1, 4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(16)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.next() as u8),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let doubled = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, doubled);
            }
            5 => {
                let from = dice.below(other.len() + 1);
                let piece = other.get(from..(from + 16).min(other.len())).unwrap_or_default().to_vec();
                bytes.splice(at..end, piece);
            }
            _ => {
                let odd: [&[u8]; 8] = [b"\0", b"%00", b"\xff", b"=", b"&", b".", b"\"", "\u{202e}".as_bytes()];
                bytes.splice(at..at, odd[dice.below(odd.len())].iter().copied());
            }
        }
    }
    bytes
}
