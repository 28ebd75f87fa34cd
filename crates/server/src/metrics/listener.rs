//! `/metrics` on a listener of its own: who may scrape need not reach the server, and who reaches the server learns nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Format;
use crate::app::App;

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
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::downgrade(app));
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    tracing::info!(listen = %address, "metrics at /metrics");
    Ok(Some(Listening { address, task }))
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
