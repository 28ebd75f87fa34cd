//! The cases of Project Wycheproof's `json_web_signature_test.json` (C2SP, Apache-2.0) for ES256, its group "es256", tcId 18 to 32: whole
//! tokens, where `src/wycheproof.rs` has signatures. Their payload is `foo`, which is no object: what is accepted there is refused
//! here behind the signature, and only there.

use regrant_jose::{Jwk, Part, Typ, Unverified, VerifyError, VerifyingKey};

const KEY: &str = r#"{"alg":"ES256","use":"sig","x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY","y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw","crv":"P-256","kid":"kid-ec-sign","kty":"EC"}"#;
const HEADER: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIn0";
const SIGNATURE: &str = "5cA0OHyMP7ezamUd5c9kV-FrGxdx4hbGXOdplQkutrqWrte5P-pAvsE3Ve6xSyU3YDQwUHjVVOtvcrEbbnZ8yA";

fn read(token: &str) -> VerifyError {
    let key = VerifyingKey::from_jwk(&serde_json::from_str::<Jwk>(KEY).unwrap()).unwrap();
    let read = Unverified::parse(token).and_then(|parsed| parsed.verify(Typ::JwtOrAbsent, &[key]));
    read.unwrap_err()
}

/// Checks J1, J2, J7, J17: whole tokens, as Wycheproof mangles them.
#[test]
fn whole_tokens_are_judged_as_wycheproof_has_it() {
    let holds = |error: VerifyError| matches!(error, VerifyError::BadJson(Part::Payload, _));
    assert!(holds(read(&format!("{HEADER}.Zm9v.{SIGNATURE}"))), "tcId 18, acceptsValid");
    let invalid = [
        (19, format!("{HEADER}.Zm9v.X{}", &SIGNATURE[1..])),
        (20, format!("{HEADER}.Zm9v.")),
        (21, format!("{HEADER}.Zm9v")),
        (22, format!("{HEADER}.WG9v.{SIGNATURE}")),
        (23, format!("{HEADER}..{SIGNATURE}")),
        (24, format!("{HEADER}.{SIGNATURE}")),
        (25, format!("eyJhbGciOiJFUzI1NiIsImtpZCI6IlhpZC1lYy1zaWduIn0.Zm9v.{SIGNATURE}")),
        (26, format!(".Zm9v.{SIGNATURE}")),
        (27, format!("Zm9v.{SIGNATURE}")),
        (28, ".Zm9v.".to_owned()),
        (29, "Zm9v".to_owned()),
        (30, String::new()),
        // rejectsSymmetryConfusionAttacks_aesKeyFromEcVerificationKeyBytes
        (31, "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIn0.Zm9v.TgWtz2FIRukBQ_mA5sgHa0Ybtgn7bl-YBPAi7Z0XdHU".to_owned()),
        // rejectsAttackerProvidedEmbeddedJwk
        (32, "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtpZC1lYy1zaWduIiwiandrIjp7Imt0eSI6IkVDIiwia2lkIjoia2lkLWVjLXNpZ24iLCJ1c2UiOiJzaWciLCJhbGciOiJFUzI1NiIsIngiOiJNZG5UWkRJaERKYmZBU2RGcWFtY3BPMkNoOUdOS0sybTBNUWxoNDAyU3BvIiwieSI6Ijdhdko0bHFfV3l4LW5MUERCUTJZcHl0dUh5TWlvMDdCVXl2bDNqYUMtMVkiLCJjcnYiOiJQLTI1NiJ9fQ.Zm9v.4jmsollQD8ZxvySzXYnIEYA4fwaZi2ZbC0aI1J4LYmW2Bn31NhKdjms2N6o51Dff5-InWXQF9m45VtTexl6yjg".to_owned()),
    ];
    for (id, token) in invalid {
        assert!(!holds(read(&token)), "tcId {id}: {token}");
    }
}
