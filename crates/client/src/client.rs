//! An HTTP client whose requests carry a fresh token. A request that is refused as `invalid_token` is sent once more, with another.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use reqwest::header::HeaderMap;
use reqwest::{IntoUrl, Method, RequestBuilder, Response, StatusCode};

use crate::carry::{self, Carrier, Parcel};
use crate::error::Error;
use crate::session::Session;

/// Sends requests to an API. It never sends a token anywhere but where it is told to.
#[derive(Clone, Debug)]
pub struct Client {
    session: Session,
    http: reqwest::Client,
}

/// Why a request to an API has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no token for it.
    #[error(transparent)]
    Token(#[from] Error),
    /// There is one, and the request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// A request that is being put together, as reqwest's own.
#[derive(Debug)]
pub struct Request {
    client: Client,
    builder: RequestBuilder,
}

impl Client {
    pub(crate) fn new(session: Session, http: reqwest::Client) -> Self {
        Self { session, http }
    }

    /// A request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Request {
        Request { client: self.clone(), builder: self.http.request(method, url) }
    }

    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> Request {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> Request {
        self.request(Method::POST, url)
    }

    /// Sends a request of reqwest's own.
    ///
    /// # Errors
    /// If there is no token, or no answer.
    pub async fn execute(&self, request: reqwest::Request) -> Result<Response, RequestError> {
        carry::deliver(&self.session, request, &mut &self.http).await
    }
}

impl Parcel for reqwest::Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn url(&self) -> String {
        self.url().to_string()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn copied(&self) -> Option<Self> {
        // A body that is a stream can be sent once only.
        self.try_clone()
    }
}

impl Carrier<reqwest::Request> for &reqwest::Client {
    type Answer = Response;
    type Failure = RequestError;

    async fn carry(&mut self, request: reqwest::Request) -> Result<Response, RequestError> {
        Ok(self.execute(request).await?)
    }

    fn said(answer: &Response) -> (StatusCode, &HeaderMap) {
        (answer.status(), answer.headers())
    }
}

/// So that tower's own layers can stand around it.
impl tower_service::Service<reqwest::Request> for Client {
    type Response = Response;
    type Error = RequestError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, RequestError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { client.execute(request).await })
    }
}

impl Request {
    /// Adds to the request what reqwest can: a header, a body, a deadline.
    #[must_use]
    pub fn with(self, add: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { builder: add(self.builder), ..self }
    }

    /// Sends it.
    ///
    /// # Errors
    /// If there is no token, or no answer.
    pub async fn send(self) -> Result<Response, RequestError> {
        let request = self.builder.build()?;
        self.client.execute(request).await
    }
}
