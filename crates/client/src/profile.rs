//! Which client of which server a session belongs to.

use std::sync::Arc;

use regrant_jose::SigningKey;

use crate::chance;
use crate::discovery::Metadata;
use crate::error::Error;
use crate::secret::Secret;
use crate::transport::Form;

/// How long an assertion of the client is good, in seconds.
const ASSERTION_LIFETIME: u64 = 60;
/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client at an authorization server.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name under which the session is kept.
    pub name: String,
    /// The issuer, as its metadata and its tokens spell it.
    pub issuer: String,
    /// The client identifier.
    pub client_id: String,
    /// What the client proves itself with.
    pub credential: Credential,
    /// What the server would say of itself, where it publishes no metadata.
    pub metadata: Option<Metadata>,
    /// The scope that users are asked for; without it the server chooses.
    pub scope: Option<String>,
    /// The APIs that tokens are for (RFC 8707).
    pub resources: Vec<String>,
    /// Whether tokens are bound to a key (RFC 9449), which is made at the login. A server that knows nothing of it gives bearer tokens.
    pub is_dpop: bool,
    /// The scope to ask for as the client itself (RFC 6749 section 4.4), which needs nobody to log in. `None` for users' sessions.
    pub client_credentials: Option<String>,
}

/// What a client proves itself with at the token endpoint.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Credential {
    /// Nothing: a public client.
    #[default]
    None,
    /// A secret in the `Authorization` header (RFC 6749 section 2.3.1).
    Basic(Secret),
    /// A secret in the form, for servers that know no other way.
    Post(Secret),
    /// An assertion signed with a key that never leaves us (RFC 7523 section 2.2).
    PrivateKeyJwt(Arc<SigningKey>),
}

impl Profile {
    /// A public client.
    #[must_use]
    pub fn new(name: impl Into<String>, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            issuer: issuer.into(),
            client_id: client_id.into(),
            credential: Credential::None,
            metadata: None,
            scope: None,
            resources: Vec::new(),
            is_dpop: false,
            client_credentials: None,
        }
    }

    /// The same client with a credential.
    #[must_use]
    pub fn with_credential(self, credential: Credential) -> Self {
        Self { credential, ..self }
    }

    /// The same client at a server without metadata.
    #[must_use]
    pub fn with_token_endpoint(self, url: impl Into<String>) -> Self {
        let metadata = Metadata::of(self.issuer.clone(), url);
        self.with_metadata(metadata)
    }

    /// The same client at a server whose metadata you know yourself.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata: Some(metadata), ..self }
    }

    /// The same client asking users for this scope.
    #[must_use]
    pub fn with_scope(self, scope: impl Into<String>) -> Self {
        Self { scope: Some(scope.into()), ..self }
    }

    /// The same client with tokens for this API, and those named before.
    #[must_use]
    pub fn with_resource(mut self, uri: impl Into<String>) -> Self {
        self.resources.push(uri.into());
        self
    }

    /// A client that acts for itself. An empty scope leaves the choice to the server.
    #[must_use]
    pub fn with_client_credentials(self, scope: impl Into<String>) -> Self {
        Self { client_credentials: Some(scope.into()), ..self }
    }

    /// The same client with tokens that are bound to a key.
    #[must_use]
    pub fn with_dpop(self) -> Self {
        Self { is_dpop: true, ..self }
    }

    /// Whose its sessions are.
    pub(crate) fn owner(&self) -> String {
        format!("{} at {}", self.client_id, self.issuer)
    }

    /// A form to send as this client, and the `Authorization` that goes with it. `now`, in seconds, is the server's date.
    pub(crate) fn authenticated(&self, mut form: Form, now: u64) -> Result<(Form, Option<String>), Error> {
        use base64::Engine as _;
        let client = ("client_id", self.client_id.clone());
        match &self.credential {
            Credential::None => {
                form.push(client);
                Ok((form, None))
            }
            Credential::Post(secret) => {
                form.extend([client, ("client_secret", secret.expose().to_owned())]);
                Ok((form, None))
            }
            // RFC 6749 section 2.3.1: "The client identifier is encoded using the "application/x-www-form-urlencoded" encoding
            // algorithm per Appendix B, and the encoded value is used as the username".
            Credential::Basic(secret) => {
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose()));
                Ok((form, Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))))
            }
            // RFC 7523 section 3: issuer and subject are the client, the audience is the server, and it is soon over. The `jti` makes
            // it good once.
            Credential::PrivateKeyJwt(key) => {
                let claims = serde_json::json!({
                    "iss": self.client_id, "sub": self.client_id, "aud": self.issuer,
                    "jti": chance::text(), "iat": now, "exp": now + ASSERTION_LIFETIME,
                });
                let signed = key.sign("JWT", &claims);
                let signed = signed.map_err(|error| Error::Misconfigured(format!("the client's key: {error}")))?;
                form.extend([
                    client,
                    ("client_assertion_type", ASSERTION_TYPE.to_owned()),
                    ("client_assertion", signed),
                ]);
                Ok((form, None))
            }
        }
    }

    /// Its resources, as parameters (RFC 8707 section 2).
    pub(crate) fn resource_parameters(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.resources.iter().map(|resource| ("resource", resource.clone()))
    }
}
