//! What the operations take and give, where that is not what an operator's hands take and give already. What can be sent is named
//! in full: an unknown member is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::admin::blacklist::{Selection, TokenRevoked};
use crate::admin::command::Password;
use crate::admin::explain::MAX_TEXT;
use crate::admin::import::{Effect, PortableUser};
use crate::admin::{ClientView, EventView, GrantView, KeyTurn, SecretReplaced};

/// No parameter but those of every listing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// Which grants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantsQuery {
    /// Only of this client.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub(super) client: Option<String>,
    /// Only of the user of this name.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub(super) user: Option<String>,
}

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only of this kind.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) kind: Option<String>,
    /// Only about the user of this name.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub(super) user: Option<String>,
    /// Only of this client.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub(super) client: Option<String>,
    /// Only since then: `2h`, `7d`, or a time as `2026-11-24T01:30:00Z`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) since: Option<String>,
}

/// What an export holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    /// Whether the hashes of passwords are wanted. Whoever reads them can guess at them: each page of them leaves an event. It takes
    /// the scope `regrant.admin`.
    #[serde(default)]
    pub(super) hashes: HashesWanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum HashesWanted {
    #[default]
    Left,
    Included,
}

/// A client with the secret that was made for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClientAdded {
    #[serde(flatten)]
    client: ClientView,
    /// Shown once. Absent for a public client, and where the definition named a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

/// How a secret is replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateSecret {
    /// How long the old one works beside the new one: `24h` unless set, `0` for not at all, at most `90d`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(super) overlap: Option<String>,
    /// `sha256:` and 64 hexadecimal digits, for a secret of your own; one is made unless set.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub(super) secret_hash: Option<String>,
}

/// A client's secrets, and the one that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SecretMade {
    #[serde(flatten)]
    replaced: SecretReplaced,
    /// Shown once. Absent where a hash was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

/// A token with which clients can register themselves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRegistrationToken {
    /// What it is for.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub(super) label: Option<String>,
    /// For how many clients: 1 unless set.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) uses: Option<u32>,
    /// For how long: `7d` unless set.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(super) lifetime: Option<String>,
}

/// A user to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// The name to log in with.
    #[schemars(length(min = 1, max = 255))]
    pub(super) name: String,
    /// The password.
    pub(super) password: Password,
}

/// What to change of a user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPatch {
    /// Attributes: set to a value, or removed with `null` (RFC 7396). Those that are not named stay.
    pub(super) attributes: Map<String, Value>,
}

/// A user's password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The new one. Browser sessions of the user end.
    pub(super) password: Password,
}

/// Whether a user may log in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enabled {
    /// `false`: nothing of the user's is refreshed or vouched for.
    pub(super) enabled: bool,
}

/// Users to import.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// Whom.
    #[schemars(length(min = 1, max = 1000))]
    pub(super) users: Vec<PortableUser>,
    /// What to do with a name that is there already.
    #[serde(default)]
    pub(super) existing: ExistingWanted,
    /// Whether anything is written.
    #[serde(default)]
    pub(super) effect: EffectWanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum ExistingWanted {
    #[default]
    Skip,
    Update,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum EffectWanted {
    Check,
    #[default]
    Write,
}

/// What became of an import, user by user, in their order.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ImportDone {
    pub(super) outcomes: Vec<ImportOutcome>,
}

/// What became of one user.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ImportOutcome {
    /// `added`, `updated`, `skipped` or `refused`.
    pub(super) outcome: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A grant and what happened to it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GrantDetail {
    pub(super) grant: GrantView,
    /// Newest first, at most 200.
    pub(super) events: Vec<EventView>,
}

/// What to explain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainWanted {
    /// A refresh token, access token or code of any age, the id of a grant, or the correlation id of an answer.
    #[schemars(with = "String", length(min = 1, max = MAX_TEXT))]
    pub(super) what: Password,
}

/// The end of a grant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndGrant {
    /// Why, for whoever looks at it later.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub(super) reason: String,
}

/// What became of the end of a grant.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GrantEnded {
    /// `false` if it had ended before.
    pub(super) was_live: bool,
}

/// What to revoke in bulk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkRevoke {
    /// Everything for which all that is given fits.
    pub(super) selection: Selection,
    /// `check` only counts what it would end.
    #[serde(default)]
    pub(super) effect: EffectWanted,
    /// Why, for whoever looks at it later.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub(super) reason: String,
}

/// Leaked tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakedTokens {
    /// Of any kind and age.
    #[schemars(with = "Vec<String>", length(min = 1, max = 1000))]
    pub(super) tokens: Vec<Password>,
    /// Why, for whoever looks at it later.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub(super) reason: String,
}

/// What became of each token, in their order.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokensRevoked {
    pub(super) outcomes: Vec<TokenRevoked>,
}

/// How a key is replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateKey {
    /// Of a signing key: `ES256` (default), `EdDSA`, `PS256` or `RS256`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(super) algorithm: Option<String>,
    /// When it takes effect. A signing key is published first unless it must be at once.
    #[serde(default)]
    pub(super) turn: TurnWanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum TurnWanted {
    #[default]
    Announced,
    AtOnce,
}

impl From<EffectWanted> for Effect {
    fn from(wanted: EffectWanted) -> Self {
        match wanted {
            EffectWanted::Check => Self::Check,
            EffectWanted::Write => Self::Write,
        }
    }
}

impl From<TurnWanted> for KeyTurn {
    fn from(wanted: TurnWanted) -> Self {
        match wanted {
            TurnWanted::Announced => Self::Announced,
            TurnWanted::AtOnce => Self::AtOnce,
        }
    }
}

/// A command of `regrant`, in its own words: those of one version.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct AnyCommand {
    /// Which one.
    #[schemars(length(max = 64))]
    command: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl AnyCommand {
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// The command without what stands beside it.
    pub(super) fn alone(&self) -> Value {
        json!({"command": self.command})
    }

    /// The command as it goes over the admin socket.
    pub(super) fn whole(self) -> Value {
        let mut members = self.more;
        members.insert("command".to_owned(), self.command.into());
        Value::Object(members)
    }
}
