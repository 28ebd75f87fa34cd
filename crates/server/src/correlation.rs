//! A name for each request, told to the client and written in the log: what connects a bland answer to its true reason.

use std::fmt;

use axum::http::{HeaderName, HeaderValue, Response};

/// 16 hexadecimal digits. Never taken from the request: a name that others choose can be made to lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Correlation([u8; 16]);

/// The header that carries it.
pub const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

impl Correlation {
    /// A new name.
    #[must_use]
    pub fn new() -> Self {
        let name = crate::chance::name();
        let mut text = [0; 16];
        for (place, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(name >> (60 - 4 * place)) as usize & 15];
        }
        Self(text)
    }

    /// Puts the name into the headers of an answer.
    #[must_use]
    pub fn mark<B>(&self, mut response: Response<B>) -> Response<B> {
        if let Ok(value) = HeaderValue::from_bytes(&self.0) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only digits stand in it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Default for Correlation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
