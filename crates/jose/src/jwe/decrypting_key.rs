//! Keys that decrypt: RFC 7516 section 5.2, in the order of its steps; the cheap questions come first.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::agree::{Info, agreed};
use super::content::Sealed;
use super::encrypting_key::{oaep, p256_of, point_of};
use super::{ContentAlgorithm, DecryptError, KeyAlgorithm, MAX_ENCRYPTED_BYTES};
use crate::jwk::Material;
use crate::{Algorithm, Jwk, KeyError, SigningKey, base64url, read_object};

/// The longest `apu` and `apv`, decoded: they say who the two are.
const MAX_PARTY: usize = 256;

/// A private key that opens what is encrypted to it. Safe to share between threads.
pub struct DecryptingKey {
    kid: String,
    public: Material,
    key: Private,
}

enum Private {
    /// One key, one padding.
    Rsa(OaepPrivateDecryptingKey, KeyAlgorithm),
    /// Every kind of agreement: each makes another key of the same secret, for its name is a part of it.
    P256(PrivateKey),
}

/// What was in a token that opens. Nobody is known to have written it.
#[derive(Debug)]
pub struct Decrypted {
    /// All members of the header.
    pub header: Map<String, Value>,
    /// How the key of the content came over.
    pub algorithm: KeyAlgorithm,
    /// How the content was encrypted.
    pub encryption: ContentAlgorithm,
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
}

impl DecryptingKey {
    /// The key on P-256 with this private number, big-endian.
    ///
    /// # Errors
    /// [`KeyError::BadPublicKey`] if it is zero, or not less than the order of the curve.
    pub fn from_p256(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let key = PrivateKey::from_private_key(&ECDH_P256, secret).map_err(|_| KeyError::BadPublicKey)?;
        let public = key.compute_public_key().and_then(|public| p256_of(public.as_ref()));
        let public = public.map_err(|_| KeyError::BadPublicKey)?;
        Ok(Self { kid: public.thumbprint(), public, key: Private::P256(key) })
    }

    /// The RSA key of an unencrypted PKCS#8 document (DER), for one of the two paddings.
    ///
    /// # Errors
    /// [`KeyError::UnsupportedAlgorithm`] for an algorithm of another kind, [`KeyError::BadPkcs8`] if it holds no such key,
    /// [`KeyError::RsaSize`] outside 2048 to 4096 bits.
    pub fn from_rsa_pkcs8(algorithm: KeyAlgorithm, der: &[u8]) -> Result<Self, KeyError> {
        if !matches!(algorithm, KeyAlgorithm::RsaOaep256 | KeyAlgorithm::RsaOaep) {
            return Err(KeyError::UnsupportedAlgorithm);
        }
        let public = SigningKey::from_pkcs8(Algorithm::Rs256, der)?.public_jwk().material()?;
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError::BadPkcs8)?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::BadPkcs8)?;
        Ok(Self { kid: public.thumbprint(), public, key: Private::Rsa(key, algorithm) })
    }

    /// The same under another name, by which whoever encrypts to it calls it.
    #[must_use]
    pub fn called(self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), ..self }
    }

    /// The key's name: unless it was given another, its thumbprint with SHA-256, base64url (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half for the key set, with `kid` and `use`; with `alg` where there is only one.
    #[must_use]
    pub fn public_jwk(&self) -> Jwk {
        let alg = match &self.key {
            Private::Rsa(_, algorithm) => Some(algorithm.as_str().to_owned()),
            Private::P256(_) => None,
        };
        Jwk { usage: Some("enc".to_owned()), alg, kid: Some(self.kid.clone()), ..self.public.jwk() }
    }

    /// The key of the content. An error says only what everybody can read in the header.
    fn content_key(&self, header: &Header, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        match (&self.key, header.algorithm) {
            (Private::Rsa(key, own), algorithm) if *own == algorithm => {
                let opened = rsa_opened(key, algorithm, encrypted, header.encryption.key_length());
                opened.map_err(|_| DecryptError::DoesNotOpen)
            }
            (Private::P256(key), KeyAlgorithm::EcdhEs | KeyAlgorithm::EcdhEsA128Kw | KeyAlgorithm::EcdhEsA256Kw) => {
                header.agree(key, encrypted)
            }
            (Private::Rsa(..) | Private::P256(_), _) => Err(DecryptError::UnsupportedAlgorithm),
        }
    }
}

impl fmt::Debug for DecryptingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Opens a compact JWE with the one of `keys` that its `kid` names, or the first of the right kind where it names none.
///
/// # Errors
/// [`DecryptError`], for the first thing that is wrong.
pub fn decrypt(token: &str, keys: &[DecryptingKey]) -> Result<Decrypted, DecryptError> {
    if token.len() > MAX_ENCRYPTED_BYTES {
        return Err(DecryptError::TooLarge);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [protected, encrypted_key, iv, ciphertext, tag] = parts[..] else { return Err(DecryptError::NotFiveParts) };
    let bytes = |part: &str| base64url::decode(part).map_err(|_| DecryptError::NotBase64url);
    let members = read_object(&bytes(protected)?).map_err(DecryptError::BadJson)?;
    let header = Header::of(&members)?;
    let (encrypted_key, iv) = (bytes(encrypted_key)?, bytes(iv)?);
    let (ciphertext, tag) = (bytes(ciphertext)?, bytes(tag)?);
    let key = match text(&members, "kid")? {
        Some(kid) => keys.iter().find(|key| key.kid == kid),
        None => keys.iter().find(|key| key.takes(header.algorithm)),
    };
    let key = key.ok_or(DecryptError::UnknownKey)?.content_key(&header, &encrypted_key)?;
    let sealed = Sealed { iv, ciphertext, tag };
    let content = header.encryption.open(&key, protected.as_bytes(), sealed).map_err(|_| DecryptError::DoesNotOpen)?;
    let Header { algorithm, encryption, .. } = header;
    Ok(Decrypted { header: members, algorithm, encryption, content })
}

impl DecryptingKey {
    fn takes(&self, algorithm: KeyAlgorithm) -> bool {
        match &self.key {
            Private::Rsa(_, own) => *own == algorithm,
            Private::P256(_) => KeyAlgorithm::ECDH.contains(&algorithm),
        }
    }
}

/// What the header says of the keys.
struct Header {
    algorithm: KeyAlgorithm,
    encryption: ContentAlgorithm,
    /// The sender's point.
    ephemeral: Option<[u8; 65]>,
    /// `apu` and `apv`.
    parties: [Vec<u8>; 2],
}

impl Header {
    fn of(members: &Map<String, Value>) -> Result<Self, DecryptError> {
        if members.contains_key("crit") {
            return Err(DecryptError::CriticalExtension);
        }
        if members.contains_key("zip") {
            return Err(DecryptError::Compressed);
        }
        let algorithm = text(members, "alg")?.ok_or(DecryptError::BadHeaderMember("alg"))?;
        let algorithm: KeyAlgorithm = algorithm.parse().map_err(|_| DecryptError::UnsupportedAlgorithm)?;
        let encryption = text(members, "enc")?.ok_or(DecryptError::BadHeaderMember("enc"))?;
        let encryption = encryption.parse().map_err(|_| DecryptError::UnsupportedEncryption)?;
        let agrees = KeyAlgorithm::ECDH.contains(&algorithm);
        let ephemeral = if agrees { Some(ephemeral(members)?) } else { None };
        Ok(Self { algorithm, encryption, ephemeral, parties: [party(members, "apu")?, party(members, "apv")?] })
    }

    fn agree(&self, own: &PrivateKey, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let point = self.ephemeral.as_ref().ok_or(DecryptError::BadHeaderMember("epk"))?;
        let info = Info::new(self.algorithm, self.encryption, &self.parties[0], &self.parties[1]);
        let fails = |_| DecryptError::DoesNotOpen;
        let agreed = agreed(own, point, &info).map_err(fails)?;
        let wrapping = match self.algorithm {
            KeyAlgorithm::EcdhEsA128Kw => AesKek::new(&AES_128, &agreed).map_err(fails)?,
            KeyAlgorithm::EcdhEsA256Kw => AesKek::new(&AES_256, &agreed).map_err(fails)?,
            // RFC 7516 section 5.2, step 10: "verify that the JWE Encrypted Key value is an empty octet sequence".
            _ if encrypted.is_empty() => return Ok(agreed),
            _ => return Err(DecryptError::DoesNotOpen),
        };
        let length = self.encryption.key_length();
        if encrypted.len() != length + 8 {
            return Err(DecryptError::DoesNotOpen);
        }
        // The output has room for what is being unwrapped: eight bytes more than the key.
        let mut key = Zeroizing::new(vec![0; encrypted.len()]);
        let opened = wrapping.unwrap(encrypted, &mut key).map_err(fails)?.len();
        key.truncate(opened);
        if key.len() == length { Ok(key) } else { Err(DecryptError::DoesNotOpen) }
    }
}

/// RFC 7516 section 11.5: "the recipient MUST NOT distinguish between format, padding, and length errors of encrypted keys. It is
/// strongly recommended, in the event of receiving an improperly formatted key, that the recipient substitute a randomly
/// generated CEK and proceed to the next step".
fn rsa_opened(
    key: &OaepPrivateDecryptingKey,
    algorithm: KeyAlgorithm,
    encrypted: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let mut instead = Zeroizing::new(vec![0; length]);
    rand::fill(&mut instead)?;
    let mut opened = Zeroizing::new(vec![0; key.min_output_size()]);
    let found = key.decrypt(oaep(algorithm), encrypted, &mut opened, None).map(|bytes| bytes.len());
    if found == Ok(length) {
        opened.truncate(length);
        Ok(opened)
    } else {
        Ok(instead)
    }
}

/// RFC 7518 section 4.6.1.1: "The key is represented as a JSON Web Key [JWK] public key value."
fn ephemeral(members: &Map<String, Value>) -> Result<[u8; 65], DecryptError> {
    let bad = DecryptError::BadHeaderMember("epk");
    let jwk = members.get("epk").filter(|key| key.is_object()).ok_or(bad)?;
    let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| bad)?;
    jwk.material().and_then(|material| point_of(&material)).map_err(DecryptError::BadEphemeralKey)
}

/// Sections 4.6.1.2 and 4.6.1.3.
fn party(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, DecryptError> {
    let Some(said) = text(members, name)? else { return Ok(Vec::new()) };
    let bytes = base64url::decode(said).map_err(|_| DecryptError::BadHeaderMember(name))?;
    if bytes.len() > MAX_PARTY { Err(DecryptError::BadHeaderMember(name)) } else { Ok(bytes) }
}

fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, DecryptError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(DecryptError::BadHeaderMember(name)),
    }
}
