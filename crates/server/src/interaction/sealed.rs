//! An interaction while somebody else shows it: the whole of it, sealed, in a URL. Nothing is stored for a question, so that nobody can fill
//! anything up by asking; what is stored is that an answer was used, when it is.
//!
//! | text   | who carries it                       | holds                                                     | is good                    |
//! |--------|--------------------------------------|-----------------------------------------------------------|----------------------------|
//! | `rgq_` | the browser, to the application      | the challenge: what is asked, of whom, in which browser   | until `lifetime` has passed |
//! | `rgv_` | the application's answer, the browser | the verifier: the challenge, and what was answered        | once, for two minutes      |
//! | `rgl_` | the browser, from a POST to the GET  | a logout request that was believed, without its ID token  | as long as its ID token would be |
//!
//! AES-256-GCM-SIV under a key of its own; which of the two it is stands in the associated data. That the browser is the one that began is
//! said by a form token of its cookie (`session.rs`): whoever is handed another one's challenge or verifier can do nothing with it.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use regrant_jose::base64url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chance;

/// How long a browser may take from the application back to here.
pub(crate) const VERIFIER_LIFETIME: Duration = Duration::from_secs(120);
/// The longest text that is opened: a whole request, and what may be said of it.
const MAX_TEXT: usize = 16 * 1024;

const CHALLENGE: &str = "rgq_";
const VERIFIER: &str = "rgv_";
const LOGOUT: &str = "rgl_";

/// A question on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    /// Random: an answer to it is used once.
    pub(crate) id: String,
    /// As [`Kind`](regrant_core::interaction::Kind) is written.
    pub(crate) kind: String,
    /// What the login page would carry: an authorization or logout request, or what else led here.
    pub(crate) request: String,
    /// When it began, in milliseconds.
    pub(crate) began_at: i64,
    /// Binds it to a cookie of the browser.
    pub(crate) browser: String,
    /// Who is logged in there, if somebody is.
    pub(crate) subject: Option<String>,
    /// That session, as `sid` names it.
    pub(crate) session: Option<String>,
}

/// A logout request on its way from a POST, which brings no cookie of ours, to the GET that does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Logout {
    pub(crate) client: Option<String>,
    /// Where the user goes on, as it was registered.
    pub(crate) next: Option<String>,
    pub(crate) state: Option<String>,
    /// Of the ID token.
    pub(crate) subject: Option<String>,
    pub(crate) sid: Option<String>,
}

/// An answer on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Verifier {
    pub(crate) challenge: Challenge,
    /// When it was given, in milliseconds.
    pub(crate) at: i64,
    pub(crate) answer: Answer,
}

/// What was answered, judged already; judged again when it is used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Login {
        subject: String,
        /// In milliseconds.
        at: i64,
        acr: String,
        amr: Vec<String>,
        claims: Map<String, Value>,
        /// In seconds.
        lifetime: u64,
        remember: bool,
    },
    Account {
        is_this: bool,
    },
    Consent {
        scope: String,
        claims: Map<String, Value>,
        remember: bool,
    },
    Logout,
    Rejected {
        error: String,
    },
}

/// Seals and opens.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    pub(crate) fn new(key: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM_SIV, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    pub(crate) fn challenge(&self, challenge: &Challenge) -> Option<String> {
        self.seal(CHALLENGE, challenge)
    }

    pub(crate) fn verifier(&self, verifier: &Verifier) -> Option<String> {
        self.seal(VERIFIER, verifier)
    }

    pub(crate) fn logout(&self, logout: &Logout) -> Option<String> {
        self.seal(LOGOUT, logout)
    }

    pub(crate) fn open_logout(&self, text: &str) -> Option<Logout> {
        self.open(LOGOUT, text)
    }

    pub(crate) fn open_challenge(&self, text: &str) -> Option<Challenge> {
        self.open(CHALLENGE, text)
    }

    pub(crate) fn open_verifier(&self, text: &str) -> Option<Verifier> {
        self.open(VERIFIER, text)
    }

    fn seal(&self, prefix: &str, value: &impl Serialize) -> Option<String> {
        let nonce: [u8; 12] = chance::bytes();
        let mut body = serde_json::to_vec(value).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(prefix.as_bytes()), &mut body).ok()?;
        let text = format!("{prefix}{}", base64url::encode(&[nonce.as_slice(), &body].concat()));
        (text.len() <= MAX_TEXT).then_some(text)
    }

    fn open<T: DeserializeOwned>(&self, prefix: &str, text: &str) -> Option<T> {
        let sealed = text.strip_prefix(prefix).filter(|_| text.len() <= MAX_TEXT)?;
        let bytes = base64url::decode(sealed).ok()?;
        let (nonce, body) = bytes.split_first_chunk::<12>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(prefix.as_bytes()), &mut body).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge {
            id: "1".to_owned(),
            kind: "login".to_owned(),
            request: "client_id=web&state=%2B".to_owned(),
            began_at: 7,
            browser: "b".to_owned(),
            subject: None,
            session: None,
        }
    }

    /// Neither can stand in for the other, nor be changed, nor be made under another key.
    #[test]
    fn a_sealed_interaction_opens_as_what_it_is_and_as_nothing_else() {
        let seal = Seal::new(&[7; 32]).expect("a key");
        let text = seal.challenge(&challenge()).expect("sealed");
        assert!(text.starts_with("rgq_") && !text.contains("web"));
        assert_eq!(seal.open_challenge(&text), Some(challenge()));
        let verifier = Verifier { challenge: challenge(), at: 8, answer: Answer::Logout };
        let answered = seal.verifier(&verifier).expect("sealed");
        assert_eq!(seal.open_verifier(&answered), Some(verifier));
        assert_eq!(seal.open_verifier(&text.replacen("rgq_", "rgv_", 1)), None);
        assert_eq!(seal.open_challenge(&answered.replacen("rgv_", "rgq_", 1)), None);
        assert_eq!(Seal::new(&[8; 32]).expect("a key").open_challenge(&text), None);
        let mut changed = text.clone();
        let last = changed.pop().expect("a letter");
        changed.push(if last == 'A' { 'B' } else { 'A' });
        for bad in ["", "rgq_", "rgq_AAAA", &text[4..], &changed, &"x".repeat(MAX_TEXT + 1)] {
            assert_eq!(seal.open_challenge(bad), None, "{bad:.20}");
        }
        let long = Challenge { request: "x".repeat(MAX_TEXT), ..challenge() };
        assert_eq!(seal.challenge(&long), None, "what could not be opened is not sealed");
    }
}
