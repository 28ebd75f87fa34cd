//! What an answer of a token endpoint means. Pure: the table of this file is the whole of it.
//!
//! | the answer                                                        | means                                             |
//! |-------------------------------------------------------------------|---------------------------------------------------|
//! | 200 with an access token, as JSON or as a form                    | a success                                         |
//! | 4xx with `{"error": "invalid_grant"}` in JSON                     | the session is over                               |
//! | 4xx with `temporarily_unavailable`, `slow_down`, `server_error`   | again later                                       |
//! | 4xx with any other OAuth error in JSON                            | client or server are set up wrongly               |
//! | 429, 5xx, 408, 425                                                | again later, when `Retry-After` says              |
//! | anything else: a page of a proxy, a portal's 200, half an answer  | again later: whoever said that was not the server |
//! | no answer                                                         | again later                                       |
//!
//! A session ends by the second line alone. Whatever stands between us and the server may answer in its place, with any status
//! and in HTML; to take that for the server's word is how sessions are lost.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// How long to wait where nobody says.
pub const PAUSE: Duration = Duration::from_secs(5);
/// The longest wait that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The longest text of a server that is shown.
const LONGEST_TEXT: usize = 200;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Date`.
    pub date: Option<String>,
    /// `DPoP-Nonce`.
    pub dpop_nonce: Option<String>,
    /// The body, whole or as far as it came.
    pub body: Vec<u8>,
}

/// Tokens, as a server gave them (RFC 6749 section 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenAnswer {
    /// `access_token`.
    pub access_token: Secret,
    /// `token_type`, `Bearer` where it is missing.
    pub token_type: String,
    /// `expires_in`, in seconds.
    pub expires_in: Option<u64>,
    /// `refresh_token`.
    pub refresh_token: Option<Secret>,
    /// `refresh_token_expires_in`, `refresh_token_timeout` or `refresh_expires_in`, in seconds: the names differ by server.
    pub refresh_token_expires_in: Option<u64>,
    /// `authorization_expires_in`, in seconds.
    pub authorization_expires_in: Option<u64>,
    /// `scope`.
    pub scope: Option<String>,
    /// `id_token`.
    pub id_token: Option<Secret>,
    /// The key that the tokens are bound to (RFC 9449), ours: no server sends it.
    pub dpop_key: Option<Secret>,
}

impl TokenAnswer {
    /// A refresh token that was got elsewhere: the first use of the session renews it.
    #[must_use]
    pub fn of_refresh_token(token: Secret) -> Self {
        Self {
            access_token: Secret::new(""),
            token_type: "Bearer".to_owned(),
            expires_in: Some(0),
            refresh_token: Some(token),
            refresh_token_expires_in: None,
            authorization_expires_in: None,
            scope: None,
            id_token: None,
            dpop_key: None,
        }
    }
}

/// What an answer means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Tokens.
    Success(Box<TokenAnswer>),
    /// The token that was presented is worth nothing any more. In the server's words.
    Over(String),
    /// Not now.
    Later {
        /// When to ask again.
        after: Duration,
        /// What was in the way.
        cause: String,
    },
    /// Not ever, set up as it is. In the server's words.
    Refused(String),
}

/// Reads an answer.
#[must_use]
pub fn judge(answer: &Answer) -> Verdict {
    let said = object(answer);
    let error = said.as_ref().and_then(|said| said.get("error")).and_then(Value::as_str);
    match (answer.status, said.as_ref(), error) {
        (200..=299, Some(said), None) => match tokens(said) {
            Some(tokens) => Verdict::Success(Box::new(tokens)),
            None => later(answer, "an answer without an access token"),
        },
        // RFC 6749 section 5.2: "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh
        // token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to
        // another client."
        (400..=499, Some(said), Some("invalid_grant")) => Verdict::Over(words(said)),
        (429 | 408 | 425 | 500..=599, _, _)
        | (400..=499, Some(_), Some("temporarily_unavailable" | "slow_down" | "server_error" | "use_dpop_nonce")) => {
            later(answer, &format!("status {}", answer.status))
        }
        (400..=499, Some(said), Some(_)) => Verdict::Refused(words(said)),
        _ => later(answer, &format!("status {} and no OAuth answer: something else answered", answer.status)),
    }
}

fn later(answer: &Answer, cause: &str) -> Verdict {
    Verdict::Later { after: pause(answer).unwrap_or(PAUSE), cause: cause.to_owned() }
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), which counts from the server's own `Date`: ours may be wrong.
fn pause(answer: &Answer) -> Option<Duration> {
    let said = answer.retry_after.as_deref()?.trim();
    let seconds = match said.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let from = http_date(answer.date.as_deref()?)?;
            u64::try_from(http_date(said)? - from).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// Seconds since the epoch of a date as in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.trim().strip_suffix(" GMT")?.split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year: i64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut time = parts.next()?.split(':').map(|part| part.parse::<i64>().ok().filter(|part| (0..=60).contains(part)));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days since the epoch, with March as the first month, so that the leap day is the last of its year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The members of an answer: JSON whatever the `Content-Type`, for many servers name another one; or a form, as GitHub sends it.
fn object(answer: &Answer) -> Option<Map<String, Value>> {
    let is_form =
        answer.content_type.as_deref().is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"));
    if is_form {
        let pairs = url::form_urlencoded::parse(&answer.body);
        return Some(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect());
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn tokens(said: &Map<String, Value>) -> Option<TokenAnswer> {
    let text = |name: &str| said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Some servers write numbers as texts, some with a fraction.
    let seconds = |name: &str| match said.get(name)? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    // Zero means "no end" to those who say `refresh_expires_in`.
    let dialect = seconds("refresh_expires_in").filter(|seconds| *seconds > 0);
    Some(TokenAnswer {
        access_token: Secret::new(text("access_token")?),
        token_type: text("token_type").unwrap_or("Bearer").to_owned(),
        expires_in: seconds("expires_in"),
        refresh_token: text("refresh_token").map(Secret::new),
        refresh_token_expires_in: seconds("refresh_token_expires_in")
            .or_else(|| seconds("refresh_token_timeout"))
            .or(dialect),
        authorization_expires_in: seconds("authorization_expires_in"),
        scope: text("scope").map(str::to_owned),
        id_token: text("id_token").map(Secret::new),
        dpop_key: None,
    })
}

/// The `error` of an answer, where it is one of OAuth.
pub(crate) fn error_code(answer: &Answer) -> Option<String> {
    object(answer)?.get("error")?.as_str().map(str::to_owned)
}

/// What the server said.
fn words(said: &Map<String, Value>) -> String {
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    shown(text("error"), text("error_description"))
}

/// An error of a server, made fit to be shown: bounded, and without control characters.
pub(crate) fn shown(error: &str, description: &str) -> String {
    let whole = if description.is_empty() { error.to_owned() } else { format!("{error}: {description}") };
    whole.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests;
