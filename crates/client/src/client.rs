//! An HTTP client whose requests carry a fresh token. A request that is refused as `invalid_token` is sent once more, with another.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{IntoUrl, Method, RequestBuilder, Response, StatusCode};

use crate::error::Error;
use crate::secret::Secret;
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
    pub async fn execute(&self, mut request: reqwest::Request) -> Result<Response, RequestError> {
        let (session, url) = (&self.session, request.url().to_string());
        let mut token = session.token().await?;
        let mut tries = Tries::default();
        loop {
            // A body that is a stream can be sent once only.
            let again = request.try_clone();
            let method = request.method().as_str().to_owned();
            present(session, &token, &method, &url, request.headers_mut())?;
            let response = self.http.execute(request).await?;
            let next = tries.next(session, &url, response.status(), response.headers());
            match (again, next) {
                (Some(again), Some(Next::SameToken)) => request = again,
                (Some(again), Some(Next::OtherToken)) => {
                    token = session.token_after(&token).await?;
                    request = again;
                }
                _ => return Ok(response),
            }
        }
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

/// Puts the token into the headers, and the proof of its key if it has one.
pub(crate) fn present(
    session: &Session,
    token: &Secret,
    method: &str,
    url: &str,
    headers: &mut HeaderMap,
) -> Result<(), Error> {
    let (authorization, proof) = session.presented(token, method, url)?;
    let unfit = |_| Error::Misconfigured("the access token is fit for no header".to_owned());
    let mut value = HeaderValue::try_from(authorization.expose()).map_err(unfit)?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    headers.remove("dpop");
    if let Some(proof) = proof {
        headers.insert("dpop", HeaderValue::try_from(proof).map_err(unfit)?);
    }
    Ok(())
}

/// Why a request is sent again: each reason counts once.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    had_nonce: bool,
    had_other: bool,
}

/// With what it is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// With another token.
    OtherToken,
    /// With a proof that has the nonce of the answer.
    SameToken,
}

impl Tries {
    /// RFC 6750 section 3.1: "The access token provided is expired, revoked, malformed, or invalid for other reasons. [...] The client MAY
    /// request a new access token and retry the protected resource request." And RFC 9449 section 9, of `use_dpop_nonce`.
    pub(crate) fn next(
        &mut self,
        session: &Session,
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Next> {
        let nonce = headers.get("dpop-nonce").and_then(|nonce| nonce.to_str().ok());
        session.heard_nonce(url, nonce);
        let says = |word: &str| {
            let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
            challenges.any(|value| value.to_str().is_ok_and(|value| value.contains(word)))
        };
        if status != StatusCode::UNAUTHORIZED {
            return None;
        }
        if says("use_dpop_nonce") && nonce.is_some() && !std::mem::replace(&mut self.had_nonce, true) {
            return Some(Next::SameToken);
        }
        (says("invalid_token") && !std::mem::replace(&mut self.had_other, true)).then_some(Next::OtherToken)
    }
}
