//! The one client for requests that this server sends (check S1): bounded in time and size, and without surprises.
//!
//! | rule                                                                             | check  |
//! |----------------------------------------------------------------------------------|--------|
//! | a redirect is no answer: it is not followed                                      | S4     |
//! | https with the machine's own roots (`SSL_CERT_FILE` names others); plain http only as the caller's configuration allows | S5 |
//! | one deadline from the first packet to the last byte, 64 KiB of body              | S7     |
//! | a compressed body is refused: 64 KiB stay 64 KiB                                 | S8     |
//! | no cookies, no credentials, no header but those named here and by the caller; no proxy from the environment | S9 |
//!
//! URLs of the operator's configuration may lie in a private network: [`Outbound::post`] and [`Outbound::tell`] go where they are
//! told to. Whatever a client names goes by [`Outbound::fetch`] and [`Outbound::tell_stranger`], which look where it leads
//! (`outbound/strangers.rs`).

mod address;
mod strangers;

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::config::OutboundSetting;
use strangers::Strangers;

pub(crate) use strangers::{check_link, check_url};

/// The most that is read of an answer.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;
/// How long a connection is kept for the next request, and how many.
const IDLE: Duration = Duration::from_secs(60);
const MAX_IDLE: usize = 16;
/// What is accepted of those who are only told something: they choose their answer by it, and may refuse (406) where nothing fits.
const ANYTHING: &str = "*/*";
const AGENT: &str = concat!("regrant/", env!("CARGO_PKG_VERSION"));

/// A request to send, by POST.
pub(crate) struct Call<'a> {
    pub(crate) url: &'a Uri,
    /// Of the body; and of the answer, where one is read.
    pub(crate) media_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer. For logs: never told to a client (check S10).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The deadline has passed.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// Another status than 200, or where any 2xx will do another one than these; a redirect is one of them.
    #[error("status {0}")]
    Status(u16),
    /// More than [`MAX_ANSWER`].
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    /// A `Content-Encoding`.
    #[error("the answer is compressed")]
    Encoded,
    /// It cannot be understood.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
    /// Too many requests are on their way.
    #[error("too many requests wait for an answer")]
    Busy,
    /// The machine has no certificates to trust.
    #[error("the machine's root certificates cannot be read: {0}")]
    Roots(String),
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests, over connections that are kept.
pub(crate) struct Outbound {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Made at the first https request: the roots are read then, and only where they are needed.
    https: OnceLock<Result<Https, String>>,
    strangers: Strangers,
}

impl Outbound {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { plain: pooled().build(connector), https: OnceLock::new(), strangers: Strangers::new() }
    }

    /// Sends it; the body of a 200 within the deadline, or nothing.
    pub(crate) async fn post(&self, call: Call<'_>, deadline: Duration) -> Result<Bytes, NoAnswer> {
        let answered = tokio::time::timeout(deadline, self.exchange(call));
        answered.await.unwrap_or(Err(NoAnswer::TimedOut))
    }

    /// Sends it to somebody who has nothing to say but that it came: any 2xx within the deadline. Of the body nothing is read.
    pub(crate) async fn tell(&self, call: Call<'_>, deadline: Duration) -> Result<(), NoAnswer> {
        let sent =
            tokio::time::timeout(deadline, self.send(call, ANYTHING)).await.unwrap_or(Err(NoAnswer::TimedOut))?;
        heard(&sent)
    }

    /// The same at a URL that a client named, within their deadline.
    pub(crate) async fn tell_stranger(&self, setting: &OutboundSetting, call: Call<'_>) -> Result<(), NoAnswer> {
        let client = self.strangers.client(setting)?;
        let request = to_send(call, ANYTHING)?;
        let sent = tokio::time::timeout(strangers::DEADLINE, client.request(request)).await;
        let sent = sent.map_err(|_| NoAnswer::TimedOut)?.map_err(|error| NoAnswer::Broken(chain(&error)))?;
        heard(&sent)
    }

    /// Reads what a client's URL leads to: the body of a 200.
    pub(crate) async fn fetch(
        &self,
        setting: &OutboundSetting,
        url: &Uri,
        accept: &'static str,
    ) -> Result<Bytes, NoAnswer> {
        let client = self.strangers.client(setting)?;
        let request = Request::get(url)
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, AGENT)
            .body(Full::default())
            .map_err(|error| NoAnswer::Broken(error.to_string()))?;
        let answered = tokio::time::timeout(strangers::DEADLINE, async {
            read(client.request(request).await.map_err(|error| NoAnswer::Broken(chain(&error)))?).await
        });
        answered.await.unwrap_or(Err(NoAnswer::TimedOut))
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Bytes, NoAnswer> {
        let accept = call.media_type;
        read(self.send(call, accept).await?).await
    }

    async fn send(&self, call: Call<'_>, accept: &'static str) -> Result<Response<Incoming>, NoAnswer> {
        let is_https = call.url.scheme_str() == Some("https");
        let request = to_send(call, accept)?;
        let sent = if is_https {
            let https = self.https.get_or_init(https).as_ref().map_err(|error| NoAnswer::Roots(error.clone()))?;
            https.request(request).await
        } else {
            self.plain.request(request).await
        };
        sent.map_err(|error| NoAnswer::Broken(chain(&error)))
    }
}

fn heard(response: &Response<Incoming>) -> Result<(), NoAnswer> {
    if response.status().is_success() { Ok(()) } else { Err(NoAnswer::Status(response.status().as_u16())) }
}

fn to_send(call: Call<'_>, accept: &'static str) -> Result<Request<Full<Bytes>>, NoAnswer> {
    let mut request = Request::post(call.url)
        .header(CONTENT_TYPE, call.media_type)
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, AGENT);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(call.body))).map_err(|error| NoAnswer::Broken(error.to_string()))
}

async fn read(response: Response<Incoming>) -> Result<Bytes, NoAnswer> {
    if response.status() != StatusCode::OK {
        return Err(NoAnswer::Status(response.status().as_u16()));
    }
    if response.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return Err(NoAnswer::Encoded);
    }
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(NoAnswer::TooLarge),
        Err(error) => Err(NoAnswer::Broken(error.to_string())),
    }
}

fn https() -> Result<Https, String> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)
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
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
