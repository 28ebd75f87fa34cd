//! What no request may be, whatever it asks for: refused before the router sees it, in a line of plain text that holds nothing
//! of the request.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use axum::http::header::{RETRY_AFTER, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::config::http::HttpSettings;

/// Why a request goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// No `Host`, or more than one.
    Host,
    /// A target that is longer than `max_uri_length`.
    Target,
    /// More headers than `max_headers`.
    Headers,
    /// `CONNECT`.
    Method,
    /// A compressed body.
    Encoding,
    /// A body in another transfer coding than chunks.
    Coding,
    /// A body in chunks of chunks.
    Chunks,
    /// A body that came too late.
    Late,
}

/// Whether a request may go on.
///
/// # Errors
/// Why not.
pub(super) fn judge<B>(request: &Request<B>, limits: &HttpSettings) -> Result<(), Refusal> {
    // RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
    // lacks a Host header field and to any request message that contains more than one Host header field line or a Host
    // header field with an invalid field value."
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let must_have = request.version() == Version::HTTP_11;
    if second.is_some() || (must_have && first.is_none()) || first.is_some_and(|host| !is_host(host)) {
        return Err(Refusal::Host);
    }
    // RFC 9113 section 8.3.1: a request whose Host differs from :authority is ambiguous.
    if let (Version::HTTP_2, Some(host), Some(authority)) = (request.version(), first, request.uri().authority())
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(Refusal::Host);
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > limits.max_uri_length) {
        return Err(Refusal::Target);
    }
    if request.headers().len() > limits.max_headers {
        return Err(Refusal::Headers);
    }
    // RFC 9110 section 9.3.6: a CONNECT asks for a tunnel, and has no path that a router could refuse it by. Every other method is the
    // router's: it answers 405 with what each path allows.
    if request.method() == Method::CONNECT {
        return Err(Refusal::Method);
    }
    // A few bytes that unpack to gigabytes. Identity is no compression.
    let encodings = request.headers().get_all(CONTENT_ENCODING);
    if encodings.iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::Encoding);
    }
    // RFC 9112 section 6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond
    // with 501 (Not Implemented)"; and "A sender MUST NOT apply the chunked transfer coding more than once to a message body". hyper
    // looks at the last one only.
    let codings = request.headers().get_all(TRANSFER_ENCODING);
    let mut codings = codings.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(only), None) if is_chunked(only) => {}
        (Some(first), Some(second)) if is_chunked(first) && is_chunked(second) => return Err(Refusal::Chunks),
        (Some(_), _) => return Err(Refusal::Coding),
    }
    Ok(())
}

/// Whether the connection must end with this request. RFC 9112 section 6.1: a request with both `Transfer-Encoding` and
/// `Content-Length` "ought to be handled as an error", and "the server MUST close the connection after responding to such a
/// request to avoid the potential attacks". What a proxy took for the next request of its client is then never read as one.
/// hyper has dropped the `Content-Length` when we see the request, so that every chunked one ends its connection.
pub(super) fn is_last<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_2 && request.headers().contains_key(TRANSFER_ENCODING)
}

/// A host and a port, from the characters that they are made of (RFC 3986 section 3.2.2).
fn is_host(value: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+;=%".contains(byte);
    value.len() <= 512 && value.as_bytes().iter().all(allowed)
}

impl Refusal {
    /// The answer. The connection ends with it: what follows on it may be a part of this request.
    pub(super) fn response(self, version: Version) -> Response<Body> {
        let (status, text) = match self {
            Self::Host => (StatusCode::BAD_REQUEST, "The request must have one Host header.\n"),
            Self::Target => (StatusCode::URI_TOO_LONG, "The request target is too long.\n"),
            Self::Headers => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many headers.\n"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed.\n"),
            Self::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed.\n"),
            Self::Coding => (StatusCode::NOT_IMPLEMENTED, "The body must have no transfer coding but chunked.\n"),
            Self::Chunks => (StatusCode::BAD_REQUEST, "The body must be chunked once.\n"),
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "The body came too late.\n"),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            // RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field".
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS")),
            // RFC 9110 section 15.5.16: what would have been taken.
            Self::Encoding => headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            Self::Late => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
