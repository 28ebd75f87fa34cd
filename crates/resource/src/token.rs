//! A token that was judged: what a handler may believe of it.

use serde_json::{Map, Value};

use crate::Refusal;

/// An access token that is valid now, by its own claims (RFC 9068 section 2.2) or by introspection (RFC 7662 section 2.2). The layer
/// puts it into the request's extensions.
#[derive(Clone, PartialEq, Debug)]
pub struct AccessToken {
    subject: String,
    client_id: String,
    scope: Vec<String>,
    expires_at: u64,
    claims: Map<String, Value>,
}

impl AccessToken {
    /// `sub`: the user, or for a client's own token the client.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `client_id`: whom the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The tokens of `scope`, in their order.
    #[must_use]
    pub fn scope(&self) -> &[String] {
        &self.scope
    }

    /// Whether it has this scope token, compared byte by byte.
    #[must_use]
    pub fn has_scope(&self, token: &str) -> bool {
        self.scope.iter().any(|held| held == token)
    }

    /// `exp`, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Everything that it says, `groups` and the like among it.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Takes claims whose signature, issuer, audience and times were looked at.
    pub(crate) fn of(claims: Map<String, Value>, expires_at: u64) -> Result<Self, Refusal> {
        let word = |name| match claims.get(name) {
            Some(Value::String(word)) if !word.is_empty() => Ok(word.clone()),
            _ => Err(Refusal::OtherClaims),
        };
        let scope = match claims.get("scope") {
            None => Vec::new(),
            Some(Value::String(scope)) => scope.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            Some(_) => return Err(Refusal::OtherClaims),
        };
        Ok(Self { subject: word("sub")?, client_id: word("client_id")?, scope, expires_at, claims })
    }
}
