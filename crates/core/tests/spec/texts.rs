//! What clients hold, as text: RFC 6749 section 10.4: "The authorization server MUST ensure that refresh tokens cannot be
//! generated, modified, or guessed to produce valid refresh tokens by unauthorized parties."
//!
//! Check K1: the tag has 160 bits and nothing else of the text helps a forger, so one guess succeeds with probability 2^-160
//! and 2^64 guesses with less than 2^-95.

use proptest::prelude::*;
use regrant_core::access::{ACCESS_PREFIX, AccessToken, MAX_LEN, open_jti, seal_jti};
use regrant_core::issue::Granted;
use regrant_core::keys::{DeploymentId, KeyStatus, RootKey};
use regrant_core::one_time::{Kind, client_secret, client_secret_hash, registration_token, registration_token_hash};
use regrant_core::token::{CODE_PREFIX, Code, DeviceCode, REFRESH_PREFIX, RefreshToken, TOKEN_LEN};
use regrant_core::{GrantId, Keys, Resources, Seed, codec, device};

use crate::world::{DEPLOYMENT, World, entropy, grant_with_code, keys, root, scope};

/// Bytes of a token, tag included, and of its tag.
const BYTES: usize = 76;
/// The mutations of each kind that check T15 asks for.
const MUTATIONS: u32 = 1_000_000;

fn keys_now() -> Keys {
    keys(0, &[(1, KeyStatus::Current)])
}

fn token() -> RefreshToken {
    RefreshToken {
        tag_key: 1,
        era: 3,
        grant: GrantId { number: 5, random: 0x0123_4567_89ab_cdef },
        generation: 9,
        seed: Seed::new(std::array::from_fn(|position| position as u8)),
    }
}

fn access_token() -> AccessToken {
    AccessToken {
        grant: Some((5, 9)),
        client: "app".to_owned(),
        subject: "usr_alice".to_owned(),
        scope: "openid profile".to_owned(),
        audience: vec!["https://api.example/".to_owned(), "https://files.example/".to_owned()],
        issued_at: 1_800_000_000,
        expires_at: 1_800_003_600,
        authenticated_at: Some(1_799_999_970),
        jti: "a-jti".to_owned(),
        session: None,
        more: String::new(),
    }
}

/// What follows the audiences comes back, and a text without it reads as it always did.
#[test]
fn more_claims_are_sealed_behind_the_audiences() {
    let more = AccessToken { more: "{\"plan\":\"gold\"}".to_owned(), ..access_token() };
    let nobody = AccessToken { audience: Vec::new(), ..more.clone() };
    for token in [access_token(), more, nobody] {
        let text = token.seal([7; 12], &keys_now()).expect("its key");
        assert_eq!(AccessToken::open(&text, &keys_now()), Some(token));
    }
}

/// Small, fast and the same in every run: xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }
}

/// The format, by example: whoever changes it breaks every token in the world, and this line. The bytes were computed by an
/// independent program (`hmac`, `hashlib`, AES and base62 of Python) from the published format.
#[test]
fn the_format_of_a_refresh_token_is_this_one() {
    let text = token().text(&keys_now()).expect("its key");
    assert_eq!(text, KNOWN_REFRESH_TOKEN);
    assert_eq!(RefreshToken::open(KNOWN_REFRESH_TOKEN, &keys_now()), Some(token()));
}

const KNOWN_REFRESH_TOKEN: &str =
    "rgr_00O13yQjvXFMgvGaoeyH6GJzMDLto8PjnDoHe8PkT9CjE7wWaVeqKR7LA9RMZe3wGwRaWl7e4vOrKOn0LQpqLGB8dkxyM1bPkRDFq7421g1z4";

/// Everything a token says comes back, at the ends of each range too; each text has 113 characters.
#[test]
fn what_was_minted_is_opened() {
    let keys = keys(0, &[(0, KeyStatus::Verify), (1, KeyStatus::Current), (255, KeyStatus::Next)]);
    for tag_key in [0, 1, 255] {
        for (era, generation, number) in [(0, 0, 0), (1, 1, 1), (u16::MAX, u32::MAX, u64::MAX)] {
            let grant = GrantId { number, random: !number };
            let token = RefreshToken { tag_key, era, grant, generation, ..token() };
            let text = token.text(&keys).expect("its key");
            assert_eq!((text.len(), RefreshToken::open(&text, &keys)), (TOKEN_LEN, Some(token)));
            let code = Code { tag_key, era, grant, seed: Seed::new([4; 32]) };
            let text = code.text(&keys).expect("its key");
            assert_eq!((text.len(), Code::open(&text, &keys)), (TOKEN_LEN, Some(code)));
        }
    }
    assert_eq!(RefreshToken { tag_key: 2, ..token() }.text(&keys), None, "no key, no text");
    assert_eq!(TOKEN_LEN, 113);
}

/// Check T15: a million texts that differ in one bit of the token, with a checksum that fits, and a million with a random
/// change are not ours. Each of the 608 bits is flipped more than a thousand times, over tokens of all ages.
#[test]
fn a_changed_token_is_not_ours() {
    let keys = keys(0, &[(1, KeyStatus::Current), (2, KeyStatus::Verify)]);
    let mut chance = Chance(42);
    let mut last = token();
    for number in 0..MUTATIONS {
        if number % 1000 == 0 {
            last = RefreshToken { generation: number, tag_key: 1 + (number / 1000 % 2) as u8, ..last };
        }
        let text = last.text(&keys).expect("its key");
        let mut bytes = codec::decode::<BYTES>(REFRESH_PREFIX, &text).expect("well-formed");
        let bit = number as usize % (BYTES * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RefreshToken::open(&codec::encode(REFRESH_PREFIX, &bytes), &keys), None, "bit {bit}");
    }
    let text = last.text(&keys).expect("its key");
    let good = codec::decode::<BYTES>(REFRESH_PREFIX, &text).expect("well-formed");
    for _ in 0..MUTATIONS {
        let mut bytes = good;
        for _ in 0..=chance.below(8) {
            bytes[chance.below(BYTES)] = chance.next() as u8;
        }
        if bytes != good {
            assert_eq!(RefreshToken::open(&codec::encode(REFRESH_PREFIX, &bytes), &keys), None);
        }
    }
}

/// Check T15: the text itself, changed in one character or in many, without a checksum that fits.
#[test]
fn a_mistyped_token_is_not_ours() {
    let (keys, text) = (keys_now(), token().text(&keys_now()).expect("its key"));
    for position in 0..text.len() {
        for other in 0..=127_u8 {
            let mut bytes = text.clone().into_bytes();
            if std::mem::replace(&mut bytes[position], other) != other {
                let mistyped = String::from_utf8(bytes).expect("ASCII");
                assert_eq!(RefreshToken::open(&mistyped, &keys), None, "{mistyped}");
            }
        }
    }
    let swapped = |a: usize, b: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes.swap(a, b);
        String::from_utf8(bytes).expect("ASCII")
    };
    for position in 4..text.len() - 1 {
        let mistyped = swapped(position, position + 1);
        assert!(mistyped == text || RefreshToken::open(&mistyped, &keys).is_none());
    }
}

/// Check T16: cut off, grown, doubled, padded with blanks, percent-encoded, look-alikes, NUL.
#[test]
fn a_token_that_was_handled_badly_is_not_ours() {
    let (keys, text) = (keys_now(), token().text(&keys_now()).expect("its key"));
    for length in 0..text.len() {
        assert_eq!(RefreshToken::open(&text[..length], &keys), None);
        assert_eq!(RefreshToken::open(&text[text.len() - length..], &keys), None);
    }
    let tail = &text[4..];
    let mut bad = vec![
        text.repeat(2),
        format!("{text},{text}"),
        format!("Bearer {text}"),
        text.to_uppercase(),
        text.to_lowercase(),
        format!("RGR_{tail}"),
        format!("rgr%5F{tail}"),
        format!("rgr\u{ff3f}{tail}"),
        format!("{}\u{0430}", &text[..text.len() - 1]),
        format!("{}\u{ff10}", &text[..text.len() - 3]),
        tail.to_owned(),
        String::new(),
        "rgr_".to_owned(),
        "rgr_".repeat(1_000_000),
        format!("rgr_{}", "z".repeat(109)),
        format!("rgr_{}", "0".repeat(109)),
    ];
    for padding in [" ", "\t", "\n", "\r\n", "\0", "=", "\u{a0}", "\u{200b}", "\u{feff}", "0", "%00", "+", "."] {
        bad.push(format!("{padding}{text}"));
        bad.push(format!("{text}{padding}"));
        bad.push(format!("{}{padding}{}", &text[..50], &text[50..]));
        bad.push(format!("{}{padding}{}", &text[..50], &text[50 + padding.len().min(60)..]));
    }
    for text in bad {
        assert_eq!(RefreshToken::open(&text, &keys), None, "{text:?}");
        assert_eq!(Code::open(&text, &keys), None, "{text:?}");
        assert_eq!(AccessToken::open(&text, &keys), None, "{text:?}");
    }
}

/// Check T13: what another deployment minted is not ours, under the same root key and under the same deployment id.
#[test]
fn another_deployments_token_is_not_ours() {
    let seed = [(1, zeroize::Zeroizing::new([5; 32]))];
    let here = keys_now();
    let elsewhere = Keys::new(&root(), DeploymentId([8; 16]), 0, &seed).expect("a working set");
    let another_root = Keys::new(&RootKey::new([2; 32]), DEPLOYMENT, 0, &seed).expect("a working set");
    for other in [&elsewhere, &another_root] {
        assert_eq!(RefreshToken::open(&token().text(other).expect("its key"), &here), None);
        let code = Code { tag_key: 1, era: 0, grant: token().grant, seed: Seed::new([4; 32]) };
        assert_eq!(Code::open(&code.text(other).expect("its key"), &here), None);
        let access = access_token().seal([1; 12], other).expect("its key");
        assert_eq!(AccessToken::open(&access, &here), None);
    }
}

/// A version that is not ours yet is not ours, even with our tag: here the version alone is changed and nothing else can be,
/// for the tag is over it.
#[test]
fn another_version_is_not_ours() {
    let keys = keys_now();
    let mut bytes =
        codec::decode::<BYTES>(REFRESH_PREFIX, &token().text(&keys).expect("its key")).expect("well-formed");
    for version in (0..=u8::MAX).filter(|version| *version != 1) {
        bytes[0] = version;
        assert_eq!(RefreshToken::open(&codec::encode(REFRESH_PREFIX, &bytes), &keys), None);
    }
}

/// Check A9: each kind of credential at each opener, as it is and under every other's prefix: only its own is taken.
#[test]
fn each_kind_opens_its_own_slot_only() {
    let world = World::public();
    let keys = &world.keys;
    let (grant, code) = grant_with_code(&world.client, keys, "openid", &[]);
    let granted = Granted { scope: scope("openid"), resources: Resources::default() };
    let (_, device) = device::ask(grant.id, &world.client, granted, keys, grant.rotated_at, &entropy(9));
    let texts = [
        (Kind::Refresh, world.first.text(keys).expect("its key")),
        (Kind::Access, access_token().seal([1; 12], keys).expect("its key")),
        (Kind::Code, code.text(keys).expect("its key")),
        (Kind::Device, device.text(keys).expect("its key")),
        (Kind::ClientSecret, client_secret([6; 32]).to_string()),
        (Kind::InitialAccess, registration_token(Kind::InitialAccess, [7; 32]).to_string()),
        (Kind::Registration, registration_token(Kind::Registration, [8; 32]).to_string()),
    ];
    for (kind, text) in &texts {
        assert_eq!(Kind::of(text), Some(*kind));
        for (disguise, slot) in Kind::ALL.into_iter().flat_map(|kind| Kind::ALL.map(|slot| (kind, slot))) {
            let disguised = format!("{}{}", disguise.prefix(), &text[4..]);
            let resummed = format!("{}{}", &disguised[..disguised.len() - 6], checksum(&disguised));
            for text in [disguised, resummed] {
                let taken = match slot {
                    Kind::Refresh => RefreshToken::open(&text, keys).is_some(),
                    Kind::Access => AccessToken::open(&text, keys).is_some(),
                    Kind::Code => Code::open(&text, keys).is_some(),
                    Kind::Device => DeviceCode::open(&text, keys).is_some(),
                    Kind::ClientSecret => client_secret_hash(&text) == client_secret_hash(&texts[4].1),
                    Kind::InitialAccess => {
                        registration_token_hash(slot, &text) == registration_token_hash(slot, &texts[5].1)
                    }
                    Kind::Registration => {
                        registration_token_hash(slot, &text) == registration_token_hash(slot, &texts[6].1)
                    }
                };
                assert_eq!(taken, slot == *kind && disguise == *kind, "{kind:?} as {disguise:?} at {slot:?}: {text}");
            }
        }
    }
}

/// The checksum that fits a text whose last six characters are one.
fn checksum(text: &str) -> String {
    codec::encode_plain(&crc32fast::hash(&text.as_bytes()[..text.len() - 6]).to_be_bytes())
}

/// Check A9: the tag of a code is no tag of a refresh token of generation 0, and a code of another generation is none.
#[test]
fn a_code_is_no_refresh_token_of_generation_zero() {
    let (keys, token) = (keys_now(), RefreshToken { generation: 0, ..token() });
    let bytes = codec::decode::<BYTES>(REFRESH_PREFIX, &token.text(&keys).expect("its key")).expect("well-formed");
    assert_eq!(Code::open(&codec::encode(CODE_PREFIX, &bytes), &keys), None);
}

/// The `jti` of an access token carries its grant's number and generation; two of one grant show nothing in common.
#[test]
fn a_jti_comes_back() {
    let keys = keys_now();
    for grant in [None, Some((1, 0)), Some((5, 9)), Some((u64::MAX, u32::MAX))] {
        let one = seal_jti(grant, [1; 12], &keys);
        let two = seal_jti(grant, [2; 12], &keys);
        assert_eq!((one.len(), open_jti(&one, &keys)), (32, Some(grant)));
        assert_ne!(one[..20], two[..20]);
    }
    for bad in
        ["", "a", &"A".repeat(31), &"A".repeat(33), &format!("{}=", "A".repeat(32)), &"é".repeat(16), &" ".repeat(32)]
    {
        assert_eq!(open_jti(bad, &keys), None, "{bad:?}");
    }
}

/// An opaque access token says what was sealed into it, at the ends of each range too.
#[test]
fn an_opaque_access_token_comes_back() {
    let keys = keys_now();
    let plain = access_token();
    let bare = AccessToken {
        grant: None,
        subject: String::new(),
        scope: String::new(),
        audience: Vec::new(),
        issued_at: i64::MIN,
        expires_at: i64::MAX,
        authenticated_at: None,
        jti: String::new(),
        ..plain.clone()
    };
    let long = AccessToken { scope: "s".repeat(4096), subject: "ü".repeat(100), ..plain.clone() };
    for token in [plain.clone(), bare, long] {
        let text = token.seal([7; 12], &keys).expect("its key");
        assert!(text.starts_with(ACCESS_PREFIX));
        assert_eq!(AccessToken::open(&text, &keys), Some(token));
    }
    let sealed = |length| {
        let token = AccessToken { scope: "s".repeat(length), ..plain.clone() };
        token.seal([7; 12], &keys)
    };
    let longest = (12_000..).map_while(sealed).last().expect("some fit");
    assert_eq!((longest.len(), AccessToken::open(&longest, &keys).is_some()), (MAX_LEN, true));
    assert_eq!(sealed(12_500), None, "what could not be read is not made");
    assert_ne!(plain.seal([7; 12], &keys), plain.seal([8; 12], &keys), "a fresh nonce each");
    assert_eq!(AccessToken { scope: "s".repeat(65_536), ..plain }.seal([7; 12], &keys), None, "absurdly long");
}

/// Check T15 for access tokens: every bit of the sealed text counts, and every cut.
#[test]
fn a_changed_access_token_is_not_ours() {
    let keys = keys_now();
    let text = access_token().seal([7; 12], &keys).expect("its key");
    let body = text.len() - 6;
    for position in ACCESS_PREFIX.len()..body {
        for other in *b"ABgw09-_aZ" {
            let mut bytes = text.clone().into_bytes();
            if std::mem::replace(&mut bytes[position], other) == other {
                continue;
            }
            let changed = String::from_utf8(bytes).expect("ASCII");
            let resummed = format!("{}{}", &changed[..body], checksum(&changed));
            assert_eq!(AccessToken::open(&changed, &keys), None);
            assert_eq!(AccessToken::open(&resummed, &keys), None, "{resummed}");
        }
    }
    for cut in 0..text.len() {
        assert_eq!(AccessToken::open(&text[..cut], &keys), None);
        let shorter = format!("{}000000", &text[..cut]);
        let resummed = format!("{}{}", &text[..cut], checksum(&shorter));
        assert!(AccessToken::open(&resummed, &keys).is_none() || resummed == text);
    }
}

/// A client secret has 256 bits and the published prefix.
#[test]
fn a_client_secret_is_long_and_recognisable() {
    let secret = client_secret([6; 32]);
    assert_eq!((secret.len(), Kind::of(&secret)), (53, Some(Kind::ClientSecret)));
    assert_ne!(client_secret([7; 32]), secret);
}

proptest! {
    /// Check I1: no text makes an opener panic, and what is opened is written the same.
    #[test]
    fn every_text_is_opened_or_not_ours(text in "(rgr_|rgk_|rga_|rgs_)?[ -~]{0,130}|.{0,130}") {
        let keys = keys_now();
        prop_assert_eq!(RefreshToken::open(&text, &keys), None);
        prop_assert_eq!(Code::open(&text, &keys), None);
        prop_assert_eq!(AccessToken::open(&text, &keys), None);
        let _ = open_jti(&text, &keys);
        let _ = GrantId::parse(&text, &keys);
    }
}
