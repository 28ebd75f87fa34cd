//! How a running server is told things: the admin socket, and SIGHUP.

use std::path::Path;
use std::sync::Arc;

use regrant_server::App;
use regrant_server::admin::socket::AdminSocket;
use regrant_server::admin::{Acting, Operator};
use regrant_server::serve::systemd::Notify;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::context::Failure;

/// Answers on the admin socket and to SIGHUP, until what is returned is dropped.
pub(crate) fn start(app: &Arc<App>, socket: Option<&Path>, notify: Notify) -> Result<JoinSet<()>, Failure> {
    let mut tasks = JoinSet::new();
    if let Some(path) = socket {
        let socket = AdminSocket::bind(path).map_err(|error| {
            let remedy = "name another path with admin_socket, a short one in a directory of the server's own, or write admin_socket = \"off\"";
            Failure::new(69, format!("the admin socket {} cannot be opened: {error}\n  remedy: {remedy}", path.display()))
        })?;
        let admin = app.admin();
        tasks.spawn(async move { socket.serve(admin).await });
    }
    let mut hangups = signal(SignalKind::hangup())?;
    let app = Arc::clone(app);
    tasks.spawn(async move {
        while hangups.recv().await.is_some() {
            notify.reloading();
            match app.admin().acting(Acting::new(Operator::Signal)).reload().await {
                Ok(reloaded) => {
                    for notice in &reloaded.notices {
                        tracing::warn!("{notice}");
                    }
                    for ended in &reloaded.ended {
                        tracing::warn!("{ended}");
                    }
                    for back in &reloaded.can_return {
                        tracing::warn!(client = back.client, revocation = back.revocation, "a client is back, and the sessions that ended when it went stay ended, unless the revocation is taken back");
                    }
                    let needs_restart = reloaded.needs_restart.join(", ");
                    tracing::info!(clients = reloaded.clients, needs_restart, "configuration reloaded");
                }
                Err(error) => {
                    // A line of the log is one line.
                    let text = error.to_string();
                    let error = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
                    tracing::error!(error, "the configuration was not reloaded");
                }
            }
            notify.ready();
        }
    });
    Ok(tasks)
}
