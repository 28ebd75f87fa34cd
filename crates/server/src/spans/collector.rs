//! The way to the collector: the server's own client, on the server's own runtime.
//!
//! It may be down or slow as it likes: a message has five seconds, is sent once, and what goes wrong is told once a minute.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::header::{CONTENT_TYPE, HeaderMap, USER_AGENT};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::clock::Stopwatch;
use crate::outbound::{Call, NoAnswer, Outbound};

/// How long a message may take, to the last byte of its answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often what goes wrong is told.
const QUIET: Duration = Duration::from_secs(60);
const PROTOBUF: &str = "application/x-protobuf";

/// Sends messages to the collector.
pub(super) struct Collector {
    outbound: Arc<Outbound>,
    runtime: Handle,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    untold: u64,
    told: Option<Stopwatch>,
}

impl Failures {
    /// One more. How many there were since the last line, if one is due; `since` is how long ago that was.
    fn count(&mut self, since: Option<Duration>) -> Option<u64> {
        self.untold += 1;
        since.is_none_or(|since| since >= QUIET).then(|| std::mem::take(&mut self.untold))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    /// On the runtime that this is called on: the SDK's thread has none.
    pub(super) fn new() -> Self {
        Self { outbound: Arc::new(Outbound::new()), runtime: Handle::current(), failures: Mutex::default() }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Bytes, NoAnswer> {
        let (parts, body) = request.into_parts();
        let outbound = Arc::clone(&self.outbound);
        let sent = self.runtime.spawn(async move {
            let (url, headers): (Uri, HeaderMap) = (parts.uri, parts.headers);
            // OTLP/HTTP: "The client MUST set Content-Type: application/x-protobuf"; what the variables OTEL_EXPORTER_OTLP_HEADERS
            // name comes with it.
            let names = headers.iter().filter(|(name, _)| ![CONTENT_TYPE, USER_AGENT].contains(*name));
            let headers = names.map(|(name, value)| (name.clone(), value.clone())).collect();
            outbound.post(Call { url: &url, media_type: PROTOBUF, headers, body: body.to_vec() }, DEADLINE).await
        });
        sent.await.unwrap_or_else(|error| Err(NoAnswer::Broken(error.to_string())))
    }

    fn failed(&self, why: &NoAnswer) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failures.told.map(Stopwatch::elapsed);
        if let Some(messages) = failures.count(since) {
            failures.told = Some(Stopwatch::start());
            tracing::warn!(%why, messages, "the collector does not take our spans: they are dropped; this is told once a minute");
        }
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'a, 'async_trait>(&'a self, request: Request<Bytes>) -> Sent<'async_trait>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            match self.send(request).await {
                Ok(body) => Ok(Response::new(body)),
                Err(why) => {
                    self.failed(&why);
                    Err(why.into())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_is_down_is_told_once_a_minute() {
        let mut failures = Failures::default();
        assert_eq!(failures.count(None), Some(1));
        for second in (5..60).step_by(5) {
            assert_eq!(failures.count(Some(Duration::from_secs(second))), None);
        }
        assert_eq!(failures.count(Some(QUIET)), Some(12));
    }
}
