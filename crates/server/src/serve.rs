//! Serving: our own loop from the listener to the router, so that each connection has its limits, its TLS and its end.
//!
//! ```text
//! accept.rs      listener → connection; a seat for each; a burst of errors is waited out
//! connection.rs  TLS, then HTTP/1.1 or HTTP/2; every time-out of a connection
//! gate.rs        what no request may be, before the router sees it
//! proxies.rs     whose address the request came from
//! ```
//!
//! How it ends: `/readyz` says no at once and answers ask clients to leave; after `drain_delay` the listeners close; requests
//! under way have `drain_timeout`; then the store is closed.

mod accept;
#[cfg(feature = "acme")]
mod acme;
mod body;
mod certificates;
mod connection;
mod gate;
mod pace;
mod proxies;
mod seats;
pub mod systemd;
mod validity;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use accept::{allow_open_files, listen};
pub use certificates::{Certificates, Looked, TlsError};

use crate::admin;
use crate::app::App;
use crate::deliver;
use crate::follow;
use crate::rotation;
use crate::router::router;
use crate::sweep;
use accept::Door;
use seats::Seats;
use systemd::Notify;

/// Where and how to serve.
#[derive(Debug)]
pub struct Options {
    /// Where connections come in.
    pub listeners: Vec<TcpListener>,
    /// Where the admin API alone answers, if it has a place of its own.
    pub admin: Option<TcpListener>,
    /// Speaks TLS with these; `None` speaks plain HTTP.
    pub certificates: Option<Arc<Certificates>>,
    /// Whom to tell of our state.
    pub notify: Notify,
    /// How long to go on accepting after the signal to stop; `None` means what the configuration says.
    pub drain_delay: Option<Duration>,
    /// How often the certificate's files are looked at.
    pub certificate_check: Duration,
}

impl Options {
    /// Plain HTTP on these listeners.
    #[must_use]
    pub fn new(listeners: Vec<TcpListener>) -> Self {
        let certificate_check = Duration::from_secs(60);
        Self {
            listeners,
            admin: None,
            certificates: None,
            notify: Notify::default(),
            drain_delay: None,
            certificate_check,
        }
    }
}

/// How far serving is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// As always.
    Serving,
    /// Still open; every answer asks its client to go elsewhere.
    Leaving,
    /// The listeners close; what is under way is finished.
    Closing,
}

/// The most connections to the admin API, where it has a listener of its own.
const ADMIN_CONNECTIONS: usize = 64;

/// How long answers are still written once the store has failed for good.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Whether an issuer is this machine's name, which a browser would remember for whatever else listens here (RFC 6797 section 8.2: for all
/// ports). Of an address it remembers nothing.
fn is_local(issuer: &str) -> bool {
    let issuer = issuer.parse::<Uri>();
    let host = issuer.as_ref().ok().and_then(Uri::host).unwrap_or_default();
    host == "localhost" || host.ends_with(".localhost")
}

/// Serves until `shutdown` is done, then lets the requests that are under way finish, and closes the store: when it returns,
/// the database file is whole without its write-ahead log. No time is lost on load balancers: `drain_delay` is for
/// [`serve_with`].
///
/// # Errors
/// If the configuration wants TLS and its certificate cannot be used; or, after [`App::failed`], why the store must be opened anew:
/// the process should end, and be started again.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let certificates = Certificates::for_app(&app, None).map_err(io::Error::other)?;
    let admin = admin::api::bind(&app).await.map_err(io::Error::other)?;
    let options = Options { admin, certificates, drain_delay: Some(Duration::ZERO), ..Options::new(vec![listener]) };
    serve_with(app, options, shutdown).await
}

/// The same with everything that can be chosen.
///
/// # Errors
/// If a listener has no address.
pub async fn serve_with(
    app: Arc<App>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Options { listeners, admin, certificates, notify, drain_delay, certificate_check } = options;
    let (engine, spans) = (app.engine.clone(), app.spans.clone());
    let settings = app.settings();
    spans.start(&settings.config.log);
    let (phase, phases) = watch::channel(Phase::Serving);
    let seats = Seats::new(settings.config.http.max_connections(accept::open_files()));
    let is_strict = certificates.is_some() && !is_local(app.issuer());
    let door = Arc::new(Door {
        router: router(Arc::clone(&app)),
        app: Arc::clone(&app),
        certificates: certificates.clone(),
        seats,
        is_strict,
        phases: phases.clone(),
    });
    let own_door = admin.map(|listener| {
        // Seats of its own: whoever administers gets in where everybody else stands in line.
        let seats = Seats::new(ADMIN_CONNECTIONS);
        let (app, certificates) = (Arc::clone(&app), certificates.clone());
        (Arc::new(Door { router: admin::api::standalone(&app), app, certificates, seats, is_strict, phases }), listener)
    });
    // All of these end with this future, also where it is dropped: what holds the app holds the store.
    let mut background = JoinSet::new();
    if app.is_shared() {
        background.spawn(follow::run(Arc::clone(&app)));
        background.spawn(follow::on_duty(Arc::clone(&app)));
    } else {
        background.spawn(sweep::run(Arc::clone(&app)));
        background.spawn(deliver::run(Arc::clone(&app)));
        background.spawn(deliver::logout::run(Arc::clone(&app)));
        background.spawn(rotation::run(Arc::clone(&app)));
    }
    if let Some(certificates) = certificates {
        background.spawn(certificates.keep_fresh(Arc::clone(&app), certificate_check));
    }
    if let Some(period) = notify.watchdog() {
        background.spawn(systemd::watchdog(Arc::clone(&app), notify.clone(), period));
    }
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept::run(Arc::clone(&door), listener));
    }
    if let Some((door, listener)) = own_door {
        accepting.spawn(accept::run(door, listener));
    }
    drop(door);
    notify.ready();
    tokio::select! {
        () = shutdown => {}
        _ = engine.failed() => {}
    }

    app.begin_to_leave();
    notify.stopping();
    let _ = phase.send(Phase::Leaving);
    let http = &app.settings().config.http;
    // Whoever has not taken its 503 by then does not keep us from being started anew.
    let failed = async {
        engine.failed().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    let drained = async {
        if engine.failure().is_none() {
            tokio::time::sleep(drain_delay.unwrap_or(http.drain_delay)).await;
        }
        let _ = phase.send(Phase::Closing);
        let all_gone = async { while accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(http.drain_timeout, all_gone).await.is_err() {
            tracing::warn!("drain_timeout is over: connections with requests under way are cut off");
        }
    };
    tokio::select! {
        () = drained => {}
        () = failed => {}
    }
    accepting.shutdown().await;
    background.shutdown().await;
    engine.stop().await;
    spans.stop().await;
    engine.failure().map_or(Ok(()), |trouble| Err(io::Error::other(trouble)))
}
