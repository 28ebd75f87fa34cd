//! The middleware: a tower layer over any service of HTTP requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Refusal, ResourceServer, bearer};

/// Lets requests through whose token is valid and has all the scopes; the others are answered as RFC 6750 section 3 says. The token
/// is in the request's extensions as an [`AccessToken`](crate::AccessToken).
#[derive(Clone, Debug)]
pub struct Protect {
    server: ResourceServer,
    scope: Arc<[String]>,
}

/// What [`Protect`] makes of a service.
#[derive(Clone, Debug)]
pub struct Protected<S> {
    inner: S,
    protect: Protect,
}

impl Protect {
    pub(crate) fn new(server: ResourceServer, scope: Arc<[String]>) -> Self {
        Self { server, scope }
    }

    async fn judge<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let token = bearer::token(request.headers())?.to_owned();
        let token = self.server.judge(&token).await?;
        if !self.scope.iter().all(|required| token.has_scope(required)) {
            return Err(Refusal::InsufficientScope(self.scope.to_vec()));
        }
        request.extensions_mut().insert(token);
        Ok(())
    }
}

impl<S> Layer<S> for Protect {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Protected { inner, protect: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Protected<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let protect = self.protect.clone();
        // The one that is ready is used; its copy takes its place.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            // The body is not Sync: only the head is lent over an await.
            let (parts, body) = request.into_parts();
            let mut head = Request::from_parts(parts, ());
            if let Err(refusal) = protect.judge(&mut head).await {
                return Ok(refusal.response(protect.server.realm()));
            }
            let (parts, ()) = head.into_parts();
            request = Request::from_parts(parts, body);
            ready.call(request).await
        })
    }
}
