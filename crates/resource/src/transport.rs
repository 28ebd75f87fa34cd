//! Requests to the authorization server: a small trait, so that a program can bring its own client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};

/// What [`HttpClient::send`] returns.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, NoAnswer>> + Send + 'a>>;

/// Sends one request. An implementation must
///
/// - verify the server's certificate (RFC 6125) for `https`, and refuse to be led to plain `http`,
/// - follow no redirect and keep no cookies,
/// - give up after a few seconds, from the first packet to the last byte,
/// - hand over a body of at most `limit` bytes as it was sent, and [`NoAnswer::TooLarge`] in place of a longer one.
pub trait HttpClient: Send + Sync + 'static {
    /// Sends it, and reads the whole answer.
    fn send(&self, request: Request<Bytes>, limit: usize) -> Answered<'_>;
}

/// Why there is no answer. For logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The time is over.
    TimedOut,
    /// No connection, or one that broke.
    Broken(String),
    /// The body is longer than the caller reads.
    TooLarge,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Broken(cause) => write!(f, "the connection failed: {cause}"),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
}

impl std::error::Error for NoAnswer {}
