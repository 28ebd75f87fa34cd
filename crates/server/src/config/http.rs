//! `[http]`: how long a connection may take over what, and how much of everything there may be.
//!
//! Each limit is there because without it one stranger could hold, for nothing, what honest clients need. The defaults are
//! explained one by one in `docs/defaults.md` and in the example.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::Section;

/// The limits of connections and requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// A TLS handshake is done within this.
    pub handshake_timeout: Duration,
    /// The head of a request is there this long after its first byte, that of the first one after the connection began.
    pub header_timeout: Duration,
    /// The body of a request is there this long after its head.
    pub body_timeout: Duration,
    /// A request is answered this long after its head.
    pub request_timeout: Duration,
    /// A connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// How long the listener stays open after the signal to stop, for load balancers that have yet to notice.
    pub drain_delay: Duration,
    /// How long requests under way may take after that.
    pub drain_timeout: Duration,
    /// Connections at one time; `None` means what [`max_connections`](Self::max_connections) says.
    pub connections: Option<usize>,
    /// Connections of one IPv4 address, or of one IPv6 network of 64 bits.
    pub max_connections_per_address: usize,
    /// Requests at one time on one HTTP/2 connection.
    pub max_streams: u32,
    /// The head of a request in bytes: request line and all headers.
    pub max_head_size: usize,
    /// Headers in one request.
    pub max_headers: usize,
    /// The request target in bytes.
    pub max_uri_length: usize,
}

/// The most connections at one time, unless set.
pub const DEFAULT_MAX_CONNECTIONS: usize = 20_000;
/// Files that are no connections: the store, the log, the keys, and room to breathe.
const OTHER_FILES: usize = 64;

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            drain_delay: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
            connections: None,
            max_connections_per_address: 1024,
            max_streams: 100,
            max_head_size: 32 * 1024,
            max_headers: 64,
            max_uri_length: 16 * 1024,
        }
    }
}

impl HttpSettings {
    /// The most connections where the system lets the process open this many files.
    #[must_use]
    pub fn max_connections(&self, open_files: usize) -> usize {
        self.connections.unwrap_or_else(|| open_files.saturating_sub(OTHER_FILES).clamp(8, DEFAULT_MAX_CONNECTIONS))
    }
}

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> HttpSettings {
    let usual = HttpSettings::default();
    let duration = |key, limits, usual| section.duration(key, limits).unwrap_or(usual);
    let number = |key, limits: RangeInclusive<u64>, usual: usize| {
        section.number(key, limits).and_then(|number| usize::try_from(number).ok()).unwrap_or(usual)
    };
    let settings = HttpSettings {
        handshake_timeout: duration("handshake_timeout", seconds(1, 300), usual.handshake_timeout),
        header_timeout: duration("header_timeout", seconds(1, 300), usual.header_timeout),
        body_timeout: duration("body_timeout", seconds(1, 300), usual.body_timeout),
        request_timeout: duration("request_timeout", seconds(1, 3600), usual.request_timeout),
        idle_timeout: duration("idle_timeout", seconds(1, 86_400), usual.idle_timeout),
        drain_delay: duration("drain_delay", seconds(0, 3600), usual.drain_delay),
        drain_timeout: duration("drain_timeout", seconds(1, 3600), usual.drain_timeout),
        connections: section.number("max_connections", 1..=1_000_000).and_then(|number| usize::try_from(number).ok()),
        max_connections_per_address: number(
            "max_connections_per_address",
            1..=1_000_000,
            usual.max_connections_per_address,
        ),
        max_streams: section
            .number("max_streams", 1..=10_000)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(usual.max_streams),
        // hyper's buffer has at least 8 KiB.
        max_head_size: number("max_head_size", 8192..=1_048_576, usual.max_head_size),
        max_headers: number("max_headers", 16..=1000, usual.max_headers),
        max_uri_length: number("max_uri_length", 1024..=65_534, usual.max_uri_length),
    };
    section.finish(&super::TOP);
    settings
}
