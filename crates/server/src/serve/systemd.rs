//! Telling systemd of our state (`sd_notify(3)`): one datagram of `NAME=value` lines to the socket that it names. Without
//! systemd nothing is told, and nothing else is different.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use regrant_store::Question;

use crate::app::App;
use crate::clock::monotonic_micros;

/// Whom to tell; the default tells nobody.
#[derive(Clone, Default, Debug)]
pub struct Notify {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Tells the socket of `NOTIFY_SOCKET`: a path, or `@` and an abstract name. `watchdog` is the time of `WATCHDOG_USEC`, in
    /// which a sign of life is expected.
    ///
    /// # Errors
    /// If it is no such name, or no socket can be made.
    pub fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A reader that does not read must not stop us.
        socket.set_nonblocking(true)?;
        Ok(Self { to: Some(Arc::new((socket, address))), watchdog })
    }

    /// Serving.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=Serving.\n");
    }

    /// About to take up a new configuration; [`Notify::ready`] when that is done, well or not.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reading the configuration.\n", monotonic_micros()));
    }

    /// Finishing what is under way.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Finishing the requests that are under way.\n");
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        let line: String = status.chars().filter(|character| !character.is_control()).take(200).collect();
        self.send(&format!("STATUS={line}\n"));
    }

    /// How often a sign of life is expected, if at all.
    pub(super) const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    fn send(&self, lines: &str) {
        let Some(to) = &self.to else { return };
        if let Err(error) = to.0.send_to_addr(lines.as_bytes(), &to.1) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// Gives a sign of life as long as the writer answers: a process that only looks alive is restarted.
pub(super) async fn watchdog(app: Arc<App>, notify: Notify, period: Duration) {
    loop {
        // An answer that the store is unavailable is an answer: a restart would not help.
        let asked = tokio::time::timeout(period, app.engine.ask(Question::Deployment)).await;
        if asked.is_ok() {
            notify.send("WATCHDOG=1\n");
        }
        tokio::time::sleep(period / 3).await;
    }
}
