//! Judging one token: RFC 9068 section 4, then what was revoked, then by introspection what cannot be judged here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regrant_jose::{Expected, Unverified};
use serde_json::{Map, Value};

use crate::builder::{Builder, WhenOld};
use crate::feed::{Feed, Heard};
use crate::introspection::introspect;
use crate::keys::{Keys, Unproven};
use crate::metadata::{Endpoints, Metadata};
use crate::{AccessToken, Clock, HttpClient, Protect, Refusal};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = regrant_jose::MAX_TOKEN_BYTES;

/// A resource server of one authorization server. Cloning it is cheap; all clones share what was fetched.
#[derive(Clone)]
pub struct ResourceServer(Arc<Inner>);

struct Inner {
    parts: Parts,
    metadata: Metadata,
    keys: Keys,
    feed: Feed,
}

/// What it was told, checked.
pub(crate) struct Parts {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// In seconds.
    pub(crate) leeway: u64,
    /// The value of `Authorization`.
    pub(crate) credentials: Option<String>,
    pub(crate) follows: bool,
    pub(crate) feed_interval: Duration,
    pub(crate) feed_max_age: Duration,
    pub(crate) when_old: WhenOld,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Arc<dyn HttpClient>,
}

impl fmt::Debug for ResourceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0.parts;
        f.debug_struct("ResourceServer")
            .field("issuer", &parts.issuer)
            .field("audience", &parts.audience)
            .finish_non_exhaustive()
    }
}

impl ResourceServer {
    /// Of this authorization server, by its issuer identifier (RFC 8414 section 2), for tokens whose `aud` names `audience`: the
    /// resource indicator (RFC 8707) under which clients ask for them. Both are compared byte by byte.
    pub fn builder(issuer: impl Into<String>, audience: impl Into<String>) -> Builder {
        Builder::new(issuer.into(), audience.into())
    }

    pub(crate) fn of(parts: Parts) -> Self {
        let (metadata, keys, feed) = (Metadata::default(), Keys::default(), Feed::default());
        Self(Arc::new(Inner { parts, metadata, keys, feed }))
    }

    /// A layer that lets requests through whose token is valid and has all of these scopes; none means any valid token.
    pub fn require<T: Into<String>>(&self, scope: impl IntoIterator<Item = T>) -> Protect {
        Protect::new(self.clone(), scope.into_iter().map(Into::into).collect())
    }

    /// What `WWW-Authenticate` names.
    pub(crate) fn realm(&self) -> &str {
        &self.0.parts.audience
    }

    /// Judges an access token as it was sent. Which scopes it has is for the caller to ask.
    ///
    /// # Errors
    /// [`Refusal`], for the first reason that there is; [`Refusal::Unknown`] where the authorization server had to be asked and could not.
    pub async fn judge(&self, token: &str) -> Result<AccessToken, Refusal> {
        let parts = &self.0.parts;
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Malformed);
        }
        let is_jwt = Unverified::parse(token).is_ok();
        // What cannot be anything here costs nobody a request.
        if !is_jwt && (parts.credentials.is_none() || token.matches('.').count() == 2) {
            return Err(Refusal::Malformed);
        }
        let endpoints = self.0.metadata.endpoints(parts).await.map_err(Refusal::Unknown)?;
        if !is_jwt {
            return introspect(parts, &endpoints, token).await;
        }
        let (judged, issued_at) = self.validate(&endpoints, token).await?;
        if !parts.follows {
            return Ok(judged);
        }
        let heard = self.0.feed.hear(parts, &endpoints, &self.0.keys, judged.claims(), issued_at).await;
        match heard {
            Heard::Revoked => Err(Refusal::Revoked),
            Heard::Nothing { age } if age <= parts.feed_max_age => Ok(judged),
            // A token that does not say to which grant it belongs is never in the feed.
            Heard::NotNamed if parts.credentials.is_some() => introspect(parts, &endpoints, token).await,
            Heard::NotNamed => Err(Refusal::Unknown("the token names no grant to follow".to_owned())),
            Heard::Nothing { age } => match parts.when_old {
                WhenOld::Introspect => introspect(parts, &endpoints, token).await,
                WhenOld::AcceptUntil(oldest) if age <= oldest => Ok(judged),
                WhenOld::AcceptUntil(_) | WhenOld::FailClosed => {
                    Err(Refusal::Unknown(format!("the revocation feed is {} s old", age.as_secs())))
                }
            },
        }
    }

    /// RFC 9068 section 4, with `iat`.
    async fn validate(&self, endpoints: &Endpoints, token: &str) -> Result<(AccessToken, u64), Refusal> {
        let parts = &self.0.parts;
        let verified = match self.0.keys.verify(parts, endpoints, token, "at+jwt").await {
            Ok(verified) => verified,
            Err(Unproven::Refused(_)) => return Err(Refusal::NotVerified),
            Err(Unproven::NoKeys(cause)) => return Err(Refusal::Unknown(cause)),
        };
        let now = parts.clock.date();
        let expected = Expected { issuer: &parts.issuer, audience: &parts.audience, now, leeway: parts.leeway };
        let times = expected.check(&verified.claims).map_err(|_| Refusal::OtherClaims)?;
        let issued_at = times.issued_at.ok_or(Refusal::OtherClaims)?;
        if !has_text(&verified.claims, "jti") {
            return Err(Refusal::OtherClaims);
        }
        Ok((AccessToken::of(verified.claims, times.expires_at)?, issued_at))
    }
}

fn has_text(claims: &Map<String, Value>, name: &str) -> bool {
    claims.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}
