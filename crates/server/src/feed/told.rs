//! What is signed: the claims of a page of the feed, and of a status list (draft-ietf-oauth-status-list, sections 4.2 and 5.1).

use std::time::Duration;

use miniz_oxide::deflate::compress_to_vec_zlib;
use regrant_core::secret::Hash;
use regrant_core::status::{LIST_SIZE, Place};
use regrant_core::{Keys, Timestamp};
use regrant_jose::base64url;
use regrant_store::{Revocation, Revoked};
use serde_json::{Map, Value, json};

/// How long a page may be believed that nobody confirms, in seconds.
pub(super) const EXPIRES_IN: i64 = 300;
/// The highest effort of the format: a list is compressed once a minute at most, and sent often.
const EFFORT: u8 = 9;

/// One line of the feed. `revoked_at` is also the last `iat` that is meant; behind `expires_at` no token is left.
pub(super) fn line(row: &Revocation, window: Duration, keys: &Keys) -> Value {
    let mut line = Map::new();
    match &row.revoked {
        Revoked::Grant(number) => {
            let place = Place::of(*number, keys);
            line.insert("list".to_owned(), json!(place.list(keys)));
            line.insert("idx".to_owned(), json!(place.index));
        }
        Revoked::Access(jti) => {
            line.insert("jti_hash".to_owned(), json!(base64url::encode(jti)));
        }
        Revoked::Matching(selector) => {
            let subject = selector.subject.as_ref().map(|subject| base64url::encode(&Hash::of(subject.as_bytes()).0));
            let parts = [("client_id", selector.client.as_ref().map(ToString::to_string)), ("sub_hash", subject)];
            let said: Map<_, _> =
                parts.into_iter().filter_map(|(name, part)| part.map(|part| (name.to_owned(), json!(part)))).collect();
            line.insert("all".to_owned(), Value::Object(said));
        }
    }
    let expires_at = row.expires_at.unwrap_or_else(|| row.at.plus(window));
    line.insert("revoked_at".to_owned(), json!(row.at.seconds()));
    line.insert("expires_at".to_owned(), json!(expires_at.seconds().saturating_add(1)));
    Value::Object(line)
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
