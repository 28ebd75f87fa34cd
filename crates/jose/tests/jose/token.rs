//! The whole token: RFC 7515 sections 5.1 and 5.2, and its payload, RFC 7519 sections 4 and 7.2.

use regrant_jose::{
    Algorithm, JsonFault, MAX_TOKEN_BYTES, Part, SignError, SigningKey, Unverified, VerifyError, base64url, verify,
};
use serde_json::json;

use crate::world::{TYP, World, public, rsa, rsa_pss};

#[test]
fn what_each_algorithm_signs_its_public_key_verifies() {
    let keys = [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| SigningKey::generate(algorithm).unwrap());
    for key in [&keys[0], &keys[1], rsa(), &rsa_pss()] {
        let token = key.sign(TYP, &json!({"sub": "alice", "deep": {"a": [1, 2]}})).unwrap();
        let verified = verify(&token, TYP, &[public(key)]).unwrap();
        assert_eq!(verified.claims["sub"], "alice");
        assert_eq!(verified.header.algorithm, key.algorithm());
        assert_eq!(verified.header.kid.as_deref(), Some(key.kid()));
        assert_eq!(verified.header.members.len(), 3, "alg, typ and kid, nothing else");
    }
}

#[test]
fn changing_any_character_of_a_token_ends_it() {
    let world = World::new();
    let token = world.key.sign(TYP, &json!({"sub": "alice"})).unwrap();
    assert!(world.read(&token).is_ok());
    for position in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
        assert!(world.read(std::str::from_utf8(&forged).unwrap()).is_err(), "position {position}");
    }
}

#[test]
fn another_number_of_parts_is_refused() {
    let world = World::new();
    let token = world.sign_payload("{}");
    let (signed, _) = token.rsplit_once('.').unwrap();
    for wrong in ["", "e30", signed, &format!("{token}."), &format!("{token}.e30"), &format!("{token}.e30.e30")] {
        assert_eq!(world.read(wrong).unwrap_err(), VerifyError::NotThreeParts, "{wrong}");
    }
}

#[test]
fn empty_parts_are_refused() {
    let world = World::new();
    let token = world.sign_payload("{}");
    let parts: Vec<_> = token.split('.').collect();
    let refusal = |token: &str| world.read(token).unwrap_err();
    assert_eq!(refusal(".."), VerifyError::BadJson(Part::Header, JsonFault::Syntax));
    assert_eq!(refusal(&format!("{}..{}", parts[0], parts[2])), VerifyError::BadSignature);
    assert_eq!(refusal(&format!("{}.{}.", parts[0], parts[1])), VerifyError::BadSignature);
}

/// Check J16: RFC 7515 section 7.2: for one signature or many, neither belongs in a bearer token.
#[test]
fn the_json_serializations_are_refused() {
    let world = World::new();
    let token = world.sign_payload("{}");
    let parts: Vec<_> = token.split('.').collect();
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general = json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    for serialized in [flattened, general] {
        assert_eq!(world.read(&serialized.to_string()).unwrap_err(), VerifyError::NotThreeParts);
    }
}

/// Check J17: nothing is read around a token.
#[test]
fn bytes_before_or_after_the_token_are_refused() {
    let world = World::new();
    let token = world.sign_payload("{}");
    for tail in ["A", "=", "==", "\n", " ", "\0", "AAAA"] {
        assert!(world.read(&format!("{token}{tail}")).is_err(), "{tail:?} after");
        assert!(world.read(&format!("{tail}{token}")).is_err(), "{tail:?} before");
    }
}

/// Check J18: The signature covers the text, so a genuine signer can sign a sloppy text: it is refused all the same.
#[test]
fn other_spellings_of_base64_are_refused_in_every_part() {
    let world = World::new();
    let header =
        base64url::encode(format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, world.key.kid()).as_bytes());
    for payload in ["e30=", "e31", "e3 0", "e30\n"] {
        let token = world.complete(&format!("{header}.{payload}"));
        assert_eq!(world.read(&token).unwrap_err(), VerifyError::NotBase64url(Part::Payload), "{payload:?}");
    }
    let token = world.complete(&format!("{header}=.e30"));
    assert_eq!(world.read(&token).unwrap_err(), VerifyError::NotBase64url(Part::Header));
    // 64 bytes end in a character with four bits to spare: its 15 sisters mean the same to a lax reader.
    let token = world.sign_payload("{}");
    let (rest, last) = token.split_at(token.len() - 1);
    let sister = char::from(last.as_bytes()[0] + 1);
    assert_eq!(world.read(&format!("{rest}{sister}")).unwrap_err(), VerifyError::NotBase64url(Part::Signature));
}

/// Check J11: RFC 7515 section 4: "The Header Parameter names within the JOSE Header MUST be unique".
#[test]
fn a_header_with_a_member_twice_is_refused() {
    let world = World::new();
    for header in [
        r#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"none","\u0061lg":"ES256","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"KID","x":{"a":1,"a":2}}"#,
    ] {
        assert_eq!(world.refusal(header), VerifyError::BadJson(Part::Header, JsonFault::DuplicateMember), "{header}");
    }
}

/// Check J11: RFC 7519 section 4: "The Claim Names within a JWT Claims Set MUST be unique".
#[test]
fn a_payload_with_a_member_twice_at_any_level_is_refused() {
    let world = World::new();
    for payload in [r#"{"sub":"a","sub":"b"}"#, r#"{"cnf":{"jkt":"a","jkt":"b"}}"#, r#"{"a":[{"b":1,"b":1}]}"#] {
        let refusal = world.read(&world.sign_payload(payload)).unwrap_err();
        assert_eq!(refusal, VerifyError::BadJson(Part::Payload, JsonFault::DuplicateMember), "{payload}");
    }
}

/// Check J15: a token in a token is none.
#[test]
fn a_payload_that_is_no_object_is_refused() {
    let world = World::new();
    for payload in ["[]", "\"a\"", "1", "null", "true"] {
        let refusal = world.read(&world.sign_payload(payload)).unwrap_err();
        assert_eq!(refusal, VerifyError::BadJson(Part::Payload, JsonFault::NotAnObject), "{payload}");
    }
    for payload in [&b""[..], b"{", b"{}{}", b"{},", b"\xef\xbb\xbf{}", b"{\"a\":\"\xff\"}"] {
        let refusal = world.read(&world.sign_payload(payload)).unwrap_err();
        assert_eq!(refusal, VerifyError::BadJson(Part::Payload, JsonFault::Syntax), "{payload:?}");
    }
}

/// Check J19: ten thousand levels are counted, not climbed.
#[test]
fn a_deeply_nested_token_is_refused_and_harms_nobody() {
    let world = World::new();
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let refusal = world.read(&world.sign_payload(&deep)).unwrap_err();
    assert_eq!(refusal, VerifyError::BadJson(Part::Payload, JsonFault::TooDeep));
    let header = format!(r#"{{"alg":"ES256","a":{deep}}}"#);
    assert_eq!(world.refusal(&header), VerifyError::BadJson(Part::Header, JsonFault::TooDeep));
}

/// Check J19: what is huge is not looked at.
#[test]
fn a_token_over_the_limit_is_neither_read_nor_made() {
    let world = World::new();
    let claims = |length: usize| json!({"a": "x".repeat(length)});
    let token = world.key.sign(TYP, &claims(12_000)).unwrap();
    assert!(token.len() <= MAX_TOKEN_BYTES);
    assert!(world.read(&token).is_ok());
    for length in [12_150, 12_288, 100_000] {
        assert_eq!(world.key.sign(TYP, &claims(length)).unwrap_err(), SignError::TooLarge, "{length}");
    }
    assert_eq!(world.read(&world.sign_payload(claims(12_288).to_string())).unwrap_err(), VerifyError::TooLarge);
    assert_eq!(world.read(&".".repeat(MAX_TOKEN_BYTES + 1)).unwrap_err(), VerifyError::TooLarge);
}

/// The "psychic signature" (CVE-2022-21449): r and s of zero satisfied a verifier that did not look.
#[test]
fn an_es256_signature_with_a_number_out_of_range_is_refused() {
    const ORDER: &str = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    let world = World::new();
    let token = world.sign_payload("{}");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let genuine = base64url::decode(signature).unwrap();
    let (r, s) = genuine.split_at(32);
    let (zero, order) = (&[0; 32][..], &base64url::decode(ORDER).unwrap()[..]);
    for forged in [[zero, zero], [r, zero], [zero, s], [order, order], [r, order], [order, s]] {
        let token = format!("{signed}.{}", base64url::encode(&forged.concat()));
        assert_eq!(world.read(&token).unwrap_err(), VerifyError::BadSignature);
    }
}

/// RFC 7518 section 3.4: r and s, 32 octets each, and not the ASN.1 that other protocols use.
#[test]
fn a_signature_of_another_length_is_refused() {
    let world = World::new();
    let token = world.sign_payload("{}");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let genuine = base64url::decode(signature).unwrap();
    let der = [&[0x30, 0x44, 0x02, 0x20][..], &genuine[..32], &[0x02, 0x20], &genuine[32..]].concat();
    for forged in [&genuine[..63], &[&genuine[..], &[0]].concat(), &[&[0], &genuine[..]].concat(), &der] {
        let token = format!("{signed}.{}", base64url::encode(forged));
        assert_eq!(world.read(&token).unwrap_err(), VerifyError::BadSignature, "{} bytes", forged.len());
    }
}

#[test]
fn the_claims_can_be_looked_at_before_the_key_is_known() {
    let world = World::new();
    let token = world.sign_payload(r#"{"iss":"client"}"#);
    let unverified = Unverified::parse(&token).unwrap();
    assert_eq!(unverified.claims_unverified().unwrap()["iss"], "client");
}

#[test]
fn only_an_object_is_signed() {
    let world = World::new();
    for claims in [json!([]), json!("a"), json!(null), json!(1)] {
        assert_eq!(world.key.sign(TYP, &claims), Err(SignError::NotAnObject));
    }
}

#[test]
fn a_typ_with_quotes_cannot_break_out_of_the_header() {
    let world = World::new();
    let token = world.key.sign(r#"a","crit":["x"],"b":""#, &json!({})).unwrap();
    assert_eq!(Unverified::parse(&token).unwrap().header().members.len(), 3);
}
