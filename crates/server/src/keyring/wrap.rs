//! Seed and signing keys at rest: encrypted under the root key.

use aws_lc_rs::aead;
use regrant_core::keys::{DeploymentId, Purpose, RootKey};
use regrant_store::{KeyKind, KeyRecord};
use zeroize::Zeroizing;

use super::{KeyringError, damaged};
use crate::chance;

/// AES-256-GCM-SIV under the root key, with kind and id bound in: one key's row cannot stand in for another's.
pub(super) struct Wrap(aead::LessSafeKey);

impl Wrap {
    pub(super) fn new(root: &RootKey, deployment: DeploymentId) -> Result<Self, KeyringError> {
        let key = root.derive(Purpose::Wrap, deployment, 1);
        aead::UnboundKey::new(&aead::AES_256_GCM_SIV, key.as_ref())
            .map(|key| Self(aead::LessSafeKey::new(key)))
            .map_err(|error| KeyringError::Crypto(error.to_string()))
    }

    pub(super) fn seal(&self, kind: KeyKind, id: u32, plain: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let nonce: [u8; 12] = chance::bytes();
        let mut body = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(label(kind, id)),
                &mut body,
            )
            .map_err(|error| KeyringError::Crypto(error.to_string()))?;
        Ok([nonce.as_slice(), &body].concat())
    }

    pub(super) fn open(&self, record: &KeyRecord) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (nonce, body) =
            record.wrapped.as_deref().and_then(<[u8]>::split_first_chunk::<12>).ok_or_else(|| damaged(record))?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .0
            .open_in_place(
                aead::Nonce::assume_unique_for_key(*nonce),
                aead::Aad::from(label(record.kind, record.id)),
                &mut body,
            )
            .map_err(|_| damaged(record))?
            .len();
        body.truncate(plain);
        Ok(body)
    }
}

fn label(kind: KeyKind, id: u32) -> Vec<u8> {
    format!("regrant wrapped {kind} {id}").into_bytes()
}
