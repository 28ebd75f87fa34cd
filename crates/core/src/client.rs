//! Clients (RFC 6749 section 2) and what their settings mean for a refresh.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::grant::Rotation;
use crate::scope::{Resources, Scope};
use crate::secret::Hash;
use crate::time::Timestamp;

/// The prefix of every user's `sub`. No client id may begin with it, or a client could pass for a user (RFC 9700
/// section 4.15).
pub const SUBJECT_PREFIX: &str = "usr_";

/// A client identifier: 1 to 255 characters of `A-Z a-z 0-9 - . _ ~ : / @`, not beginning with `usr_`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// Reads an identifier; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@".contains(&byte);
        let valid = (1..=255).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(SUBJECT_PREFIX);
        valid.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a client authenticates at the token endpoint (RFC 7591 section 2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthMethod {
    /// HTTP Basic (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// `client_id` and `client_secret` in the body.
    ClientSecretPost,
    /// A JWT under the secret (OpenID Connect Core section 9, RFC 7523 section 2.2).
    ClientSecretJwt,
    /// A JWT signed by a key of the client's (the same sections).
    PrivateKeyJwt,
    /// A public client.
    None,
}

impl AuthMethod {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ClientSecretBasic, Self::ClientSecretPost, Self::ClientSecretJwt, Self::PrivateKeyJwt, Self::None];

    /// What its user can prove.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::PrivateKeyJwt => Class::Key,
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt => Class::Secret,
            Self::None => Class::Public,
        }
    }

    /// Whether it needs a secret that both sides have.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        matches!(self.class(), Class::Secret)
    }

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }
}

/// A `grant_type` (RFC 6749), or the implicit flow, which has no token request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GrantType {
    /// Section 4.1.
    AuthorizationCode,
    /// Section 4.2. Never yields a refresh token.
    Implicit,
    /// Section 4.3. RFC 9700 section 2.4: "MUST NOT be used".
    Password,
    /// Section 4.4. Never yields a refresh token.
    ClientCredentials,
    /// Section 6.
    RefreshToken,
    /// RFC 8628.
    DeviceCode,
}

impl GrantType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AuthorizationCode,
        Self::Implicit,
        Self::Password,
        Self::ClientCredentials,
        Self::RefreshToken,
        Self::DeviceCode,
    ];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::Implicit => "implicit",
            Self::Password => "password",
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }
}

/// When a client that may refresh gets a refresh token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshTokens {
    /// With every grant.
    Always,
    /// With a grant that holds `offline_access` (OpenID Connect Core section 11).
    OfflineAccess,
}

/// By which `sub` a client knows its users: OpenID Connect Core section 8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectType {
    /// By the one that all clients know.
    Public,
    /// By one of its own, the same for all clients of this sector.
    Pairwise(String),
}

/// What the holder of a client's refresh tokens can prove: it decides the retry rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// `private_key_jwt`, mTLS, or a DPoP-bound public client.
    Key,
    /// `client_secret_*`.
    Secret,
    /// A public client: nothing but the token.
    Public,
}

/// What a replay does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnReplay {
    /// Ends the grant (RFC 9700 section 4.14.2).
    Revoke,
    /// Only refuses, and raises the event.
    Refuse,
}

/// The shape of a client's access tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessTokenFormat {
    /// RFC 9068.
    Jwt,
    /// Sealed: readable by introspection only.
    Opaque,
}

/// What a client's JWT access tokens are signed with: names of RFC 7518 section 3.1 and RFC 8037 section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SignatureAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// EdDSA with Ed25519.
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl SignatureAlgorithm {
    /// All of them, the preferred first.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Ps256, Self::Rs256];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A client's settings for refreshes, resolved: no `auto` is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// What its holder can prove.
    pub class: Class,
    /// The mode that new grants get.
    pub rotation: Rotation,
    /// For plain public clients: how long after a rotation the predecessor may be presented again.
    pub retry_window: Duration,
    /// What a replay does.
    pub on_replay: OnReplay,
    /// A grant ends after this long without a refresh.
    pub idle_lifetime: Duration,
    /// A grant ends this long after it was made, whatever is done.
    pub absolute_lifetime: Duration,
    /// The longest `expires_in`.
    pub access_token_lifetime: Duration,
    /// The shape of access tokens.
    pub access_token_format: AccessTokenFormat,
    /// What signs them, where they are JWTs.
    pub access_token_algorithm: SignatureAlgorithm,
}

/// Defaults, each explained in `docs/defaults.md`.
impl Policy {
    /// `retry_window` unless set: 60 s.
    pub const RETRY_WINDOW: Duration = Duration::from_secs(60);
    /// The smallest `retry_window` other than 0: 10 s.
    pub const SHORTEST_RETRY_WINDOW: Duration = Duration::from_secs(10);
    /// `idle_lifetime` unless set: 30 days.
    pub const IDLE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
    /// `absolute_lifetime` unless set: 365 days.
    pub const ABSOLUTE_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
    /// `access_token_lifetime` unless set: 1 hour.
    pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

    /// The defaults of a class.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        let (rotation, on_replay) = match class {
            Class::Key => (Rotation::Reusable, OnReplay::Refuse),
            Class::Secret => (Rotation::Reusable, OnReplay::Revoke),
            Class::Public => (Rotation::SingleUse, OnReplay::Revoke),
        };
        Self {
            class,
            rotation,
            retry_window: Self::RETRY_WINDOW,
            on_replay,
            idle_lifetime: Self::IDLE_LIFETIME,
            absolute_lifetime: Self::ABSOLUTE_LIFETIME,
            access_token_lifetime: Self::ACCESS_TOKEN_LIFETIME,
            access_token_format: AccessTokenFormat::Jwt,
            access_token_algorithm: SignatureAlgorithm::Es256,
        }
    }
}

/// What is kept of a client's secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientSecret {
    /// SHA-256 of the secret.
    pub hash: Hash,
    /// When it stops to authenticate the client; `None` for the one in use, set for the one before it.
    pub expires_at: Option<Timestamp>,
}

impl ClientSecret {
    /// Whether it still authenticates.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| !at.is_over(now))
    }
}

/// What becomes of the grants that a client got in a session, when its user logs out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnLogout {
    /// They go on.
    Keep,
    /// Those without `offline_access` end (OpenID Connect Core section 11).
    EndOnline,
    /// They end.
    End,
}

impl OnLogout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::EndOnline, Self::End];

    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::EndOnline => "end_online",
            Self::End => "end",
        }
    }
}

/// What a logout means to a client, where it is told of one, and where its users go after it: OpenID Connect RP-Initiated Logout 1.0 section 3,
/// Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogoutSettings {
    /// `post_logout_redirect_uris`: compared byte by byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// `backchannel_logout_uri`.
    pub backchannel: Option<String>,
    /// `backchannel_logout_session_required`: whether its logout tokens must carry `sid`. Ours always do.
    pub backchannel_session_required: bool,
    /// `frontchannel_logout_uri`.
    pub frontchannel: Option<String>,
    /// `frontchannel_logout_session_required`: whether `iss` and `sid` are added to it.
    pub frontchannel_session_required: bool,
    /// What becomes of its grants; what the policy of all clients says unless set.
    pub on_logout: Option<OnLogout>,
}

impl LogoutSettings {
    /// Whether anybody has to be told.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.backchannel.is_some() || self.frontchannel.is_some()
    }
}

/// A registered client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// The name people see.
    pub name: String,
    /// How it authenticates.
    pub auth: AuthMethod,
    /// Its secrets, at most two while one takes over from the other; any live one authenticates it.
    pub secrets: Vec<ClientSecret>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// What it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// `response_type` values it may use, as [`ResponseType::as_str`](crate::ResponseType::as_str) spells them.
    pub response_types: BTreeSet<String>,
    /// All scopes it may have.
    pub scopes: Scope,
    /// All resources it may have tokens for.
    pub resources: Resources,
    /// Whether an authorization request must carry a PKCE challenge.
    pub require_pkce: bool,
    /// Whether it may introspect tokens (RFC 7662).
    pub may_introspect: bool,
    /// What signs its introspection answers (RFC 9701).
    pub introspection_algorithm: SignatureAlgorithm,
    /// What signs its ID tokens (OpenID Connect Registration section 2).
    pub id_token_algorithm: SignatureAlgorithm,
    /// What signs its userinfo answers; `None` for plain JSON.
    pub userinfo_algorithm: Option<SignatureAlgorithm>,
    /// By which `sub` it knows its users.
    pub subject_type: SubjectType,
    /// `max_age` of a request that names none.
    pub default_max_age: Option<Duration>,
    /// When it gets refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Whether it may revoke everything of a user (draft-parecki-oauth-global-token-revocation).
    pub may_revoke_users: bool,
    /// Origins whose scripts may call the token and revocation endpoints as this client.
    pub allowed_origins: Vec<String>,
    /// Whether its users are not asked for consent.
    pub skip_consent: bool,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Its settings for refreshes.
    pub policy: Policy,
    /// What a logout means to it.
    pub logout: LogoutSettings,
}

impl Client {
    /// Whether it may use a flow.
    #[must_use]
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// RFC 6749 section 2.1: "clients incapable of maintaining the confidentiality of their credentials".
    #[must_use]
    pub const fn is_public(&self) -> bool {
        matches!(self.policy.class, Class::Public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check F9.
    #[test]
    fn no_client_id_can_pass_for_a_subject() {
        assert!(ClientId::parse("usr_1").is_none());
        assert!(ClientId::parse("app-1").is_some());
        for bad in ["", " ", "a b", "a%b", "a+b", "ä", "a\n"] {
            assert!(ClientId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(ClientId::parse(&"a".repeat(256)).is_none());
    }

    /// RFC 6749 section 2.3.1, RFC 7523: a secret is what both sides have, however it is shown.
    #[test]
    fn three_methods_need_a_secret() {
        let with: Vec<&str> =
            AuthMethod::ALL.into_iter().filter(|method| method.has_secret()).map(AuthMethod::as_str).collect();
        assert_eq!(with, ["client_secret_basic", "client_secret_post", "client_secret_jwt"]);
    }

    /// Names that others have registered: RFC 6749 sections 4.1 to 4.4 and 6, RFC 7591 section 2, RFC 8628 section 3.4; RFC 7518 section 3.1,
    /// RFC 8037 section 3.1.
    #[test]
    fn registered_names_are_as_they_were_registered() {
        assert_eq!(
            GrantType::ALL.map(GrantType::as_str),
            [
                "authorization_code",
                "implicit",
                "password",
                "client_credentials",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
            ]
        );
        assert_eq!(SignatureAlgorithm::ALL.map(SignatureAlgorithm::as_str), ["ES256", "EdDSA", "PS256", "RS256"]);
    }

    /// Words of our own, of which configurations are full.
    #[test]
    fn what_a_logout_does_has_its_word() {
        assert_eq!(OnLogout::ALL.map(OnLogout::as_str), ["keep", "end_online", "end"]);
    }

    #[test]
    fn a_secret_is_over_at_its_instant_and_the_one_in_use_never() {
        let (end, hash) = (Timestamp::from_millis(1000), crate::secret::Seed::new([1; 32]).hash());
        let secret = ClientSecret { hash, expires_at: Some(end) };
        assert!(secret.is_live(Timestamp::from_millis(999)));
        assert!(!secret.is_live(end));
        assert!(ClientSecret { expires_at: None, ..secret }.is_live(Timestamp::MAX));
    }

    #[test]
    fn a_client_is_told_of_a_logout_where_it_has_a_uri_for_it() {
        let (none, uri) = (LogoutSettings::default(), Some("https://app.example/logout".to_owned()));
        assert!(!none.is_told());
        assert!(LogoutSettings { backchannel: uri.clone(), ..none.clone() }.is_told());
        assert!(LogoutSettings { frontchannel: uri, ..none }.is_told());
    }
}
