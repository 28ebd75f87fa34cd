//! What is kept of a session: its tokens, when they end, and the refresh that is under way.
//!
//! A record is replaced as a whole, and every replacement has the next `revision`. So whoever acts on an old record is found out
//! when it writes, and nothing newer is ever overwritten or deleted. A session that ended leaves a record without tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::TokenAnswer;
use crate::clock::Stamp;
use crate::id_token::{self, Identity};
use crate::secret::Secret;

/// All that a store keeps under one name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// How often it was written: a fencing number. It never goes back.
    pub revision: u64,
    /// What the session has. `None` after its end.
    #[serde(default)]
    pub tokens: Option<Tokens>,
    /// The refresh that was begun. It is there until its answer is.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Why the session is over, in the server's words.
    #[serde(default)]
    pub ended: Option<String>,
    /// Whose it is: which client of which server. No other server ever sees these tokens, whatever a profile is changed to.
    #[serde(default)]
    pub owner: Option<String>,
}

/// The tokens of a session, and when they end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// For the API.
    pub access_token: Secret,
    /// How it is presented: `Bearer`.
    pub token_type: String,
    /// For the authorization server alone.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// Who logged in, as the server said it.
    #[serde(default)]
    pub id_token: Option<Secret>,
    /// What was granted; what was asked for, where the server did not say (RFC 6749 section 5.1).
    #[serde(default)]
    pub scope: Option<String>,
    /// When the answer came.
    pub at: Stamp,
    /// The key that the tokens are bound to (RFC 9449 section 5).
    #[serde(default)]
    pub dpop_key: Option<Secret>,
    /// How long the access token lasts from then on, in seconds. `None`: nobody said.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// How long the refresh token may be kept without being used, in seconds from `at`.
    #[serde(default)]
    pub refresh_token_expires_in: Option<u64>,
    /// When the authorization ends whatever is done, in seconds from `at`.
    #[serde(default)]
    pub authorization_expires_in: Option<u64>,
}

/// A refresh that was begun and whose answer is not kept yet: whoever finds it repeats that same refresh.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The `Idempotency-Key` it was sent with.
    pub key: Secret,
    /// The fingerprint of the refresh token it was for.
    pub of: String,
}

impl Record {
    /// The record that follows with these tokens.
    #[must_use]
    pub fn followed_by(&self, tokens: Tokens) -> Self {
        let owner = self.owner.clone();
        Self { revision: self.revision + 1, tokens: Some(tokens), intent: None, ended: None, owner }
    }

    /// The record that follows with the intent to refresh.
    #[must_use]
    pub fn intending(&self, intent: Intent) -> Self {
        Self { revision: self.revision + 1, intent: Some(intent), ..self.clone() }
    }

    /// The record that follows when the session is over.
    #[must_use]
    pub fn ended(&self, why: impl Into<String>) -> Self {
        let owner = self.owner.clone();
        Self { revision: self.revision + 1, tokens: None, intent: None, ended: Some(why.into()), owner }
    }

    /// The refresh token, where there is one.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.tokens.as_ref()?.refresh_token.as_ref()
    }
}

impl Tokens {
    /// What an answer of `at` leaves to be kept. What a refresh does not say stays as it was: the refresh token where it is not
    /// rotated (RFC 6749 section 6), the scope, the ID token.
    #[must_use]
    pub fn from_answer(answer: TokenAnswer, at: Stamp, before: Option<&Self>) -> Self {
        let had = |secret: fn(&Self) -> Option<&Secret>| before.and_then(secret).cloned();
        let id_token = match (answer.id_token, had(|before| before.id_token.as_ref())) {
            // One of another user is no continuation of this session: it is passed over.
            (Some(now), Some(before)) if !id_token::continues(&before, &now) => Some(before),
            (now, before) => now.or(before),
        };
        Self {
            access_token: answer.access_token,
            token_type: answer.token_type,
            refresh_token: answer.refresh_token.or_else(|| had(|before| before.refresh_token.as_ref())),
            id_token,
            dpop_key: answer.dpop_key.or_else(|| had(|before| before.dpop_key.as_ref())),
            scope: answer.scope.or_else(|| before.and_then(|before| before.scope.clone())),
            at,
            expires_in: answer.expires_in,
            refresh_token_expires_in: answer.refresh_token_expires_in,
            authorization_expires_in: answer.authorization_expires_in,
        }
    }

    /// Whether the access token is worth nothing without a proof of its key: `token_type` is `DPoP`.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.dpop_key.is_some() && self.token_type.eq_ignore_ascii_case("DPoP")
    }

    /// Who is logged in, if the server said so.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.id_token.as_ref().and_then(id_token::recorded)
    }

    /// How long the access token is good yet; `None` if nobody said, or nobody can know.
    #[must_use]
    pub fn good_for(&self, now: &Stamp) -> Option<Duration> {
        Some(Duration::from_secs(self.expires_in?).saturating_sub(self.at.age(now)?))
    }

    /// How long until the session ends unless something is done, by what the server announced; `None` if it announced nothing.
    #[must_use]
    pub fn ends_in(&self, now: &Stamp) -> Option<Duration> {
        let first = [self.refresh_token_expires_in, self.authorization_expires_in].into_iter().flatten().min()?;
        Some(Duration::from_secs(first).saturating_sub(self.at.age(now).unwrap_or_default()))
    }
}
