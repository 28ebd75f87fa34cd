//! Keys: RFC 7517, RFC 7518 section 6, RFC 7638, RFC 8037 section 2.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use regrant_jose::{Algorithm, Jwk, JwkSet, KeyError, SigningKey, VerifyingKey, base64url, verify};
use serde_json::{Value, json};

use crate::world::{TYP, World, public, rsa, rsa_pss};

fn ec() -> Value {
    serde_json::to_value(World::new().key.public_jwk()).unwrap()
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn refusal(key: Value) -> KeyError {
    VerifyingKey::from_jwk(&serde_json::from_value(key).unwrap()).unwrap_err()
}

#[test]
fn a_key_survives_pkcs8_with_its_name() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm).unwrap();
        let again = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8()).unwrap();
        assert_eq!(again.public_jwk(), key.public_jwk());
        let token = again.sign(TYP, &json!({})).unwrap();
        assert!(verify(&token, TYP, &[public(&key)]).is_ok());
    }
    let again = SigningKey::from_pkcs8(Algorithm::Rs256, &rsa().to_pkcs8()).unwrap();
    assert_eq!(again.public_jwk(), rsa().public_jwk());
}

#[test]
fn the_kid_is_the_thumbprint() {
    for key in [&SigningKey::generate(Algorithm::Es256).unwrap(), rsa()] {
        let jwk = key.public_jwk();
        assert_eq!(jwk.thumbprint().unwrap(), key.kid());
        assert_eq!(jwk.kid.as_deref(), Some(key.kid()));
        assert_eq!(key.kid().len(), 43);
    }
}

#[test]
fn a_published_key_says_its_algorithm_and_use_and_nothing_private() {
    let members = |key: &SigningKey| {
        let Value::Object(members) = serde_json::to_value(key.public_jwk()).unwrap() else { panic!("no object") };
        members.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(members(&World::new().key), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(members(&SigningKey::generate(Algorithm::EdDsa).unwrap()), ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(members(rsa()), ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(rsa_pss().public_jwk().alg.as_deref(), Some("PS256"));
}

#[test]
fn a_signing_key_shows_nothing_private() {
    let key = World::new().key;
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("SigningKey {{ kid: {:?}, algorithm: Es256, .. }}", key.kid()));
}

#[test]
fn a_pkcs8_of_another_kind_or_curve_is_refused() {
    let es256 = World::new().key.to_pkcs8();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        assert_eq!(SigningKey::from_pkcs8(algorithm, &es256).unwrap_err(), KeyError::BadPkcs8, "{algorithm}");
    }
    for der in [p384.as_ref(), rsa().to_pkcs8().as_ref(), b"", b"0", &es256[..es256.len() - 1]] {
        assert_eq!(SigningKey::from_pkcs8(Algorithm::Es256, der).unwrap_err(), KeyError::BadPkcs8);
    }
}

#[test]
fn a_private_key_is_refused_where_a_public_one_is_expected() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [json!("AAAA"), Value::Null] {
            let error = serde_json::from_value::<Jwk>(with(ec(), name, value)).unwrap_err();
            assert!(error.to_string().contains("a private key"), "{name}: {error}");
        }
    }
    let set = json!({"keys": [{"kty": "oct", "k": "AAAA"}]});
    assert!(serde_json::from_value::<JwkSet>(set).is_err());
}

#[test]
fn a_key_with_a_member_twice_is_refused() {
    for text in [r#"{"kty":"EC","kty":"RSA"}"#, r#"{"kty":"EC","x":"A","x":"B"}"#] {
        assert!(serde_json::from_str::<Jwk>(text).is_err(), "{text}");
    }
}

/// RFC 7517 section 5: unknown key types in a set SHOULD be ignored.
#[test]
fn a_set_may_hold_keys_of_kinds_we_do_not_know() {
    let set = json!({"keys": [{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, ec()], "more": 1});
    let set: JwkSet = serde_json::from_value(set).unwrap();
    let usable: Vec<_> = set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect();
    assert_eq!((set.keys.len(), usable.len()), (2, 1));
}

#[test]
fn a_set_holds_at_most_sixty_four_keys() {
    let set = |count: usize| json!({"keys": vec![json!({"kty": "EC"}); count]});
    assert!(serde_json::from_value::<JwkSet>(set(64)).is_ok());
    assert!(serde_json::from_value::<JwkSet>(set(65)).is_err());
}

/// Check J4: ES256 is on P-256 alone.
#[test]
fn a_key_on_another_curve_is_refused() {
    for curve in ["P-384", "P-521", "secp256k1", "p-256", "Ed25519"] {
        assert_eq!(refusal(with(ec(), "crv", curve)), KeyError::UnsupportedType, "{curve}");
    }
    let ed448 = json!({"kty": "OKP", "crv": "Ed448", "x": "AAAA"});
    assert_eq!(refusal(ed448), KeyError::UnsupportedType);
    assert_eq!(refusal(json!({"kty": "EC", "x": "AAAA"})), KeyError::MissingMember("crv"));
}

/// RFC 8725 section 3.4: cryptographic inputs are validated, points of a curve first of all.
#[test]
fn a_point_off_the_curve_is_refused() {
    let one = base64url::encode(&[&[0; 31][..], &[1]].concat());
    assert_eq!(refusal(with(ec(), "y", one)), KeyError::BadPublicKey);
    let zero = base64url::encode(&[0; 32]);
    assert_eq!(refusal(with(with(ec(), "x", zero.clone()), "y", zero)), KeyError::BadPublicKey);
}

#[test]
fn a_coordinate_of_another_length_or_spelling_is_refused() {
    for x in ["", "AA", &base64url::encode(&[1; 31]), &base64url::encode(&[1; 33]), "====", "a b"] {
        assert_eq!(refusal(with(ec(), "x", x)), KeyError::BadMember("x"), "{x}");
    }
}

/// Checks J3, J4: no key of 1024 bits, and no exponent of 1.
#[test]
fn an_rsa_key_has_2048_to_4096_bits_and_a_sound_exponent() {
    let key = |bytes: usize, e: &[u8]| {
        let n = [vec![0xff; bytes - 1], vec![0xfd]].concat();
        json!({"kty": "RSA", "alg": "RS256", "n": base64url::encode(&n), "e": base64url::encode(e)})
    };
    let accepts = |bytes: usize| VerifyingKey::from_jwk(&serde_json::from_value(key(bytes, &[1, 0, 1])).unwrap());
    assert!(accepts(256).is_ok());
    assert!(accepts(512).is_ok());
    for bytes in [128, 255, 513, 1024] {
        assert_eq!(accepts(bytes).unwrap_err(), KeyError::RsaSize, "{bytes}");
    }
    for e in [&[1][..], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(refusal(key(256, e)), KeyError::BadPublicKey, "{e:?}");
    }
    for e in [&[][..], &[0], &[0, 1, 0, 1]] {
        assert_eq!(refusal(key(256, e)), KeyError::BadMember("e"), "{e:?}");
    }
}

#[test]
fn an_rsa_key_must_say_its_algorithm_or_the_caller_must() {
    let jwk = Jwk { alg: None, ..rsa().public_jwk() };
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap_err(), KeyError::AlgorithmMissing);
    assert_eq!(VerifyingKey::from_jwk_for(&jwk, Algorithm::Ps256).unwrap().algorithm(), Algorithm::Ps256);
    let named = rsa().public_jwk();
    assert_eq!(VerifyingKey::from_jwk_for(&named, Algorithm::Ps256).unwrap_err(), KeyError::UnsupportedAlgorithm);
}

#[test]
fn an_algorithm_that_does_not_go_with_the_kind_is_refused() {
    for alg in ["RS256", "PS256", "EdDSA", "HS256", "none", "ES384", "ECDH-ES"] {
        assert_eq!(refusal(with(ec(), "alg", alg)), KeyError::UnsupportedAlgorithm, "{alg}");
    }
}

#[test]
fn a_key_meant_for_something_else_is_refused() {
    assert_eq!(refusal(with(ec(), "use", "enc")), KeyError::NotForSignatures);
    assert_eq!(refusal(with(ec(), "key_ops", json!(["sign", "deriveKey"]))), KeyError::NotForSignatures);
    let jwk: Jwk = serde_json::from_value(with(ec(), "key_ops", json!(["verify"]))).unwrap();
    assert!(VerifyingKey::from_jwk(&jwk).is_ok());
}

#[test]
fn a_key_without_a_kid_is_called_by_its_thumbprint() {
    let jwk = Jwk { kid: None, ..World::new().key.public_jwk() };
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap().kid(), jwk.thumbprint().unwrap());
}
