//! ID tokens: who logged in (OpenID Connect Core 1.0 section 3.1.3.7).
//!
//! A token of a login is verified with the server's keys. One that comes with a refresh comes from the token endpoint itself, whose
//! TLS vouches for it (rule 6 of that section); it must be of the same user and for the same client as the one before (section 12.2).

use aws_lc_rs::digest;
use regrant_jose::{
    Algorithm, JwkSet, Typ, Unverified, VerifyingKey, base64url, check_audience, check_issuer, check_times,
};
use serde_json::{Map, Value};

use crate::answer::PAUSE;
use crate::error::Error;
use crate::profile::Profile;
use crate::secret::Secret;
use crate::server::Server;
use crate::transport::Call;

/// How far the server's clock may be from what we take it for, in seconds.
const LEEWAY: u64 = 60;

/// The claims of an ID token that was verified.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity(Map<String, Value>);

impl Identity {
    /// Who: unique and never reassigned within the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// All claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Verifies the ID token of a login.
pub(crate) async fn verify(
    server: &Server,
    token: &Secret,
    nonce: Option<&str>,
    access_token: &Secret,
) -> Result<Identity, Error> {
    let wrong = |why: &dyn std::fmt::Display| Error::Misconfigured(format!("the ID token is not to be trusted: {why}"));
    let unverified = Unverified::parse(token.expose()).map_err(|error| wrong(&error))?;
    let algorithm = unverified.header().algorithm;
    let keys = keys(server, algorithm).await?;
    let verified = unverified.verify(Typ::JwtOrAbsent, &keys).map_err(|error| wrong(&error))?;
    let (profile, claims) = (&server.profile, verified.claims);
    check_issuer(&claims, &profile.issuer).map_err(|error| wrong(&error))?;
    check_audience(&claims, &profile.client_id).map_err(|error| wrong(&error))?;
    check_times(&claims, server.date(), LEEWAY).map_err(|error| wrong(&error))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("sub").is_none_or(str::is_empty) {
        return Err(wrong(&"it names nobody"));
    }
    // Section 2: "azp: OPTIONAL. Authorized party - the party to which the ID Token was issued."
    if text("azp").is_some_and(|azp| azp != profile.client_id) {
        return Err(wrong(&"it was issued to another client"));
    }
    // Section 3.1.3.7, 11: "If a nonce value was sent in the Authentication Request, a nonce Claim MUST be present and its value checked to
    // verify that it is the same value as the one that was sent in the Authentication Request."
    if nonce.is_some() && text("nonce") != nonce {
        return Err(wrong(&"it is not the answer to this login: its nonce is another"));
    }
    // Section 3.1.3.6: the left half of the hash with the algorithm's own hash function, where it is SHA-256.
    let is_sha256 = algorithm != Algorithm::EdDsa;
    if let Some(at_hash) = text("at_hash").filter(|_| is_sha256) {
        let hash = digest::digest(&digest::SHA256, access_token.expose().as_bytes());
        if hash.as_ref().get(..16).map(base64url::encode).as_deref() != Some(at_hash) {
            return Err(wrong(&"it came with another access token"));
        }
    }
    Ok(Identity(claims))
}

/// The server's keys for that algorithm. What is no key of ours is passed over, as RFC 7517 section 5 says.
async fn keys(server: &Server, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, Error> {
    let Some(url) = server.metadata().await?.jwks_uri.clone() else {
        return Err(Error::Misconfigured(
            "the server sends ID tokens and publishes no keys: it has no jwks_uri".to_owned(),
        ));
    };
    let answer = server.send(&Call { url, ..Call::default() }).await;
    let answer = answer.map_err(|no_answer| Error::Retry { after: PAUSE, cause: no_answer.to_string() })?;
    let set = serde_json::from_slice::<JwkSet>(&answer.body).ok().filter(|_| answer.status == 200);
    let set = set.ok_or_else(|| Error::Retry { after: PAUSE, cause: "the server's keys cannot be read".to_owned() })?;
    Ok(set.keys.iter().filter_map(|jwk| VerifyingKey::from_jwk_for(jwk, algorithm).ok()).collect())
}

/// The claims of an ID token that is on record: it was verified when it came.
#[must_use]
pub(crate) fn recorded(token: &Secret) -> Option<Identity> {
    Unverified::parse(token.expose()).ok()?.claims_unverified().ok().map(Identity)
}

/// Whether an ID token that came with a refresh is this server's, and for this client. A device's first one comes so: RFC 8628 knows none.
#[must_use]
pub(crate) fn is_of(profile: &Profile, token: &Secret) -> bool {
    recorded(token).is_some_and(|Identity(claims)| {
        check_issuer(&claims, &profile.issuer).is_ok() && check_audience(&claims, &profile.client_id).is_ok()
    })
}

/// Whether an ID token that came with a refresh is of the same user, server and client as the one before (section 12.2: "its iss Claim
/// Value MUST be the same", "its sub Claim Value MUST be the same", "its aud Claim Value MUST include the original").
#[must_use]
pub(crate) fn continues(before: &Secret, now: &Secret) -> bool {
    let (Some(before), Some(now)) = (recorded(before), recorded(now)) else { return false };
    ["iss", "sub", "aud"].iter().all(|name| before.0.get(*name) == now.0.get(*name))
}
