//! A tower layer for clients: each request through it carries a fresh token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::client::{Next, Tries, present};
use crate::error::Error;
use crate::session::Session;

/// Adds tokens of a session to requests with bodies of the kind `B`.
#[derive(Debug)]
pub struct Bearer<B> {
    session: Session,
    copy: fn(&B) -> Option<B>,
}

/// What [`Bearer`] makes of a service.
#[derive(Debug)]
pub struct Bearing<S, B> {
    inner: S,
    bearer: Bearer<B>,
}

impl<B> Bearer<B> {
    /// Sends a request that is refused as `invalid_token` once more, with another token.
    #[must_use]
    pub fn new(session: Session) -> Self
    where
        B: Clone,
    {
        Self { session, copy: |body| Some(body.clone()) }
    }

    /// Sends each request once, for bodies that cannot be copied. After a refusal the next request has another token.
    #[must_use]
    pub fn once(session: Session) -> Self {
        Self { session, copy: |_| None }
    }

    fn copied(&self, request: &Request<B>) -> Option<Request<B>> {
        let mut copy = Request::new((self.copy)(request.body())?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

impl<B> Clone for Bearer<B> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), copy: self.copy }
    }
}

impl<S: Clone, B> Clone for Bearing<S, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), bearer: self.bearer.clone() }
    }
}

impl<S, B> Layer<S> for Bearer<B> {
    type Service = Bearing<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearing { inner, bearer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Bearing<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: From<Error>,
    S::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let mut inner = self.inner.clone();
        std::mem::swap(&mut self.inner, &mut inner);
        let layer = self.bearer.clone();
        Box::pin(async move {
            let (session, url) = (&layer.session, request.uri().to_string());
            let mut token = session.token().await?;
            let mut tries = Tries::default();
            loop {
                let again = layer.copied(&request);
                let method = request.method().as_str().to_owned();
                present(session, &token, &method, &url, request.headers_mut())?;
                let response = inner.call(request).await?;
                let next = tries.next(session, &url, response.status(), response.headers());
                if next == Some(Next::OtherToken) {
                    // Where nothing can be sent again, the next request has the other one.
                    match session.token_after(&token).await {
                        Ok(other) => token = other,
                        Err(_) => return Ok(response),
                    }
                }
                let (Some(again), Some(_)) = (again, next) else { return Ok(response) };
                request = again;
                std::future::poll_fn(|context| inner.poll_ready(context)).await?;
            }
        })
    }
}
