//! For programs whose requests go through a chain of the crate `reqwest-middleware`: each one carries a fresh token.

use std::pin::Pin;

use http::Extensions;
use http::header::HeaderMap;
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{Middleware, Next, Result};

use crate::carry::{self, Carrier};
use crate::error::Error;
use crate::session::Session;

/// Presents tokens of a session, as [`Session::client`] does.
///
/// ```no_run
/// # fn example(tokens: regrant_client::Session) {
/// use regrant_client::BearerMiddleware;
/// use reqwest_middleware::ClientBuilder;
///
/// let client = ClientBuilder::new(reqwest::Client::new()).with(BearerMiddleware::new(tokens)).build();
/// # }
/// ```
///
/// Add it last: what stands before it, a retry for instance, then asks for a token with each of its tries; what stands after it sees the
/// token. An [`Error`] of the session is the cause of [`reqwest_middleware::Error::Middleware`].
#[derive(Clone, Debug)]
pub struct BearerMiddleware(Session);

impl BearerMiddleware {
    /// With tokens of this session.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self(session)
    }
}

impl Middleware for BearerMiddleware {
    fn handle<'s, 'e, 'n, 'f>(
        &'s self,
        request: Request,
        extensions: &'e mut Extensions,
        next: Next<'n>,
    ) -> Pin<Box<dyn Future<Output = Result<Response>> + Send + 'f>>
    where
        's: 'f,
        'e: 'f,
        'n: 'f,
        Self: 'f,
    {
        Box::pin(async move { carry::deliver(&self.0, request, &mut Rest { next, extensions }).await })
    }
}

/// The rest of the chain.
struct Rest<'a, 'n> {
    next: Next<'n>,
    extensions: &'a mut Extensions,
}

impl Carrier<Request> for Rest<'_, '_> {
    type Answer = Response;
    type Failure = reqwest_middleware::Error;

    async fn carry(&mut self, request: Request) -> Result<Response> {
        self.next.clone().run(request, self.extensions).await
    }

    fn said(answer: &Response) -> (StatusCode, &HeaderMap) {
        (answer.status(), answer.headers())
    }
}

impl From<Error> for reqwest_middleware::Error {
    fn from(error: Error) -> Self {
        Self::middleware(error)
    }
}
