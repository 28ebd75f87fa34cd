//! What is kept of a client that registered itself, beside what every client has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A registration (RFC 7591, RFC 7592). The server writes it; who sends one in a definition of his own is not heard.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// `sha256:` and 64 digits: the hash of its registration access token.
    pub token_hash: String,
    /// The one before it, which works until the one after it was used: an answer that was lost locks nobody out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_token_hash: Option<String>,
    /// `client_id_issued_at`: seconds since 1970.
    pub issued_at: i64,
    /// When it was last changed: seconds since 1970.
    pub changed_at: i64,
    /// The scopes that an operator set since it registered: it may have no others, whatever `[registration]` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// What the client said of itself and no setting holds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}
