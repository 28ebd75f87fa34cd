//! ECDH-ES: RFC 7518 section 4.6. Two keys on P-256 agree on a secret, and the Concat KDF makes a key of it.

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::{ContentAlgorithm, KeyAlgorithm};

/// What both sides put into the key beside the secret (section 4.6.2).
pub(super) struct Info<'a> {
    /// `enc` where the key is the content's own, else `alg`.
    algorithm: &'static str,
    /// `apu`, decoded.
    pub(super) sender: &'a [u8],
    /// `apv`, decoded.
    pub(super) recipient: &'a [u8],
    length: usize,
}

impl<'a> Info<'a> {
    pub(super) const fn new(
        algorithm: KeyAlgorithm,
        content: ContentAlgorithm,
        sender: &'a [u8],
        recipient: &'a [u8],
    ) -> Self {
        let (algorithm, length) = match algorithm {
            KeyAlgorithm::EcdhEsA128Kw => (algorithm.as_str(), 16),
            KeyAlgorithm::EcdhEsA256Kw => (algorithm.as_str(), 32),
            // Those of RSA come to no agreement.
            KeyAlgorithm::EcdhEs | KeyAlgorithm::RsaOaep256 | KeyAlgorithm::RsaOaep => {
                (content.as_str(), content.key_length())
            }
        };
        Self { algorithm, sender, recipient, length }
    }
}

/// The key that the owner of `own` and the owner of `other`, an uncompressed point, both come to.
pub(super) fn agreed(own: &PrivateKey, other: &[u8], info: &Info<'_>) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let other = UnparsedPublicKey::new(&ECDH_P256, other);
    agreement::agree(own, other, Unspecified, |secret| Ok(concat_kdf(secret, info)))
}

/// NIST SP 800-56A section 5.8.1 with SHA-256. One round: no key here is longer than a hash.
fn concat_kdf(secret: &[u8], info: &Info<'_>) -> Zeroizing<Vec<u8>> {
    let mut hash = Context::new(&SHA256);
    hash.update(&1_u32.to_be_bytes());
    hash.update(secret);
    for part in [info.algorithm.as_bytes(), info.sender, info.recipient] {
        hash.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    // SuppPubInfo: the length in bits. SuppPrivInfo is empty.
    hash.update(&u32::try_from(info.length * 8).unwrap_or(u32::MAX).to_be_bytes());
    let mut key = hash.finish().as_ref().to_vec();
    key.truncate(info.length);
    Zeroizing::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;

    /// RFC 7518 appendix C, both sides of it.
    #[test]
    fn the_key_is_that_of_rfc_7518_appendix_c() {
        let private = |text: &str| PrivateKey::from_private_key(&ECDH_P256, &base64url::decode(text).unwrap()).unwrap();
        let public = |key: &PrivateKey| key.compute_public_key().unwrap().as_ref().to_vec();
        let alice = private("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
        let bob = private("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw");
        let info = Info::new(KeyAlgorithm::EcdhEs, ContentAlgorithm::A128Gcm, b"Alice", b"Bob");
        for (own, other) in [(&alice, &bob), (&bob, &alice)] {
            let key = agreed(own, &public(other), &info).unwrap();
            assert_eq!(base64url::encode(&key), "VqqN6vgjbSBcIijNcacQGg");
        }
    }
}
