//! The claims: RFC 7519 section 4.1, in its order.

use regrant_jose::{ClaimError, Expected, Times, check_audience, check_issuer, check_times};
use serde_json::{Map, Value, json};

const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 5;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("no object") };
    members
}

fn times(value: Value) -> Result<Times, ClaimError> {
    check_times(&object(value), NOW, LEEWAY)
}

/// Section 4.1.1.
#[test]
fn the_issuer_must_be_exactly_the_expected_one() {
    let check = |iss: Value| check_issuer(&object(json!({"iss": iss})), "https://as.example");
    assert_eq!(check(json!("https://as.example")), Ok(()));
    for other in ["https://as.example/", "HTTPS://as.example", "https://as.example.evil", ""] {
        assert_eq!(check(json!(other)), Err(ClaimError::OtherIssuer), "{other}");
    }
    for malformed in [json!(null), json!(1), json!(["https://as.example"])] {
        assert_eq!(check(malformed), Err(ClaimError::Malformed("iss")));
    }
    assert_eq!(check_issuer(&Map::new(), "https://as.example"), Err(ClaimError::Missing("iss")));
}

/// Section 4.1.3: "a single case-sensitive string" or "an array of case-sensitive strings".
#[test]
fn the_audience_must_be_or_contain_the_expected_one() {
    let check = |aud: Value| check_audience(&object(json!({"aud": aud})), "https://rs.example");
    assert_eq!(check(json!("https://rs.example")), Ok(()));
    assert_eq!(check(json!(["a", "https://rs.example"])), Ok(()));
    for other in [json!("https://rs.example/"), json!("a https://rs.example"), json!([]), json!(["a"])] {
        assert_eq!(check(other), Err(ClaimError::OtherAudience));
    }
    for malformed in [json!(null), json!(1), json!({}), json!(["https://rs.example", 1])] {
        assert_eq!(check(malformed), Err(ClaimError::Malformed("aud")));
    }
    assert_eq!(check_audience(&Map::new(), "https://rs.example"), Err(ClaimError::Missing("aud")));
}

/// Section 4.1.4: "on or after which the JWT MUST NOT be accepted", give or take the leeway.
#[test]
fn a_token_ends_at_its_exp_give_or_take_the_leeway() {
    assert!(times(json!({"exp": NOW - 4})).is_ok());
    assert_eq!(times(json!({"exp": NOW - 5})), Err(ClaimError::Expired));
    assert_eq!(times(json!({"exp": 0})), Err(ClaimError::Expired));
    assert!(check_times(&object(json!({"exp": NOW + 1})), NOW, 0).is_ok());
    assert_eq!(check_times(&object(json!({"exp": NOW})), NOW, 0), Err(ClaimError::Expired));
}

/// Checks J12, J13: CVE-2026-25537: a string `exp` was taken for no `exp`, and no `exp` for no end.
#[test]
fn an_exp_that_is_no_number_is_an_error_and_never_absent() {
    for exp in [json!("1800000060"), json!(null), json!(true), json!([1_800_000_060_u64]), json!({})] {
        assert_eq!(times(json!({"exp": exp})), Err(ClaimError::Malformed("exp")), "{exp}");
    }
    assert_eq!(times(json!({})), Err(ClaimError::Missing("exp")));
}

#[test]
fn a_time_before_1970_or_after_the_year_9999_is_malformed() {
    for exp in [json!(-1), json!(-0.5), json!(1_800_000_060_000_u64), json!(u64::MAX), json!(1e300), json!(1e20)] {
        assert_eq!(times(json!({"exp": exp})), Err(ClaimError::Malformed("exp")), "{exp}");
    }
    assert!(times(json!({"exp": 253_402_300_799_u64})).is_ok());
}

/// Section 2, NumericDate: "non-integer values can be represented".
#[test]
fn fractions_of_a_second_are_rounded_to_the_tokens_disadvantage() {
    let read = times(json!({"exp": 1_800_000_060.9, "nbf": 1_799_999_999.1, "iat": 1.8e9})).unwrap();
    assert_eq!(read, Times { expires_at: NOW + 60, not_before: Some(NOW), issued_at: Some(NOW) });
    assert_eq!(check_times(&object(json!({"exp": 1_800_000_000.9})), NOW, 0), Err(ClaimError::Expired));
    assert_eq!(
        check_times(&object(json!({"exp": NOW + 9, "nbf": 1_800_000_000.1})), NOW, 0),
        Err(ClaimError::NotYetValid)
    );
}

/// Checks J12, J14: Sections 4.1.5 and 4.1.6.
#[test]
fn nbf_and_iat_may_be_absent_but_not_to_come_nor_malformed() {
    let exp = NOW + 60;
    assert!(times(json!({"exp": exp, "nbf": NOW + 5, "iat": NOW + 5})).is_ok());
    assert_eq!(times(json!({"exp": exp, "nbf": NOW + 6})), Err(ClaimError::NotYetValid));
    assert_eq!(times(json!({"exp": exp, "iat": NOW + 6})), Err(ClaimError::IssuedInFuture));
    for malformed in [json!(null), json!("1"), json!(false)] {
        assert_eq!(times(json!({"exp": exp, "nbf": malformed})), Err(ClaimError::Malformed("nbf")));
        assert_eq!(times(json!({"exp": exp, "iat": malformed})), Err(ClaimError::Malformed("iat")));
    }
}

#[test]
fn an_absurd_leeway_does_not_overflow() {
    let claims = object(json!({"exp": NOW, "nbf": NOW}));
    assert!(check_times(&claims, u64::MAX - 1, u64::MAX).is_ok());
}

#[test]
fn issuer_audience_and_times_are_checked_together() {
    let expected = Expected { issuer: "i", audience: "a", now: NOW, leeway: LEEWAY };
    let good = json!({"iss": "i", "aud": "a", "exp": NOW + 60});
    assert!(expected.check(&object(good.clone())).is_ok());
    for (name, value, error) in [
        ("iss", json!("x"), ClaimError::OtherIssuer),
        ("aud", json!("x"), ClaimError::OtherAudience),
        ("exp", json!(1), ClaimError::Expired),
    ] {
        let mut claims = object(good.clone());
        claims.insert(name.to_owned(), value);
        assert_eq!(expected.check(&claims), Err(error));
    }
}
