//! A name for each request, told to the client and written in the log: what connects a bland answer to its true reason.

use std::fmt;

/// 16 hexadecimal digits of fresh chance. Never taken from the request: a name that others choose can be made to lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Correlation(String);

/// The header that carries it.
pub const HEADER: &str = "x-correlation-id";

impl Correlation {
    /// A new name.
    #[must_use]
    pub fn new() -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(crate::chance::bytes())))
    }

    /// Puts the name into the headers of an answer.
    #[must_use]
    pub fn mark<B>(&self, mut response: axum::http::Response<B>) -> axum::http::Response<B> {
        if let Ok(value) = axum::http::HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Correlation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
