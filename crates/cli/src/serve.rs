//! `regrant serve`: the server for real.

use std::io::Write as _;
use std::net::SocketAddr;

use regrant_server::serve::{Certificates, Options, allow_open_files};
use regrant_server::{App, Clock, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::{Context, Done, Failure, runtime};
use crate::service::Service;
use crate::{control, hardening, log};

/// How to run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to listen, instead of where the configuration says. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How to log on standard error. REGRANT_LOG filters: "info", "regrant_server=debug" …
    #[arg(long, value_enum)]
    log_format: Option<log::Wish>,
    /// Believe the clock, though it is more than 30 days ahead of what the store has seen last: the server was off for that long.
    #[arg(long)]
    accept_clock: bool,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    let mut config = context.load_or_begin(args.listen)?;
    log::start(&config.log, args.log_format);
    hardening::close_memory();
    if let Some(notice) = context.defaults_notice() {
        tracing::warn!("{notice}");
    }
    let service = Service::from_environment()?;
    runtime()?.block_on(async {
        let listeners = listeners(&config, service.sockets).await?;
        let bound = listeners.first().ok_or_else(|| Failure::new(69, "there is nothing to listen on"))?.local_addr()?;
        config.source.bound = Some((config.listen, bound));
        config.set_listen(bound).map_err(|problem| Failure::new(78, problem))?;
        for notice in &config.notices {
            tracing::warn!("{notice}");
        }
        // Each connection is one.
        let files = allow_open_files();
        let most = config.http.max_connections(files);
        if most >= files {
            tracing::warn!(
                most,
                files,
                "http.max_connections is more than the files that the system lets this process open; raise LimitNOFILE="
            );
        }
        let socket = config.admin_socket();
        let clock = if args.accept_clock { Clock::system().accepted() } else { Clock::system() };
        let app = App::open(config, clock)?;
        // After the store was opened: whoever holds it owns its socket.
        let _control = control::start(&app, socket.as_deref(), service.notify.clone())?;
        let metrics = regrant_server::metrics::listen(&app).await.map_err(|error| Failure::new(69, error))?;
        let admin = regrant_server::admin::api::bind(&app).await.map_err(|error| Failure::new(69, error))?;
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        // Whoever has read the first line may send a signal.
        let signals = Signals::listen()?;
        let certificates = match Certificates::for_app(&app, service.credentials.as_deref()) {
            Ok(certificates) => certificates,
            Err(error) => {
                app.engine.stop().await;
                return Err(Failure::new(78, error));
            }
        };
        // The first line: how programs learn where we are.
        let mut first = serde_json::json!({"issuer": app.issuer(), "listen": bound.to_string()});
        if let Some(metrics) = &metrics {
            first["metrics"] = metrics.address.to_string().into();
        }
        if let Some(address) = admin_address {
            first["admin"] = address.to_string().into();
        }
        let mut stdout = std::io::stdout();
        let _ = writeln!(stdout, "{first}");
        let _ = stdout.flush();
        tracing::info!(issuer = app.issuer(), listen = %bound, tls = certificates.is_some(), "serving");
        let engine = app.engine.clone();
        let options = Options { admin, certificates, notify: service.notify, ..Options::new(listeners) };
        let served = regrant_server::serve_with(app, options, signals.stop()).await;
        if let Some(trouble) = engine.failure() {
            let remedy = "look into the system's log for failures of the device, and start the server again: what was answered is there";
            return Err(Failure::new(74, format!("the store failed while the server ran: {trouble}\n  remedy: {remedy}")));
        }
        served?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// The sockets that the service manager passed on, or one where the configuration says.
async fn listeners(config: &Config, passed: Vec<std::net::TcpListener>) -> Result<Vec<TcpListener>, Failure> {
    if passed.is_empty() {
        let listen = config.listen;
        let listener = regrant_server::serve::listen(listen).map_err(|error| {
            let remedy = "stop what listens there, or name another address with --listen";
            Failure::new(69, format!("cannot listen on {listen}: {error}\n  remedy: {remedy}"))
        })?;
        return Ok(vec![listener]);
    }
    let adopt = |socket: std::net::TcpListener| {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    };
    Ok(passed.into_iter().map(adopt).collect::<std::io::Result<_>>()?)
}

/// SIGINT and SIGTERM, listened for from its making on: before it is made they end the process as they always did.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The first lets requests finish; a second one ends the process at once, which loses nothing that was answered (law L1).
    async fn stop(mut self) {
        self.came().await;
        tracing::info!("stopping: requests that are under way are finished; ask again to stop at once");
        tokio::spawn(async move {
            self.came().await;
            std::process::exit(1);
        });
    }

    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
