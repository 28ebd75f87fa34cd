//! A client's definition and what it means: `[[client]]` in the file, JSON in the store, one conversion for both.
//!
//! Names and defaults are those of RFC 7591 section 2 where it has them, among them the one that surprises: "If
//! unspecified or omitted, the default is "client_secret_basic"". So a client without a secret is not public by omission; it is
//! an error until it says `token_endpoint_auth_method = "none"`.
//!
//! | the client is              | and says                                      | then                                           |
//! |----------------------------|-----------------------------------------------|------------------------------------------------|
//! | public (`none`)            | a secret, `client_credentials`, introspection | error: it has nothing to prove itself with     |
//! | public                     | `rotation = "reusable"`, `on_replay = "refuse"` | error: RFC 9700 section 4.14.2               |
//! | public                     | `require_pkce = false`                        | error: RFC 9700 section 2.1.1                  |
//! | confidential               | `retry_window`                                | error: its retries are bound by its secret     |
//! | of a flow with a redirect  | no `redirect_uris`                            | error: RFC 9700 section 4.1.1, exact match     |
//! | of no flow with a user     | `refresh_token`                               | error: no flow of it yields a refresh token    |

mod about;
mod checks;
mod costs;
mod encryption;
mod logout;
mod openid;
mod policy;
mod proofs;
mod registered;
mod secret;

use std::collections::BTreeSet;
use std::path::Path;

use regrant_core::client::{AuthMethod, Class, GrantType, SignatureAlgorithm};
use regrant_core::redirect::BadRedirectUri;
use regrant_core::{Client, ClientId, Resources, Scope, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::problem::Problem;
use super::suggest::did_you_mean;
use super::{ADMIN_RESOURCE, ADMIN_SCOPES, BUILT_IN_SCOPES, ResourceSetting, ScopeSetting, places};

/// How long the scopes and resources of a client are together, in bytes: a token of 16 KiB holds all of them with 4 KiB of claims beside. What
/// is too large to be signed would be found out only when the code is redeemed.
const MOST_TEXT: usize = 7_000;

pub use policy::LONGEST_ACCESS_TOKEN;
pub use proofs::{ObjectAlgorithm, PlainSecret};
pub use registered::Registration;
pub use secret::{hash_text, parse_hash_text};

use checks::Checks;

/// The longest name of a client, and the longest description of a scope, in characters.
pub(super) const MAX_NAME: usize = 200;

/// A client as it was written: nothing is checked yet, and no default filled in. Empty lists count as absent, but for
/// `grant_types`. Times are texts like "30d".
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientDefinition {
    /// `client_id`.
    pub id: String,
    /// What people see when they are asked for consent; the id unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A file with the secret in one line. Only for clients of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// `client_secret_basic` (default, RFC 7591 section 2), `client_secret_post`, `client_secret_jwt`, `private_key_jwt` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// Where answers may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// `authorization_code` and `refresh_token` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// What fits `grant_types` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// All scopes it may have; none unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// All resources it may have tokens for; none unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// `true` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_pkce: Option<bool>,
    /// `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_introspect: Option<bool>,
    /// `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_revoke_users: Option<bool>,
    /// `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Origins whose scripts may call the token endpoint; none unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_consent: Option<bool>,
    /// `auto` (default), `single_use` or `reusable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// `60s` unless set; public clients only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_window: Option<String>,
    /// `revoke` (default) or `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_replay: Option<String>,
    /// `30d` unless set, or `absolute_lifetime` if that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_lifetime: Option<String>,
    /// `365d` unless set, or `idle_lifetime` if that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_lifetime: Option<String>,
    /// `1h` unless set, or `idle_lifetime` if that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<String>,
    /// `jwt` (default, but for pairwise clients) or `opaque`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_format: Option<String>,
    /// `ES256` (default), `EdDSA`, `PS256` or `RS256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_signed_response_alg: Option<String>,
    /// `RS256` unless set: what signs the introspection answers that the client asks for as JWT (RFC 9701 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<String>,
    /// `RS256` unless set: what signs its ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<String>,
    /// What signs its userinfo answers; plain JSON unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<String>,
    /// How its ID tokens are encrypted to a key of its own: `ECDH-ES`, `ECDH-ES+A128KW`, `ECDH-ES+A256KW`, `RSA-OAEP-256` or
    /// `RSA-OAEP`; not at all unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_alg: Option<String>,
    /// With what: `A128CBC-HS256` (default), `A128GCM` or `A256GCM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_enc: Option<String>,
    /// The same of its userinfo answers; not at all unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_alg: Option<String>,
    /// With what: `A128CBC-HS256` (default), `A128GCM` or `A256GCM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_enc: Option<String>,
    /// How its request objects are encrypted to the server's key, if they are: any `ECDH-ES` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_encryption_alg: Option<String>,
    /// With what; any unless the other is set, and `A128CBC-HS256` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_encryption_enc: Option<String>,
    /// `public` (default) or `pairwise`: by which `sub` it knows its users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_type: Option<String>,
    /// Its host is the sector of a pairwise client; the host of its redirect URIs unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    /// The `max_age` of requests that name none; none unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<String>,
    /// `always` (default), or `offline_access`: when it gets refresh tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_tokens: Option<String>,
    /// The secret before this one, in a file, while it still works. Only for clients of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_file: Option<String>,
    /// The hash of the secret before this one, while it still works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_hash: Option<String>,
    /// When the secret before this one stops to work: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_expires_at: Option<String>,
    /// Attributes of the user that its access tokens carry: `groups`, or `department as dept`; none unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_token_claims: Vec<String>,
    /// Claims that all its access tokens carry; none unless set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub static_claims: Map<String, Value>,
    /// Whether the token hook is asked: `true` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_hook: Option<bool>,
    /// Where its users may be sent after a logout (OpenID Connect RP-Initiated Logout 1.0); none unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended, by a POST of ours (OpenID Connect Back-Channel Logout 1.0); nowhere unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether logout tokens must carry `sid`: `false` unless set, and they carry it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_session_required: Option<bool>,
    /// What is shown in a frame when its user logs out (OpenID Connect Front-Channel Logout 1.0); nothing unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether `iss` and `sid` are added to it: `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_session_required: Option<bool>,
    /// `keep`, `end_online` or `end`: what becomes of grants given in a session that its user logs out of; as `[revocation]` says unless
    /// set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_logout: Option<String>,
    /// Whether its error answers carry the reason of a refusal: `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell_reason: Option<bool>,
    /// Its public keys, a JWK set (RFC 7517 section 5). Not beside `jwks_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Map<String, Value>>,
    /// Where its public keys are: https. Read again when it signs with a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// What its assertions are signed with: any of `RS256`, `PS256`, `ES256` and `EdDSA` that its keys fit unless set; `HS256` for
    /// `client_secret_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The secret of a client of `client_secret_jwt`. Taken and never shown: the store keeps it wrapped under the root key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub shared_secret: Option<PlainSecret>,
    /// That secret, wrapped. Written by the server, and of no document of what may be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub sealed_secret: Option<String>,
    /// When it was added to the store, in milliseconds since 1970. Written by the server: what users allowed a client of this name before
    /// is not for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub added_at: Option<i64>,
    /// What its request objects are signed with; any of its keys unless set. `none`: they are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<String>,
    /// Where its request objects may be: https, each compared as it is; a fragment may be added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    /// Its home page: https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its logo, for the consent page: https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its privacy policy, for the consent page: https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms of service, for the consent page: https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// What is known of a client that registered itself. Written by the server, as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub registration: Option<Registration>,
}

/// What a definition may refer to.
#[derive(Clone, Copy, Debug)]
pub struct ClientContext<'a> {
    /// The declared scopes; the built-in ones are always there.
    pub scopes: &'a [ScopeSetting],
    /// The declared resources.
    pub resources: &'a [ResourceSetting],
    /// What `secret_file` is relative to; `None` where a definition may not name files (the store's).
    pub secret_files: Option<&'a Path>,
}

impl ClientDefinition {
    /// The client that this describes, and notices of what its choices cost.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn resolve(&self, context: &ClientContext<'_>) -> Result<(Client, Vec<String>), Vec<Problem>> {
        let mut checks = Checks::default();
        let id = ClientId::parse(&self.id);
        if id.is_none() {
            let what = "it is no client id";
            let remedy = "Use 1 to 255 of A-Z a-z 0-9 - . _ ~ : / @, not beginning with \"usr_\".";
            checks.problem(Problem::new("id", what, remedy));
        }
        let name = self.name.clone().unwrap_or_else(|| self.id.clone());
        if id.is_some() {
            checks.note(check_label("name", &name, is_hidden));
        }
        let auth = self.auth_method(&mut checks);
        let class = auth.map_or(Class::Secret, AuthMethod::class);
        let secrets = self.secrets(auth, context.secret_files, &mut checks);
        let grant_types = self.flows(class, &mut checks);
        let response_types = self.response_types(&grant_types, &mut checks);
        self.check_redirects(&grant_types, &mut checks);
        self.check_origins(&mut checks);
        let scopes = self.resolved_scopes(context.scopes, &mut checks);
        let resources = self.resolved_resources(context.resources, &mut checks);
        self.check_rights(class, auth, &mut checks);
        self.check_admin(&grant_types, &mut checks);
        let policy = self.policy(class, &mut checks);
        let introspection_algorithm = self.introspection_algorithm(&mut checks);
        let logout = self.logout(&mut checks);
        let openid = self.openid(&grant_types, &scopes, &mut checks);
        self.check_proofs(auth, &mut checks);
        self.check_encryption(&mut checks);
        self.check_about(&mut checks);
        checks.problems.extend(self.claims().err().unwrap_or_default());
        let (Some(id), Some(auth), Some(policy), true) = (id, auth, policy, checks.problems.is_empty()) else {
            return Err(checks.problems);
        };
        let client = Client {
            id,
            name,
            auth,
            secrets,
            redirect_uris: self.redirect_uris.clone(),
            grant_types,
            response_types,
            scopes,
            resources,
            require_pkce: self.require_pkce.unwrap_or(true),
            may_introspect: self.may_introspect.unwrap_or(false),
            introspection_algorithm: introspection_algorithm.unwrap_or(SignatureAlgorithm::Rs256),
            id_token_algorithm: openid.id_token_algorithm,
            userinfo_algorithm: openid.userinfo_algorithm,
            subject_type: openid.subject_type,
            default_max_age: openid.default_max_age,
            refresh_tokens: openid.refresh_tokens,
            may_revoke_users: self.may_revoke_users.unwrap_or(false),
            allowed_origins: self.allowed_origins.clone(),
            skip_consent: self.skip_consent.unwrap_or(false),
            disabled: self.disabled.unwrap_or(false),
            policy,
            logout,
        };
        let mut notices = checks.notices;
        notices.extend(costs::of(&client).into_iter().map(|cost| format!("client \"{}\": {cost}", client.id)));
        Ok((client, notices))
    }

    /// `None` if what is written is no method.
    fn auth_method(&self, checks: &mut Checks) -> Option<AuthMethod> {
        let key = "token_endpoint_auth_method";
        match &self.token_endpoint_auth_method {
            None => Some(AuthMethod::ClientSecretBasic),
            Some(word) => checks.choice(key, word, &AuthMethod::ALL, |method| method.as_str()),
        }
    }

    fn flows(&self, class: Class, checks: &mut Checks) -> BTreeSet<GrantType> {
        let key = "grant_types";
        let Some(words) = &self.grant_types else {
            return BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]);
        };
        checks.distinct(key, words);
        let mut flows = BTreeSet::new();
        for (index, word) in words.iter().enumerate() {
            flows.extend(checks.choice_at(key, Some(index), word, &GrantType::ALL, |grant_type| grant_type.as_str()));
        }
        let mut refuse = |what: &str, remedy: &str| checks.problem(Problem::new(key, what, remedy));
        if words.is_empty() && self.may_introspect != Some(true) && self.may_revoke_users != Some(true) {
            refuse(
                "it is empty, so the client can do nothing",
                "Name a flow, or give may_introspect to a resource server, or may_revoke_users to a security tool.",
            );
        }
        let yields = [GrantType::AuthorizationCode, GrantType::Password, GrantType::DeviceCode];
        if flows.contains(&GrantType::RefreshToken) && !yields.iter().any(|flow| flows.contains(flow)) {
            // RFC 6749 sections 4.2.2 and 4.4.3: neither the implicit flow nor client credentials yield one.
            refuse(
                "\"refresh_token\" needs a flow that yields refresh tokens",
                "Add \"authorization_code\", or remove \"refresh_token\".",
            );
        }
        if class == Class::Public && flows.contains(&GrantType::ClientCredentials) {
            refuse(
                "\"client_credentials\" is for confidential clients only (RFC 6749 section 4.4)",
                "Give the client a secret, or remove \"client_credentials\".",
            );
        }
        flows
    }

    fn check_redirects(&self, flows: &BTreeSet<GrantType>, checks: &mut Checks) {
        let key = "redirect_uris";
        let redirects = flows.contains(&GrantType::AuthorizationCode) || flows.contains(&GrantType::Implicit);
        if redirects && self.redirect_uris.is_empty() {
            let remedy =
                "Add the exact URI of the client's callback: redirect_uris = [\"https://app.example.com/callback\"].";
            checks.problem(Problem::new(key, "none is given, and its flow needs one (RFC 9700 section 4.1)", remedy));
        }
        if !redirects
            && !self.redirect_uris.is_empty()
            && checks.problems.iter().all(|found| found.key != "grant_types")
        {
            let remedy = "Remove them, or add \"authorization_code\" to grant_types.";
            checks.problem(Problem::new(key, "no flow of this client redirects", remedy));
        }
        checks.list(key, &self.redirect_uris);
        for (index, uri) in self.redirect_uris.iter().enumerate() {
            if uri.contains('*') {
                // A legal character of URIs, and in practice always the hope for a pattern.
                let what = "there are no wildcards: URIs are compared byte by byte (RFC 9700 section 2.1)";
                checks.problem(
                    Problem::new(key, what, "Name each URI; of loopback addresses any port will do.").at(index),
                );
            } else if let Err(bad) = redirect::check(uri) {
                let (what, remedy) = why_no_redirect(bad);
                checks.problem(Problem::new(key, what, remedy).at(index));
            }
        }
    }

    fn check_origins(&self, checks: &mut Checks) {
        let key = "allowed_origins";
        checks.list(key, &self.allowed_origins);
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            if let Err(what) = places::check_origin(origin) {
                let remedy = "Write an exact origin like \"https://app.example.com\" or \"http://localhost:3000\".";
                checks.problem(Problem::new(key, what, remedy).at(index));
            }
        }
    }

    /// The same without the scopes and resources that are declared nowhere, and which those are.
    pub(crate) fn within(&self, context: &ClientContext<'_>) -> (Self, Vec<String>) {
        let is_scope = |name: &String| {
            let built_in = || BUILT_IN_SCOPES.into_iter().chain(ADMIN_SCOPES);
            context.scopes.iter().any(|scope| scope.name == *name) || built_in().any(|known| known == name)
        };
        let is_resource = |uri: &String| {
            context.resources.iter().any(|resource| resource.uri.as_str() == uri) || uri == ADMIN_RESOURCE
        };
        let (scopes, mut missing): (Vec<_>, Vec<_>) = self.scopes.iter().cloned().partition(is_scope);
        let (resources, others): (Vec<_>, Vec<_>) = self.resources.iter().cloned().partition(is_resource);
        missing.extend(others);
        (Self { scopes, resources, ..self.clone() }, missing)
    }

    fn resolved_scopes(&self, declared: &[ScopeSetting], checks: &mut Checks) -> Scope {
        let key = "scopes";
        checks.distinct(key, &self.scopes);
        let built_in = || BUILT_IN_SCOPES.into_iter().chain(ADMIN_SCOPES);
        let known = || declared.iter().map(|scope| scope.name.as_str()).chain(built_in());
        for (index, scope) in self.scopes.iter().enumerate() {
            if !known().any(|name| name == scope) {
                let remedy = format!("{}Declare it in a [[scope]].", did_you_mean(scope, known()));
                checks.problem(Problem::new(key, format!("{scope:?} is not declared"), remedy).at(index));
            }
        }
        let length: usize = self.scopes.iter().chain(&self.resources).map(|text| text.len() + 1).sum();
        if length > MOST_TEXT {
            let what = format!("with its resources these are {length} bytes, and no token holds more than {MOST_TEXT}");
            checks.problem(Problem::new(key, what, "Name fewer or shorter ones, or make two clients of it."));
        }
        Scope::from_tokens(self.scopes.iter().map(String::as_str)).unwrap_or_else(|_| {
            let what = "these are more scopes than one client can have, or one is malformed";
            checks.problem(Problem::new(key, what, "Name at most 128 scopes."));
            Scope::default()
        })
    }

    fn resolved_resources(&self, declared: &[ResourceSetting], checks: &mut Checks) -> Resources {
        let key = "resources";
        checks.distinct(key, &self.resources);
        let known = || declared.iter().map(|resource| resource.uri.as_str()).chain([ADMIN_RESOURCE]);
        for (index, uri) in self.resources.iter().enumerate() {
            if !known().any(|name| name == uri) {
                let remedy = format!("{}Declare it in a [[resource]].", did_you_mean(uri, known()));
                checks.problem(Problem::new(key, format!("{uri:?} is not declared"), remedy).at(index));
            }
        }
        Resources::new(self.resources.iter().map(String::as_str)).unwrap_or_else(|_| {
            let what = "these are more resources than one client can have, or one is malformed";
            checks.problem(Problem::new(key, what, "Name at most 16 absolute URIs."));
            Resources::default()
        })
    }

    /// Whoever may do what an operator does is a program with a secret of its own, and never acts for a user: what a browser
    /// or a user's device holds must not be worth that much (check O6).
    fn check_admin(&self, flows: &BTreeSet<GrantType>, checks: &mut Checks) {
        let is_named = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let named = ADMIN_SCOPES.into_iter().find(|scope| is_named(&self.scopes, scope));
        let Some(named) = named else { return };
        if flows.iter().any(|flow| *flow != GrantType::ClientCredentials) || flows.is_empty() {
            let what = format!("\"{named}\" is for clients of the grant type \"client_credentials\" alone");
            let remedy = "Give it to a client of its own, with grant_types = [\"client_credentials\"].";
            checks.problem(Problem::new("scopes", what, remedy));
        }
        if !is_named(&self.resources, ADMIN_RESOURCE) {
            let what = format!("\"{named}\" means nothing without the resource \"{ADMIN_RESOURCE}\"");
            checks.problem(Problem::new("resources", what, format!("Add \"{ADMIN_RESOURCE}\".")));
        }
    }

    /// What only a client that can prove itself may have.
    fn check_rights(&self, class: Class, auth: Option<AuthMethod>, checks: &mut Checks) {
        if self.may_revoke_users == Some(true) && auth != Some(AuthMethod::ClientSecretBasic) {
            // Its request is JSON: there is no form that a secret could stand in.
            let what = "a client that may revoke users proves itself with client_secret_basic";
            let remedy = "Leave token_endpoint_auth_method out, or leave may_revoke_users out.";
            checks.problem(Problem::new("may_revoke_users", what, remedy));
        }
        if class != Class::Public {
            return;
        }
        if self.require_pkce == Some(false) {
            let what = "a public client must use PKCE (RFC 9700 section 2.1.1)";
            checks.problem(Problem::new("require_pkce", what, "Leave it out."));
        }
        if self.may_introspect == Some(true) {
            let what = "a public client cannot prove that it may introspect (RFC 7662 section 2.1)";
            checks.problem(Problem::new("may_introspect", what, "Give the client a secret, or leave it out."));
        }
    }
}

/// Controls, and marks that reverse or isolate text: they could make a page say something else than it says.
pub(super) fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What no name has: those, and characters without a width, with which two names look alike. Sentences may need them: Persian is not written
/// without U+200C.
pub(crate) fn is_hidden(c: char) -> bool {
    misleads(c) || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// A text that is shown to people: bounded, and without characters that change how the rest is shown.
pub(super) fn check_label(key: &'static str, text: &str, hidden: fn(char) -> bool) -> Option<Problem> {
    let length = text.chars().count();
    if text.trim().is_empty() || text.chars().any(hidden) {
        let what = "it is empty, or has control characters or others that nobody sees";
        return Some(Problem::new(key, what, "Write a name that people can read on one line."));
    }
    (length > MAX_NAME)
        .then(|| Problem::new(key, format!("it has {length} characters"), format!("Use at most {MAX_NAME}.")))
}

pub(super) fn why_no_redirect(bad: BadRedirectUri) -> (&'static str, &'static str) {
    match bad {
        BadRedirectUri::TooLong => {
            ("it is longer than 2048 characters", "Shorten it; state belongs into the state parameter.")
        }
        BadRedirectUri::ForeignCharacter => {
            ("it has a character that no URI has", "Percent-encode it; wildcards and templates are not possible.")
        }
        BadRedirectUri::NotAbsolute => ("it is no absolute URI", "Write it like \"https://app.example.com/callback\"."),
        BadRedirectUri::Fragment => ("it has a fragment (RFC 6749 section 3.1.2)", "Remove the # and what follows."),
        BadRedirectUri::PlainHttp => (
            "plain http is for 127.0.0.1, [::1] and localhost only",
            "Use https, or a loopback address for a native app.",
        ),
        BadRedirectUri::Scheme => (
            "its scheme is none that can be trusted with an answer",
            "Use https, or for a native app a scheme that is a domain name reversed: com.example.app:/callback (RFC 8252 section 7.1).",
        ),
        BadRedirectUri::UserInfo => ("it has user information before the host", "Remove everything up to the @."),
        BadRedirectUri::NoHost => ("it has no host", "Write it like \"https://app.example.com/callback\"."),
    }
}
