//! The authorization server's public keys: fetched by one at a time, and for unknown names at most once a minute.
//!
//! Nothing is remembered of the names that strangers make up: however many there are, they cost one fetch a minute, and the memory of
//! one time.

use std::sync::Arc;
use std::time::Duration;

use regrant_jose::{JwkSet, Typ, Unverified, Verified, VerifyError, VerifyingKey};

use crate::judge::Parts;
use crate::metadata::{Endpoints, document};

/// How long a set is believed: as long as Regrant has it held, and a key that was compromised is out of it.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// A server that does not answer for this long is no reason to refuse its tokens.
const AT_MOST: Duration = Duration::from_secs(3600);
/// After a failure nobody is asked for this long.
const REST: Duration = Duration::from_secs(5);
/// Between two fetches for names that are not in the set.
const UNKNOWN: Duration = Duration::from_secs(60);

/// The copy.
#[derive(Debug, Default)]
pub(crate) struct Keys(tokio::sync::Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    keys: Arc<Vec<VerifyingKey>>,
    /// When the set was fetched.
    fetched: Option<Duration>,
    /// When it was last asked for, with success or without.
    asked: Option<Duration>,
    /// When it was last asked for because of a name.
    asked_for_a_name: Option<Duration>,
    cause: String,
}

/// What became of a signature.
pub(crate) enum Unproven {
    /// Nobody whose keys are published made it.
    Refused(VerifyError),
    /// There are no keys to look at.
    NoKeys(String),
}

impl Keys {
    /// Verifies kind and signature. A key that is not in the set is asked for, if that is due.
    pub(crate) async fn verify(
        &self,
        parts: &Parts,
        endpoints: &Endpoints,
        token: &str,
        typ: &str,
    ) -> Result<Verified, Unproven> {
        let keys = self.get(parts, endpoints, None).await.map_err(Unproven::NoKeys)?;
        match verified(token, typ, &keys) {
            Err(VerifyError::UnknownKey) => {
                let keys = self.get(parts, endpoints, Some(&keys)).await.map_err(Unproven::NoKeys)?;
                verified(token, typ, &keys).map_err(Unproven::Refused)
            }
            other => other.map_err(Unproven::Refused),
        }
    }

    /// The set of now; with `lacking`, a newer one than that if one may be asked for.
    async fn get(
        &self,
        parts: &Parts,
        endpoints: &Endpoints,
        lacking: Option<&Arc<Vec<VerifyingKey>>>,
    ) -> Result<Arc<Vec<VerifyingKey>>, String> {
        let mut held = self.0.lock().await;
        let now = parts.clock.elapsed();
        let is_over = |at: Option<Duration>, age: Duration| at.is_none_or(|at| now.saturating_sub(at) >= age);
        let is_wanted = match lacking {
            // Somebody fetched another one while we waited: look at that first.
            Some(known) => Arc::ptr_eq(known, &held.keys) && is_over(held.asked_for_a_name, UNKNOWN),
            None => is_over(held.fetched, GOOD_FOR) && is_over(held.asked, REST),
        };
        if is_wanted {
            held.asked = Some(now);
            if lacking.is_some() {
                held.asked_for_a_name = Some(now);
            }
            match fetch(parts, endpoints).await {
                Ok(keys) => (held.keys, held.fetched) = (Arc::new(keys), Some(now)),
                Err(cause) => held.cause = cause,
            }
            // It may have taken its time: whoever waited for it does not wait once more.
            held.asked = Some(parts.clock.elapsed());
        }
        if is_over(held.fetched, AT_MOST) { Err(held.cause.clone()) } else { Ok(Arc::clone(&held.keys)) }
    }
}

fn verified(token: &str, typ: &str, keys: &[VerifyingKey]) -> Result<Verified, VerifyError> {
    Unverified::parse(token)?.verify(Typ::Is(typ), keys)
}

async fn fetch(parts: &Parts, endpoints: &Endpoints) -> Result<Vec<VerifyingKey>, String> {
    let set = document(parts, &endpoints.jwks).await?;
    let set: JwkSet =
        serde_json::from_value(set.into()).map_err(|error| format!("the key set cannot be read: {error}"))?;
    // RFC 7517 section 5: keys of kinds that are not understood are ignored.
    let keys: Vec<_> = set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect();
    if keys.is_empty() { Err("the key set holds no key for signatures".to_owned()) } else { Ok(keys) }
}
