//! The header: RFC 7515 section 4, with RFC 8725 sections 3.1 (algorithms) and 3.11 (explicit typing).
//!
//! Every token here carries a genuine signature of a known key, so what is refused is refused for its header.

use regrant_jose::{Algorithm, SigningKey, Typ, Unverified, VerifyError, base64url, verify};

use crate::world::{TYP, World, public, rsa, rsa_pss};

/// Check J1: RFC 7515 section 4.1.1: alg "MUST be present", and RFC 8725 section 2.1 tells what `none` did.
#[test]
fn none_is_no_algorithm_in_any_spelling() {
    let world = World::new();
    for alg in ["none", "None", "nOnE", "NONE", "HS256", "es256", "ES256 ", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"KID"}}"#);
        assert_eq!(world.refusal(&header), VerifyError::UnsupportedAlgorithm, "{alg}");
        let signed = world.sign(&header, "{}");
        let unsigned = &signed[..=signed.rfind('.').unwrap()];
        assert_eq!(world.read(unsigned).unwrap_err(), VerifyError::UnsupportedAlgorithm, "{alg} without signature");
    }
}

/// Check J2: the key has its algorithm, and the header chooses none.
#[test]
fn an_algorithm_other_than_the_keys_is_refused() {
    let world = World::new();
    for alg in ["RS256", "PS256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"KID"}}"#);
        assert_eq!(world.refusal(&header), VerifyError::WrongAlgorithm, "{alg}");
    }
}

/// Check J3: The same numbers under the other padding: only the pinned algorithm tells them apart.
#[test]
fn a_pss_signature_does_not_pass_for_a_pkcs1_key_nor_the_other_way() {
    let (pkcs1, pss) = (rsa(), rsa_pss());
    assert_eq!(pkcs1.kid(), pss.kid());
    for (signer, reader) in [(pkcs1, &pss), (&pss, pkcs1)] {
        let token = signer.sign(TYP, &serde_json::json!({})).unwrap();
        assert!(verify(&token, TYP, &[public(signer)]).is_ok());
        assert_eq!(verify(&token, TYP, &[public(reader)]).unwrap_err(), VerifyError::WrongAlgorithm);
        assert!(verify(&token, TYP, &[public(reader), public(signer)]).is_ok(), "kid and alg together choose");
    }
}

#[test]
fn alg_must_be_there_and_alg_typ_kid_must_be_strings() {
    let world = World::new();
    let cases = [
        (r#"{"typ":"at+jwt","kid":"KID"}"#, "alg"),
        (r#"{"alg":null,"typ":"at+jwt","kid":"KID"}"#, "alg"),
        (r#"{"alg":["ES256"],"typ":"at+jwt","kid":"KID"}"#, "alg"),
        (r#"{"alg":"ES256","typ":null,"kid":"KID"}"#, "typ"),
        (r#"{"alg":"ES256","typ":"at+jwt","kid":1}"#, "kid"),
        (r#"{"alg":"ES256","typ":"at+jwt","kid":null}"#, "kid"),
    ];
    for (header, name) in cases {
        assert_eq!(world.refusal(header), VerifyError::BadHeaderMember(name), "{header}");
    }
}

/// Check J8: RFC 8725 section 3.11: an ID token or a DPoP proof must not pass for an access token.
#[test]
fn a_token_of_another_type_or_of_none_is_refused() {
    let world = World::new();
    let others =
        ["JWT", "dpop+jwt", "at+jwt ", "at", "", "text/at+jwt", "application/", "application/application/at+jwt"];
    for typ in others {
        let header = format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"KID"}}"#);
        assert_eq!(world.refusal(&header), VerifyError::WrongType, "{typ}");
    }
    assert_eq!(world.refusal(r#"{"alg":"ES256","kid":"KID"}"#), VerifyError::WrongType);
}

/// RFC 7515 section 4.1.9, and RFC 2045 section 5.1: media types are compared without case.
#[test]
fn a_type_may_be_written_in_any_case_and_with_application_before_it() {
    let world = World::new();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let token = world.sign(&format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"KID"}}"#), "{}");
        assert!(world.read(&token).is_ok(), "{typ}");
        assert!(verify(&token, "application/at+jwt", &world.keys).is_ok(), "{typ}");
    }
}

/// RFC 7515 section 4.1.9: the prefix is left out only where the rest has no slash of its own.
#[test]
fn application_before_another_media_type_does_not_make_it_the_same() {
    let world = World::new();
    let token = world.sign(r#"{"alg":"ES256","typ":"application/text/plain","kid":"KID"}"#, "{}");
    assert_eq!(verify(&token, "text/plain", &world.keys).unwrap_err(), VerifyError::WrongType);
}

#[test]
fn where_typing_is_optional_only_jwt_or_nothing_passes() {
    let world = World::new();
    let read = |header: &str| {
        let token = world.sign(header, "{}");
        Unverified::parse(&token).unwrap().verify(Typ::JwtOrAbsent, &world.keys).err()
    };
    assert_eq!(read(r#"{"alg":"ES256","kid":"KID"}"#), None);
    assert_eq!(read(r#"{"alg":"ES256","typ":"jwt","kid":"KID"}"#), None);
    assert_eq!(read(r#"{"alg":"ES256","typ":"at+jwt","kid":"KID"}"#), Some(VerifyError::WrongType));
}

/// Check J9: no extension is understood. RFC 7515 section 4.1.11.
#[test]
fn any_critical_extension_is_refused() {
    let world = World::new();
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", r#""typ""#] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"KID","crit":{crit},"exp":1}}"#);
        assert_eq!(world.refusal(&header), VerifyError::CriticalExtension, "{crit}");
    }
}

/// Check J10: no payload stands outside of base64url. RFC 7797 section 7: JWTs MUST NOT use it.
#[test]
fn an_unencoded_payload_is_refused() {
    let world = World::new();
    for b64 in ["false", "true", "null"] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"KID","b64":{b64}}}"#);
        assert_eq!(world.refusal(&header), VerifyError::UnencodedPayload, "{b64}");
    }
}

/// Check J7: RFC 8725 section 2.10 and section 3.10: what the header says about keys is the attacker's word.
#[test]
fn a_key_in_the_header_is_not_used() {
    let (world, stranger) = (World::new(), World::new());
    let jwk = serde_json::to_string(&stranger.key.public_jwk()).unwrap();
    let members = format!(r#""jwk":{jwk},"jku":"https://evil.example/","x5u":"https://evil.example/","x5c":["AA=="]"#);
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt",{members}}}"#);
    assert_eq!(world.read(&stranger.sign(&header, "{}")).unwrap_err(), VerifyError::BadSignature);
    let verified = world.read(&world.sign(&header, "{}")).unwrap();
    assert!(verified.header.members.contains_key("jwk"), "for the reader of DPoP proofs, who asks for it");
}

/// Check J6: a kid is a name and nothing else.
#[test]
fn an_unknown_kid_is_refused_and_never_tried_with_other_keys() {
    let world = World::new();
    for kid in ["", "other", "../../dev/null", "' OR 1=1"] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
        assert_eq!(world.refusal(&header), VerifyError::UnknownKey, "{kid}");
    }
}

#[test]
fn the_kid_chooses_among_the_keys() {
    let (world, other) = (World::new(), World::new());
    let keys = [public(&other.key), public(&world.key)];
    assert!(verify(&world.sign_payload("{}"), TYP, &keys).is_ok());
    let claims_other = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, other.key.kid());
    assert_eq!(verify(&world.sign(&claims_other, "{}"), TYP, &keys).unwrap_err(), VerifyError::BadSignature);
}

#[test]
fn without_a_kid_exactly_one_key_must_fit() {
    let (world, other) = (World::new(), World::new());
    let ed25519 = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let token = world.sign(r#"{"alg":"ES256","typ":"at+jwt"}"#, "{}");
    let read =
        |keys: &[&SigningKey]| verify(&token, TYP, &keys.iter().map(|key| public(key)).collect::<Vec<_>>()).err();
    assert_eq!(read(&[&world.key]), None);
    assert_eq!(read(&[&ed25519, &world.key]), None);
    assert_eq!(read(&[&world.key, &other.key]), Some(VerifyError::AmbiguousKey));
    assert_eq!(read(&[&ed25519]), Some(VerifyError::WrongAlgorithm));
    assert_eq!(read(&[]), Some(VerifyError::UnknownKey));
}

#[test]
fn a_header_may_carry_members_nobody_knows() {
    let world = World::new();
    let token = world.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","x":{"y":[1]},"cty":"JWT"}"#, "{}");
    assert!(world.read(&token).is_ok());
    let header = Unverified::parse(&token).unwrap().header().clone();
    assert_eq!((header.kid.as_deref(), header.typ.as_deref()), (Some(world.key.kid()), Some(TYP)));
    assert!(base64url::decode(header.kid.as_deref().unwrap()).is_ok());
}
