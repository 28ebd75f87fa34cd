//! Requests to an API that carry a fresh token, and whose answers are waited for.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{IntoUrl, Method, RequestBuilder, StatusCode};
use tokio::runtime::Runtime;

use crate::client::RequestError;

/// As [`Client`](crate::Client).
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) client: crate::Client,
    pub(super) runtime: Arc<Runtime>,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request {
    request: crate::client::Request,
    runtime: Arc<Runtime>,
}

/// An answer, whose body is still to come.
#[derive(Debug)]
pub struct Response {
    response: reqwest::Response,
    runtime: Arc<Runtime>,
}

impl Client {
    /// A request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Request {
        Request { request: self.client.request(method, url), runtime: Arc::clone(&self.runtime) }
    }

    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> Request {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> Request {
        self.request(Method::POST, url)
    }
}

impl Request {
    /// Adds to the request what reqwest can: a header, a body, a deadline.
    #[must_use]
    pub fn with(self, add: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: self.request.with(add), ..self }
    }

    /// Sends it, and waits for the head of the answer.
    ///
    /// # Errors
    /// If there is no token, or no answer.
    pub fn send(self) -> Result<Response, RequestError> {
        let response = self.runtime.block_on(self.request.send())?;
        Ok(Response { response, runtime: self.runtime })
    }
}

impl Response {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next part of its body; `None` at the end. For bodies that are larger than memory.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, RequestError> {
        let chunk = self.runtime.block_on(self.response.chunk())?;
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }

    /// Its whole body.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn bytes(self) -> Result<Vec<u8>, RequestError> {
        Ok(self.runtime.block_on(self.response.bytes())?.to_vec())
    }

    /// Its whole body as text.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn text(self) -> Result<String, RequestError> {
        Ok(self.runtime.block_on(self.response.text())?)
    }
}
