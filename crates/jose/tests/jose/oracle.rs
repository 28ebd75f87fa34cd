//! Another reader and writer: the crate `jsonwebtoken` verifies what we sign, and we verify what it signs, with each algorithm that both
//! know. What it takes and we refuse, and the other way round, is said here.

use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use regrant_jose::{Algorithm, SigningKey, Typ, Unverified, VerifyingKey, sign_shared, verify_shared};
use serde_json::{Value, json};

use super::world::{rsa, rsa_pss};

const SECRET: &[u8] = b"a secret of at least 32 bytes, as RFC 7518 section 3.2 asks";

fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}

fn key(algorithm: Algorithm) -> SigningKey {
    match algorithm {
        Algorithm::Rs256 => SigningKey::from_pkcs8(algorithm, &rsa().to_pkcs8()).unwrap(),
        Algorithm::Ps256 => rsa_pss(),
        Algorithm::Es256 | Algorithm::EdDsa => SigningKey::generate(algorithm).unwrap(),
    }
}

fn claims() -> Value {
    json!({"iss": "https://as.example", "aud": "rs", "sub": "usr_1", "exp": 4_000_000_000_u64, "n": [1, {"a": "é"}]})
}

fn validation(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["rs"]);
    validation.set_issuer(&["https://as.example"]);
    validation
}

/// Their decoding key, of our published JWK.
fn decoding(key: &SigningKey) -> DecodingKey {
    let jwk = serde_json::to_value(key.public_jwk()).unwrap();
    let text = |name: &str| jwk[name].as_str().unwrap().to_owned();
    match key.algorithm() {
        Algorithm::Es256 => DecodingKey::from_ec_components(&text("x"), &text("y")).unwrap(),
        Algorithm::EdDsa => DecodingKey::from_ed_components(&text("x")).unwrap(),
        Algorithm::Ps256 | Algorithm::Rs256 => DecodingKey::from_rsa_components(&text("n"), &text("e")).unwrap(),
    }
}

/// Their encoding key, of our private key.
fn encoding(key: &SigningKey) -> EncodingKey {
    let der = key.to_pkcs8();
    match key.algorithm() {
        Algorithm::Es256 => EncodingKey::from_ec_der(&der),
        Algorithm::EdDsa => EncodingKey::from_ed_der(&der),
        // Theirs is the RSAPrivateKey inside (RFC 8017 appendix A.1.2), behind the 26 bytes of the algorithm of 2048-bit keys.
        Algorithm::Ps256 | Algorithm::Rs256 => EncodingKey::from_rsa_der(&der[26..]),
    }
}

#[test]
fn what_we_sign_they_verify() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let token = key.sign("at+jwt", &claims()).unwrap();
        let read = decode::<Value>(&token, &decoding(&key), &validation(theirs(algorithm))).unwrap();
        assert_eq!(read.claims, claims(), "{algorithm}");
        assert_eq!((read.header.kid.as_deref(), read.header.typ.as_deref()), (Some(key.kid()), Some("at+jwt")));
        // Another key of the same kind does not.
        let other = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => continue,
            Algorithm::Es256 | Algorithm::EdDsa => SigningKey::generate(algorithm).unwrap(),
        };
        assert!(decode::<Value>(&token, &decoding(&other), &validation(theirs(algorithm))).is_err());
    }
}

#[test]
fn what_they_sign_we_verify() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let header = Header { kid: Some(key.kid().to_owned()), ..Header::new(theirs(algorithm)) };
        let token = encode(&header, &claims(), &encoding(&key)).unwrap();
        let published = VerifyingKey::from_jwk(&key.public_jwk()).unwrap();
        let read = Unverified::parse(&token).unwrap().verify(Typ::JwtOrAbsent, &[published]).unwrap();
        assert_eq!(Value::Object(read.claims), claims(), "{algorithm}");
    }
}

/// HS256, both ways; and a secret that is too short for us is refused by us alone.
#[test]
fn shared_secrets_are_used_alike() {
    let hs256 = jsonwebtoken::Algorithm::HS256;
    let ours = sign_shared("JWT", &claims(), SECRET).unwrap();
    let read = decode::<Value>(&ours, &DecodingKey::from_secret(SECRET).unwrap(), &validation(hs256)).unwrap();
    assert_eq!(read.claims, claims());
    let their_token = encode(&Header::new(hs256), &claims(), &EncodingKey::from_secret(SECRET).unwrap()).unwrap();
    assert_eq!(Value::Object(verify_shared(&their_token, Typ::JwtOrAbsent, SECRET).unwrap()), claims());
    let short = encode(&Header::new(hs256), &claims(), &EncodingKey::from_secret(b"short").unwrap()).unwrap();
    assert!(verify_shared(&short, Typ::JwtOrAbsent, b"short").is_err());
}
