//! What systemd passes on to a service in its environment, read once at the start: sockets, credentials, whom to tell.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use listenfd::ListenFd;
use regrant_server::serve::systemd::Notify;

use crate::context::Failure;

/// Names of sockets (`FileDescriptorName=`) that are not for clients.
const NOT_FOR_CLIENTS: [&str; 2] = ["admin", "metrics"];

/// What the service manager wants and gives.
pub(crate) struct Service {
    /// Sockets that clients come in by; empty without socket activation.
    pub(crate) sockets: Vec<TcpListener>,
    /// Where credentials are.
    pub(crate) credentials: Option<PathBuf>,
    /// Whom to tell of our state.
    pub(crate) notify: Notify,
}

impl Service {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let read = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let notify = match read("NOTIFY_SOCKET") {
            None => Notify::default(),
            Some(name) => Notify::to(&name, watchdog(&read)).map_err(|error| {
                Failure::new(
                    69,
                    format!("NOTIFY_SOCKET cannot be used: {error}\n  remedy: leave it to systemd to set it"),
                )
            })?,
        };
        Ok(Self { sockets: sockets(&read)?, credentials: read("CREDENTIALS_DIRECTORY").map(PathBuf::from), notify })
    }
}

/// How often a sign of life is wanted (`sd_watchdog_enabled(3)`): if at all, and from this process.
fn watchdog(read: &impl Fn(&str) -> Option<OsString>) -> Option<Duration> {
    let number = |name| read(name)?.to_str()?.parse::<u64>().ok();
    let is_ours = read("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0).map(Duration::from_micros)
}

/// The sockets that were passed on (`sd_listen_fds(3)`), if they are for this process.
fn sockets(read: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<TcpListener>, Failure> {
    let names = read("LISTEN_FDNAMES").and_then(|names| names.into_string().ok()).unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        if names.get(index).is_some_and(|name| NOT_FOR_CLIENTS.contains(name)) {
            continue;
        }
        let socket = passed.take_tcp_listener(index).map_err(|error| {
            let remedy = "in the socket unit, use ListenStream= with an address and a port";
            Failure::new(
                78,
                format!("socket {index} that was passed on is no TCP listener: {error}\n  remedy: {remedy}"),
            )
        })?;
        sockets.extend(socket);
    }
    Ok(sockets)
}
