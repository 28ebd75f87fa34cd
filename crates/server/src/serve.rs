//! Serving on a listener until told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::app::App;
use crate::rotation;
use crate::router::router;
use crate::sweep;

/// Serves until `shutdown` is done, then lets the requests that are under way finish, and closes the store: when it returns,
/// the database file is whole without its write-ahead log.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let engine = app.engine.clone();
    // Ends with this future, also where it is dropped: what holds the app holds the store.
    let mut background = tokio::task::JoinSet::new();
    background.spawn(sweep::run(Arc::clone(&app)));
    background.spawn(rotation::run(Arc::clone(&app)));
    let service = router(app).into_make_service_with_connect_info::<std::net::SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(shutdown).await;
    background.shutdown().await;
    engine.stop().await;
    served
}
