//! A tower layer for clients: each request through it carries a fresh token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::client::{bearer, is_invalid_token};
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
        let other = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, other.clone());
        let bearer_layer = self.bearer.clone();
        let again = bearer_layer.copied(&request);
        let session = bearer_layer.session;
        Box::pin(async move {
            let token = session.token().await?;
            request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
            let response = ready.call(request).await?;
            if !is_invalid_token(response.status(), response.headers()) {
                return Ok(response);
            }
            let fresh = session.token_after(&token).await;
            let (Some(mut again), Ok(fresh)) = (again, fresh) else { return Ok(response) };
            again.headers_mut().insert(AUTHORIZATION, bearer(&fresh)?);
            let mut other = other;
            std::future::poll_fn(|context| other.poll_ready(context)).await?;
            other.call(again).await
        })
    }
}
