//! What is not signed by a key pair: RFC 7515 appendices A.1 and A.5; and vectors of Wycheproof (C2SP/wycheproof,
//! `testvectors_v1/json_web_signature_test.json`, groups hs256 and es256, Apache-2.0; the numbers are its `tcId`s). Their payload is
//! the word "foo": a signature that holds is known by the fault that comes after it.

use regrant_jose::{
    JsonFault, Jwk, Part, Typ, Unverified, VerifyError, VerifyingKey, base64url, peek, read_unsecured, sign_shared,
    verify_shared,
};
use serde_json::json;

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const FOO: VerifyError = VerifyError::BadJson(Part::Payload, JsonFault::Syntax);

#[test]
fn the_hs256_token_of_rfc_7515_a_1_verifies_under_its_secret_alone() {
    let key =
        base64url::decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
    let token =
        format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(verify_shared(&token, Typ::JwtOrAbsent, &key).unwrap()["iss"], "joe");
    assert_eq!(verify_shared(&token, Typ::Is("at+jwt"), &key), Err(VerifyError::WrongType));
    assert_eq!(verify_shared(&token, Typ::JwtOrAbsent, &key[1..]), Err(VerifyError::BadSignature));
    // No reader of signatures takes it for one.
    assert_eq!(Unverified::parse(&token).unwrap_err(), VerifyError::UnsupportedAlgorithm);
    assert_eq!(read_unsecured(&token, Typ::JwtOrAbsent), Err(VerifyError::WrongAlgorithm));
}

/// Check J1: the token of RFC 7515 A.5 is read by who asks for one that nobody signed, and by nobody else.
#[test]
fn the_unsecured_token_of_rfc_7515_a_5_is_read_where_it_is_asked_for() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(read_unsecured(&token, Typ::JwtOrAbsent).unwrap()["iss"], "joe");
    assert_eq!(peek(&token).unwrap().algorithm, "none");
    assert_eq!(Unverified::parse(&token).unwrap_err(), VerifyError::UnsupportedAlgorithm);
    assert_eq!(verify_shared(&token, Typ::JwtOrAbsent, &[7; 32]), Err(VerifyError::WrongAlgorithm));
    assert_eq!(read_unsecured(&format!("{token}AAAA"), Typ::JwtOrAbsent), Err(VerifyError::BadSignature));
    for spelling in ["None", "NONE", "nOnE", "none "] {
        let header = base64url::encode(format!("{{\"alg\":\"{spelling}\"}}").as_bytes());
        assert_eq!(read_unsecured(&format!("{header}.{PAYLOAD}."), Typ::JwtOrAbsent), Err(VerifyError::WrongAlgorithm));
    }
    let critical = base64url::encode(br#"{"alg":"none","crit":["exp"]}"#);
    assert_eq!(
        read_unsecured(&format!("{critical}.{PAYLOAD}."), Typ::JwtOrAbsent),
        Err(VerifyError::CriticalExtension)
    );
}

/// RFC 7518 section 3.2: "A key of the same size as the hash output […] or larger MUST be used".
#[test]
fn a_short_secret_verifies_nothing() {
    let token = sign_shared("JWT", &json!({"sub": "a"}), &[7; 31]).unwrap();
    assert_eq!(verify_shared(&token, Typ::JwtOrAbsent, &[7; 31]), Err(VerifyError::UnknownKey));
    let token = sign_shared("JWT", &json!({"sub": "a"}), &[7; 32]).unwrap();
    assert_eq!(verify_shared(&token, Typ::JwtOrAbsent, &[7; 32]).unwrap()["sub"], "a");
}

/// tcIds 1 to 17 of the group hs256: the shapes.
#[test]
fn wycheproofs_hs256_shapes() {
    let key = base64url::decode("-ebuDNsVZ2iJtoZ-akfXTSCt4UO2cruLCsbWlBinggE").unwrap();
    let (header, tag) =
        ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC1hZXMtc2lnbiJ9", "TD37p4c_0jmreSrBSDmE0F3mYSPtkZ3WrSyI5wb_KTg");
    let read = |token: &str| verify_shared(token, Typ::JwtOrAbsent, &key).unwrap_err();
    assert_eq!(read(&format!("{header}.Zm9v.{tag}")), FOO, "1: valid");
    for (id, token) in [
        (2, format!("{header}.Zm9v.X{}", &tag[1..])),
        (3, format!("{header}.Zm9v.")),
        (5, format!("{header}.WG9v.{tag}")),
        (6, format!("{header}..{tag}")),
    ] {
        assert_eq!(read(&token), VerifyError::BadSignature, "{id}");
    }
    for (id, token) in [
        (4, format!("{header}.Zm9v")),
        (9, format!(".Zm9v.{tag}")),
        (10, format!("Zm9v.{tag}")),
        (11, ".Zm9v.".to_owned()),
        (12, "Zm9v".to_owned()),
        (13, String::new()),
        (14, format!("{header}.Zm9v.{tag}.")),
        (15, format!("{header}.Zm9v.{tag}.foo")),
    ] {
        assert!(!matches!(read(&token), FOO | VerifyError::BadSignature), "{id}: {token}");
    }
}

/// tcIds 18, 19, 31 and 32 of the group es256: the valid one, one that was changed, an HMAC under the public key, and one by the key that
/// its own header brings. And of our own: r and s of nothing, and of the order of the curve (check J20).
#[test]
fn wycheproofs_es256_confusions() {
    let key: Jwk = serde_json::from_value(json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "kid-ec-sign",
        "x": "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY", "y": "UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw",
    }))
    .unwrap();
    let keys = [VerifyingKey::from_jwk(&key).unwrap()];
    let read =
        |token: &str| Unverified::parse(token).and_then(|token| token.verify(Typ::JwtOrAbsent, &keys)).unwrap_err();
    let header = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIn0";
    let signature = "5cA0OHyMP7ezamUd5c9kV-FrGxdx4hbGXOdplQkutrqWrte5P-pAvsE3Ve6xSyU3YDQwUHjVVOtvcrEbbnZ8yA";
    assert_eq!(read(&format!("{header}.Zm9v.{signature}")), FOO, "18: valid");
    assert_eq!(read(&format!("{header}.Zm9v.X{}", &signature[1..])), VerifyError::BadSignature, "19");
    let confused = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIn0.Zm9v.TgWtz2FIRukBQ_mA5sgHa0Ybtgn7bl-YBPAi7Z0XdHU";
    assert_eq!(read(confused), VerifyError::UnsupportedAlgorithm, "31");
    let embedded = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIiwiandrIjp7Imt0eSI6IkVDIiwia2lkIjoia2lkLWVjLXNpZ24iLCJ1c2UiOiJzaWciLCJhbGciOiJFUzI1NiIsIngiOiJNZG5UWkRJaERKYmZBU2RGcWFtY3BPMkNoOUdOS0sybTBNUWxoNDAyU3BvIiwieSI6Ijdhdko0bHFfV3l4LW5MUERCUTJZcHl0dUh5TWlvMDdCVXl2bDNqYUMtMVkiLCJjcnYiOiJQLTI1NiJ9fQ.Zm9v.4jmsollQD8ZxvySzXYnIEYA4fwaZi2ZbC0aI1J4LYmW2Bn31NhKdjms2N6o51Dff5-InWXQF9m45VtTexl6yjg";
    assert_eq!(read(embedded), VerifyError::BadSignature, "32");
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    let one = [vec![0; 31], vec![1]].concat();
    let zero = vec![0; 32];
    for (r, s) in [(&zero, &zero), (&zero, &one), (&one, &zero), (&order, &order), (&order, &one), (&one, &order)] {
        let forged = base64url::encode(&[r.as_slice(), s].concat());
        assert_eq!(read(&format!("{header}.Zm9v.{forged}")), VerifyError::BadSignature);
    }
}

/// A `typ` of its own, the old one, or none (RFC 9101 section 10.8); every other kind is refused.
#[test]
fn a_kind_may_have_its_own_type_beside_the_old_one() {
    let typ = Typ::JwtOr("oauth-authz-req+jwt");
    for (name, is_taken) in [
        ("JWT", true),
        ("jwt", true),
        ("oauth-authz-req+jwt", true),
        ("application/oauth-authz-req+jwt", true),
        ("at+jwt", false),
        ("logout+jwt", false),
        ("", false),
    ] {
        let token = sign_shared(name, &json!({"a": 1}), &[7; 32]).unwrap();
        assert_eq!(verify_shared(&token, typ, &[7; 32]).is_ok(), is_taken, "{name:?}");
    }
}
