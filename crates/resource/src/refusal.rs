//! Why a token is refused: rich inside, and the three codes of RFC 6750 section 3.1 outside.

use std::fmt;

use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

/// Why a request does not get through. For logs; [`Refusal::response`] is what its sender hears.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no `Authorization: Bearer`. 401 without an error code.
    NoToken,
    /// Two `Authorization` headers, or characters that no token has. 400 `invalid_request`.
    BadRequest,
    /// It is longer than 16 KiB, or no JWT where only JWTs are taken. 401 `invalid_token`.
    Malformed,
    /// No published key signed it as an access token. 401 `invalid_token`.
    NotVerified,
    /// Issuer, audience, times or a claim that must be there. 401 `invalid_token`.
    OtherClaims,
    /// It was revoked before its time. 401 `invalid_token`.
    Revoked,
    /// Introspection says that it is not active. 401 `invalid_token`.
    Inactive,
    /// It is valid, and not for this: these scopes are required. 403 `insufficient_scope`.
    InsufficientScope(Vec<String>),
    /// It cannot be judged now: the authorization server does not answer, or the feed is too old. 503.
    Unknown(String),
}

impl Refusal {
    /// The status (RFC 6750 section 3.1).
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Self::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoToken
            | Self::Malformed
            | Self::NotVerified
            | Self::OtherClaims
            | Self::Revoked
            | Self::Inactive => StatusCode::UNAUTHORIZED,
        }
    }

    /// The code. RFC 6750 section 3.1: "If the request lacks any authentication information […], the resource server SHOULD NOT
    /// include an error code or other error information."
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoToken | Self::Unknown(_) => None,
            Self::BadRequest => Some("invalid_request"),
            Self::InsufficientScope(_) => Some("insufficient_scope"),
            Self::Malformed | Self::NotVerified | Self::OtherClaims | Self::Revoked | Self::Inactive => {
                Some("invalid_token")
            }
        }
    }

    /// `WWW-Authenticate` (RFC 6750 section 3). What made a token invalid is not told: a thief would ask.
    #[must_use]
    pub fn challenge(&self, realm: &str) -> Option<String> {
        if matches!(self, Self::Unknown(_)) {
            return None;
        }
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        if let Some(code) = self.code() {
            challenge.push_str(&format!(", error=\"{code}\""));
        }
        if let Self::InsufficientScope(required) = self {
            // "The authorization server MAY include the "scope" attribute with the scope necessary to access the protected resource."
            challenge.push_str(&format!(", scope=\"{}\"", required.join(" ")));
        }
        Some(challenge)
    }

    /// The whole answer, with an empty body.
    pub fn response<B: Default>(&self, realm: &str) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = self.challenge(realm).and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if matches!(self, Self::Unknown(_)) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("no bearer token was sent"),
            Self::BadRequest => f.write_str("the Authorization header cannot be read"),
            Self::Malformed => f.write_str("the token is malformed"),
            Self::NotVerified => f.write_str("no published key signed the token as an access token"),
            Self::OtherClaims => f.write_str("the token's claims are not those of a token for here and now"),
            Self::Revoked => f.write_str("the token was revoked"),
            Self::Inactive => f.write_str("the authorization server says that the token is not active"),
            Self::InsufficientScope(required) => write!(f, "the token lacks one of the scopes {}", required.join(" ")),
            Self::Unknown(cause) => write!(f, "the token cannot be judged now: {cause}"),
        }
    }
}

impl std::error::Error for Refusal {}
