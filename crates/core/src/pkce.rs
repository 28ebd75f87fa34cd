//! Proof Key for Code Exchange (RFC 7636), with S256 only.
//!
//! RFC 9700 section 2.1.1: a challenge that was sent is enforced, and a verifier without a challenge is refused, or an
//! attacker could strip the challenge from the authorization request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::refusal::Refusal;
use crate::secret::Hash;

/// Why an authorization request's challenge was not taken. The client hears `invalid_request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadChallenge {
    /// RFC 7636 section 4.3: an absent method means `plain`, which shows the verifier to whoever reads the request.
    PlainMethod,
    /// A method that is neither `S256` nor `plain`; the names are case-sensitive.
    UnknownMethod,
    /// Not 43 base64url characters.
    Malformed,
    /// A method without a challenge.
    MethodWithoutChallenge,
    /// The client must use PKCE and did not.
    Missing,
}

/// Reads `code_challenge` and `code_challenge_method`. `Ok(None)` if neither was sent and none is required.
///
/// # Errors
/// [`BadChallenge`] for anything but a well-formed S256 challenge.
pub fn challenge(challenge: Option<&str>, method: Option<&str>, required: bool) -> Result<Option<Hash>, BadChallenge> {
    match (challenge, method) {
        (None, None) if required => Err(BadChallenge::Missing),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(BadChallenge::MethodWithoutChallenge),
        (Some(_), None | Some("plain")) => Err(BadChallenge::PlainMethod),
        (Some(text), Some("S256")) => {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadChallenge::Malformed)?;
            bytes.try_into().map(|bytes| Some(Hash(bytes))).map_err(|_| BadChallenge::Malformed)
        }
        (Some(_), Some(_)) => Err(BadChallenge::UnknownMethod),
    }
}

/// RFC 7636 section 4.6: the verifier must hash to the challenge. An empty verifier is an absent one.
///
/// # Errors
/// The [`Refusal`] that names what was wrong; the client hears `invalid_grant` for all of them.
pub fn verify(challenge: Option<&Hash>, verifier: Option<&str>) -> Result<(), Refusal> {
    match (challenge, verifier.filter(|verifier| !verifier.is_empty())) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Refusal::VerifierUnexpected),
        (Some(_), None) => Err(Refusal::VerifierMissing),
        (Some(_), Some(verifier)) if !is_verifier(verifier) => Err(Refusal::VerifierMalformed),
        (Some(challenge), Some(verifier)) if Hash::of(verifier.as_bytes()) == *challenge => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::VerifierWrong),
    }
}

/// RFC 7636 section 4.1: 43 to 128 characters of `ALPHA / DIGIT / "-" / "." / "_" / "~"`.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of RFC 7636 appendix B.
    #[test]
    fn the_rfcs_own_pair_fits() {
        let stored = challenge(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Some("S256"), true)
            .expect("well-formed")
            .expect("present");
        assert_eq!(verify(Some(&stored), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")), Ok(()));
        assert_eq!(
            verify(Some(&stored), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK")),
            Err(Refusal::VerifierWrong)
        );
    }

    /// Checks P1, P2.
    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        let stored = |verifier: &str| Hash::of(verifier.as_bytes());
        for length in [43, 128] {
            let verifier = "~".repeat(length);
            assert_eq!(verify(Some(&stored(&verifier)), Some(&verifier)), Ok(()));
        }
        for verifier in
            ["a".repeat(42), "a".repeat(129), format!("{}+", "a".repeat(42)), format!("{}é", "a".repeat(42))]
        {
            assert_eq!(verify(Some(&stored(&verifier)), Some(&verifier)), Err(Refusal::VerifierMalformed));
        }
        assert_eq!(verify(Some(&stored("x")), None), Err(Refusal::VerifierMissing));
        assert_eq!(verify(Some(&stored("x")), Some("")), Err(Refusal::VerifierMissing));
        assert_eq!(verify(None, Some(&"a".repeat(43))), Err(Refusal::VerifierUnexpected));
    }

    /// Checks P3, P4, P5, P6, P7.
    #[test]
    fn only_s256_is_taken() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge(Some(good), None, true), Err(BadChallenge::PlainMethod));
        assert_eq!(challenge(Some(good), Some("plain"), true), Err(BadChallenge::PlainMethod));
        assert_eq!(challenge(Some(good), Some("s256"), true), Err(BadChallenge::UnknownMethod));
        assert_eq!(challenge(None, Some("S256"), false), Err(BadChallenge::MethodWithoutChallenge));
        assert_eq!(challenge(None, None, true), Err(BadChallenge::Missing));
        assert_eq!(challenge(None, None, false), Ok(None));
        for bad in ["", "a", &good[..42], &format!("{good}A"), &format!("{good}="), &good.replace('-', "+")] {
            assert_eq!(challenge(Some(bad), Some("S256"), true), Err(BadChallenge::Malformed), "{bad}");
        }
    }
}
