//! `/metrics` on a listener of its own: who may scrape need not reach the server, and who reaches the server learns nothing.
//!
//! It has a few seats of its own, so that whoever reaches it cannot take the open files that the server needs. A scrape is over in
//! milliseconds: when all seats are taken, who has sat there longest goes, and that is nobody who scrapes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Format;
use crate::app::App;
use crate::serve;

/// The most connections at once.
pub const MAX_CONNECTIONS: usize = 32;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay, whatever it does: longer than the usual pause between two scrapes.
const LONGEST_STAY: Duration = Duration::from_secs(150);
/// The largest head, in bytes, and the most fields in it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// After an error of `accept`, which mostly says that there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics cannot be told on {address}: {source}\n  remedy: stop what listens there, or set another metrics.listen"
)]
pub struct MetricsError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

/// The listener; closed when this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens where `metrics.listen` says; `None` if it is not set.
///
/// # Errors
/// [`MetricsError`] if nobody can listen there.
pub async fn listen(app: &Arc<App>) -> Result<Option<Listening>, MetricsError> {
    let Some(address) = app.settings().config.metrics.listen else { return Ok(None) };
    let cannot = |source| MetricsError { address, source };
    let listener = serve::listen(address).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::downgrade(app));
    let task = tokio::spawn(accept(listener, router));
    tracing::info!(listen = %address, "metrics at /metrics");
    Ok(Some(Listening { address, task }))
}

/// Accepts until the listener is dropped; its connections end with it.
async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    let mut seated: VecDeque<tokio::task::AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                seated.retain(|connection| !connection.is_finished());
                if seated.len() >= MAX_CONNECTIONS
                    && let Some(longest) = seated.pop_front()
                {
                    longest.abort();
                }
                seated.push_back(connections.spawn(converse(stream, router.clone())));
            }
            Err(error) => {
                tracing::debug!(%error, "no connection to the metrics can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // However it ends, there is nobody to tell.
    let _ = tokio::time::timeout(LONGEST_STAY, connection).await;
}

async fn metrics(State(app): State<std::sync::Weak<App>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    // Does not hold the app, and with it the store, when the server is gone.
    let text = app.upgrade().map(|app| app.metrics_as(format)).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text)
}
