//! Base64url as RFC 7515 section 2 defines it: the URL-safe alphabet of RFC 4648 section 5, "with all trailing
//! '=' characters omitted […] and without the inclusion of any line breaks, whitespace, or other additional characters".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not the one canonical base64url spelling of any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBase64url;

impl std::fmt::Display for NotBase64url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not canonical base64url")
    }
}

impl std::error::Error for NotBase64url {}

/// Writes `bytes` as base64url without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends `bytes` as base64url to `text`.
pub(crate) fn encode_onto(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Reads base64url. There is exactly one text for given bytes, so two different texts never mean the same.
///
/// # Errors
/// [`NotBase64url`] for a character outside the alphabet, padding, whitespace, an impossible length, or a last
/// character with bits set that belong to no byte.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [&b""[..], b"f", b"fo", b"foo", &[0xff, 0xfe, 0xfd, 0xfb]] {
            assert_eq!(decode(&encode(bytes)).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let spellings = [
            ("Zg==", "padding"),
            ("Zh", "a trailing bit"),
            ("Zm9", "trailing bits"),
            ("Z", "an impossible length"),
            ("Zm9v\n", "a line break"),
            (" Zm9v", "a space"),
            ("+/+/", "the other alphabet"),
            ("Zm9v=", "a lone pad"),
            ("Zm\u{e9}v", "a letter outside ASCII"),
        ];
        for (text, what) in spellings {
            assert_eq!(decode(text), Err(NotBase64url), "{what}");
        }
    }
}
