//! The client that comes with the crate: hyper, rustls on aws-lc-rs, the machine's roots. No redirects, no cookies, no proxies.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{Answered, HttpClient, NoAnswer};

/// From the first packet to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request, and how many.
const IDLE: Duration = Duration::from_secs(60);
const MAX_IDLE: usize = 4;

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// See the module's description. Each request has 5 s, and a compressed body is refused.
#[derive(Debug)]
pub struct HyperClient {
    plain: Client<HttpConnector, Full<Bytes>>,
    https: OnceLock<Result<Https, String>>,
}

impl HyperClient {
    /// A client that has connected to nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self { plain: pooled().build(HttpConnector::new()), https: OnceLock::new() }
    }

    async fn exchange(&self, request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, NoAnswer> {
        let request = request.map(Full::new);
        let sent = if request.uri().scheme_str() == Some("https") {
            let https = self.https.get_or_init(https).as_ref().map_err(|error| NoAnswer::Broken(error.clone()))?;
            https.request(request).await
        } else {
            self.plain.request(request).await
        };
        let (parts, body) = sent.map_err(|error| NoAnswer::Broken(chain(&error)))?.into_parts();
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
            return Err(NoAnswer::Broken("the answer is compressed".to_owned()));
        }
        match Limited::new(body, limit).collect().await {
            Ok(collected) => Ok(Response::from_parts(parts, collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(NoAnswer::TooLarge),
            Err(error) => Err(NoAnswer::Broken(error.to_string())),
        }
    }
}

impl Default for HyperClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for HyperClient {
    fn send(&self, request: Request<Bytes>, limit: usize) -> Answered<'_> {
        Box::pin(async move {
            tokio::time::timeout(DEADLINE, self.exchange(request, limit)).await.unwrap_or(Err(NoAnswer::TimedOut))
        })
    }
}

fn https() -> Result<Https, String> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|error| error.to_string())?
        .https_only()
        .enable_http1()
        .build();
    Ok(pooled().build(connector))
}

fn pooled() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(MAX_IDLE);
    builder
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
