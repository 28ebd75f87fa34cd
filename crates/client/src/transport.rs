//! Requests to the authorization server: bounded in time and size, and without redirects.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};

use crate::answer::Answer;
use crate::error::Error;

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most that is read of an answer.
const LARGEST: usize = 256 * 1024;

/// The parameters of a form, in order.
pub type Form = Vec<(&'static str, String)>;

/// A request: a form, or a GET where there is none.
#[derive(Clone, Default)]
pub struct Call {
    /// Where to.
    pub url: String,
    /// The form.
    pub form: Option<Form>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `DPoP`.
    pub dpop: Option<String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there is no answer. The request may have been heard.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct NoAnswer(pub String);

/// What is there in the end.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send + 'a>>;

/// Sends requests to the authorization server. [`Http`] does; a test may bring its own.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and reads its answer.
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a>;
}

/// By HTTP.
#[derive(Clone, Debug)]
pub struct Http(reqwest::Client);

impl Http {
    /// With a client of reqwest's own defaults but for redirects, which no token endpoint needs, and the deadline.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the system's certificates cannot be read.
    pub fn new() -> Result<Self, Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(DEADLINE);
        let builder = builder.user_agent(concat!("regrant-client/", env!("CARGO_PKG_VERSION")));
        builder.build().map(Self).map_err(|error| Error::Misconfigured(error.to_string()))
    }

    /// With a client that you have set up: proxies, more certificate authorities, other deadlines. It should follow no redirects.
    #[must_use]
    pub fn with(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl Transport for Http {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            let failed = |error: reqwest::Error| NoAnswer(reasons(&error.without_url()));
            let request = match &call.form {
                Some(form) => {
                    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                    self.0.post(&call.url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
                }
                None => self.0.get(&call.url),
            };
            let mut request = request.header(ACCEPT, "application/json");
            if let Some(authorization) = &call.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(key) = &call.idempotency_key {
                request = request.header("idempotency-key", key);
            }
            if let Some(proof) = &call.dpop {
                request = request.header("dpop", proof);
            }
            let mut response = request.send().await.map_err(failed)?;
            let text = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
            let headers = response.headers();
            let mut answer = Answer {
                status: response.status().as_u16(),
                content_type: text(headers, CONTENT_TYPE.as_str()),
                retry_after: text(headers, RETRY_AFTER.as_str()),
                date: text(headers, DATE.as_str()),
                dpop_nonce: text(headers, "dpop-nonce"),
                body: Vec::new(),
            };
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if answer.body.len() + chunk.len() > LARGEST {
                    return Err(NoAnswer(format!("it is larger than {LARGEST} bytes")));
                }
                answer.body.extend_from_slice(&chunk);
            }
            Ok(answer)
        })
    }
}

/// An error with everything that caused it.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        (**self).send(call)
    }
}
