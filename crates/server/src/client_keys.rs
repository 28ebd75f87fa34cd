//! A client's keys, wherever they are: in its definition, or at its `jwks_uri`, from where they are read anew when it signs with one
//! that is not known yet (OpenID Connect Core section 10.1.1: "The verifier knows to go back to the jwks_uri location to re-retrieve
//! the keys when it sees an unfamiliar kid value").

use std::sync::Arc;
use std::time::Duration;

use regrant_core::Client;
use regrant_jose::jwe::{EncryptingKey, KeyAlgorithm};
use regrant_jose::{Algorithm, Jwk, JwkSet, Typ, Unverified, Verified, VerifyError, VerifyingKey};

use crate::app::App;
use crate::fetched::{Found, Missing, Wanted};
use crate::outbound::NoAnswer;
use crate::profile::{Keys, Profile};

/// Why a client's signature does not count.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotSigned {
    /// It is not one, or not by this client.
    #[error("{0}")]
    Token(#[from] VerifyError),
    /// It has no keys.
    #[error("the client has no keys")]
    NoKeys,
    /// Its keys cannot be read.
    #[error("the client's keys cannot be read: {0}")]
    NoAnswer(#[from] Missing),
    /// Its keys have none that this could be of, and they may have others by now: they are asked for after this.
    #[error("the key is none of the client's that were read lately")]
    NotYet(Duration),
}

/// Verifies a JWS by one of a client's keys. `algorithm` is the one that was agreed on, if one was.
pub(crate) async fn verify(
    app: &App,
    client: &Client,
    profile: &Profile,
    token: &str,
    typ: Typ<'_>,
    algorithm: Option<Algorithm>,
) -> Result<Verified, NotSigned> {
    let parsed = Unverified::parse(token)?;
    let (used, is_named) = (parsed.header().algorithm, parsed.header().kid.is_some());
    if algorithm.is_some_and(|agreed| agreed != used) {
        return Err(VerifyError::WrongAlgorithm.into());
    }
    let url = match &profile.keys {
        Keys::None => return Err(NotSigned::NoKeys),
        Keys::Inline(set) => return Ok(by(set, token, typ, used)?),
        Keys::At(url) => url,
    };
    let held = fetch(app, url, Wanted::Known).await?;
    match by(&held.value, token, typ, used) {
        // A key of before may have gone the way of its name: a signature that does not fit is as good a reason to look again.
        Err(VerifyError::UnknownKey | VerifyError::BadSignature | VerifyError::WrongAlgorithm) if !held.is_new => {
            let newer = fetch(app, url, Wanted::Newer).await?;
            if newer.is_new {
                tracing::info!(client = %client.id, "the client's keys were read again");
            }
            match by(&newer.value, token, typ, used) {
                // It may be of a key that the client has made since: nothing was examined that says it is not.
                Err(VerifyError::UnknownKey) if !newer.is_new => Err(NotSigned::NotYet(newer.again_in)),
                Err(VerifyError::BadSignature) if !newer.is_new && !is_named => Err(NotSigned::NotYet(newer.again_in)),
                verified => Ok(verified?),
            }
        }
        verified => Ok(verified?),
    }
}

/// The key at a client's `jwks_uri` that things are encrypted to. OpenID Connect Core section 10.2.1: what it publishes is cached as
/// it says; where no key fits, there may be a newer one.
pub(crate) async fn encrypting(app: &App, url: &http::Uri, algorithm: KeyAlgorithm) -> Option<EncryptingKey> {
    let held = fetch(app, url, Wanted::Known).await.ok()?;
    if let Some(key) = EncryptingKey::of_set(&held.value, algorithm) {
        return Some(key);
    }
    let newer = fetch(app, url, Wanted::Newer).await.ok()?;
    EncryptingKey::of_set(&newer.value, algorithm)
}

/// Keys that fit no algorithm of ours, or are meant for something else, are passed over (RFC 7517 section 5).
fn by(set: &JwkSet, token: &str, typ: Typ<'_>, algorithm: Algorithm) -> Result<Verified, VerifyError> {
    let parsed = |key: &Jwk| VerifyingKey::from_jwk_for(key, algorithm).ok();
    let keys: Vec<VerifyingKey> = set.keys.iter().filter_map(parsed).collect();
    Unverified::parse(token)?.verify(typ, &keys)
}

async fn fetch(app: &App, url: &http::Uri, wanted: Wanted) -> Result<Found<JwkSet>, Missing> {
    let (clock, outbound, settings, of) =
        (app.engine.clock().clone(), Arc::clone(&app.outbound), app.settings(), url.clone());
    let ask = || async move {
        let accept = "application/jwk-set+json, application/json";
        let body = outbound.fetch(&settings.config.outbound, &of, accept).await?;
        read(&body)
    };
    let fetched = app.key_sets.get(&url.to_string(), wanted, move || clock.ran(), ask).await;
    fetched.inspect_err(|trouble| tracing::warn!(%url, %trouble, "a client's keys cannot be read"))
}

/// A member twice is no JWK set; a key that cannot be read does not spoil the others.
fn read(body: &[u8]) -> Result<JwkSet, NoAnswer> {
    let nonsense = |what: &str| NoAnswer::Nonsense(what.to_owned());
    let mut members = regrant_jose::read_object(body).map_err(|fault| nonsense(&format!("it {fault}")))?;
    let Some(serde_json::Value::Array(keys)) = members.remove("keys") else {
        return Err(nonsense("there is no array \"keys\""));
    };
    if keys.len() > JwkSet::MAX_KEYS {
        return Err(nonsense("there are more than 64 keys"));
    }
    Ok(JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() })
}
