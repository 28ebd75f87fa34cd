//! What is signed: the claims of a page of the feed, and of a status list (draft-ietf-oauth-status-list, sections 4.2 and 5.1).

use std::time::Duration;

use miniz_oxide::deflate::compress_to_vec_zlib;
use regrant_core::secret::Hash;
use regrant_core::status::{LIST_SIZE, Place};
use regrant_core::{Keys, Selector, Timestamp};
use regrant_jose::base64url;
use regrant_store::{Revocation, Revoked};
use serde_json::{Map, Value, json};

/// How long a page may be believed that nobody confirms, in seconds.
pub(super) const EXPIRES_IN: i64 = 300;
/// The highest effort of the format: a list is compressed once a minute at most, and sent often.
const EFFORT: u8 = 9;
/// How long the lines about many grants of one revocation may be together, in bytes: a page is no larger than a token may be.
const MAX_SETS: usize = 7_000;
/// What is around the places in such a line, about.
const AROUND: usize = 120;

/// What a row is told as.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// As it is.
    Line(Revocation),
    /// A grant of this number that a wide revocation ended.
    Grant { number: u64, bulk: Option<u64>, at: Timestamp },
    /// Many grants of one list.
    Set { block: u64, indexes: String, bulk: Option<u64>, at: Timestamp },
}

impl Told {
    /// Since when.
    pub(super) const fn at(&self) -> Timestamp {
        match self {
            Self::Line(row) => row.at,
            Self::Grant { at, .. } | Self::Set { at, .. } => *at,
        }
    }

    /// The number of the wide revocation that this takes back, if it does.
    pub(super) const fn taken_back(&self) -> Option<u64> {
        match self {
            Self::Line(Revocation { revoked: Revoked::TakenBack(number), .. }) => Some(*number),
            Self::Line(_) | Self::Grant { .. } | Self::Set { .. } => None,
        }
    }
}

/// Many grants in one line for each list: their places in ascending order, each as its distance from the one before, in groups of 7
/// bits from the lowest on, all but the last with the highest bit set. `None` if that is more than a page can hold.
pub(super) fn sets(places: &[Place], bulk: Option<u64>, at: Timestamp) -> Option<Vec<Told>> {
    let mut places = places.to_vec();
    places.sort_unstable();
    let (mut sets, mut length): (Vec<Told>, usize) = (Vec::new(), 0);
    for of_list in places.chunk_by(|one, other| one.block == other.block) {
        let (mut bytes, mut last) = (Vec::new(), 0);
        for place in of_list {
            let mut distance = place.index - last;
            last = place.index;
            while distance > 0x7f {
                bytes.push(0x80 | (distance & 0x7f) as u8);
                distance >>= 7;
            }
            bytes.push(distance as u8);
        }
        let indexes = base64url::encode(&bytes);
        length += indexes.len() + AROUND;
        sets.push(Told::Set { block: of_list.first()?.block, indexes, bulk, at });
    }
    (length <= MAX_SETS).then_some(sets)
}

/// One line of the feed. `revoked_at` is also the last `iat` that is meant; behind `expires_at` no token is left. `id` is there where the
/// line can be taken back.
pub(super) fn line(told: &Told, window: Duration, keys: &Keys) -> Value {
    let mut line = Map::new();
    let (mut bulk, mut expires_at) = (None, None);
    match told {
        Told::Grant { number, bulk: by, .. } => {
            bulk = *by;
            insert_place(&mut line, *number, keys);
        }
        Told::Set { block, indexes, bulk: by, .. } => {
            bulk = *by;
            line.insert("list".to_owned(), json!(Place { block: *block, index: 0 }.list(keys)));
            line.insert("idxs".to_owned(), json!(indexes));
        }
        Told::Line(row) => {
            expires_at = row.expires_at;
            match &row.revoked {
                Revoked::Grant(number) => insert_place(&mut line, *number, keys),
                Revoked::Access(jti) => {
                    line.insert("jti_hash".to_owned(), json!(base64url::encode(jti)));
                }
                Revoked::Matching(selector) => {
                    line.insert("all".to_owned(), all(selector));
                }
                Revoked::Bulk(number, selector) => {
                    bulk = Some(*number);
                    line.insert("all".to_owned(), all(selector));
                }
                // Told beside the lines.
                Revoked::TakenBack(number) => bulk = Some(*number),
            }
        }
    }
    if let Some(bulk) = bulk {
        line.insert("id".to_owned(), json!(bulk));
    }
    let expires_at = expires_at.unwrap_or_else(|| told.at().plus(window));
    line.insert("revoked_at".to_owned(), json!(told.at().seconds()));
    line.insert("expires_at".to_owned(), json!(expires_at.seconds().saturating_add(1)));
    Value::Object(line)
}

fn insert_place(line: &mut Map<String, Value>, number: u64, keys: &Keys) {
    let place = Place::of(number, keys);
    line.insert("list".to_owned(), json!(place.list(keys)));
    line.insert("idx".to_owned(), json!(place.index));
}

fn all(selector: &Selector) -> Value {
    let subject = selector.subject.as_ref().map(|subject| base64url::encode(&Hash::of(subject.as_bytes()).0));
    let parts = [
        ("client_id", selector.client.as_ref().map(ToString::to_string)),
        ("sub_hash", subject),
        ("scope", selector.scope.clone()),
        ("aud", selector.resource.clone()),
    ];
    let said = parts.into_iter().filter_map(|(name, part)| part.map(|part| (name.to_owned(), json!(part))));
    Value::Object(said.collect())
}

/// A status list: `sub` is its own address, and each bit is 1 for a grant that has ended ("INVALID", section 7.1).
pub(super) fn list(issuer: &str, uri: &str, bits: &[u16], max_age: Duration, now: Timestamp) -> Value {
    let mut bytes = vec![0_u8; LIST_SIZE / 8];
    for bit in bits {
        // Section 4.1: bits are counted "from the least significant bit" of the first byte on.
        if let Some(byte) = bytes.get_mut(usize::from(bit / 8)) {
            *byte |= 1 << (bit % 8);
        }
    }
    json!({
        "iss": issuer,
        "sub": uri,
        "iat": now.seconds(),
        "exp": now.seconds().saturating_add(EXPIRES_IN),
        "ttl": max_age.as_secs(),
        "status_list": {"bits": 1, "lst": base64url::encode(&compress_to_vec_zlib(&bytes, EFFORT))},
    })
}
