//! Parsers by themselves.

use std::path::Path;
use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderValue};
use regrant_core::access::{AccessToken, open_jti};
use regrant_core::keys::{DeploymentId, Purpose, RootKey};
use regrant_core::prompt::Prompt;
use regrant_core::response_type::ResponseType;
use regrant_core::scope::{MAX_SCOPE_LEN, MAX_SCOPES};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, DeviceCode, RefreshToken};
use regrant_core::{ClientId, Keys, Resources, Scope, codec, pkce, redirect};
use regrant_jose::jwe::{self, ContentAlgorithm, DecryptingKey, EncryptingKey, KeyAlgorithm};
use regrant_jose::{Jwk, JwkSet, Typ, Unverified, VerifyingKey};
use regrant_server::claims::{check_name, check_value};
use regrant_server::form::Form;
use regrant_server::{Config, client_auth};

use super::twins;
use crate::exploit::format;

const DEPLOYMENT: DeploymentId = DeploymentId([3; 16]);

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let root = RootKey::new([7; 32]);
        let seed_keys = [(1, root.derive(Purpose::Wrap, DEPLOYMENT, 1))];
        Keys::new(&root, DEPLOYMENT, 0, &seed_keys).expect("a working set of keys")
    })
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// One text stands for one token, and a second reader takes it apart alike.
pub(super) fn refresh_token(data: &[u8]) {
    let (text, keys) = (text(data), keys());
    if let Some(token) = RefreshToken::open(&text, keys) {
        assert_eq!(token.text(keys).as_deref(), Some(text.as_str()), "two texts of one token");
        let twin = format::Token::read(&text).expect("the second reader takes it, too");
        assert_eq!((twin.tag_key, twin.era, twin.generation), (token.tag_key, token.era, token.generation));
        assert!(twins::decode("rgr_", &text, 76).is_some());
    }
    if let Some(code) = Code::open(&text, keys) {
        assert_eq!(code.text(keys).as_deref(), Some(text.as_str()));
    }
    if let Some(code) = DeviceCode::open(&text, keys) {
        assert_eq!(code.text(keys).as_deref(), Some(text.as_str()));
    }
}

pub(super) fn access_token(data: &[u8]) {
    let text = text(data);
    // Nothing but what was sealed under this key is opened: the fuzzer does not have it.
    assert!(AccessToken::open(&text, keys()).is_none(), "an access token that nobody sealed");
    let _ = open_jti(&text, keys());
}

pub(super) fn codec(data: &[u8]) {
    let text = text(data);
    let ours = codec::decode::<32>("rgs_", &text).map(|bytes| bytes.to_vec());
    assert_eq!(ours, twins::decode("rgs_", &text, 32), "{text:?}");
    if let Ok(bytes) = <[u8; 32]>::try_from(data.get(..32).unwrap_or_default()) {
        let written = codec::encode("rgs_", &bytes);
        assert_eq!(codec::decode::<32>("rgs_", &written), Some(bytes));
        assert_eq!(twins::decode("rgs_", &written, 32).as_deref(), Some(bytes.as_slice()));
    }
}

pub(super) fn form(data: &[u8]) {
    let (ours, twin) = (Form::parse_repeated(data), twins::form(data));
    let Ok(form) = ours else {
        let few = twin.as_ref().is_some_and(|pairs| pairs.len() <= 64);
        assert!(!few, "refused, and well-formed: {:?}", text(data));
        return;
    };
    let twin = twin.expect("taken, and malformed");
    for (name, _) in &twin {
        // The URL standard decodes names "without failing": names that differ only in bytes that are no UTF-8 are one name.
        let name = String::from_utf8_lossy(name);
        let is_same = |other: &[u8]| String::from_utf8_lossy(other) == name;
        let name = name.as_ref();
        let expected: Vec<&[u8]> = twin
            .iter()
            .filter(|(other, value)| is_same(other) && !value.is_empty())
            .map(|(_, value)| value.as_slice())
            .collect();
        let ours: Vec<&str> = form.all(name).collect();
        assert_eq!(ours.len(), expected.len(), "{name}");
        for (ours, expected) in ours.iter().zip(expected) {
            assert_eq!(*ours, String::from_utf8_lossy(expected), "{name}");
        }
        assert_eq!(form.is_repeated(name), twin.iter().filter(|(other, _)| is_same(other)).count() > 1);
        let _ = (form.ascii("client_id", 255), form.text("username", 256), form.utf8(name));
    }
}

pub(super) fn client_auth(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (header, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(form) = Form::parse(body) else { return };
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(header) else { return };
    headers.insert("authorization", value);
    let read = client_auth::read(&headers, &form);
    let text = text(header);
    let plain = body.is_empty() && text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "));
    if plain {
        let twin = twins::basic(&text[6..]);
        let ours = read.as_ref().ok().and_then(|read| read.as_ref().ok());
        assert_eq!(ours.is_some(), twin.is_some(), "{text:?}");
        if let (Some(ours), Some((id, _))) = (ours, twin) {
            let decoded = twins::percent_decoded(id.as_bytes()).map(|id| String::from_utf8_lossy(&id).into_owned());
            assert!(ours.claimed() == id || Some(ours.claimed()) == decoded.as_deref(), "{text:?}");
        }
    }
}

pub(super) fn jwt(data: &[u8]) {
    static KEY: OnceLock<VerifyingKey> = OnceLock::new();
    let key = KEY.get_or_init(|| VerifyingKey::from_jwk(&crate::wire::assertion::key().public_jwk()).expect("a key"));
    let text = text(data);
    let verified = regrant_jose::verify(&text, "at+jwt", std::slice::from_ref(key));
    assert!(verified.is_err(), "a signature that nobody made");
    assert!(regrant_jose::verify_shared(&text, Typ::JwtOrAbsent, b"a secret of thirty-two bytes....").is_err());
    let _ = regrant_jose::peek(&text);
    if let Ok(token) = Unverified::parse(&text) {
        let _ = (token.header(), token.claims_unverified());
    }
}

/// The private number of the key that tokens of the corpus are encrypted to.
const DECRYPTING: [u8; 32] = [7; 32];

/// What opens, opens for a second reader alike; what is sealed opens; and any header, before something that does not open, is an error.
pub(super) fn jwe(data: &[u8]) {
    static KEYS: OnceLock<[DecryptingKey; 1]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| [DecryptingKey::from_p256(&DECRYPTING).expect("a key")]);
    let text = text(data);
    if let Ok(opened) = jwe::decrypt(&text, keys) {
        let twin = twins::jwe(&text, &DECRYPTING);
        let is_direct = opened.algorithm == KeyAlgorithm::EcdhEs && opened.encryption != ContentAlgorithm::A128CbcHs256;
        assert_eq!(twin.as_deref(), is_direct.then_some(opened.content.as_slice()), "{text:?}");
    }
    let header = regrant_jose::base64url::encode(data);
    let closed = jwe::decrypt(&format!("{header}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"), keys);
    assert!(closed.is_err(), "opened, and nobody sealed it: {text:?}");
    for algorithm in KeyAlgorithm::ECDH {
        let key = EncryptingKey::from_jwk_for(&keys[0].public_jwk(), algorithm).expect("a key");
        for content in ContentAlgorithm::ALL {
            let Ok(sealed) = key.encrypt(content, None, data) else { continue };
            let opened = jwe::decrypt(&sealed, keys).expect("what is sealed opens");
            assert_eq!(opened.content.as_slice(), data, "{algorithm} {content}");
        }
    }
}

pub(super) fn json(data: &[u8]) {
    let ours = regrant_jose::read_object(data);
    let twin = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(data);
    if let Ok(ours) = ours {
        assert_eq!(Some(&ours), twin.as_ref().ok(), "taken, and read otherwise by another reader");
    }
}

pub(super) fn jwk(data: &[u8]) {
    let is_private = |key: &serde_json::Value| ["d", "p", "q", "k"].iter().any(|name| !key[*name].is_null());
    let text = text(data);
    if let Ok(jwk) = serde_json::from_slice::<Jwk>(data) {
        if let Ok(key) = VerifyingKey::from_jwk(&jwk) {
            assert!(!key.kid().is_empty() || jwk.thumbprint().is_ok());
            let written = serde_json::to_value(&jwk).expect("a key is written");
            assert!(!is_private(&written), "a private member was published: {written}");
        }
        let _ = jwk.thumbprint();
    }
    if let Ok(set) = serde_json::from_str::<JwkSet>(&text) {
        let _ = serde_json::to_string(&set);
    }
}

pub(super) fn times(data: &[u8]) {
    const NOW: u64 = 1_800_000_000;
    let Ok(claims) = regrant_jose::read_object(data) else { return };
    if regrant_jose::check_times(&claims, NOW, 5).is_ok() {
        // CVE-2026-25537: a text is no time.
        let exp = claims.get("exp").and_then(serde_json::Value::as_f64).expect("a number");
        assert!(exp > (NOW - 5) as f64 - 1.0, "what is over was taken: {exp}");
        assert!(claims.get("nbf").is_none_or(serde_json::Value::is_number));
        assert!(claims.get("iat").is_none_or(serde_json::Value::is_number));
    }
    let _ = regrant_jose::check_issuer(&claims, "https://as.example");
    let _ = regrant_jose::check_audience(&claims, "https://as.example");
}

pub(super) fn base64url(data: &[u8]) {
    let text = text(data);
    assert_eq!(regrant_jose::base64url::decode(&text).ok(), twins::base64url(&text), "{text:?}");
    assert_eq!(regrant_jose::base64url::decode(&regrant_jose::base64url::encode(data)).ok().as_deref(), Some(data));
}

pub(super) fn redirect(data: &[u8]) {
    const REGISTERED: [&str; 5] = [
        "https://app.example/cb",
        "https://app.example:8443/cb?x=1",
        "http://127.0.0.1/cb",
        "http://[::1]:1/cb",
        "com.example.app:/cb",
    ];
    let text = text(data);
    if redirect::matches(&text, REGISTERED) {
        assert!(REGISTERED.iter().any(|known| twins::is_same_redirect(&text, known)), "{text:?}");
    }
    let _ = redirect::shown(&text);
    if redirect::check(&text).is_ok() {
        assert!(text.is_ascii() && !text.contains(['#', '\\', ' ', '\r', '\n', '"', '<']), "{text:?}");
        assert!(redirect::matches(&text, [text.as_str()]), "what may be registered matches itself");
        let lower = text.to_ascii_lowercase();
        assert!(!["javascript:", "data:", "vbscript:", "file:"].iter().any(|bad| lower.starts_with(bad)), "{text:?}");
        assert!(HeaderValue::from_str(&text).is_ok(), "it goes into a header");
    }
}

pub(super) fn scope(data: &[u8]) {
    let text = text(data);
    let ours = Scope::parse(&text);
    let twin = twins::scope(&text);
    match &ours {
        Ok(ours) => {
            let twin = twin.expect("taken, and no scope");
            assert_eq!(ours.iter().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(), twin);
            let again = Scope::parse(&ours.to_string()).expect("what is written is read");
            assert!(again == *ours && ours.is_within(&again) && ours.intersection(&again) == *ours);
        }
        // Ours bounds length and number.
        Err(_) => assert!(twin.is_none_or(|twin| text.len() > MAX_SCOPE_LEN || twin.len() > MAX_SCOPES), "{text:?}"),
    }
    if let Ok(resources) = Resources::parse(&text) {
        assert_eq!(Resources::parse(&resources.to_string()).ok(), Some(resources));
    }
}

pub(super) fn pkce(data: &[u8]) {
    let text = text(data);
    let right = Hash::of(text.as_bytes());
    let verified = pkce::verify(Some(&right), Some(&text));
    assert_eq!(verified.is_ok(), twins::is_verifier(&text), "{text:?}");
    assert!(pkce::verify(None, Some(&text)).is_err() || text.is_empty(), "a verifier without a challenge");
    let wrong = Hash::of(b"another");
    assert!(pkce::verify(Some(&wrong), Some(&text)).is_err());
    let challenge = pkce::challenge(Some(&text), Some("S256"), true);
    let twin = twins::base64url(&text).filter(|bytes| bytes.len() == 32);
    assert_eq!(challenge.ok().flatten().map(|hash| hash.0.to_vec()), twin, "{text:?}");
    assert!(pkce::challenge(Some(&text), None, false).is_err(), "no method means plain");
}

pub(super) fn names(data: &[u8]) {
    let text = text(data);
    if let Some(id) = ClientId::parse(&text) {
        assert!(id.as_str() == text && !text.starts_with("usr_"), "{text:?}");
    }
    if let Some(kind) = ResponseType::parse(&text) {
        let _ = (kind.mode(None), kind.mode(Some(&text)));
    }
    let _ = Prompt::parse(&text);
    if check_name(&text).is_ok() {
        assert!(!["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "cnf"].contains(&text.as_str()));
    }
}

pub(super) fn claims(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    if check_value(&value).is_ok() {
        let written = serde_json::to_string(&value).expect("written");
        let again: serde_json::Value = serde_json::from_str(&written).expect("read");
        assert!(check_value(&again).is_ok(), "{written}");
    }
}

pub(super) fn config(data: &[u8]) {
    let text = text(data);
    match Config::parse(&text, "fuzz.toml", Path::new(".")) {
        Ok(config) => drop(config),
        Err(errors) => assert!(!errors.to_string().is_empty(), "a refusal without a word"),
    }
}
