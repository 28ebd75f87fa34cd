//! What of a client only the edge needs: the keys and secret that it signs with, and what it said of itself.

use regrant_core::{ClientId, Timestamp};
use regrant_jose::{Algorithm, JwkSet};

use crate::config::{ClientDefinition, ObjectAlgorithm, PlainSecret, Registration};
use crate::encryption::Encryption;
use crate::outbound::check_url;

/// A client's profile, made of its definition.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Where its keys are.
    pub(crate) keys: Keys,
    /// What its assertions are signed with, if that is settled.
    pub(crate) assertion_algorithm: Option<Algorithm>,
    /// What its request objects are signed with, if that is settled.
    pub(crate) object_algorithm: Option<ObjectAlgorithm>,
    /// How its ID tokens are encrypted, if they are.
    pub(crate) id_token_encryption: Option<Encryption>,
    /// How its userinfo answers are encrypted, if they are.
    pub(crate) userinfo_encryption: Option<Encryption>,
    /// How its request objects are encrypted, if that is settled.
    pub(crate) object_encryption: Option<Encryption>,
    /// Where its request objects may be.
    pub(crate) request_uris: Vec<String>,
    /// Its secret, where that has to be known.
    pub(crate) secret: Option<Secret>,
    /// For the consent page.
    pub(crate) links: Links,
    /// What is kept of a client that registered itself.
    pub(crate) registration: Option<Registration>,
    /// When it came into the store.
    pub(crate) added_at: Option<Timestamp>,
}

/// Where a client's keys are.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// It has none.
    None,
    /// In its definition.
    Inline(JwkSet),
    /// At this URL.
    At(http::Uri),
}

/// A secret that has to be known.
#[derive(Clone, Debug)]
pub(crate) enum Secret {
    /// As it stands in a file.
    Plain(PlainSecret),
    /// Wrapped under the root key.
    Sealed(String),
}

/// What people can look at before they trust a client: https, and never asked for by this server.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Links {
    /// `client_uri`.
    pub home: Option<String>,
    /// `logo_uri`.
    pub logo: Option<String>,
    /// `policy_uri`.
    pub policy: Option<String>,
    /// `tos_uri`.
    pub terms: Option<String>,
}

impl Profile {
    /// Of a definition that resolves.
    #[must_use]
    pub fn of(definition: &ClientDefinition) -> Self {
        let at = definition.jwks_uri.as_deref().and_then(check_url).map(Keys::At);
        let keys = definition.inline_keys().map(Keys::Inline).or(at).unwrap_or(Keys::None);
        let plain = definition.shared_secret.clone().map(Secret::Plain);
        Self {
            keys,
            assertion_algorithm: definition.assertion_algorithm(),
            object_algorithm: definition.object_algorithm(),
            id_token_encryption: definition.id_token_encryption(),
            userinfo_encryption: definition.userinfo_encryption(),
            object_encryption: definition.object_encryption(),
            request_uris: definition.request_uris.clone(),
            secret: plain.or_else(|| definition.sealed_secret.clone().map(Secret::Sealed)),
            links: Links {
                home: definition.client_uri.clone(),
                logo: definition.logo_uri.clone(),
                policy: definition.policy_uri.clone(),
                terms: definition.tos_uri.clone(),
            },
            registration: definition.registration.clone(),
            added_at: definition.added_at.map(Timestamp::from_millis),
        }
    }
}

/// What a client's sealed secret is bound to: one client's cannot stand in for another's.
fn label(client: &ClientId) -> Vec<u8> {
    format!("regrant client secret {client}").into_bytes()
}

/// Wraps secrets of clients under the root key: AES-256-GCM-SIV.
pub(crate) struct SecretWrap(aws_lc_rs::aead::LessSafeKey);

impl SecretWrap {
    pub(crate) fn new(key: &[u8; 32]) -> Option<Self> {
        use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
        UnboundKey::new(&AES_256_GCM_SIV, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// For the store.
    pub(crate) fn seal(&self, client: &ClientId, secret: &str) -> Option<String> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce: [u8; 12] = crate::chance::bytes();
        let mut body = secret.as_bytes().to_vec();
        let tag = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(tag, Aad::from(label(client)), &mut body).ok()?;
        Some(regrant_jose::base64url::encode(&[nonce.as_slice(), &body].concat()))
    }

    /// What was sealed for this client under this key.
    pub(crate) fn open(&self, client: &ClientId, sealed: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let bytes = regrant_jose::base64url::decode(sealed).ok()?;
        let (nonce, body) = bytes.split_first_chunk::<12>()?;
        let mut body = zeroize::Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(label(client)), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_client_alone() {
        let wrap = SecretWrap::new(&[7; 32]).expect("a key");
        let (one, other) = (ClientId::parse("one").expect("an id"), ClientId::parse("other").expect("an id"));
        let sealed = wrap.seal(&one, "rgs_secret").expect("sealed");
        assert!(!sealed.contains("rgs"));
        assert_eq!(wrap.open(&one, &sealed).expect("opens").as_slice(), b"rgs_secret");
        assert!(wrap.open(&other, &sealed).is_none());
        assert!(SecretWrap::new(&[8; 32]).expect("a key").open(&one, &sealed).is_none());
        assert!(wrap.open(&one, "").is_none() && wrap.open(&one, &sealed[4..]).is_none());
    }
}
