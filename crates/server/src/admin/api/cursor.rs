//! Cursors: where the next page begins, in a text that only this server can have made (check I12).
//!
//! ```text
//! rgp_ base64url( tag 16 | position )      position: JSON, a text or a number
//! tag = HMAC-SHA-256(K_cursor, "regrant cursor v1" | each with its length: caller, listing, query, position), cut to 128 bits
//! ```
//!
//! The key is derived for this purpose and no other (check K5). The tag binds the cursor to who asked, to the listing and to every
//! parameter but `limit`: another listing's, another query's or a longer one is none, and the store never hears of it. What the
//! tag vouches for is still read as strictly as anything else.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "rgp_";
const TAG: usize = 16;
/// The longest cursor: a user's name and what belongs to it.
pub(super) const MAX_LEN: usize = 1024;

/// Where a page ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Position {
    /// The number of the last one.
    Number(u64),
    /// The name of the last one.
    Text(String),
}

/// What a cursor belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listing<'a> {
    pub(super) caller: &'a str,
    pub(super) operation: &'a str,
    /// Its parameters, in one spelling.
    pub(super) query: &'a str,
}

impl Listing<'_> {
    fn tag(&self, key: &hmac::Key, position: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        context.update(b"regrant cursor v1");
        for part in [self.caller.as_bytes(), self.operation.as_bytes(), self.query.as_bytes(), position] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    /// The text for a position.
    pub(super) fn write(&self, key: &hmac::Key, position: &Position) -> String {
        let position = serde_json::to_vec(position).unwrap_or_default();
        let mut bytes = self.tag(key, &position).as_ref()[..TAG].to_vec();
        bytes.extend(position);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The position that a text stands for; `None` for whatever was not written for this listing.
    pub(super) fn read(&self, key: &hmac::Key, text: &str) -> Option<Position> {
        if text.len() > MAX_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (tag, position) = bytes.split_at_checked(TAG)?;
        let expected = self.tag(key, position);
        aws_lc_rs::constant_time::verify_slices_are_equal(tag, &expected.as_ref()[..TAG]).ok()?;
        serde_json::from_slice(position).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: Listing<'_> = Listing { caller: "ops", operation: "listGrants", query: "client=web" };

    /// Check I12: a cursor opens where it was made and nowhere else, and no text near it opens at all.
    #[test]
    fn a_cursor_is_good_for_its_own_listing_and_query() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        for position in [Position::Number(0), Position::Number(u64::MAX), Position::Text("alice \u{e4}\"".to_owned())] {
            let text = LISTING.write(&key, &position);
            assert_eq!(LISTING.read(&key, &text), Some(position));
            let other = |listing: Listing<'_>| listing.read(&key, &text);
            assert_eq!(other(Listing { caller: "eve", ..LISTING }), None);
            assert_eq!(other(Listing { operation: "listUsers", ..LISTING }), None);
            assert_eq!(other(Listing { query: "", ..LISTING }), None);
            // The same bytes, cut elsewhere.
            assert_eq!(other(Listing { operation: "listGrantsclient=", query: "web", ..LISTING }), None);
            assert_eq!(LISTING.read(&hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), &text), None);
            for cut in 0..text.len() {
                assert_eq!(LISTING.read(&key, &text[..cut]), None, "{cut}");
            }
            for at in PREFIX.len()..text.len() {
                let mut forged = text.clone().into_bytes();
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(LISTING.read(&key, &String::from_utf8(forged).expect("ASCII")), None, "{at}");
            }
        }
        for bad in ["", PREFIX, "rgp_!!!!", "rgr_AAAA", &format!("{PREFIX}{}", "A".repeat(4000))] {
            assert_eq!(LISTING.read(&key, bad), None, "{bad}");
        }
    }
}
