//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::Extensions;

/// The network address a request came from, as far as it can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// The client's own address: that of the connection, or what a trusted proxy says of it. `None` where there is no
    /// network, as for a program that calls the router itself.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// What the serving loop knew of a request. A program that serves the [`router`](crate::router()) by itself is served as
    /// well: axum's own `ConnectInfo` is taken where there is no `Peer`.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let known = extensions.get::<Self>().copied();
        known.unwrap_or_else(|| Self {
            address: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical()),
        })
    }
}
