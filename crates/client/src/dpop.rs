//! Tokens that are bound to a key (RFC 9449): with each request goes a proof that we have it, and a stolen token is worth nothing.
//!
//! The key is made at the login and kept with the tokens. A server that wants its own freshness in the proofs gives nonces; the last
//! one of each origin is used, and a request that was refused for want of one is sent again with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use regrant_jose::{Algorithm, SigningKey, base64url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::chance;
use crate::error::Error;
use crate::secret::Secret;

/// Of how many origins nonces are remembered.
const ORIGINS: usize = 64;
/// The longest nonce that is remembered.
const LONGEST: usize = 512;

/// A key of ES256 that tokens are bound to.
pub(crate) struct DpopKey {
    pair: EcdsaKeyPair,
    public: Value,
    thumbprint: String,
    secret: Secret,
}

impl std::fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl DpopKey {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = SigningKey::generate(Algorithm::Es256).map_err(|error| broken(&error))?;
        Self::of(&key)
    }

    /// The one that was kept as this text.
    pub(crate) fn kept(secret: &Secret) -> Result<Self, Error> {
        let der = Zeroizing::new(base64url::decode(secret.expose()).map_err(|_| broken(&"it is no base64url"))?);
        Self::of(&SigningKey::from_pkcs8(Algorithm::Es256, &der).map_err(|error| broken(&error))?)
    }

    fn of(key: &SigningKey) -> Result<Self, Error> {
        let der = key.to_pkcs8();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|error| broken(&error))?;
        let jwk = key.public_jwk();
        let public = json!({"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y});
        let secret = Secret::new(base64url::encode(&der));
        Ok(Self { pair, public, thumbprint: key.kid().to_owned(), secret })
    }

    /// The key as text, to be kept where the tokens are.
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What an authorization request says of the key (RFC 9449 section 10).
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// A proof for one request (RFC 9449 section 4.2). `now` is the server's date in seconds; `token` goes with requests to an API.
    pub(crate) fn proof(
        &self,
        method: &str,
        url: &str,
        nonce: Option<&str>,
        token: Option<&Secret>,
        now: u64,
    ) -> Result<String, Error> {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public});
        // "htu: The HTTP target URI of the request to which the JWT is attached, without query and fragment parts."
        let target = url.split(['?', '#']).next().unwrap_or(url);
        let mut claims = json!({"jti": chance::text(), "htm": method, "htu": target, "iat": now});
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(token) = token {
            let hash = digest::digest(&digest::SHA256, token.expose().as_bytes());
            claims["ath"] = base64url::encode(hash.as_ref()).into();
        }
        let encoded = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes()).map_err(|error| broken(&error))?;
        Ok(format!("{input}.{}", base64url::encode(signature.as_ref())))
    }
}

fn broken(why: &dyn std::fmt::Display) -> Error {
    Error::Misconfigured(format!("the key that the tokens are bound to: {why}"))
}

/// The last nonce of each origin (RFC 9449 sections 8 and 9).
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, String>>);

impl Nonces {
    pub(crate) fn of(&self, url: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&origin(url)).cloned()
    }

    pub(crate) fn note(&self, url: &str, nonce: Option<&str>) {
        let Some(nonce) = nonce.filter(|nonce| nonce.len() <= LONGEST) else { return };
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = origin(url);
        if nonces.len() >= ORIGINS && !nonces.contains_key(&origin) {
            nonces.clear();
        }
        nonces.insert(origin, nonce.to_owned());
    }
}

fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use regrant_jose::{Jwk, Typ, Unverified, VerifyingKey};

    use super::*;

    #[test]
    fn a_proof_is_for_one_request_and_by_the_key_that_was_kept() {
        let key = DpopKey::generate().expect("a key");
        let key = DpopKey::kept(key.secret()).expect("the same");
        let token = Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        let url = "https://rs.example/thing?a=1#b";
        let proof = key.proof("GET", url, Some("n"), Some(&token), 1_800_000_000).expect("a proof");
        let parsed = Unverified::parse(&proof).expect("a JWS");
        let jwk: Jwk = serde_json::from_value(parsed.header().members["jwk"].clone()).expect("a public key");
        let public = VerifyingKey::from_jwk_for(&jwk, Algorithm::Es256).expect("a key");
        assert_eq!(public.kid(), key.thumbprint());
        let verified = parsed.verify(Typ::Is("dpop+jwt"), &[public]).expect("its own signature");
        // The example of RFC 9449 section 7.1.
        assert_eq!(verified.claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(verified.claims["htu"], "https://rs.example/thing");
        assert_eq!((&verified.claims["htm"], &verified.claims["nonce"]), (&"GET".into(), &"n".into()));
        assert_ne!(key.proof("GET", url, None, None, 0), key.proof("GET", url, None, None, 0), "each has its own jti");
        assert!(!format!("{key:?}").contains(key.secret().expose()));
    }

    #[test]
    fn each_origin_has_its_own_nonce() {
        let nonces = Nonces::default();
        nonces.note("https://a.example/x", Some("1"));
        nonces.note("https://b.example/x", Some("2"));
        nonces.note("https://a.example/y", None);
        assert_eq!(nonces.of("https://a.example/other?q").as_deref(), Some("1"));
        assert_eq!(nonces.of("https://b.example/").as_deref(), Some("2"));
        assert_eq!(nonces.of("http://a.example/x"), None);
    }
}
