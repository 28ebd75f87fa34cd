//! What went wrong, as RFC 9457 wants it: `application/problem+json` with a stable type, and the one map from [`AdminError`].
//!
//! `type` is `urn:regrant:problem:` and the word of the [`Kind`]; it never changes. `detail` is for people. Members of our own:
//! `correlation_id`, as in the header, the log and the events; `errors`, where and what is wrong with the request; `exit_code`,
//! with which the command line ends.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

use super::repeat::Remembered;
use crate::admin::AdminError;
use crate::config::ADMIN_SCOPE;
use crate::correlation::Correlation;
use crate::keyring::KeyringError;

/// What the `type` of every problem begins with.
pub(super) const TYPE: &str = "urn:regrant:problem:";

/// The kinds of problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Malformed,
    Cursor,
    NoToken,
    InvalidToken,
    Forbidden,
    NotFound,
    Method,
    Conflict,
    UnderWay,
    DoneBefore,
    Changed,
    TooLarge,
    MediaType,
    Invalid,
    KeyReused,
    TooMany,
    Failed,
    Unavailable,
}

impl Kind {
    pub(super) const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Cursor,
        Self::NoToken,
        Self::InvalidToken,
        Self::Forbidden,
        Self::NotFound,
        Self::Method,
        Self::Conflict,
        Self::UnderWay,
        Self::DoneBefore,
        Self::Changed,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::KeyReused,
        Self::TooMany,
        Self::Failed,
        Self::Unavailable,
    ];

    /// Its word in the type, in the log and in the metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Cursor => "bad-cursor",
            Self::NoToken => "no-token",
            Self::InvalidToken => "invalid-token",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Method => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::UnderWay => "under-way",
            Self::DoneBefore => "done-before",
            Self::Changed => "changed",
            Self::TooLarge => "too-large",
            Self::MediaType => "media-type",
            Self::Invalid => "invalid",
            Self::KeyReused => "idempotency-key-reused",
            Self::TooMany => "too-many-requests",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Cursor => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict | Self::UnderWay | Self::DoneBefore => StatusCode::CONFLICT,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Cursor => "The cursor belongs to another listing, or is none",
            Self::NoToken => "An access token is needed",
            Self::InvalidToken => "The access token is invalid, expired or revoked",
            Self::Forbidden => "The access token does not open this API",
            Self::NotFound => "It is not there",
            Self::Method => "This path does not take this method",
            Self::Conflict => "It is there already, or is being changed",
            Self::UnderWay => "The same request is still under way",
            Self::DoneBefore => "The same request was carried out before",
            Self::Changed => "It is not as you have read it",
            Self::TooLarge => "The body is too large",
            Self::MediaType => "The body is of another type than JSON",
            Self::Invalid => "What is asked for cannot be",
            Self::KeyReused => "The Idempotency-Key was used for another request",
            Self::TooMany => "Too many requests",
            Self::Failed => "The server could not do it",
            Self::Unavailable => "The server cannot do it now",
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub(super) struct Fault {
    /// Where: a JSON pointer into the body, or the name of a parameter or header.
    pub(super) at: String,
    /// What is wrong.
    pub(super) problem: String,
    /// What to do.
    pub(super) remedy: String,
}

/// A problem: what whoever asked is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    detail: String,
    faults: Vec<Fault>,
    exit_code: Option<u8>,
    retry_after: Option<Duration>,
    allow: String,
}

/// The members of a problem (RFC 9457 section 3.1), for the document.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Told<'a> {
    /// Its kind, for programs: `urn:regrant:problem:` and a word that never changes.
    r#type: String,
    /// Its kind, for people.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time, and what to do.
    detail: &'a str,
    /// The name of this request, as in the header, the log and the events.
    correlation_id: &'a str,
    /// What is wrong with the request, where that can be pointed at.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(default)]
    errors: &'a [Fault],
    /// With which exit code `regrant --server` ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (faults, allow) = (Vec::new(), String::new());
        Self { kind, detail: detail.into(), faults, exit_code: None, retry_after: None, allow }
    }

    /// What is wrong with the request, at least one thing.
    pub(super) fn malformed(faults: Vec<Fault>) -> Self {
        let say = |fault: &Fault| format!("{}: {}. {}", fault.at, fault.problem, fault.remedy);
        let detail = faults.iter().map(say).collect::<Vec<_>>().join(" ");
        Self { faults, exit_code: Some(65), ..Self::new(Kind::Malformed, detail) }
    }

    /// One thing is wrong with it.
    pub(super) fn at(at: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::malformed(vec![Fault { at: at.to_owned(), problem: problem.into(), remedy: remedy.into() }])
    }

    pub(super) fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    pub(super) fn allowing(self, allow: String) -> Self {
        Self { allow, ..self }
    }

    /// The answer.
    pub(super) fn told(&self, correlation: &Correlation) -> Remembered {
        let status = self.kind.status();
        let told = Told {
            r#type: format!("{TYPE}{}", self.kind.word()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            correlation_id: correlation.as_str(),
            errors: &self.faults,
            exit_code: self.exit_code,
        };
        // RFC 6750 section 3: with no error where there was no token; RFC 9110 section 11.6.1 wants a challenge with every 401.
        let challenge = match self.kind {
            Kind::NoToken => Some("Bearer realm=\"regrant admin\"".to_owned()),
            Kind::InvalidToken => Some("Bearer realm=\"regrant admin\", error=\"invalid_token\"".to_owned()),
            Kind::Forbidden => {
                Some(format!("Bearer realm=\"regrant admin\", error=\"insufficient_scope\", scope=\"{ADMIN_SCOPE}\""))
            }
            _ => None,
        };
        let mut headers = vec![(CONTENT_TYPE, "application/problem+json".to_owned())];
        let wait = self.retry_after.map(|wait| wait.as_millis().div_ceil(1000).max(1).to_string());
        headers.extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        headers.extend(wait.map(|wait| (RETRY_AFTER, wait)));
        headers.extend((!self.allow.is_empty()).then(|| (ALLOW, self.allow.clone())));
        let body = Arc::new(Zeroizing::new(serde_json::to_vec(&told).unwrap_or_default()));
        Remembered { status, headers, body, outcome: self.kind.word() }
    }
}

/// The one map from what an operator's hands say.
impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        const SHORTLY: Duration = Duration::from_secs(1);
        let (kind, wait) = match &error {
            AdminError::Unavailable(_) | AdminError::Busy | AdminError::Keys(KeyringError::Store(_)) => {
                (Kind::Unavailable, Some(SHORTLY))
            }
            AdminError::Invalid(_) | AdminError::Config(_) => (Kind::Invalid, None),
            AdminError::Exists(_) | AdminError::Keys(KeyringError::Changed) => (Kind::Conflict, None),
            AdminError::NotFound(_) => (Kind::NotFound, None),
            AdminError::Changed(_) => (Kind::Changed, None),
            AdminError::Keys(_) | AdminError::Told { .. } => (Kind::Failed, None),
        };
        let exit_code = Some(error.exit_code());
        Self { exit_code, retry_after: wait, ..Self::new(kind, error.to_string()) }
    }
}
