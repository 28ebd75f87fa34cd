//! Which client of which server a session belongs to.

use crate::secret::Secret;

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
    /// The token endpoint, where the server has no metadata.
    pub token_endpoint: Option<String>,
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
            token_endpoint: None,
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
        Self { token_endpoint: Some(url.into()), ..self }
    }

    /// A client that acts for itself. An empty scope leaves the choice to the server.
    #[must_use]
    pub fn with_client_credentials(self, scope: impl Into<String>) -> Self {
        Self { client_credentials: Some(scope.into()), ..self }
    }

    /// A form to send as this client, and the headers that go with it.
    pub(crate) fn authenticated(&self, mut form: Vec<(&'static str, String)>) -> (Vec<(&'static str, String)>, Option<String>) {
        use base64::Engine as _;
        match &self.credential {
            Credential::None => {
                form.push(("client_id", self.client_id.clone()));
                (form, None)
            }
            Credential::Post(secret) => {
                form.extend([("client_id", self.client_id.clone()), ("client_secret", secret.expose().to_owned())]);
                (form, None)
            }
            // RFC 6749 section 2.3.1: "The client identifier is encoded using the "application/x-www-form-urlencoded" encoding
            // algorithm per Appendix B, and the encoded value is used as the username".
            Credential::Basic(secret) => {
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose()));
                (form, Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))))
            }
        }
    }
}
