//! From the listener to connections, each with a seat. An error of `accept` ends nothing: what it is about, mostly open files,
//! comes and goes, and connections that wait in the kernel meanwhile are not lost.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;

use super::seats::Seats;
use super::{Certificates, Phase, connection};
use crate::app::App;

/// How long accepting rests after an error; twice as long after each further one, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many connections wait to be accepted.
const BACKLOG: u32 = 4096;

/// What all connections share.
pub(super) struct Door {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) seats: Seats,
    /// Whether browsers are told to come by TLS alone.
    pub(super) is_strict: bool,
    pub(super) phases: watch::Receiver<Phase>,
}

/// Lets the process open as many files as the system allows it: each connection is one. Returns how many.
pub fn allow_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if let Some(most) = limit.maximum {
        let wish = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = setrlimit(Resource::Nofile, wish) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    open_files()
}

/// How many files the process may open.
pub(super) fn open_files() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Listens at this address. What comes faster than it is accepted waits in the kernel, which may let fewer wait
/// (`net.core.somaxconn`).
///
/// # Errors
/// If nobody can listen there.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What a process before us left half closed does not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the end, and waits for the connections that are under way then.
pub(super) async fn run(door: Arc<Door>, listener: TcpListener) {
    let mut phases = door.phases.clone();
    // Ends with this task: no connection outlives the server.
    let mut connections = JoinSet::new();
    let mut pause = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing(&mut phases) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = next(&door.seats, &listener) => accepted,
        };
        match accepted {
            Ok((permit, stream, remote)) => {
                if pause.take().is_some() {
                    tracing::info!("connections are accepted again");
                }
                take(&door, &mut connections, permit, stream, remote);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let rest = pause.map_or(FIRST_PAUSE, |before: Duration| LONGEST_PAUSE.min(before * 2));
                if pause.replace(rest).is_none() {
                    tracing::error!(%error, "no connection can be accepted; trying again and again");
                }
                tokio::time::sleep(rest).await;
            }
        }
    }
    // Whoever the kernel has let in already has been accepted as far as he knows.
    if let Ok(listener) = listener.into_std() {
        while let Some(permit) = door.seats.free_now()
            && let Ok((stream, remote)) = listener.accept()
        {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                take(&door, &mut connections, permit, stream, remote);
            }
        }
    }
    drop(door);
    while connections.join_next().await.is_some() {}
}

/// First the seat, then the connection: who finds none waits in the kernel.
async fn next(seats: &Seats, listener: &TcpListener) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let permit = seats.free().await;
    let (stream, remote) = listener.accept().await?;
    Ok((permit, stream, remote))
}

async fn closing(phases: &mut watch::Receiver<Phase>) {
    let _ = phases.wait_for(|phase| *phase == Phase::Closing).await;
}

fn take(
    door: &Arc<Door>,
    connections: &mut JoinSet<()>,
    permit: OwnedSemaphorePermit,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let settings = door.app.settings();
    let address = remote.ip();
    let is_proxy = settings.config.trusted_proxies.trusts(address);
    let most = (!is_proxy).then_some(settings.config.http.max_connections_per_address);
    match door.seats.sit(permit, address, most) {
        Some(seat) => {
            connections.spawn(connection::run(Arc::clone(door), stream, remote, seat));
        }
        // Dropped, and so closed: an answer would cost more than the request.
        None => tracing::debug!(%address, "the address has max_connections_per_address open already"),
    }
}

/// Errors that say something about one connection and nothing about the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}
