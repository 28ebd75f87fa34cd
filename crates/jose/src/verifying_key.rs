//! Keys that verify: a [`Jwk`] parsed once, with its one algorithm, RFC 8725 section 3.1: "each key MUST be used
//! with exactly one algorithm, and this MUST be checked when the cryptographic operation is performed".

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

use crate::jwk::Material;
use crate::{Algorithm, Jwk, KeyError};

/// A public key, ready to verify with its one algorithm. Cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses a public key. The algorithm follows from the kind of key, an RSA key must name it in `alg`.
    ///
    /// # Errors
    /// [`KeyError`], if the key is of a kind we do not use, malformed, off its curve, an RSA key outside 2048 to 4096
    /// bits or without `alg`, or not meant for signatures.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let material = jwk.material()?;
        let named = match &jwk.alg {
            Some(name) => Some(name.parse().map_err(|_| KeyError::UnsupportedAlgorithm)?),
            None => None,
        };
        let algorithm = match (&material, named) {
            (Material::P256 { .. }, None) => Algorithm::Es256,
            (Material::Ed25519 { .. }, None) => Algorithm::EdDsa,
            (Material::Rsa { .. }, None) => return Err(KeyError::AlgorithmMissing),
            (_, Some(named)) => named,
        };
        Self::from_material(jwk, &material, algorithm)
    }

    /// Parses a public key for the algorithm that was agreed on elsewhere, a client's registered
    /// `token_endpoint_auth_signing_alg` say. For RSA keys published without `alg`.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_jwk`], and [`KeyError::UnsupportedAlgorithm`] if the key names another `alg`.
    pub fn from_jwk_for(jwk: &Jwk, algorithm: Algorithm) -> Result<Self, KeyError> {
        if jwk.alg.as_deref().is_some_and(|named| named != algorithm.as_str()) {
            return Err(KeyError::UnsupportedAlgorithm);
        }
        Self::from_material(jwk, &jwk.material()?, algorithm)
    }

    /// The name a token's header calls this key by: the JWK's `kid`, or its thumbprint if it has none.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm this key verifies with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    fn from_material(jwk: &Jwk, material: &Material, algorithm: Algorithm) -> Result<Self, KeyError> {
        if !meant_for_signatures(jwk) {
            return Err(KeyError::NotForSignatures);
        }
        let key = parse(material, algorithm)?;
        let kid = jwk.kid.clone().unwrap_or_else(|| material.thumbprint());
        Ok(Self { kid, algorithm, key })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish()
    }
}

fn meant_for_signatures(jwk: &Jwk) -> bool {
    let usage = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
    let operations = jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    usage && operations
}

fn parse(material: &Material, algorithm: Algorithm) -> Result<ParsedPublicKey, KeyError> {
    match (material, algorithm) {
        (Material::P256 { x, y }, Algorithm::Es256) => {
            // SEC 1 section 2.3.3: 4 stands for "uncompressed". aws-lc checks that the point is on the curve.
            let point = [&[4][..], x, y].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyError::BadPublicKey)
        }
        (Material::Ed25519 { x }, Algorithm::EdDsa) => {
            ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyError::BadPublicKey)
        }
        (Material::Rsa { n, e }, Algorithm::Rs256 | Algorithm::Ps256) => {
            check_rsa(n, e)?;
            let params =
                if algorithm == Algorithm::Ps256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(params).map_err(|_| KeyError::BadPublicKey)
        }
        (Material::P256 { .. } | Material::Ed25519 { .. } | Material::Rsa { .. }, _) => {
            Err(KeyError::UnsupportedAlgorithm)
        }
    }
}

/// aws-lc looks at the numbers only when it verifies, so they are checked here, once.
pub(crate) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=4096).contains(&bits) {
        return Err(KeyError::RsaSize);
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    // An exponent of 1 would make every message its own signature; a huge one makes verifying dear.
    if !odd(n) || !odd(e) || e == [1] || e.len() > 4 {
        return Err(KeyError::BadPublicKey);
    }
    Ok(())
}
