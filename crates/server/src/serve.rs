//! Serving on a listener until told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::app::App;
use crate::rotation;
use crate::router::router;
use crate::sweep;

/// How long answers are still written once the store has failed for good.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Serves until `shutdown` is done, then lets the requests that are under way finish, and closes the store: when it returns,
/// the database file is whole without its write-ahead log.
///
/// # Errors
/// If the listener fails; or, after [`App::failed`], why the store must be opened anew: the process should end, and be started again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (engine, spans) = (app.engine.clone(), app.spans.clone());
    spans.start(&app.settings().config.log);
    // Ends with this future, also where it is dropped: what holds the app holds the store.
    let mut background = tokio::task::JoinSet::new();
    background.spawn(sweep::run(Arc::clone(&app)));
    background.spawn(rotation::run(Arc::clone(&app)));
    let failing = engine.clone();
    let shutdown = async move {
        tokio::select! {
            () = shutdown => {}
            _ = failing.failed() => {}
        }
    };
    let service = router(app).into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(shutdown);
    let served = tokio::select! {
        served = async { serving.await } => served,
        // Whoever has not taken its 503 by then does not keep us from being started anew.
        () = async { engine.failed().await; tokio::time::sleep(LAST_ANSWERS).await } => Ok(()),
    };
    background.shutdown().await;
    engine.stop().await;
    spans.stop().await;
    match engine.failure() {
        Some(trouble) => Err(io::Error::other(trouble)),
        None => served,
    }
}
