//! What of a client is encrypted, and how: OpenID Connect Registration section 2.
//!
//! | the client says                            | then                                                                       |
//! |--------------------------------------------|----------------------------------------------------------------------------|
//! | `…_enc` and not `…_alg`                    | error: "MUST also be provided"                                             |
//! | `…_alg` and not `…_enc`                    | `A128CBC-HS256`, as that section has it                                    |
//! | that it wants answers encrypted            | error without `jwks` or `jwks_uri`, or with `jwks` that hold no such key     |
//! | how it encrypts request objects            | one of `ECDH-ES`, for our key is on P-256                                  |

use regrant_jose::jwe::{ContentAlgorithm, EncryptingKey, KeyAlgorithm};

use super::super::problem::Problem;
use super::{Checks, ClientDefinition};
use crate::encryption::Encryption;

/// The names of one pair of settings.
struct Names {
    alg: &'static str,
    enc: &'static str,
}

const ID_TOKEN: Names = Names { alg: "id_token_encrypted_response_alg", enc: "id_token_encrypted_response_enc" };
const USERINFO: Names = Names { alg: "userinfo_encrypted_response_alg", enc: "userinfo_encrypted_response_enc" };
const OBJECT: Names = Names { alg: "request_object_encryption_alg", enc: "request_object_encryption_enc" };

impl ClientDefinition {
    /// How its ID tokens are encrypted, if they are.
    #[must_use]
    pub fn id_token_encryption(&self) -> Option<Encryption> {
        read(self.id_token_encrypted_response_alg.as_deref(), self.id_token_encrypted_response_enc.as_deref())
    }

    /// How its userinfo answers are encrypted, if they are.
    #[must_use]
    pub fn userinfo_encryption(&self) -> Option<Encryption> {
        read(self.userinfo_encrypted_response_alg.as_deref(), self.userinfo_encrypted_response_enc.as_deref())
    }

    /// How it encrypts its request objects, if that is settled.
    #[must_use]
    pub fn object_encryption(&self) -> Option<Encryption> {
        read(self.request_object_encryption_alg.as_deref(), self.request_object_encryption_enc.as_deref())
    }

    pub(super) fn check_encryption(&self, checks: &mut Checks) {
        let pairs = [
            (ID_TOKEN, &self.id_token_encrypted_response_alg, &self.id_token_encrypted_response_enc),
            (USERINFO, &self.userinfo_encrypted_response_alg, &self.userinfo_encrypted_response_enc),
            (OBJECT, &self.request_object_encryption_alg, &self.request_object_encryption_enc),
        ];
        for (names, alg, enc) in pairs {
            if let Some(word) = enc {
                checks.choice(names.enc, word, &ContentAlgorithm::ALL, |known| known.as_str());
                if alg.is_none() {
                    let what = format!("it means nothing without {}", names.alg);
                    checks.problem(Problem::new(names.enc, what, format!("Add {}, or leave it out.", names.alg)));
                }
            }
            let Some(word) = alg else { continue };
            let is_ours = names.alg == OBJECT.alg;
            let all: &[KeyAlgorithm] = if is_ours { &KeyAlgorithm::ECDH } else { &KeyAlgorithm::ALL };
            let chosen = checks.choice(names.alg, word, all, |known| known.as_str());
            if let Some(chosen) = chosen.filter(|_| !is_ours) {
                self.check_key_for(names.alg, chosen, checks);
            }
        }
    }

    fn check_key_for(&self, key: &'static str, algorithm: KeyAlgorithm, checks: &mut Checks) {
        let what = match (&self.jwks, &self.jwks_uri) {
            (None, None) => "there are no keys to encrypt to",
            (Some(_), _) if self.inline_keys().is_some_and(|set| EncryptingKey::of_set(&set, algorithm).is_none()) => {
                "none of the keys in jwks is one for it"
            }
            _ => return,
        };
        let remedy = "Add jwks_uri, or a key with use = \"enc\" to jwks: P-256 for ECDH-ES, RSA of 2048 to 4096 bits for RSA-OAEP.";
        checks.problem(Problem::new(key, what, remedy));
    }
}

/// Of words that were checked.
fn read(alg: Option<&str>, enc: Option<&str>) -> Option<Encryption> {
    let key = alg?.parse().ok()?;
    let content = enc.map_or(Ok(ContentAlgorithm::A128CbcHs256), str::parse).ok()?;
    Some(Encryption { key, content })
}
