//! A tower layer for clients: each request through it carries a fresh token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::carry::{self, Carrier, Parcel};
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
    S::Error: From<Error> + Send,
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let mut inner = self.inner.clone();
        std::mem::swap(&mut self.inner, &mut inner);
        let Bearer { session, copy } = self.bearer.clone();
        Box::pin(async move {
            let mut carrier = Ready { inner, is_used: false };
            carry::deliver(&session, Copyable { request, copy }, &mut carrier).await
        })
    }
}

/// A request, and how its body is copied.
struct Copyable<B> {
    request: Request<B>,
    copy: fn(&B) -> Option<B>,
}

impl<B: Send> Parcel for Copyable<B> {
    fn method(&self) -> &Method {
        self.request.method()
    }

    fn url(&self) -> String {
        self.request.uri().to_string()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn copied(&self) -> Option<Self> {
        let mut copy = Request::new((self.copy)(self.request.body())?);
        *copy.method_mut() = self.request.method().clone();
        *copy.uri_mut() = self.request.uri().clone();
        *copy.version_mut() = self.request.version();
        *copy.headers_mut() = self.request.headers().clone();
        *copy.extensions_mut() = self.request.extensions().clone();
        Some(Self { request: copy, copy: self.copy })
    }
}

/// A service that is ready for one call, and is asked before each further one.
struct Ready<S> {
    inner: S,
    is_used: bool,
}

impl<S, B, R> Carrier<Copyable<B>> for Ready<S>
where
    S: Service<Request<B>, Response = Response<R>> + Send,
    S::Error: From<Error> + Send,
    S::Future: Send,
    B: Send,
    R: Send,
{
    type Answer = Response<R>;
    type Failure = S::Error;

    async fn carry(&mut self, parcel: Copyable<B>) -> Result<Response<R>, S::Error> {
        if std::mem::replace(&mut self.is_used, true) {
            std::future::poll_fn(|context| self.inner.poll_ready(context)).await?;
        }
        self.inner.call(parcel.request).await
    }

    fn said(answer: &Response<R>) -> (StatusCode, &HeaderMap) {
        (answer.status(), answer.headers())
    }
}
