//! What goes encrypted: ID tokens and userinfo answers to clients that want it (OpenID Connect Core sections 2, 5.3.2 and 10.2),
//! request objects and hints to us (sections 3.1.2.1 and 6.1).
//!
//! | what                    | encrypted to                                  | asked for by                                   |
//! |-------------------------|-----------------------------------------------|------------------------------------------------|
//! | ID tokens               | a key of the client, `jwks` or `jwks_uri`      | `id_token_encrypted_response_alg`, `…_enc`     |
//! | userinfo answers        | the same                                      | `userinfo_encrypted_response_alg`, `…_enc`     |
//! | request objects         | our key in `/oauth2/jwks`                     | nobody; `request_object_encryption_alg`, `…_enc` bind |
//! | ID tokens sent as hints | the same                                      | nobody                                         |
//!
//! Signed first, then encrypted (RFC 7519 section 11.2). The client's key is found before anything is consumed: where its key set
//! cannot be read, a code or refresh token is as good as before, and the answer is 503.
//!
//! Our own key is derived from the root key, on P-256: it opens what a user's browser carried a moment ago, and nothing that is kept.

use std::borrow::Cow;

use regrant_core::Client;
use regrant_core::openid::SCOPE;
use regrant_jose::jwe::{self, ContentAlgorithm, DecryptError, DecryptingKey, EncryptingKey, KeyAlgorithm};

use crate::answer::Failure;
use crate::app::{App, Settings};
use crate::client_keys;
use crate::correlation::Correlation;
use crate::keyring::{Keyring, KeyringError};
use crate::profile::{Keys, Profile};

/// How a client wants something encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encryption {
    /// `…_alg`.
    pub key: KeyAlgorithm,
    /// `…_enc`.
    pub content: ContentAlgorithm,
}

/// What of a client's is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    IdToken,
    Userinfo,
}

/// Somebody to encrypt to.
#[derive(Debug)]
pub(crate) struct Recipient {
    key: EncryptingKey,
    content: ContentAlgorithm,
}

impl Recipient {
    /// A signed token in an encrypted one. RFC 7519 section 5.2: "In the case that nested signing or encryption is employed, this
    /// Header Parameter MUST be present; in this case, the value MUST be "JWT"".
    pub(crate) fn nest(&self, token: &str) -> Option<String> {
        self.key.encrypt(self.content, Some("JWT"), token.as_bytes()).ok()
    }

    /// Claims that nobody signed.
    pub(crate) fn seal(&self, claims: &[u8]) -> Option<String> {
        self.key.encrypt(self.content, None, claims).ok()
    }
}

/// Whom to encrypt to, if the client wants this encrypted.
pub(crate) async fn recipient(
    app: &App,
    settings: &Settings,
    client: &Client,
    kind: Kind,
    correlation: &Correlation,
) -> Result<Option<Recipient>, Failure> {
    // Whoever never has an ID token needs no key.
    if kind == Kind::IdToken && !client.scopes.contains(SCOPE) {
        return Ok(None);
    }
    let Some(profile) = settings.clients.profile(&client.id) else { return Ok(None) };
    let wanted = match kind {
        Kind::IdToken => profile.id_token_encryption,
        Kind::Userinfo => profile.userinfo_encryption,
    };
    let Some(Encryption { key, content }) = wanted else { return Ok(None) };
    let found = match &profile.keys {
        Keys::None => None,
        Keys::Inline(set) => EncryptingKey::of_set(set, key),
        Keys::At(url) => client_keys::encrypting(app, url, key).await,
    };
    if found.is_none() {
        tracing::warn!(%correlation, client = %client.id, alg = %key, "the client has no key to encrypt to");
    }
    found.map(|key| Some(Recipient { key, content })).ok_or(Failure::NoEncryptionKey)
}

/// The key that clients encrypt to.
pub(crate) fn own_key(keyring: &Keyring) -> Result<DecryptingKey, KeyringError> {
    // One in 2^32 numbers of 256 bits is none of a key's: the next is taken then.
    let keys = (1..=8).map(|id| DecryptingKey::from_p256(&keyring.request_key(id)));
    keys.flatten().next().ok_or_else(|| KeyringError::Crypto("no key to decrypt with can be derived".to_owned()))
}

/// A token as it was before it was encrypted to us; one that is not encrypted is itself.
pub(crate) fn opened<'a>(app: &App, token: &'a str) -> Result<Cow<'a, str>, DecryptError> {
    if !jwe::is_encrypted(token) {
        return Ok(Cow::Borrowed(token));
    }
    let decrypted = jwe::decrypt(token, std::slice::from_ref(&app.decrypting))?;
    // What is not text is no token.
    String::from_utf8(decrypted.content.to_vec()).map(Cow::Owned).map_err(|_| DecryptError::DoesNotOpen)
}

/// A request object as it was before. OpenID Connect Registration section 2, `request_object_encryption_alg`: what "the RP is declaring
/// that it may use"; another one is not its.
pub(crate) fn opened_object<'a>(app: &App, profile: &Profile, object: &'a str) -> Result<Cow<'a, str>, DecryptError> {
    if let (true, Some(Encryption { key, content })) = (jwe::is_encrypted(object), profile.object_encryption) {
        let decrypted = jwe::decrypt(object, std::slice::from_ref(&app.decrypting))?;
        if decrypted.algorithm != key {
            return Err(DecryptError::UnsupportedAlgorithm);
        }
        if decrypted.encryption != content {
            return Err(DecryptError::UnsupportedEncryption);
        }
        return String::from_utf8(decrypted.content.to_vec()).map(Cow::Owned).map_err(|_| DecryptError::DoesNotOpen);
    }
    opened(app, object)
}
