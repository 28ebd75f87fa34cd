//! Keys that sign: JWS compact serialization, RFC 7515 section 3.1, with keys kept as PKCS#8, RFC 5208.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::jwk::Material;
use crate::verifying_key::check_rsa;
use crate::{Algorithm, Jwk, KeyError, MAX_TOKEN_BYTES, SignError, base64url};

/// A private key, parsed once, with its one algorithm. Safe to share between threads; its `Debug` shows the public
/// name only.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    public: Material,
    /// The key as it was normalized on the way in, so that writing it out again cannot fail.
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a new key from the operating system's randomness, RSA with 2048 bits.
    ///
    /// # Errors
    /// [`KeyError::Generation`] if the cryptographic module fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ecdsa),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(rsa_pkcs1),
            Algorithm::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048).map(rsa_pss),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        Self::from_pair(algorithm, pair.map_err(|_| KeyError::Generation)?)
    }

    /// Reads an unencrypted PKCS#8 document (DER). The same RSA key may serve RS256 or PS256, as the caller says.
    ///
    /// # Errors
    /// [`KeyError::BadPkcs8`] if it holds no key of that algorithm, [`KeyError::RsaSize`] for RSA outside 2048 to
    /// 4096 bits.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::Ecdsa),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(der).map(rsa_pkcs1),
            Algorithm::Ps256 => RsaKeyPair::from_pkcs8(der).map(rsa_pss),
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519),
        };
        Self::from_pair(algorithm, pair.map_err(|_| KeyError::BadPkcs8)?)
    }

    /// The private key as PKCS#8 version 1 (DER), unencrypted: the caller wraps it before it goes anywhere.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The key's name: its thumbprint with SHA-256, base64url (RFC 7638), 43 characters.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half for the key set, with `kid`, `alg` and `use`.
    #[must_use]
    pub fn public_jwk(&self) -> Jwk {
        Jwk {
            usage: Some("sig".to_owned()),
            alg: Some(self.algorithm.as_str().to_owned()),
            kid: Some(self.kid.clone()),
            ..self.public.jwk()
        }
    }

    /// Signs `claims` as a compact JWS whose header is `alg`, `typ` and `kid`. `typ` is written as given, so
    /// give `at+jwt` rather than `application/at+jwt` (RFC 7515 section 4.1.9).
    ///
    /// # Errors
    /// [`SignError::NotAnObject`] if the claims are no JSON object, [`SignError::TooLarge`] if the token would have
    /// more than [`MAX_TOKEN_BYTES`], [`SignError::Signing`] if the cryptographic module fails.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            typ: &'a str,
            kid: &'a str,
        }
        let header = Header { alg: self.algorithm.as_str(), typ, kid: &self.kid };
        let header = serde_json::to_vec(&header).map_err(|_| SignError::Signing)?;
        let claims = serde_json::to_vec(claims).map_err(|_| SignError::NotAnObject)?;
        if claims.first() != Some(&b'{') {
            return Err(SignError::NotAnObject);
        }
        let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 400);
        base64url::encode_onto(&mut token, &header);
        token.push('.');
        base64url::encode_onto(&mut token, &claims);
        // Asked before the signature is paid for; asked again when its length is known.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(SignError::TooLarge);
        }
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        base64url::encode_onto(&mut token, &signature);
        if token.len() > MAX_TOKEN_BYTES { Err(SignError::TooLarge) } else { Ok(token) }
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map(|()| signature)
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        }
        .map_err(|_| SignError::Signing)
    }

    fn from_pair(algorithm: Algorithm, pair: Pair) -> Result<Self, KeyError> {
        let public = public_material(&pair)?;
        let document = match &pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map(|document| document.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
        };
        let pkcs8 = Zeroizing::new(document.map_err(|_| KeyError::BadPkcs8)?);
        Ok(Self { kid: public.thumbprint(), algorithm, public, pkcs8, pair })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn rsa_pkcs1(pair: RsaKeyPair) -> Pair {
    Pair::Rsa(Box::new(pair), &RSA_PKCS1_SHA256)
}

fn rsa_pss(pair: RsaKeyPair) -> Pair {
    Pair::Rsa(Box::new(pair), &RSA_PSS_SHA256)
}

fn public_material(pair: &Pair) -> Result<Material, KeyError> {
    match pair {
        Pair::Ecdsa(pair) => {
            // SEC 1 section 2.3.3: 4, then x, then y.
            let point = pair.public_key().as_ref();
            let coordinates = point.strip_prefix(&[4]).and_then(|xy| xy.split_first_chunk::<32>());
            let (x, y) = coordinates.ok_or(KeyError::BadPublicKey)?;
            Ok(Material::P256 { x: *x, y: y.try_into().map_err(|_| KeyError::BadPublicKey)? })
        }
        Pair::Rsa(pair, _) => {
            let (n, e) = rsa_numbers(pair.public_key().as_ref()).ok_or(KeyError::BadPublicKey)?;
            check_rsa(n, e)?;
            Ok(Material::Rsa { n: n.to_vec(), e: e.to_vec() })
        }
        Pair::Ed25519(pair) => {
            let x = pair.public_key().as_ref().try_into().map_err(|_| KeyError::BadPublicKey)?;
            Ok(Material::Ed25519 { x })
        }
    }
}

/// Modulus and exponent out of the DER that aws-lc writes: RFC 8017 appendix A.1.1,
/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (sequence, after) = der_value(der, SEQUENCE)?;
    let (n, rest) = der_value(sequence, INTEGER)?;
    let (e, end) = der_value(rest, INTEGER)?;
    // DER puts a zero before a number whose first bit is set, to keep it positive.
    let unsigned = |number| <[u8]>::strip_prefix(number, &[0]).unwrap_or(number);
    (after.is_empty() && end.is_empty()).then(|| (unsigned(n), unsigned(e)))
}

/// One tag-length-value with a length below 65536: the value and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.strip_prefix(&[tag])? {
        [short @ 0..=0x7f, ref rest @ ..] => (usize::from(short), rest),
        [0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}
