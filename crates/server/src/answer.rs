//! Answers: the only file that writes an OAuth error (RFC 6749 section 5.2), and the one map from reasons to codes.
//!
//! Outside: the RFC's code, a description that is constant per code and says nothing of state, a correlation id. Inside: the
//! reason, in the log line and the event with the same correlation id (law L12).

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use regrant_core::{Client, Refusal};
use regrant_store::Unavailable;
use serde::Serialize;

use crate::app::{App, Settings};
use crate::client_auth::NotAuthenticated;
use crate::correlation::Correlation;
use crate::form::Malformed;
pub use crate::limits::budget::Budget;
use crate::reasons_page;
use crate::registration::metadata::{self, BadMetadata};
use crate::sight;

/// An error, as the endpoints meet it.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The request cannot be read.
    Malformed(Malformed),
    /// The client is not who it claims to be.
    Client(NotAuthenticated),
    /// The grant type is not one of ours.
    UnsupportedGrantType,
    /// A scope that cannot be read.
    MalformedScope,
    /// A resource that cannot be read.
    MalformedTarget,
    /// The rules refused.
    Refused(Refusal),
    /// Too many passwords wait to be verified.
    Busy,
    /// The token hook said no: nothing has happened.
    HookDenied,
    /// The token hook did not answer, and tokens are not to be made without it: nothing has happened.
    HookFailed,
    /// The claims that the token would carry, in bytes of JSON, are more than a token may: nothing has happened.
    ClaimsTooLarge(usize),
    /// The client wants an answer encrypted, and its key cannot be found: nothing has happened.
    NoEncryptionKey,
    /// The client's keys cannot be read: its assertion was not examined. They are asked for again after this.
    ClientKeysUnread(Duration),
    /// The key of the client's assertion is none that was read lately: the same.
    ClientKeyUnknown(Duration),
    /// Asked too often: nothing was looked at, or nothing is told of it. Come again after this.
    TooMany(Budget, Duration),
    /// The store failed: nothing has happened.
    Unavailable(Unavailable),
    /// A protected resource of our own refused its token (RFC 6750).
    Bearer(BearerFailure),
    /// A client that proved itself, and may not read this.
    NotAReader,
    /// Another method than the endpoint takes.
    Method(&'static str),
    /// The client may not revoke users.
    MayNotRevoke,
    /// There is no such user to revoke.
    NoSuchSubject,
    /// A registration is not what it must be (RFC 7591 section 3.2.2).
    Registration(BadMetadata),
    /// Nobody may register here.
    RegistrationOff,
    /// There are as many registered clients as there may be.
    RegistrationFull,
}

/// RFC 6750 section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BearerFailure {
    /// No token was sent: no error code is told.
    NoToken,
    /// Sent in two ways, or unreadable.
    Malformed,
    /// Not one of ours, or no longer active.
    InvalidToken,
    /// Not a user's.
    InsufficientScope,
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<NotAuthenticated> for Failure {
    fn from(refused: NotAuthenticated) -> Self {
        Self::Client(refused)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BadMetadata> for Failure {
    fn from(bad: BadMetadata) -> Self {
        Self::Registration(bad)
    }
}

impl From<Unavailable> for Failure {
    fn from(trouble: Unavailable) -> Self {
        Self::Unavailable(trouble)
    }
}

/// The RFC's word for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// RFC 6749 section 5.2.
    InvalidRequest,
    /// RFC 6749 section 5.2.
    InvalidClient,
    /// RFC 6749 section 5.2.
    InvalidGrant,
    /// RFC 6749 section 5.2.
    UnauthorizedClient,
    /// RFC 6749 section 5.2.
    UnsupportedGrantType,
    /// RFC 6749 section 5.2.
    InvalidScope,
    /// RFC 8707 section 2.
    InvalidTarget,
    /// RFC 6749 section 4.1.2.1, for 503; and for 429 (RFC 6585 section 4), which has no code of its own: `slow_down` of RFC 8628
    /// tells a device to go on polling, and anything like `invalid_grant` would log people out.
    TemporarilyUnavailable,
    /// RFC 6749 section 4.1.2.1; at the token endpoint RFC 8628 section 3.5, "The authorization request was denied".
    AccessDenied,
    /// RFC 8628 section 3.5.
    AuthorizationPending,
    /// RFC 8628 section 3.5.
    SlowDown,
    /// RFC 8628 section 3.5.
    ExpiredToken,
    /// RFC 6750 section 3.1.
    InvalidToken,
    /// RFC 6750 section 3.1.
    InsufficientScope,
    /// RFC 7591 section 3.2.2.
    InvalidRedirectUri,
    /// RFC 7591 section 3.2.2.
    InvalidClientMetadata,
    /// RFC 7591 section 3.2.2.
    InvalidSoftwareStatement,
    /// RFC 7591 section 3.2.2.
    UnapprovedSoftwareStatement,
}

impl Code {
    /// As it goes over the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request is malformed",
            Self::InvalidClient => "client authentication failed",
            Self::InvalidGrant => "the grant is invalid, expired, revoked, or was issued to another client",
            Self::UnauthorizedClient => "the client may not use this grant type",
            Self::UnsupportedGrantType => "the grant type is not supported",
            Self::InvalidScope => "the scope is malformed, unknown, or exceeds what was granted",
            Self::InvalidTarget => "the resource is malformed, unknown, or exceeds what was granted",
            Self::TemporarilyUnavailable => "the server cannot answer now; ask again shortly with the same request",
            Self::AccessDenied => "the request was denied",
            Self::AuthorizationPending => "nobody has answered yet; ask again after the interval",
            Self::SlowDown => "nobody has answered yet; ask again after an interval that is 5 seconds longer",
            Self::ExpiredToken => "the device code has expired; ask for a new one",
            Self::InvalidToken => "the access token is invalid, expired or revoked",
            Self::InsufficientScope => "the access token is not a user's",
            Self::InvalidRedirectUri => "a redirect URI is missing, or none that this kind of client may have",
            Self::InvalidClientMetadata => "a member of the client's metadata has a value that is not supported",
            Self::InvalidSoftwareStatement => "the software statement is no signed JWT",
            Self::UnapprovedSoftwareStatement => "software statements are approved of by nobody here",
        }
    }
}

/// The one map from a refusal to the RFC's code: exhaustive, so that a new reason must be given one here.
#[must_use]
pub const fn code_of(refusal: Refusal) -> Code {
    match refusal {
        Refusal::NotOurs
        | Refusal::UnknownGrant
        | Refusal::OtherClient
        | Refusal::OtherKey
        | Refusal::TamperedRow
        | Refusal::Ended(_)
        | Refusal::IdleExpired
        | Refusal::AbsoluteExpired
        | Refusal::SubjectDisabled
        | Refusal::SubjectGone
        | Refusal::NotRefreshable
        | Refusal::ReusableForPublic
        | Refusal::SeedKeyGone
        | Refusal::Replayed
        | Refusal::ReplayRefused
        | Refusal::SpentUnderCompromisedKey
        | Refusal::Unissued
        | Refusal::EraAhead
        | Refusal::EraPast
        | Refusal::Superseded
        | Refusal::Lost
        | Refusal::ImpossibleGeneration
        | Refusal::GenerationsExhausted
        | Refusal::CodeExpired
        | Refusal::CodeSpent
        | Refusal::CodeReplayed
        | Refusal::CodeForged
        | Refusal::RedirectUriMismatch
        | Refusal::VerifierMissing
        | Refusal::VerifierUnexpected
        | Refusal::VerifierMalformed
        | Refusal::VerifierWrong
        | Refusal::ConsentOver
        | Refusal::WrongPassword => Code::InvalidGrant,
        Refusal::ClientDisabled | Refusal::GrantTypeNotAllowed => Code::UnauthorizedClient,
        Refusal::ScopeExceeded | Refusal::ScopeNotAllowed => Code::InvalidScope,
        Refusal::TargetExceeded | Refusal::TargetNotAllowed => Code::InvalidTarget,
        Refusal::Straggler { .. } | Refusal::SeedKeyNotYet | Refusal::NotPrepared => Code::TemporarilyUnavailable,
        // What is paused goes on later, with the token that it has: `invalid_grant` would tell the client to throw it away.
        Refusal::ConsentPaused | Refusal::DeviceDenied => Code::AccessDenied,
        Refusal::DevicePending => Code::AuthorizationPending,
        Refusal::DeviceTooFast => Code::SlowDown,
        Refusal::DeviceCodeExpired => Code::ExpiredToken,
    }
}

impl Failure {
    /// The RFC's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::Method(_) | Self::NoSuchSubject => Code::InvalidRequest,
            Self::Client(_) => Code::InvalidClient,
            Self::UnsupportedGrantType => Code::UnsupportedGrantType,
            Self::MalformedScope => Code::InvalidScope,
            Self::MalformedTarget => Code::InvalidTarget,
            Self::Registration(BadMetadata::RedirectUri) => Code::InvalidRedirectUri,
            Self::Registration(BadMetadata::Member(_)) => Code::InvalidClientMetadata,
            Self::Registration(BadMetadata::SoftwareStatement) => Code::InvalidSoftwareStatement,
            Self::Registration(BadMetadata::UnapprovedSoftwareStatement) => Code::UnapprovedSoftwareStatement,
            Self::Refused(refusal) => code_of(*refusal),
            // Not invalid_grant, at which clients throw their refresh token away: the grant is as good as before.
            Self::HookDenied | Self::MayNotRevoke | Self::RegistrationOff => Code::AccessDenied,
            Self::NotAReader => Code::UnauthorizedClient,
            Self::Busy
            | Self::TooMany(..)
            | Self::Unavailable(_)
            | Self::HookFailed
            | Self::ClaimsTooLarge(_)
            | Self::NoEncryptionKey
            | Self::ClientKeysUnread(_)
            | Self::ClientKeyUnknown(_)
            | Self::RegistrationFull => Code::TemporarilyUnavailable,
            Self::Bearer(BearerFailure::NoToken | BearerFailure::InvalidToken) => Code::InvalidToken,
            Self::Bearer(BearerFailure::Malformed) => Code::InvalidRequest,
            Self::Bearer(BearerFailure::InsufficientScope) => Code::InsufficientScope,
        }
    }

    /// The HTTP status. RFC 6749 section 5.2: 400, but for `invalid_client` 401.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(Malformed::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Client(_) | Self::Bearer(BearerFailure::NoToken | BearerFailure::InvalidToken) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Bearer(BearerFailure::InsufficientScope)
            | Self::NotAReader
            | Self::MayNotRevoke
            | Self::RegistrationOff => StatusCode::FORBIDDEN,
            Self::NoSuchSubject => StatusCode::NOT_FOUND,
            // RFC 6585 section 4: "the user has sent too many requests in a given amount of time".
            Self::TooMany(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy
            | Self::Unavailable(_)
            | Self::HookFailed
            | Self::ClaimsTooLarge(_)
            | Self::NoEncryptionKey
            | Self::ClientKeysUnread(_)
            | Self::ClientKeyUnknown(_)
            | Self::RegistrationFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(Refusal::Straggler { .. } | Refusal::SeedKeyNotYet | Refusal::NotPrepared) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The stable reason code, for the log.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Malformed(malformed) => match malformed.parameter() {
                "" => format!("malformed: {malformed:?}"),
                name => format!("malformed: {malformed:?} ({name})"),
            },
            Self::Client(refused) => refused.as_str().to_owned(),
            Self::UnsupportedGrantType => "unsupported_grant_type".to_owned(),
            Self::MalformedScope => "malformed_scope".to_owned(),
            Self::MalformedTarget => "malformed_target".to_owned(),
            Self::Refused(refusal) => refusal.as_str().to_owned(),
            Self::Busy => "busy".to_owned(),
            Self::HookDenied => "hook_denied".to_owned(),
            Self::HookFailed => "hook_failed".to_owned(),
            Self::ClaimsTooLarge(bytes) => {
                format!("claims_too_large: {bytes} bytes, and {} are the limit", crate::claims::MAX_CLAIMS)
            }
            Self::NoEncryptionKey | Self::ClientKeysUnread(_) | Self::ClientKeyUnknown(_) => self.outcome().to_owned(),
            Self::TooMany(budget, _) => budget.as_str().to_owned(),
            Self::Unavailable(trouble) => format!("store_unavailable: {trouble}"),
            Self::Bearer(failure) => format!("bearer: {failure:?}"),
            Self::NotAReader => "not_a_reader".to_owned(),
            Self::Method(_) => "method_not_allowed".to_owned(),
            Self::MayNotRevoke => "may_not_revoke".to_owned(),
            Self::NoSuchSubject => "no_such_subject".to_owned(),
            Self::Registration(BadMetadata::Member(name)) => format!("bad_client_metadata: {name}"),
            Self::Registration(_) | Self::RegistrationOff | Self::RegistrationFull => self.outcome().to_owned(),
        }
    }

    /// The same without its details: one of few words, for a label.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Client(refused) => refused.as_str(),
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::MalformedScope => "malformed_scope",
            Self::MalformedTarget => "malformed_target",
            Self::Refused(refusal) => refusal.as_str(),
            Self::Busy => "busy",
            Self::HookDenied => "hook_denied",
            Self::HookFailed => "hook_failed",
            Self::ClaimsTooLarge(_) => "claims_too_large",
            Self::NoEncryptionKey => "no_encryption_key",
            Self::ClientKeysUnread(_) => "client_keys_unread",
            Self::ClientKeyUnknown(_) => "client_key_unknown",
            Self::TooMany(budget, _) => budget.as_str(),
            Self::Unavailable(_) => "store_unavailable",
            Self::Bearer(BearerFailure::NoToken) => "no_bearer_token",
            Self::Bearer(BearerFailure::Malformed) => "malformed_bearer_token",
            Self::Bearer(BearerFailure::InvalidToken) => "invalid_bearer_token",
            Self::Bearer(BearerFailure::InsufficientScope) => "insufficient_scope",
            Self::NotAReader => "not_a_reader",
            Self::Method(_) => "method_not_allowed",
            Self::MayNotRevoke => "may_not_revoke",
            Self::NoSuchSubject => "no_such_subject",
            Self::Registration(BadMetadata::RedirectUri) => "bad_redirect_uri",
            Self::Registration(BadMetadata::Member(_)) => "bad_client_metadata",
            Self::Registration(BadMetadata::SoftwareStatement) => "bad_software_statement",
            Self::Registration(BadMetadata::UnapprovedSoftwareStatement) => "unapproved_software_statement",
            Self::RegistrationOff => "registration_off",
            Self::RegistrationFull => "registration_full",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refusal::Straggler { retry_after }) => Some(*retry_after),
            // Rounded up: whoever comes when he is told to gets in.
            Self::TooMany(_, wait) | Self::ClientKeysUnread(wait) | Self::ClientKeyUnknown(wait) => {
                Some(Duration::from_secs(wait.as_millis().div_ceil(1000).try_into().unwrap_or(1)))
            }
            Self::Refused(Refusal::SeedKeyNotYet | Refusal::NotPrepared) | Self::Busy | Self::Unavailable(_) => {
                Some(Duration::from_secs(1))
            }
            Self::HookFailed | Self::ClaimsTooLarge(_) | Self::NoEncryptionKey => Some(Duration::from_secs(5)),
            Self::RegistrationFull => Some(Duration::from_secs(600)),
            _ => None,
        }
    }

    /// Whether whoever sent it has shown nothing that only we give out: no secret, and no token of ours.
    #[must_use]
    pub const fn proves_nothing(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::Method(_)
            | Self::Client(_)
            | Self::UnsupportedGrantType
            | Self::MalformedScope
            | Self::MalformedTarget
            | Self::Bearer(_)
            | Self::Registration(_)
            | Self::RegistrationOff
            | Self::ClientKeysUnread(_)
            | Self::ClientKeyUnknown(_)
            | Self::TooMany(Budget::Network | Budget::Secrets, _)
            | Self::Refused(Refusal::NotOurs) => true,
            Self::Refused(_)
            | Self::NotAReader
            | Self::Busy
            | Self::TooMany(..)
            | Self::HookDenied
            | Self::HookFailed
            | Self::ClaimsTooLarge(_)
            | Self::NoEncryptionKey
            | Self::MayNotRevoke
            | Self::NoSuchSubject
            | Self::RegistrationFull
            | Self::Unavailable(_) => false,
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.description(),
            Self::Method(_) => "the method is not supported here",
            Self::NoSuchSubject => "there is no such subject",
            // Which member it is says nothing of anybody's state, and spares who registers a search.
            Self::Registration(BadMetadata::Member(name)) => metadata::description(name),
            Self::TooMany(..) => "too many requests; ask again after the time in Retry-After with the same request",
            _ => self.code().description(),
        }
    }

    /// The reason code for a client that may hear it (`tell_reason`), and whose own business it is.
    fn reason_for(&self, settings: &Settings, client: Option<&Client>) -> Option<&'static str> {
        let is_told = client.is_some_and(|client| settings.clients.is_told(&client.id));
        match self {
            // Whose a token is that somebody found is not told, nor who cannot prove who he is.
            Self::Refused(refusal) if refusal.is_about_a_stranger() => None,
            Self::Client(_) => None,
            _ => is_told.then(|| self.outcome()),
        }
    }

    /// The answer, after a line in the log.
    #[must_use]
    pub fn answer(&self, app: &App, correlation: &Correlation) -> Response<Body> {
        self.answer_to(None, app, &app.settings(), correlation)
    }

    /// The same to a client that has proved who it is.
    #[must_use]
    pub fn answer_to(
        &self,
        client: Option<&Client>,
        app: &App,
        settings: &Settings,
        correlation: &Correlation,
    ) -> Response<Body> {
        let (status, code, realm) = (self.status(), self.code(), app.issuer());
        let why = self.reason();
        tracing::debug!(correlation = %correlation, status = status.as_u16(), error = code.as_str(), reason = %why, "refused");
        // The detail is what the outcome leaves out.
        sight::refused(self.outcome(), why.split_once(": ").map_or("", |(_, detail)| detail));
        let mut response = match self {
            // RFC 6750 section 3.1: "If the request lacks any authentication information […], the resource server SHOULD NOT
            // include an error code".
            Self::Bearer(BearerFailure::NoToken) => {
                json(status, &serde_json::json!({"correlation_id": correlation.as_str()}))
            }
            _ => {
                let reason = self.reason_for(settings, client);
                json(
                    status,
                    &Error {
                        error: code.as_str(),
                        error_description: self.description(),
                        correlation_id: correlation.as_str(),
                        error_uri: reason.map(|reason| app.issuer.url(&format!("{}#{reason}", reasons_page::PATH))),
                        reason,
                    },
                )
            }
        };
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        let challenge = match self {
            // RFC 6749 section 5.2: "MUST respond with an HTTP 401 […] and include the "WWW-Authenticate" response header field".
            Self::Client(_) => Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")),
            Self::Bearer(BearerFailure::NoToken) => Some(format!("Bearer realm=\"{realm}\"")),
            Self::Bearer(_) => {
                let (code, text) = (code.as_str(), code.description());
                Some(format!("Bearer realm=\"{realm}\", error=\"{code}\", error_description=\"{text}\""))
            }
            _ => None,
        };
        if let Some(value) = challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Self::Method(allowed) = self {
            headers.insert(axum::http::header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

#[derive(Serialize)]
struct Error<'a> {
    error: &'a str,
    error_description: &'a str,
    correlation_id: &'a str,
    /// A member of our own: RFC 6749 section 5.1, "The client MUST ignore unrecognized value names in the response".
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Where it is explained: section 5.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<String>,
}

/// A JSON answer that nobody may keep: RFC 6749 section 5.1, "The authorization server MUST include the HTTP "Cache-Control"
/// response header field with a value of "no-store" in any response containing tokens".
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Most answers with tokens fit, and none grows step by step.
    let mut text = Vec::with_capacity(1024);
    json_text(status, serde_json::to_writer(&mut text, body).map(|()| text).unwrap_or_default())
}

/// The same with JSON that is written already.
pub(crate) fn json_text(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
