//! What a client proves itself and signs with: `jwks` or `jwks_uri`, `token_endpoint_auth_signing_alg`, the secret of
//! `client_secret_jwt`, and what request objects may be signed with (OpenID Connect Registration section 2, RFC 7591 section 2).
//!
//! | the client says                                       | then                                                             |
//! |-------------------------------------------------------|------------------------------------------------------------------|
//! | `jwks` and `jwks_uri`                                 | error: RFC 7591 section 2, "MUST NOT both be present"            |
//! | `private_key_jwt` and neither of them                 | error: there is nothing to verify with                           |
//! | a key with a private part, or none that it could sign with, or others encrypt to | error                                 |
//! | a signing algorithm of another kind than its method   | error: an HMAC under a public key is check C9                     |
//! | `client_secret_jwt` and only the hash of a secret     | error: a hash computes no HMAC                                   |

use std::fmt;

use regrant_core::client::AuthMethod;
use regrant_core::one_time::{MAX_SECRET_LEN, MIN_SECRET_LEN, client_secret_hash};
use regrant_core::secret::Hash;
use regrant_jose::jwe::{EncryptingKey, KeyAlgorithm};
use regrant_jose::{Algorithm, HS256, Jwk, JwkSet, NONE, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::problem::Problem;
use super::{Checks, ClientDefinition};
use crate::outbound::check_url;

/// The most `request_uris` of a client.
const MAX_REQUEST_URIS: usize = 32;

/// A client's secret itself. Seldom seen: only a client of `client_secret_jwt` needs the server to have it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainSecret(Zeroizing<String>);

impl PlainSecret {
    /// Takes it; [`ClientDefinition::resolve`] judges it.
    #[must_use]
    pub const fn new(secret: Zeroizing<String>) -> Self {
        Self(secret)
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> Hash {
        client_secret_hash(&self.0)
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret(redacted)")
    }
}

impl PartialEq for PlainSecret {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for PlainSecret {}

/// What request objects of a client are signed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectAlgorithm {
    /// With this.
    Signed(Algorithm),
    /// Not at all (`none`).
    Unsigned,
}

impl ClientDefinition {
    /// The algorithm of its assertions, if it is settled.
    #[must_use]
    pub fn assertion_algorithm(&self) -> Option<Algorithm> {
        self.token_endpoint_auth_signing_alg.as_deref()?.parse().ok()
    }

    /// What its request objects are signed with, if it is settled.
    #[must_use]
    pub fn object_algorithm(&self) -> Option<ObjectAlgorithm> {
        match self.request_object_signing_alg.as_deref()? {
            NONE => Some(ObjectAlgorithm::Unsigned),
            name => name.parse().ok().map(ObjectAlgorithm::Signed),
        }
    }

    /// The keys that stand in the definition itself.
    #[must_use]
    pub fn inline_keys(&self) -> Option<JwkSet> {
        serde_json::from_value(serde_json::Value::Object(self.jwks.clone()?)).ok()
    }

    pub(super) fn check_proofs(&self, auth: Option<AuthMethod>, checks: &mut Checks) {
        self.check_keys(auth, checks);
        self.check_assertion_algorithm(auth, checks);
        self.check_objects(checks);
        if let Some(secret) = &self.shared_secret {
            let length = secret.expose().len();
            let is_plain = secret.expose().bytes().all(|byte| matches!(byte, 0x20..=0x7E));
            if auth != Some(AuthMethod::ClientSecretJwt) {
                let what = "only a client of \"client_secret_jwt\" tells its secret; of others the hash is kept";
                checks.problem(Problem::new(
                    "shared_secret",
                    what,
                    "Use secret_hash, as `regrant client secret` prints it.",
                ));
            } else if !is_plain || !(MIN_SECRET_LEN..=MAX_SECRET_LEN).contains(&length) {
                let what = format!("it has other than {MIN_SECRET_LEN} to {MAX_SECRET_LEN} visible ASCII characters");
                checks.problem(Problem::new("shared_secret", what, "`regrant client secret` makes one."));
            }
        }
        let has_secret = self.shared_secret.is_some() || self.sealed_secret.is_some();
        if auth == Some(AuthMethod::ClientSecretJwt) && !has_secret && self.secret_file.is_none() {
            let what = "\"client_secret_jwt\" needs the secret itself, and there is none";
            let remedy = "Give secret_file in the file, or add the client with `regrant client add --auth-method client_secret_jwt`.";
            checks.problem(Problem::new("token_endpoint_auth_method", what, remedy));
        }
    }

    fn check_keys(&self, auth: Option<AuthMethod>, checks: &mut Checks) {
        let remedy =
            "Write the public keys as a JWK set: { keys = [{ kty = \"EC\", crv = \"P-256\", x = \"…\", y = \"…\" }] }.";
        // Who signs nothing may have keys all the same, for others to encrypt to.
        let signs_objects = self.request_object_signing_alg.as_deref().is_some_and(|name| name != NONE);
        let may_only_encrypt = auth != Some(AuthMethod::PrivateKeyJwt) && !signs_objects;
        match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => {
                let what = "there are both jwks and jwks_uri (RFC 7591 section 2)";
                checks.problem(Problem::new(
                    "jwks_uri",
                    what,
                    "Keep one of the two: jwks_uri lets the client rotate its keys.",
                ));
            }
            (Some(keys), None) => {
                let read: Result<JwkSet, _> = serde_json::from_value(serde_json::Value::Object(keys.clone()));
                match read {
                    Err(_) => checks.problem(
                        private_key(keys)
                            .unwrap_or_else(|| Problem::new("jwks", "it is no set of at most 64 public keys", remedy)),
                    ),
                    Ok(set) if !set.keys.iter().any(|key| verifies(key) || (may_only_encrypt && encrypts(key))) => {
                        let what = "none of its keys is one for signatures: RSA of 2048 to 4096 bits, P-256 or Ed25519";
                        checks.problem(Problem::new("jwks", what, remedy));
                    }
                    Ok(_) => {}
                }
            }
            (None, Some(uri)) if check_url(uri).is_none() || uri.contains('#') => {
                let what = "it is no https URL of at most 2048 characters without user information and fragment";
                checks.problem(Problem::new("jwks_uri", what, "Write it like \"https://app.example.com/jwks.json\"."));
            }
            (None, None) if auth == Some(AuthMethod::PrivateKeyJwt) => {
                let what = "\"private_key_jwt\" needs keys, and there are none";
                checks.problem(Problem::new("token_endpoint_auth_method", what, "Add jwks or jwks_uri."));
            }
            (None, Some(_) | None) => {}
        }
    }

    /// OpenID Connect Registration section 2: "All Token Requests using these authentication methods from this Client MUST be
    /// rejected, if the JWT is not signed with this algorithm."
    fn check_assertion_algorithm(&self, auth: Option<AuthMethod>, checks: &mut Checks) {
        let key = "token_endpoint_auth_signing_alg";
        let Some(word) = &self.token_endpoint_auth_signing_alg else { return };
        match auth {
            Some(AuthMethod::PrivateKeyJwt) => {
                checks.choice(key, word, &Algorithm::ALL, |algorithm| algorithm.as_str());
            }
            Some(AuthMethod::ClientSecretJwt) => {
                checks.choice(key, word, &[HS256], |name| name);
            }
            Some(AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::None) => {
                let what = "the client does not prove itself with a JWT";
                checks.problem(Problem::new(key, what, "Leave it out."));
            }
            None => {}
        }
    }

    fn check_objects(&self, checks: &mut Checks) {
        let names: Vec<&str> = Algorithm::ALL.map(Algorithm::as_str).into_iter().chain([NONE]).collect();
        if let Some(word) = &self.request_object_signing_alg {
            let key = "request_object_signing_alg";
            checks.choice(key, word, &names, |name| name);
            if word != NONE && names.contains(&word.as_str()) && self.jwks.is_none() && self.jwks_uri.is_none() {
                let what = "there are no keys to verify request objects with";
                checks.problem(Problem::new(key, what, "Add jwks or jwks_uri."));
            }
        }
        let key = "request_uris";
        checks.list(key, &self.request_uris);
        if self.request_uris.len() > MAX_REQUEST_URIS {
            let what = format!("there are {}, and {MAX_REQUEST_URIS} are the limit", self.request_uris.len());
            checks.problem(Problem::new(key, what, "Keep those in use."));
        }
        for (index, uri) in self.request_uris.iter().enumerate() {
            if check_url(uri).is_none() {
                let what = "it is no https URL of at most 2048 characters without user information";
                let remedy = "Write it like \"https://app.example.com/request.jwt\".";
                checks.problem(Problem::new(key, what, remedy).at(index));
            }
        }
    }
}

fn encrypts(key: &regrant_jose::Jwk) -> bool {
    KeyAlgorithm::ALL.iter().any(|algorithm| EncryptingKey::from_jwk_for(key, *algorithm).is_ok())
}

fn verifies(key: &regrant_jose::Jwk) -> bool {
    Algorithm::ALL.iter().any(|algorithm| VerifyingKey::from_jwk_for(key, *algorithm).is_ok())
}

/// Which key of a set has a private part; never the part itself.
fn private_key(set: &serde_json::Map<String, serde_json::Value>) -> Option<Problem> {
    let remedy = "Write its public members alone (kty, crv, x and y, or n and e), and make a new key if others could read this one.";
    let keys = set.get("keys")?.as_array()?;
    keys.iter().enumerate().find_map(|(index, key)| {
        let key = key.as_object()?;
        let member = Jwk::private_member(key)?;
        let kid = key.get("kid").and_then(serde_json::Value::as_str);
        let name = kid.map(|kid| format!(" ({:?})", kid.chars().take(80).collect::<String>())).unwrap_or_default();
        let what = format!(
            "key {}{name} has a private part, the member \"{member}\": only public keys belong here",
            index + 1
        );
        Some(Problem::new("jwks", what, remedy))
    })
}
