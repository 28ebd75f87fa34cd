//! An HTTP client that shows everything: status, headers, body. It follows no redirect and keeps no cookie.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Http {
    base: String,
    client: Client<HttpConnector, Body>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// Talks to the server at `base`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.to_owned(), client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()) }
    }

    /// The same from this address of the machine: 127.0.0.0/8 has networks enough for everybody.
    ///
    /// # Panics
    /// If it is no address.
    #[must_use]
    pub fn from(base: &str, address: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(address.parse().expect("an address")));
        Self { base: base.to_owned(), client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// The same over HTTP/2 without TLS, by prior knowledge.
    #[must_use]
    pub fn h2(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new());
        Self { base: base.to_owned(), client }
    }

    /// `GET`.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, path, headers, Body::empty()).await
    }

    /// `POST` with form parameters.
    pub async fn post(&self, path: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let body = regrant_server::form::write(parameters);
        self.post_raw(path, &body, "application/x-www-form-urlencoded", headers).await
    }

    /// `POST` with any body.
    pub async fn post_raw(&self, path: &str, body: &str, media_type: &str, headers: &[(&str, &str)]) -> Reply {
        let mut headers = headers.to_vec();
        headers.push(("content-type", media_type));
        self.send(Method::POST, path, &headers, Body::from(body.to_owned())).await
    }

    /// Any request. A path may be a whole URL of this server.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Reply {
        self.try_send(method, path, headers, body).await.expect("the server answers")
    }

    /// The same, for a server that may be gone.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Reply, String> {
        let url = if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes().to_vec();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}

impl Reply {
    /// Asserts the status.
    ///
    /// # Panics
    /// With the body, if it is another.
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Asserts an OAuth error: status, `error`, and what every error carries.
    ///
    /// # Panics
    /// If anything of it is not so.
    pub fn expect_error(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), self.json()["error"].as_str()), (status, Some(error)), "{}", self.text());
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.json()["correlation_id"].as_str(), Some(self.header("x-correlation-id").as_str()));
        if status == 401 {
            assert!(!self.header("www-authenticate").is_empty(), "401 without WWW-Authenticate");
        }
        if status == 503 || status == 429 {
            assert!(!self.header("retry-after").is_empty(), "{status} without Retry-After");
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or(String::new(), |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// The `Authorization` header of RFC 6749 section 2.3.1.
#[must_use]
pub fn basic(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", regrant_server::form::encode(id), regrant_server::form::encode(secret));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
