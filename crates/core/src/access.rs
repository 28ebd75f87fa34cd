//! Access tokens that need no table: the sealed `jti` of a JWT (RFC 9068 section 2.2), and the opaque token.
//!
//! ```text
//! jti    = base64url( AES-128-block( grant number 8 | generation 4 | random 4 ) | random 8 )
//! opaque = rga_ + base64url( key id 1 | nonce 12 | AES-256-GCM-SIV( body ) | tag 16 ) + CRC-32 in 6 base62 digits
//! ```
//! GCM-SIV, because random nonces of plain GCM run out after 2^32 tokens under one key: twelve hours at full speed.

use aws_lc_rs::aead;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::codec;
use crate::keys::{Keys, cut};
use crate::secret::Wiped;

/// The published prefix of an opaque access token.
pub const ACCESS_PREFIX: &str = "rga_";
/// The longest opaque access token that is read, in characters.
pub const MAX_LEN: usize = 16_384;

const NONCE_LEN: usize = 12;
const CHECKSUM_LEN: usize = 6;

/// What an access token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessToken {
    /// The grant's number and the generation it was minted in; `None` for a token without a grant.
    pub grant: Option<(u64, u32)>,
    /// The client it was issued to.
    pub client: String,
    /// `sub`: the user, or the client itself.
    pub subject: String,
    /// Space-separated.
    pub scope: String,
    /// Who may accept it.
    pub audience: Vec<String>,
    /// Seconds since the epoch.
    pub issued_at: i64,
    /// Seconds since the epoch.
    pub expires_at: i64,
    /// When the user logged in, in seconds since the epoch.
    pub authenticated_at: Option<i64>,
    /// Its `jti`, as [`seal_jti`] wrote it.
    pub jti: String,
    /// The browser session in which it was given to a user's browser: it belongs to no grant, and ends with the session where that is
    /// what a logout does.
    pub session: Option<[u8; 32]>,
    /// More claims, the text of a JSON object; empty if there are none. Opaque here.
    pub more: String,
}

/// Seals grant number and generation; 12 random bytes make it unique and hide that two tokens belong together.
#[must_use]
pub fn seal_jti(grant: Option<(u64, u32)>, random: [u8; 12], keys: &Keys) -> String {
    let (number, generation) = grant.unwrap_or_default();
    let mut block = [0; 16];
    block[..8].copy_from_slice(&number.to_be_bytes());
    block[8..12].copy_from_slice(&generation.to_be_bytes());
    block[12..].copy_from_slice(&random[..4]);
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&keys.jti().encrypt(block));
    bytes[16..].copy_from_slice(&random[4..]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a `jti` of a token whose signature was verified. `None` if it is none of ours; `Some(None)` if it has no grant.
#[must_use]
pub fn open_jti(jti: &str, keys: &Keys) -> Option<Option<(u64, u32)>> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(jti).ok()?.try_into().ok()?;
    let block = keys.jti().decrypt(cut(&bytes));
    let number = u64::from_be_bytes(cut(&block));
    Some((number != 0).then(|| (number, u32::from_be_bytes(cut(&block[8..])))))
}

impl AccessToken {
    /// The opaque text. `nonce` is fresh chance. `None` only if the sealing key is gone or it is longer than [`open`](Self::open) reads.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_LEN], keys: &Keys) -> Option<String> {
        let key_id = keys.current_access();
        let mut body = Wiped::new(Vec::with_capacity(256));
        self.write(&mut body)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len() + aead::MAX_TAG_LEN);
        sealed.push(key_id);
        sealed.extend_from_slice(&nonce);
        let tag = keys
            .access_key(key_id)?
            .seal_in_place_separate_tag(aead::Nonce::assume_unique_for_key(nonce), associated(keys), &mut body)
            .ok()?;
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        let mut text = String::with_capacity(ACCESS_PREFIX.len() + sealed.len().div_ceil(3) * 4 + CHECKSUM_LEN);
        text.push_str(ACCESS_PREFIX);
        URL_SAFE_NO_PAD.encode_string(&sealed, &mut text);
        let sum = crc32fast::hash(text.as_bytes());
        text.push_str(&codec::encode_plain(&sum.to_be_bytes()));
        (text.len() <= MAX_LEN).then_some(text)
    }

    /// Reads an opaque text. `None` means "not ours".
    #[must_use]
    pub fn open(text: &str, keys: &Keys) -> Option<Self> {
        if text.len() > MAX_LEN || !text.is_ascii() || !text.starts_with(ACCESS_PREFIX) {
            return None;
        }
        let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LEN)?)?;
        if codec::decode_plain::<4>(sum)? != crc32fast::hash(body.as_bytes()).to_be_bytes() {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(body.get(ACCESS_PREFIX.len()..)?).ok()?;
        let (header, body) = sealed.split_at_mut_checked(1 + NONCE_LEN)?;
        let nonce = aead::Nonce::assume_unique_for_key(cut(&header[1..]));
        let opened = keys.access_key(header[0])?.open_in_place(nonce, associated(keys), body).ok()?;
        Self::read(opened)
    }

    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let (number, generation) = self.grant.unwrap_or_default();
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&generation.to_be_bytes());
        out.extend_from_slice(&self.issued_at.to_be_bytes());
        out.extend_from_slice(&self.expires_at.to_be_bytes());
        out.extend_from_slice(&self.authenticated_at.unwrap_or(i64::MIN).to_be_bytes());
        let texts = [&self.client, &self.subject, &self.scope, &self.jti];
        // No audience is empty: an empty text ends the audiences, where something follows.
        let separator = String::new();
        let session = self.session.map(|session| codec::encode_plain(&session));
        let more = (!self.more.is_empty() || session.is_some()).then_some([&separator, &self.more]);
        for text in texts.into_iter().chain(&self.audience).chain(more.into_iter().flatten()).chain(&session) {
            out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Some(())
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (number, generation) = (u64::from_be_bytes(reader.take()?), u32::from_be_bytes(reader.take()?));
        let (issued_at, expires_at) = (i64::from_be_bytes(reader.take()?), i64::from_be_bytes(reader.take()?));
        let authenticated_at = i64::from_be_bytes(reader.take()?);
        let (client, subject) = (reader.text()?, reader.text()?);
        let (scope, jti) = (reader.text()?, reader.text()?);
        let (mut audience, mut more, mut session) = (Vec::new(), String::new(), None);
        while !reader.0.is_empty() {
            match reader.text()? {
                text if text.is_empty() => {
                    more = reader.text()?;
                    if !reader.0.is_empty() {
                        session = Some(codec::decode_plain::<32>(&reader.text()?)?);
                    }
                }
                text => audience.push(text),
            }
        }
        Some(Self {
            grant: (number != 0).then_some((number, generation)),
            client,
            subject,
            scope,
            audience,
            issued_at,
            expires_at,
            authenticated_at: (authenticated_at != i64::MIN).then_some(authenticated_at),
            jti,
            session,
            more,
        })
    }
}

/// The deployment is bound in, so that no other installation's token opens here, even under the same root key.
fn associated(keys: &Keys) -> aead::Aad<[u8; 16]> {
    aead::Aad::from(keys.deployment().0)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_be_bytes(self.take()?);
        let (head, tail) = self.0.split_at_checked(usize::from(length))?;
        self.0 = tail;
        std::str::from_utf8(head).ok().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DeploymentId, RootKey};

    fn keys() -> Keys {
        let seed = [(1, zeroize::Zeroizing::new([1; 32]))];
        Keys::new(&RootKey::new([7; 32]), DeploymentId([1; 16]), 0, &seed).expect("keys")
    }

    fn token() -> AccessToken {
        AccessToken {
            grant: Some((0x0102_0304_0506_0708, 9)),
            client: "app".to_owned(),
            subject: "usr_alice".to_owned(),
            scope: "read write".to_owned(),
            audience: vec!["https://api.example/".to_owned(), "https://files.example/".to_owned()],
            issued_at: 1_800_000_000,
            expires_at: 1_800_003_600,
            authenticated_at: Some(1_799_999_970),
            jti: "a-jti".to_owned(),
            session: Some([5; 32]),
            more: "{\"plan\":\"gold\"}".to_owned(),
        }
    }

    fn body(token: &AccessToken) -> Vec<u8> {
        let mut body = Vec::new();
        token.write(&mut body).expect("no field is absurdly long");
        body
    }

    /// Each field with and without a value, and what may stand behind the audiences, in every combination.
    #[test]
    fn whatever_is_said_is_read_again() {
        for bits in 0..64_u32 {
            let is = |bit: u32| bits & 1 << bit != 0;
            let full = token();
            let token = AccessToken {
                grant: full.grant.filter(|_| is(0)),
                audience: full.audience.into_iter().take(if is(1) { 2 } else { usize::from(is(2)) }).collect(),
                authenticated_at: full.authenticated_at.filter(|_| is(3)),
                session: full.session.filter(|_| is(4)),
                more: if is(5) { full.more } else { String::new() },
                ..full
            };
            assert_eq!(AccessToken::read(&body(&token)), Some(token.clone()), "{bits:06b}");
            let text = token.seal([3; NONCE_LEN], &keys()).expect("its key");
            assert_eq!(AccessToken::open(&text, &keys()), Some(token), "{bits:06b}");
        }
    }

    /// The order of the bytes is that of tokens that are out there.
    #[test]
    fn the_numbers_come_first() {
        let bytes = body(&token());
        assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[8..12], [0, 0, 0, 9]);
        assert_eq!(bytes[12..20], 1_800_000_000_i64.to_be_bytes());
        assert_eq!(bytes[20..28], 1_800_003_600_i64.to_be_bytes());
        assert_eq!(bytes[28..36], 1_799_999_970_i64.to_be_bytes());
        assert_eq!(&bytes[36..41], b"\0\x03app");
        let bare = AccessToken { grant: None, authenticated_at: None, session: None, more: String::new(), ..token() };
        let bytes = body(&bare);
        assert_eq!(bytes[..12], [0; 12]);
        assert_eq!(bytes[28..36], i64::MIN.to_be_bytes());
        assert!(bytes.ends_with(b"\0\x16https://files.example/"), "nothing stands behind the audiences");
    }

    /// A body that ends within a field is none. It may end behind one: with fewer audiences it is another token's.
    #[test]
    fn a_body_that_ends_too_early_is_none() {
        let bytes = body(&token());
        let whole: Vec<usize> = (0..bytes.len()).filter(|end| AccessToken::read(&bytes[..*end]).is_some()).collect();
        let texts = |count: usize| -> usize {
            [
                "app",
                "usr_alice",
                "read write",
                "a-jti",
                "https://api.example/",
                "https://files.example/",
                "",
                "{\"plan\":\"gold\"}",
            ]
            .iter()
            .take(count)
            .map(|text| 2 + text.len())
            .sum()
        };
        assert_eq!(whole, [4, 5, 6, 8].map(|count| 36 + texts(count)));
        let mut other = bytes;
        let last = other.len() - 1;
        other[last] = b'!';
        assert_eq!(AccessToken::read(&other), None, "a session is 32 bytes, as we write them");
        assert_eq!(
            AccessToken::read(&[&body(&AccessToken { session: None, ..token() })[..], &[0, 1, 0xFF]].concat()),
            None
        );
    }

    /// The prefix, the characters, the sum and the key that a text names: each by itself.
    #[test]
    fn a_text_is_ours_in_all_its_parts() {
        let (keys, text) = (keys(), token().seal([3; NONCE_LEN], &keys()).expect("its key"));
        let summed =
            |body: &str| format!("{body}{}", codec::encode_plain(&crc32fast::hash(body.as_bytes()).to_be_bytes()));
        let body = &text[..text.len() - CHECKSUM_LEN];
        assert_eq!(summed(body), text);
        assert_eq!(AccessToken::open(body, &keys), None);
        assert_eq!(AccessToken::open(&summed(&body.replacen("rga_", "rgb_", 1)), &keys), None);
        assert_eq!(AccessToken::open(&summed(&body.replacen("rga_", "", 1)), &keys), None);
        assert_eq!(AccessToken::open(&summed(&format!("{body}é")), &keys), None);
        for empty in ["", "rga_", &summed(""), &summed("rga_"), &summed("rga_AA")] {
            assert_eq!(AccessToken::open(empty, &keys), None, "{empty}");
        }
        // Another key's number, before what its key has sealed.
        let mut sealed = URL_SAFE_NO_PAD.decode(&body[ACCESS_PREFIX.len()..]).expect("base64url");
        assert_eq!(sealed[0], keys.current_access());
        assert_eq!(sealed[1..=NONCE_LEN], [3; NONCE_LEN]);
        sealed[0] += 1;
        assert_eq!(
            AccessToken::open(&summed(&format!("{ACCESS_PREFIX}{}", URL_SAFE_NO_PAD.encode(&sealed))), &keys),
            None
        );
    }

    /// The block under the key is the number, the generation and a third of the chance; the rest of the chance is as it was drawn.
    #[test]
    fn a_jti_is_a_block_and_chance() {
        let keys = keys();
        let random = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let bytes = URL_SAFE_NO_PAD.decode(seal_jti(Some((77, 8)), random, &keys)).expect("base64url");
        assert_eq!(bytes[16..], random[4..]);
        let block = keys.jti().decrypt(cut(&bytes));
        assert_eq!(block, [0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 8, 1, 2, 3, 4]);
        assert_eq!(open_jti(&seal_jti(None, random, &keys), &keys), Some(None));
        assert_eq!(open_jti(&seal_jti(Some((77, 8)), random, &keys), &keys), Some(Some((77, 8))));
    }
}
