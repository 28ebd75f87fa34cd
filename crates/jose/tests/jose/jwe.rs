//! Encrypted tokens, RFC 7516 and RFC 7518 sections 4 and 5: the vectors of RFC 7520, each algorithm there and back, and what does not open.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use regrant_jose::jwe::{
    ContentAlgorithm, DecryptError, DecryptingKey, EncryptError, EncryptingKey, KeyAlgorithm, MAX_ENCRYPTED_BYTES,
    decrypt,
};
use regrant_jose::{JsonFault, Jwk, JwkSet, KeyError, base64url};

use super::world::rsa;

/// RFC 7520 section 5: "Figure 72: Plaintext Content".
const FRODO: &str = "You can trust us to stick with you through thick and thin\u{2013}to the bitter end. And you can trust us to keep any secret of yours\u{2013}closer than you keep it yourself. But you cannot trust us to let you face trouble alone, and go off without a word. We are your friends, Frodo.";

const RFC_7520_5_5: &str = "eyJhbGciOiJFQ0RILUVTIiwia2lkIjoibWVyaWFkb2MuYnJhbmR5YnVja0BidWNrbGFuZC5leGFtcGxlIiwiZXBrIjp7Imt0eSI6IkVDIiwiY3J2IjoiUC0yNTYiLCJ4IjoibVBVS1RfYkFXR0hJaGcwVHBqanFWc1AxclhXUXVfdndWT0hIdE5rZFlvQSIsInkiOiI4QlFBc0ltR2VBUzQ2ZnlXdzVNaFlmR1RUMElqQnBGdzJTUzM0RHY0SXJzIn0sImVuYyI6IkExMjhDQkMtSFMyNTYifQ..yc9N8v5sYyv3iGQT926IUg.BoDlwPnTypYq-ivjmQvAYJLb5Q6l-F3LIgQomlz87yW4OPKbWE1zSTEFjDfhU9IPIOSA9Bml4m7iDFwA-1ZXvHteLDtw4R1XRGMEsDIqAYtskTTmzmzNa-_q4F_evAPUmwlO-ZG45Mnq4uhM1fm_D9rBtWolqZSF3xGNNkpOMQKF1Cl8i8wjzRli7-IXgyirlKQsbhhqRzkv8IcY6aHl24j03C-AR2le1r7URUhArM79BY8soZU0lzwI-sD5PZ3l4NDCCei9XkoIAfsXJWmySPoeRb2Ni5UZL4mYpvKDiwmyzGd65KqVw7MsFfI_K767G9C9Azp73gKZD0DyUn1mn0WW5LmyX_yJ-3AROq8p1WZBfG-ZyJ6195_JGG2m9Csg.WCCkNa-x4BeB9hIDIfFuhg";

const RFC_7520_5_2: &str = "eyJhbGciOiJSU0EtT0FFUCIsImtpZCI6InNhbXdpc2UuZ2FtZ2VlQGhvYmJpdG9uLmV4YW1wbGUiLCJlbmMiOiJBMjU2R0NNIn0.rT99rwrBTbTI7IJM8fU3Eli7226HEB7IchCxNuh7lCiud48LxeolRdtFF4nzQibeYOl5S_PJsAXZwSXtDePz9hk-BbtsTBqC2UsPOdwjC9NhNupNNu9uHIVftDyucvI6hvALeZ6OGnhNV4v1zx2k7O1D89mAzfw-_kT3tkuorpDU-CpBENfIHX1Q58-Aad3FzMuo3Fn9buEP2yXakLXYa15BUXQsupM4A1GD4_H4Bd7V3u9h8Gkg8BpxKdUV9ScfJQTcYm6eJEBz3aSwIaK4T3-dwWpuBOhROQXBosJzS1asnuHtVMt2pKIIfux5BC6huIvmY7kzV7W7aIUrpYm_3H4zYvyMeq5pGqFmW2k8zpO878TRlZx7pZfPYDSXZyS0CfKKkMozT_qiCwZTSz4duYnt8hS4Z9sGthXn9uDqd6wycMagnQfOTs_lycTWmY-aqWVDKhjYNRf03NiwRtb5BE-tOdFwCASQj3uuAgPGrO2AWBe38UjQb0lvXn1SpyvYZ3WFc7WOJYaTa7A8DRn6MC6T-xDmMuxC0G7S2rscw5lQQU06MvZTlFOt0UvfuKBa03cxA_nIBIhLMjY2kOTxQMmpDPTr6Cbo8aKaOnx6ASE5Jx9paBpnNmOOKH35j_QlrQhDWUN6A2Gg8iFayJ69xDEdHAVCGRzN3woEI2ozDRs.-nBoKLH0YkLZPSI9.o4k2cnGN8rSSw3IDo1YuySkqeS_t2m1GXklSgqBdpACm6UJuJowOHC5ytjqYgRL-I-soPlwqMUf4UgRWWeaOGNw6vGW-xyM01lTYxrXfVzIIaRdhYtEMRBvBWbEwP7ua1DRfvaOjgZv6Ifa3brcAM64d8p5lhhNcizPersuhw5f-pGYzseva-TUaL8iWnctc-sSwy7SQmRkfhDjwbz0fz6kFovEgj64X1I5s7E6GLp5fnbYGLa1QUiML7Cc2GxgvI7zqWo0YIEc7aCflLG1-8BboVWFdZKLK9vNoycrYHumwzKluLWEbSVmaPpOslY2n525DxDfWaVFUfKQxMF56vn4B9QMpWAbnypNimbM8zVOw.UCGiqJxhBI3IFVdPalHHvA";

/// n, e, d, p, q, dp, dq, qi of RFC 7520 section 5.2.1.
const SAMWISE: [&str; 8] = [
    "wbdxI55VaanZXPY29Lg5hdmv2XhvqAhoxUkanfzf2-5zVUxa6prHRrI4pP1AhoqJRlZfYtWWd5mmHRG2pAHIlh0ySJ9wi0BioZBl1XP2e-C-FyXJGcTy0HdKQWlrfhTm42EW7Vv04r4gfao6uxjLGwfpGrZLarohiWCPnkNrg71S2CuNZSQBIPGjXfkmIy2tl_VWgGnL22GplyXj5YlBLdxXp3XeStsqo571utNfoUTU8E4qdzJ3U1DItoVkPGsMwlmmnJiwA7sXRItBCivR4M5qnZtdw-7v4WuR4779ubDuJ5nalMv2S66-RPcnFAzWSKxtBDnFJJDGIUe7Tzizjg1nms0Xq_yPub_UOlWn0ec85FCft1hACpWG8schrOBeNqHBODFskYpUc2LC5JA2TaPF2dA67dg1TTsC_FupfQ2kNGcE1LgprxKHcVWYQb86B-HozjHZcqtauBzFNV5tbTuB-TpkcvJfNcFLlH3b8mb-H_ox35FjqBSAjLKyoeqfKTpVjvXhd09knwgJf6VKq6UC418_TOljMVfFTWXUxlnfhOOnzW6HSSzD1c9WrCuVzsUMv54szidQ9wf1cYWf3g5qFDxDQKis99gcDaiCAwM3yEBIzuNeeCa5dartHDb1xEB_HcHSeYbghbMjGfasvKn0aZRsnTyC0xhWBlsolZE",
    "AQAB",
    "n7fzJc3_WG59VEOBTkayzuSMM780OJQuZjN_KbH8lOZG25ZoA7T4Bxcc0xQn5oZE5uSCIwg91oCt0JvxPcpmqzaJZg1nirjcWZ-oBtVk7gCAWq-B3qhfF3izlbkosrzjHajIcY33HBhsy4_WerrXg4MDNE4HYojy68TcxT2LYQRxUOCf5TtJXvM8olexlSGtVnQnDRutxEUCwiewfmmrfveEogLx9EA-KMgAjTiISXxqIXQhWUQX1G7v_mV_Hr2YuImYcNcHkRvp9E7ook0876DhkO8v4UOZLwA1OlUX98mkoqwc58A_Y2lBYbVx1_s5lpPsEqbbH-nqIjh1fL0gdNfihLxnclWtW7pCztLnImZAyeCWAG7ZIfv-Rn9fLIv9jZ6r7r-MSH9sqbuziHN2grGjD_jfRluMHa0l84fFKl6bcqN1JWxPVhzNZo01yDF-1LiQnqUYSepPf6X3a2SOdkqBRiquE6EvLuSYIDpJq3jDIsgoL8Mo1LoomgiJxUwL_GWEOGu28gplyzm-9Q0U0nyhEf1uhSR8aJAQWAiFImWH5W_IQT9I7-yrindr_2fWQ_i1UgMsGzA7aOGzZfPljRy6z-tY_KuBG00-28S_aWvjyUc-Alp8AUyKjBZ-7CWH32fGWK48j1t-zomrwjL_mnhsPbGs0c9WsWgRzI-K8gE",
    "7_2v3OQZzlPFcHyYfLABQ3XP85Es4hCdwCkbDeltaUXgVy9l9etKghvM4hRkOvbb01kYVuLFmxIkCDtpi-zLCYAdXKrAK3PtSbtzld_XZ9nlsYa_QZWpXB_IrtFjVfdKUdMz94pHUhFGFj7nr6NNxfpiHSHWFE1zD_AC3mY46J961Y2LRnreVwAGNw53p07Db8yD_92pDa97vqcZOdgtybH9q6uma-RFNhO1AoiJhYZj69hjmMRXx-x56HO9cnXNbmzNSCFCKnQmn4GQLmRj9sfbZRqL94bbtE4_e0Zrpo8RNo8vxRLqQNwIy85fc6BRgBJomt8QdQvIgPgWCv5HoQ",
    "zqOHk1P6WN_rHuM7ZF1cXH0x6RuOHq67WuHiSknqQeefGBA9PWs6ZyKQCO-O6mKXtcgE8_Q_hA2kMRcKOcvHil1hqMCNSXlflM7WPRPZu2qCDcqssd_uMbP-DqYthH_EzwL9KnYoH7JQFxxmcv5An8oXUtTwk4knKjkIYGRuUwfQTus0w1NfjFAyxOOiAQ37ussIcE6C6ZSsM3n41UlbJ7TCqewzVJaPJN5cxjySPZPD3Vp01a9YgAD6a3IIaKJdIxJS1ImnfPevSJQBE79-EXe2kSwVgOzvt-gsmM29QQ8veHy4uAqca5dZzMs7hkkHtw1z0jHV90epQJJlXXnH8Q",
    "19oDkBh1AXelMIxQFm2zZTqUhAzCIr4xNIGEPNoDt1jK83_FJA-xnx5kA7-1erdHdms_Ef67HsONNv5A60JaR7w8LHnDiBGnjdaUmmuO8XAxQJ_ia5mxjxNjS6E2yD44USo2JmHvzeeNczq25elqbTPLhUpGo1IZuG72FZQ5gTjXoTXC2-xtCDEUZfaUNh4IeAipfLugbpe0JAFlFfrTDAMUFpC3iXjxqzbEanflwPvj6V9iDSgjj8SozSM0dLtxvu0LIeIQAeEgT_yXcrKGmpKdSO08kLBx8VUjkbv_3Pn20Gyu2YEuwpFlM_H1NikuxJNKFGmnAq9LcnwwT0jvoQ",
    "S6p59KrlmzGzaQYQM3o0XfHCGvfqHLYjCO557HYQf72O9kLMCfd_1VBEqeD-1jjwELKDjck8kOBl5UvohK1oDfSP1DleAy-cnmL29DqWmhgwM1ip0CCNmkmsmDSlqkUXDi6sAaZuntyukyflI-qSQ3C_BafPyFaKrt1fgdyEwYa08pESKwwWisy7KnmoUvaJ3SaHmohFS78TJ25cfc10wZ9hQNOrIChZlkiOdFCtxDqdmCqNacnhgE3bZQjGp3n83ODSz9zwJcSUvODlXBPc2AycH6Ci5yjbxt4Ppox_5pjm6xnQkiPgj01GpsUssMmBN7iHVsrE7N2iznBNCeOUIQ",
    "FZhClBMywVVjnuUud-05qd5CYU0dK79akAgy9oX6RX6I3IIIPckCciRrokxglZn-omAY5CnCe4KdrnjFOT5YUZE7G_Pg44XgCXaarLQf4hl80oPEf6-jJ5Iy6wPRx7G2e8qLxnh9cOdf-kRqgOS3F48Ucvw3ma5V6KGMwQqWFeV31XtZ8l5cVI-I3NzBS7qltpUVgz2Ju021eyc7IlqgzR98qKONl27DuEES0aK0WE97jnsyO27Yp88Wa2RiBrEocM89QZI1seJiGDizHRUP4UZxw9zsXww46wy0P6f9grnYp7t8LkyDDk8eoI4KX6SNMNVcyVS9IWjlq8EzqZEKIA",
];

/// The key of RFC 7520 section 5.2.1.
fn samwise(algorithm: KeyAlgorithm) -> DecryptingKey {
    let [n, e, d, p, q, dp, dq, qi] = SAMWISE.map(|text| base64url::decode(text).unwrap());
    let public_key = RsaPublicKeyComponents { n, e };
    let components = KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi };
    let pair = KeyPair::from_components(&components).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    DecryptingKey::from_rsa_pkcs8(algorithm, der.as_ref()).unwrap().called("samwise.gamgee@hobbiton.example")
}

/// Any key on P-256.
fn own() -> DecryptingKey {
    DecryptingKey::from_p256(&[7; 32]).unwrap()
}

fn to(key: &DecryptingKey, algorithm: KeyAlgorithm) -> EncryptingKey {
    EncryptingKey::from_jwk_for(&key.public_jwk(), algorithm).unwrap()
}

/// A token of `own` with another header.
fn with_header(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> String {
    let token = to(&own(), KeyAlgorithm::EcdhEs).encrypt(ContentAlgorithm::A256Gcm, Some("JWT"), b"x").unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let mut header = serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
    change(&mut header);
    format!("{}.{rest}", base64url::encode(serde_json::Value::Object(header).to_string().as_bytes()))
}

fn why(token: &str) -> DecryptError {
    decrypt(token, &[own()]).unwrap_err()
}

#[test]
fn the_token_of_rfc_7520_5_5_opens() {
    let secret = base64url::decode("r_kHyZ-a06rmxM3yESK84r1otSg-aQcVStkRhA-iCM8").unwrap().try_into().unwrap();
    let key = DecryptingKey::from_p256(&secret).unwrap().called("meriadoc.brandybuck@buckland.example");
    let opened = decrypt(RFC_7520_5_5, &[key]).unwrap();
    assert_eq!(opened.content.as_slice(), FRODO.as_bytes());
    assert_eq!((opened.algorithm, opened.encryption), (KeyAlgorithm::EcdhEs, ContentAlgorithm::A128CbcHs256));
}

#[test]
fn the_token_of_rfc_7520_5_2_opens_and_with_another_padding_does_not() {
    let opened = decrypt(RFC_7520_5_2, &[samwise(KeyAlgorithm::RsaOaep)]).unwrap();
    assert_eq!(opened.content.as_slice(), FRODO.as_bytes());
    let other = decrypt(RFC_7520_5_2, &[samwise(KeyAlgorithm::RsaOaep256)]).unwrap_err();
    assert_eq!(other, DecryptError::UnsupportedAlgorithm);
}

/// Every algorithm there is, with every content there is.
#[test]
fn what_is_encrypted_opens_for_its_recipient_alone() {
    let other = DecryptingKey::from_p256(&[9; 32]).unwrap();
    for algorithm in KeyAlgorithm::ALL {
        let key = match algorithm {
            KeyAlgorithm::RsaOaep256 | KeyAlgorithm::RsaOaep => {
                DecryptingKey::from_rsa_pkcs8(algorithm, &rsa().to_pkcs8()).unwrap()
            }
            _ => own(),
        };
        let recipient = to(&key, algorithm);
        for with in ContentAlgorithm::ALL {
            for content in [&b""[..], b"sixteen bytes, 16", &[7; 9000]] {
                let token = recipient.encrypt(with, Some("JWT"), content).unwrap();
                let opened = decrypt(&token, &[own(), samwise(KeyAlgorithm::RsaOaep), other_of(&key)]).unwrap();
                assert_eq!(opened.content.as_slice(), content, "{algorithm} {with}");
                assert_eq!((opened.algorithm, opened.encryption), (algorithm, with));
                assert_eq!(opened.header["cty"], "JWT");
                assert_eq!(decrypt(&token, std::slice::from_ref(&other)).unwrap_err(), DecryptError::UnknownKey);
            }
        }
        let again = || recipient.encrypt(ContentAlgorithm::A128Gcm, None, b"x").unwrap();
        assert_ne!(again(), again(), "every content has a key and a vector of its own");
    }
}

/// The same key a second time.
fn other_of(key: &DecryptingKey) -> DecryptingKey {
    match key.public_jwk().alg {
        Some(alg) => DecryptingKey::from_rsa_pkcs8(alg.parse().unwrap(), &rsa().to_pkcs8()).unwrap(),
        None => own(),
    }
}

/// Check J20: every bit of every part counts, and no part may be left out or added.
#[test]
fn a_token_that_was_changed_anywhere_does_not_open() {
    for (algorithm, with) in [
        (KeyAlgorithm::EcdhEs, ContentAlgorithm::A128CbcHs256),
        (KeyAlgorithm::EcdhEsA256Kw, ContentAlgorithm::A256Gcm),
    ] {
        let token = to(&own(), algorithm).encrypt(with, None, b"claims").unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(decrypt(&changed, &[own()]).is_err(), "{at}: {changed}");
        }
        let parts: Vec<&str> = token.split('.').collect();
        for left_out in 0..5 {
            let fewer: Vec<&str> = (0..5).filter(|at| *at != left_out).map(|at| parts[at]).collect();
            assert_eq!(why(&fewer.join(".")), DecryptError::NotFiveParts);
            let empty: Vec<&str> = (0..5).map(|at| if at == left_out { "" } else { parts[at] }).collect();
            assert!(left_out == 1 && algorithm == KeyAlgorithm::EcdhEs || decrypt(&empty.join("."), &[own()]).is_err());
        }
        assert_eq!(why(&format!("{token}.")), DecryptError::NotFiveParts);
    }
}

/// Check J20: what a header may not say. A bomb is not unpacked, a password not stretched, a key never taken from the header.
#[test]
fn a_header_that_asks_for_more_is_refused() {
    use serde_json::json;
    type Change = fn(&mut serde_json::Map<String, serde_json::Value>);
    let cases: [(Change, DecryptError); 14] = [
        (|h| drop(h.insert("zip".into(), json!("DEF"))), DecryptError::Compressed),
        (|h| drop(h.insert("crit".into(), json!(["exp"]))), DecryptError::CriticalExtension),
        (|h| drop(h.insert("alg".into(), json!("RSA1_5"))), DecryptError::UnsupportedAlgorithm),
        (|h| drop(h.insert("alg".into(), json!("dir"))), DecryptError::UnsupportedAlgorithm),
        (
            |h| {
                h.insert("alg".into(), json!("PBES2-HS256+A128KW"));
                h.insert("p2c".into(), json!(2_147_483_648_u64));
            },
            DecryptError::UnsupportedAlgorithm,
        ),
        (|h| drop(h.insert("alg".into(), json!("RSA-OAEP"))), DecryptError::UnsupportedAlgorithm),
        (|h| drop(h.remove("alg")), DecryptError::BadHeaderMember("alg")),
        (|h| drop(h.insert("enc".into(), json!("A192GCM"))), DecryptError::UnsupportedEncryption),
        (|h| drop(h.insert("enc".into(), json!(7))), DecryptError::BadHeaderMember("enc")),
        (|h| drop(h.insert("kid".into(), json!("other"))), DecryptError::UnknownKey),
        (|h| drop(h.insert("kid".into(), json!(["a"]))), DecryptError::BadHeaderMember("kid")),
        (|h| drop(h.remove("epk")), DecryptError::BadHeaderMember("epk")),
        (|h| drop(h.insert("apu".into(), json!("=="))), DecryptError::BadHeaderMember("apu")),
        (|h| drop(h.insert("apv".into(), json!("A".repeat(4000)))), DecryptError::BadHeaderMember("apv")),
    ];
    for (change, expected) in cases {
        assert_eq!(why(&with_header(change)), expected);
    }
}

/// Checks J4, J20: invalid-curve attacks: a sender's point that is not on the curve is no key.
#[test]
fn a_point_off_the_curve_is_no_ephemeral_key() {
    use serde_json::json;
    let zero = base64url::encode(&[0; 32]);
    let one = base64url::encode(&[[0; 31].as_slice(), &[1]].concat());
    for (x, y) in [(&zero, &zero), (&one, &one), (&zero, &one)] {
        let token = with_header(|header| {
            header.insert("epk".into(), json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}));
        });
        assert_eq!(why(&token), DecryptError::BadEphemeralKey(KeyError::BadPublicKey));
    }
    for epk in [json!({"kty": "OKP", "crv": "Ed25519", "x": zero}), json!("x"), json!({"kty": "EC", "d": one})] {
        let token = with_header(|header| drop(header.insert("epk".into(), epk)));
        assert!(matches!(why(&token), DecryptError::BadEphemeralKey(_) | DecryptError::BadHeaderMember("epk")));
    }
}

/// RFC 7516 section 11.5: an RSA key that does not open is not told from a content that does not.
#[test]
fn a_wrong_key_and_a_wrong_content_are_one_refusal() {
    let key = || DecryptingKey::from_rsa_pkcs8(KeyAlgorithm::RsaOaep256, &rsa().to_pkcs8()).unwrap();
    let token = to(&key(), KeyAlgorithm::RsaOaep256).encrypt(ContentAlgorithm::A256Gcm, None, b"x").unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    for (at, other) in [(1, base64url::encode(&[1; 256])), (1, base64url::encode(&[0; 3])), (3, "AA".to_owned())] {
        let changed: Vec<&str> = (0..5).map(|n| if n == at { other.as_str() } else { parts[n] }).collect();
        assert_eq!(decrypt(&changed.join("."), &[key()]).unwrap_err(), DecryptError::DoesNotOpen);
    }
}

#[test]
fn sizes_are_bounded_both_ways() {
    let recipient = to(&own(), KeyAlgorithm::EcdhEs);
    let huge = vec![b'x'; MAX_ENCRYPTED_BYTES];
    assert_eq!(recipient.encrypt(ContentAlgorithm::A128Gcm, None, &huge), Err(EncryptError::TooLarge));
    assert_eq!(why(&"A".repeat(MAX_ENCRYPTED_BYTES + 1)), DecryptError::TooLarge);
    assert_eq!(why("...."), DecryptError::BadJson(JsonFault::Syntax));
    assert_eq!(why("+.a.a.a.a"), DecryptError::NotBase64url);
}

/// RFC 7517 sections 4.2 and 4.3: a key for signatures encrypts nothing, and the other way round.
#[test]
fn keys_are_used_for_what_they_say() {
    let jwk = own().public_jwk();
    let of = |jwk: &Jwk, algorithm| EncryptingKey::from_jwk_for(jwk, algorithm).map(|key| key.algorithm());
    let es = KeyAlgorithm::EcdhEs;
    assert_eq!(of(&jwk, es), Ok(es));
    assert_eq!(of(&jwk, KeyAlgorithm::RsaOaep), Err(KeyError::UnsupportedAlgorithm));
    let signs = Jwk { usage: Some("sig".to_owned()), ..jwk.clone() };
    assert_eq!(of(&signs, es), Err(KeyError::NotForEncryption));
    let verifies = Jwk { usage: None, key_ops: Some(vec!["verify".to_owned()]), ..jwk.clone() };
    assert_eq!(of(&verifies, es), Err(KeyError::NotForEncryption));
    let named = Jwk { alg: Some("ECDH-ES+A128KW".to_owned()), ..jwk.clone() };
    assert_eq!(of(&named, es), Err(KeyError::UnsupportedAlgorithm));
    // Of a set the one that says so comes first; one that says nothing will do.
    let silent = Jwk { usage: None, kid: Some("silent".to_owned()), ..jwk.clone() };
    let choose = |keys: Vec<Jwk>| {
        let key = EncryptingKey::of_set(&JwkSet { keys }, es)?;
        let token = key.encrypt(ContentAlgorithm::A128Gcm, None, b"x").unwrap();
        let header = base64url::decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().map(str::to_owned)
    };
    assert_eq!(choose(vec![signs.clone(), silent.clone(), jwk.clone()]), jwk.kid);
    assert_eq!(choose(vec![signs.clone(), silent]).as_deref(), Some("silent"));
    assert_eq!(choose(vec![signs]), None);
}
