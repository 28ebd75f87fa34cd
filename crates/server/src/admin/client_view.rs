//! A client as operators see it: everything that can be set of it, resolved, and nothing that is secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A client, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClientView {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is defined: `file` or `store`.
    pub origin: String,
    /// How it authenticates.
    pub token_endpoint_auth_method: String,
    /// What it may use.
    pub grant_types: Vec<String>,
    /// What it may ask the authorization endpoint for.
    pub response_types: Vec<String>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Its scopes.
    pub scope: String,
    /// Its resources.
    pub resources: Vec<String>,
    /// `single_use` or `reusable`.
    pub rotation: String,
    /// Seconds; of public clients only.
    pub retry_window: Option<u64>,
    /// `revoke` or `refuse`.
    pub on_replay: String,
    /// Seconds.
    pub idle_lifetime: u64,
    /// Seconds.
    pub absolute_lifetime: u64,
    /// Seconds.
    pub access_token_lifetime: u64,
    /// `jwt` or `opaque`.
    pub access_token_format: String,
    /// Whether it may introspect.
    pub may_introspect: bool,
    /// Whether it may revoke everything of a user.
    pub may_revoke_users: bool,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Whether PKCE is required.
    pub require_pkce: bool,
    /// Origins whose scripts may call the token endpoint.
    pub allowed_origins: Vec<String>,
    /// Whether its users are not asked for consent.
    pub skip_consent: bool,
    /// Whether its error answers carry the reason.
    #[serde(default)]
    pub tell_reason: bool,
    /// `always`, or `offline_access`: with a grant that holds it.
    #[serde(default)]
    pub refresh_tokens: String,
    /// `public` or `pairwise`.
    #[serde(default)]
    pub subject_type: String,
    /// Seconds; of a request that names no `max_age`.
    #[serde(default)]
    pub default_max_age: Option<u64>,
    /// What signs its ID tokens.
    #[serde(default)]
    pub id_token_signed_response_alg: String,
    /// What signs its userinfo answers; null for plain JSON.
    #[serde(default)]
    pub userinfo_signed_response_alg: Option<String>,
    /// What signs its introspection answers.
    #[serde(default)]
    pub introspection_signed_response_alg: String,
    /// What signs its access tokens.
    #[serde(default)]
    pub access_token_signed_response_alg: String,
    /// Where its users may be sent after a logout.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told of a logout by this server.
    #[serde(default)]
    pub backchannel_logout_uri: Option<String>,
    /// Whether what it is told must name the session; it always does.
    #[serde(default)]
    pub backchannel_logout_session_required: bool,
    /// Where it is told of a logout by the browser.
    #[serde(default)]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether issuer and session are added to that.
    #[serde(default)]
    pub frontchannel_logout_session_required: bool,
    /// `keep`, `end_online` or `end`; null where the policy of all clients decides.
    #[serde(default)]
    pub on_logout: Option<String>,
}
