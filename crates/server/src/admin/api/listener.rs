//! The listener of the API's own: who may administer need not pass where everybody passes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::routes;
use crate::app::App;
use crate::serve;
use crate::sight;

/// The listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the admin API cannot listen on {address}: {source}\n  remedy: stop what listens there, or set another admin_api.listen"
)]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

/// Listens where `admin_api.listen` says; `None` if that is no address. Nothing is served before it is handed to
/// [`serve_with`](crate::serve_with).
///
/// # Errors
/// [`ListenError`] if nobody can listen there.
pub async fn bind(app: &App) -> Result<Option<TcpListener>, ListenError> {
    let Some(address) = app.settings().config.admin_api.address() else { return Ok(None) };
    serve::listen(address).map(Some).map_err(|source| ListenError { address, source })
}

/// The API alone, to mount on a listener of one's own: nothing else is answered there.
pub fn standalone(app: &Arc<App>) -> Router {
    let watch = axum::middleware::from_fn_with_state(Arc::clone(app), sight::watch);
    routes(app, "").layer(watch)
}
