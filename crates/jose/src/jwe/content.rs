//! Encrypting the content: RFC 7518 sections 5.2 and 5.3. Every one of them authenticates what it encrypts and the header.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{constant_time, hmac, iv, rand};
use zeroize::Zeroizing;

use super::ContentAlgorithm;

/// The length of every tag. RFC 7518 section 5.3: "The requested size of the Authentication Tag output MUST be 128 bits".
const TAG: usize = 16;

/// An encrypted content.
pub(super) struct Sealed {
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

impl ContentAlgorithm {
    /// The length of its key, in bytes.
    pub(super) const fn key_length(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
        }
    }

    /// Encrypts under a key that was never used before and a fresh initialization vector; `protected` is authenticated as well.
    pub(super) fn seal(self, key: &[u8], protected: &[u8], content: &[u8]) -> Result<Sealed, Unspecified> {
        match self {
            Self::A128Gcm => gcm_seal(&AES_128_GCM, key, protected, content),
            Self::A256Gcm => gcm_seal(&AES_256_GCM, key, protected, content),
            Self::A128CbcHs256 => cbc_seal(key, protected, content),
        }
    }

    /// The content, if all of it is as it was encrypted.
    pub(super) fn open(self, key: &[u8], protected: &[u8], sealed: Sealed) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        if sealed.tag.len() != TAG {
            return Err(Unspecified);
        }
        match self {
            Self::A128Gcm => gcm_open(&AES_128_GCM, key, protected, sealed),
            Self::A256Gcm => gcm_open(&AES_256_GCM, key, protected, sealed),
            Self::A128CbcHs256 => cbc_open(key, protected, sealed),
        }
    }
}

#[cfg(test)]
impl ContentAlgorithm {
    /// For vectors: vector, ciphertext and tag.
    pub(crate) fn opened(self, key: &[u8], protected: &[u8], parts: [&[u8]; 3]) -> Option<Vec<u8>> {
        let [iv, ciphertext, tag] = parts.map(<[u8]>::to_vec);
        self.open(key, protected, Sealed { iv, ciphertext, tag }).ok().map(|content| content.to_vec())
    }
}

fn gcm_seal(
    algorithm: &'static Algorithm,
    key: &[u8],
    protected: &[u8],
    content: &[u8],
) -> Result<Sealed, Unspecified> {
    let mut iv = [0; 12];
    rand::fill(&mut iv)?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
    let mut ciphertext = content.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(protected), &mut ciphertext)?;
    Ok(Sealed { iv: iv.to_vec(), ciphertext, tag: tag.as_ref().to_vec() })
}

fn gcm_open(
    algorithm: &'static Algorithm,
    key: &[u8],
    protected: &[u8],
    sealed: Sealed,
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let Sealed { iv, ciphertext, tag } = sealed;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
    let nonce = Nonce::try_assume_unique_for_key(&iv)?;
    let mut content = Zeroizing::new(ciphertext);
    content.extend_from_slice(&tag);
    let length = key.open_in_place(nonce, Aad::from(protected), &mut content)?.len();
    content.truncate(length);
    Ok(content)
}

/// RFC 7518 section 5.2.2.1: the first half of the key is the MAC's, the second the cipher's.
fn cbc_seal(key: &[u8], protected: &[u8], content: &[u8]) -> Result<Sealed, Unspecified> {
    let (mac, cipher) = key.split_at_checked(16).ok_or(Unspecified)?;
    let mut iv = [0; 16];
    rand::fill(&mut iv)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, cipher)?)?;
    let mut ciphertext = content.to_vec();
    cipher.less_safe_encrypt(&mut ciphertext, EncryptionContext::Iv128(iv::FixedLength::from(iv)))?;
    let tag = cbc_tag(mac, protected, &iv, &ciphertext);
    Ok(Sealed { iv: iv.to_vec(), ciphertext, tag })
}

/// Section 5.2.2.2: the tag is looked at, in constant time, before anything is decrypted. So no padding tells anything.
fn cbc_open(key: &[u8], protected: &[u8], sealed: Sealed) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let Sealed { iv, ciphertext, tag } = sealed;
    let (mac, cipher) = key.split_at_checked(16).ok_or(Unspecified)?;
    constant_time::verify_slices_are_equal(&cbc_tag(mac, protected, &iv, &ciphertext), &tag)?;
    let iv: [u8; 16] = iv.try_into().map_err(|_| Unspecified)?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, cipher)?)?;
    let mut content = Zeroizing::new(ciphertext);
    let length = cipher.decrypt(&mut content, DecryptionContext::Iv128(iv::FixedLength::from(iv)))?.len();
    content.truncate(length);
    Ok(content)
}

/// HMAC over header, vector, ciphertext and the header's length in bits, cut in half.
fn cbc_tag(mac: &[u8], protected: &[u8], iv: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, mac));
    let bits = (protected.len() as u64).saturating_mul(8).to_be_bytes();
    for part in [protected, iv, ciphertext, &bits] {
        context.update(part);
    }
    context.sign().as_ref().iter().take(TAG).copied().collect()
}
