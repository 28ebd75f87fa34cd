//! Keys that encrypt: somebody's public [`Jwk`], parsed once, with its one algorithm. RFC 7516 section 5.1.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use serde::Serialize;
use zeroize::Zeroizing;

use super::agree::{Info, agreed};
use super::{ContentAlgorithm, EncryptError, KeyAlgorithm, MAX_ENCRYPTED_BYTES};
use crate::jwk::Material;
use crate::verifying_key::check_rsa;
use crate::{Jwk, JwkSet, KeyError, base64url};

/// A public key, ready to encrypt to its owner with its one algorithm. Safe to share between threads.
pub struct EncryptingKey {
    kid: Option<String>,
    algorithm: KeyAlgorithm,
    key: Recipient,
}

enum Recipient {
    Rsa(OaepPublicEncryptingKey),
    /// An uncompressed point that is on its curve.
    P256([u8; 65]),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    enc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cty: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epk: Option<Jwk>,
}

impl EncryptingKey {
    /// Parses a public key for this algorithm.
    ///
    /// # Errors
    /// [`KeyError`], if the key is of another kind or for another algorithm, malformed, off its curve, an RSA key outside 2048 to
    /// 4096 bits, or not meant for encryption.
    pub fn from_jwk_for(jwk: &Jwk, algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        if jwk.alg.as_deref().is_some_and(|named| named != algorithm.as_str()) {
            return Err(KeyError::UnsupportedAlgorithm);
        }
        if !meant_for_encryption(jwk) {
            return Err(KeyError::NotForEncryption);
        }
        Ok(Self { kid: jwk.kid.clone(), algorithm, key: parse(&jwk.material()?, algorithm)? })
    }

    /// The key of a set that its owner wants to be used for this algorithm: the first that says it is for encryption, else the
    /// first that does not say what it is for.
    #[must_use]
    pub fn of_set(set: &JwkSet, algorithm: KeyAlgorithm) -> Option<Self> {
        let (said, silent): (Vec<&Jwk>, Vec<&Jwk>) = set.keys.iter().partition(|key| key.usage.is_some());
        said.into_iter().chain(silent).find_map(|key| Self::from_jwk_for(key, algorithm).ok())
    }

    /// Its one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Encrypts `content` to the owner of this key as a compact JWE. `cty` is `JWT` where the content is a token (RFC 7519
    /// section 5.2).
    ///
    /// # Errors
    /// [`EncryptError::TooLarge`] if the token would have more than [`MAX_ENCRYPTED_BYTES`], [`EncryptError::Encrypting`] if the
    /// cryptographic module fails.
    pub fn encrypt(&self, with: ContentAlgorithm, cty: Option<&str>, content: &[u8]) -> Result<String, EncryptError> {
        // Asked before anything is paid for; asked again when the length is known.
        if content.len() > MAX_ENCRYPTED_BYTES {
            return Err(EncryptError::TooLarge);
        }
        let (key, encrypted_key, ephemeral) = self.content_key(with).map_err(|_| EncryptError::Encrypting)?;
        let header = Header {
            alg: self.algorithm.as_str(),
            enc: with.as_str(),
            kid: self.kid.as_deref(),
            cty,
            epk: ephemeral.as_ref().map(Material::jwk),
        };
        let header = serde_json::to_vec(&header).map_err(|_| EncryptError::Encrypting)?;
        let mut token = base64url::encode(&header);
        let sealed = with.seal(&key, token.as_bytes(), content).map_err(|_| EncryptError::Encrypting)?;
        for part in [&encrypted_key, &sealed.iv, &sealed.ciphertext, &sealed.tag] {
            token.push('.');
            base64url::encode_onto(&mut token, part);
        }
        if token.len() > MAX_ENCRYPTED_BYTES { Err(EncryptError::TooLarge) } else { Ok(token) }
    }

    /// The key of one content: itself, as it is sent, and the public key that it was agreed on with.
    #[expect(clippy::type_complexity, reason = "three results of one step, taken apart where it is called")]
    fn content_key(
        &self,
        with: ContentAlgorithm,
    ) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>, Option<Material>), Unspecified> {
        let fresh = || {
            let mut key = Zeroizing::new(vec![0; with.key_length()]);
            rand::fill(&mut key).map(|()| key)
        };
        let (point, rsa) = match &self.key {
            Recipient::P256(point) => (Some(point), None),
            Recipient::Rsa(key) => (None, Some(key)),
        };
        match self.algorithm {
            KeyAlgorithm::RsaOaep256 | KeyAlgorithm::RsaOaep => {
                let (rsa, key) = (rsa.ok_or(Unspecified)?, fresh()?);
                let padding = oaep(self.algorithm);
                let mut encrypted = vec![0; rsa.ciphertext_size()];
                let length = rsa.encrypt(padding, &key, &mut encrypted, None)?.len();
                encrypted.truncate(length);
                Ok((key, encrypted, None))
            }
            KeyAlgorithm::EcdhEs | KeyAlgorithm::EcdhEsA128Kw | KeyAlgorithm::EcdhEsA256Kw => {
                // Section 4.6.1.1: "The public key MUST be […] a new one for every key agreement".
                let own = PrivateKey::generate(&ECDH_P256)?;
                let public = p256_of(own.compute_public_key()?.as_ref())?;
                let info = Info::new(self.algorithm, with, &[], &[]);
                let agreed = agreed(&own, point.ok_or(Unspecified)?, &info)?;
                let wrapping = match self.algorithm {
                    KeyAlgorithm::EcdhEsA128Kw => AesKek::new(&AES_128, &agreed)?,
                    KeyAlgorithm::EcdhEsA256Kw => AesKek::new(&AES_256, &agreed)?,
                    _ => return Ok((agreed, Vec::new(), Some(public))),
                };
                let key = fresh()?;
                let mut wrapped = vec![0; key.len() + 8];
                wrapping.wrap(&key, &mut wrapped)?;
                Ok((key, wrapped, Some(public)))
            }
        }
    }
}

impl fmt::Debug for EncryptingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Which OAEP it is.
pub(super) fn oaep(algorithm: KeyAlgorithm) -> &'static aws_lc_rs::rsa::OaepAlgorithm {
    if algorithm == KeyAlgorithm::RsaOaep { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 }
}

/// SEC 1 section 2.3.3: 4, then x, then y.
pub(super) fn p256_of(point: &[u8]) -> Result<Material, Unspecified> {
    let coordinates = point.strip_prefix(&[4]).and_then(|xy| xy.split_first_chunk::<32>());
    let (x, y) = coordinates.ok_or(Unspecified)?;
    Ok(Material::P256 { x: *x, y: y.try_into().map_err(|_| Unspecified)? })
}

/// The uncompressed point of a key on P-256, if it is on the curve.
pub(super) fn point_of(material: &Material) -> Result<[u8; 65], KeyError> {
    let Material::P256 { x, y } = material else { return Err(KeyError::UnsupportedAlgorithm) };
    let mut point = [4; 65];
    point[1..33].copy_from_slice(x);
    point[33..].copy_from_slice(y);
    let parsed: Result<ParsedPublicKey, _> = UnparsedPublicKey::new(&ECDH_P256, point).try_into();
    parsed.map(|_| point).map_err(|_| KeyError::BadPublicKey)
}

fn parse(material: &Material, algorithm: KeyAlgorithm) -> Result<Recipient, KeyError> {
    match (material, algorithm) {
        (Material::P256 { .. }, KeyAlgorithm::EcdhEs | KeyAlgorithm::EcdhEsA128Kw | KeyAlgorithm::EcdhEsA256Kw) => {
            point_of(material).map(Recipient::P256)
        }
        (Material::Rsa { n, e }, KeyAlgorithm::RsaOaep256 | KeyAlgorithm::RsaOaep) => {
            check_rsa(n, e)?;
            let key: Result<PublicEncryptingKey, _> = RsaPublicKeyComponents { n, e }.try_into();
            let key = key.and_then(OaepPublicEncryptingKey::new);
            key.map(Recipient::Rsa).map_err(|_| KeyError::BadPublicKey)
        }
        (Material::P256 { .. } | Material::Ed25519 { .. } | Material::Rsa { .. }, _) => {
            Err(KeyError::UnsupportedAlgorithm)
        }
    }
}

/// RFC 7517 sections 4.2 and 4.3.
fn meant_for_encryption(jwk: &Jwk) -> bool {
    let operations = ["encrypt", "wrapKey", "deriveKey", "deriveBits"];
    let known = |name: &String| operations.contains(&name.as_str());
    jwk.usage.as_deref().is_none_or(|usage| usage == "enc")
        && jwk.key_ops.as_ref().is_none_or(|named| named.iter().any(known))
}
