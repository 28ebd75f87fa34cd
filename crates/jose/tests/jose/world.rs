//! A signer whose key is known to the reader, and who may write any bytes into header and payload, RFC 7515 section 3.1.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use regrant_jose::{Algorithm, SigningKey, Verified, VerifyError, VerifyingKey, base64url, verify};

pub(crate) const TYP: &str = "at+jwt";

pub(crate) struct World {
    pub(crate) key: SigningKey,
    pub(crate) keys: Vec<VerifyingKey>,
}

impl World {
    /// One ES256 key, known to the reader.
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let keys = vec![public(&key)];
        Self { key, keys }
    }

    /// A genuine token with this header and payload, whatever they are. `KID` stands for the key's name.
    pub(crate) fn sign(&self, header: &str, payload: impl AsRef<[u8]>) -> String {
        let header = header.replace("\"KID\"", &format!("{:?}", self.key.kid()));
        self.complete(&format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_ref())))
    }

    /// The signing input with its genuine signature.
    pub(crate) fn complete(&self, signing_input: &str) -> String {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key.to_pkcs8()).unwrap();
        let signature = pair.sign(&SystemRandom::new(), signing_input.as_bytes()).unwrap();
        format!("{signing_input}.{}", base64url::encode(signature.as_ref()))
    }

    /// A genuine token with the usual header and this payload.
    pub(crate) fn sign_payload(&self, payload: impl AsRef<[u8]>) -> String {
        self.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"KID"}"#, payload)
    }

    pub(crate) fn read(&self, token: &str) -> Result<Verified, VerifyError> {
        verify(token, TYP, &self.keys)
    }

    /// Why a genuine token with this header is refused.
    pub(crate) fn refusal(&self, header: &str) -> VerifyError {
        self.read(&self.sign(header, "{}")).unwrap_err()
    }
}

pub(crate) fn public(key: &SigningKey) -> VerifyingKey {
    VerifyingKey::from_jwk(&key.public_jwk()).unwrap()
}

/// One RSA key for all tests, because making one takes long. It signs RS256 here and PS256 in [`rsa_pss`].
pub(crate) fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

pub(crate) fn rsa_pss() -> SigningKey {
    SigningKey::from_pkcs8(Algorithm::Ps256, &rsa().to_pkcs8()).unwrap()
}
