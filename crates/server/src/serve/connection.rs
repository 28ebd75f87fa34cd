//! One connection from its first byte to its last: TLS, then HTTP/1.1 or HTTP/2 by hyper, and over both of them the times of
//! [`pace`](super::pace).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, EXPECT, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::accept::Door;
use super::body::{Answer, Course, Sends, Timed, UnderWay};
use super::pace::{Doing, Pace};
use super::seats::{Place, Seat};
use super::{Phase, gate, proxies};
use crate::app::Settings;
use crate::config::http::HttpSettings;
use crate::peer::Peer;

/// For how long a browser remembers that this host speaks TLS.
const A_YEAR: &str = "max-age=31536000";
/// How long a client that was told to go may take to do so.
const FAREWELL: Duration = Duration::from_secs(2);
/// Streams that a client has opened and reset before they were looked at (CVE-2023-44487, "rapid reset"): one more ends the
/// connection.
const MAX_RESET_STREAMS: usize = 20;
/// Streams that ended by an error of the client's: the same.
const MAX_FAULTY_STREAMS: usize = 256;
/// What a client may send before it hears more: a whole form on one stream, and four of them on all.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What waits for a client that does not read.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// Why a request was given up: its connection or stream ends without an answer. An answer would say that nothing was done,
/// and the store may still do it; a lost answer is what clients can repeat (law L3).
#[derive(Debug, thiserror::Error)]
#[error("request_timeout is over")]
struct GivenUp;

/// Serves a connection to its end.
pub(super) async fn run(door: Arc<Door>, stream: TcpStream, remote: SocketAddr, seat: Seat) {
    // Answers are small and whole: nothing is won by waiting for more.
    let _ = stream.set_nodelay(true);
    let Some(certificates) = &door.certificates else { return serve(&door, stream, remote, &seat).await };
    let limit = door.app.settings().config.http.handshake_timeout;
    let handshake = tokio::time::timeout(limit, certificates.acceptor().accept(stream));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = seat.wanted() => return,
    };
    match accepted {
        // The authority that gives certificates has seen what it came for.
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(super::certificates::ACME_ALPN) => {}
        Ok(Ok(stream)) => Box::pin(serve(&door, stream, remote, &seat)).await,
        Ok(Err(error)) => tracing::debug!(address = %remote.ip(), %error, "no TLS connection came about"),
        Err(_) => tracing::debug!(address = %remote.ip(), "handshake_timeout is over"),
    }
}

async fn serve<I>(door: &Arc<Door>, stream: I, remote: SocketAddr, seat: &Seat)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = door.app.settings();
    let limits = &settings.config.http;
    let place = seat.place();
    let pace = &place.pace;
    pace.shook_hands(Instant::now());
    let io = TokioIo::new(Watched { stream, place: Arc::clone(place) });
    let service = service_fn(|request: Request<Incoming>| {
        // From now on, and not only when the stream's own task comes to it: the seat is not wanted of who has a request under way.
        let under_way = UnderWay::begin(place, request.version() >= Version::HTTP_2);
        answer(Arc::clone(door), under_way, remote, request)
    });
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut phases = door.phases.clone();
    // When it was told to go, and until when it may stay.
    let mut leaves = None;
    loop {
        let phase = *phases.borrow_and_update();
        let (doing, until) = pace.until(limits);
        if leaves.is_none() && must_go(phase, pace, doing) {
            connection.as_mut().graceful_shutdown();
            leaves = Some(Instant::now() + FAREWELL);
        } else if leaves.is_none() && phase == Phase::Closing && doing == Doing::Head {
            // It has just come, and may still ask its question.
            leaves = Some(Instant::now() + FAREWELL);
        }
        let until = match leaves {
            // What is under way is finished; a client that has nothing to do is not waited for.
            Some(leaves) if doing != Doing::Work => until.min(leaves),
            _ => until,
        };
        let step = tokio::select! {
            biased;
            step = std::future::poll_fn(|context| step(connection.as_mut(), pace, limits, until, context)) => step,
            _ = phases.changed() => Step::Look,
            () = tokio::time::sleep_until(until) => Step::Over,
            () = seat.wanted(), if leaves.is_none() => Step::Wanted,
        };
        // It may have begun something since: the time that is over need not be that of what it does now.
        let (doing, until) = pace.until(limits);
        let now = Instant::now();
        let is_over = until <= now;
        match step {
            Step::Ended => return,
            Step::Wanted if doing == Doing::Work => seat.pass_on(),
            Step::Over | Step::Wanted
                if doing == Doing::Idle && leaves.is_none() && (is_over || matches!(step, Step::Wanted)) =>
            {
                connection.as_mut().graceful_shutdown();
                leaves = Some(now + FAREWELL);
            }
            Step::Wanted => return,
            Step::Over if is_over || (doing != Doing::Work && leaves.is_some_and(|leaves| leaves <= now)) => {
                tracing::debug!(address = %remote.ip(), ?doing, "the time for it is over: the connection is closed");
                return;
            }
            Step::Over | Step::Look => {}
        }
    }
}

/// What came of waiting.
enum Step {
    /// The connection ended.
    Ended,
    /// Something may be different.
    Look,
    /// A time is over.
    Over,
    /// Somebody else wants the seat.
    Wanted,
}

/// Goes on with the connection, and notices when that has brought its end nearer.
fn step<C: Future>(
    connection: Pin<&mut C>,
    pace: &Pace,
    limits: &HttpSettings,
    until: Instant,
    context: &mut Context<'_>,
) -> Poll<Step> {
    if connection.poll(context).is_ready() {
        return Poll::Ready(Step::Ended);
    }
    if pace.until(limits).1 < until { Poll::Ready(Step::Look) } else { Poll::Pending }
}

/// Whether a connection must be told to go. An HTTP/2 client can be told at once, and loses nothing (RFC 9113 section 6.8). One of
/// HTTP/1.1 hears it with its next answer (RFC 9112 section 9.6), and is closed only when the time for that is over; one that has
/// just come may still ask its question.
fn must_go(phase: Phase, pace: &Pace, doing: Doing) -> bool {
    match phase {
        Phase::Serving => false,
        Phase::Leaving => pace.is_http2(),
        Phase::Closing => pace.has_served() && (doing != Doing::Head),
    }
}

fn builder(limits: &HttpSettings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours covers the bytes before it, too.
        .header_read_timeout(None)
        .max_buf_size(limits.max_head_size)
        .max_headers(limits.max_headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_head_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_FAULTY_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER);
    builder
}

/// One request, from its head to the head of its answer.
async fn answer(
    door: Arc<Door>,
    under_way: UnderWay,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Answer>, GivenUp> {
    let version = request.version();
    let settings = door.app.settings();
    let address = proxies::client(remote.ip(), request.headers(), &settings.config.trusted_proxies);
    let mut response = if let Err(refusal) = gate::judge(&request, &settings.config.http) {
        tracing::debug!(%address, ?refusal, "a request went no further than the gate");
        refusal.response(version)
    } else {
        routed(&door, &settings, address, request).await?
    };
    if door.is_strict
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
    {
        // RFC 6797 section 7.1: browsers come by TLS alone from now on. Only they listen to it, and what they see are pages.
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(A_YEAR));
    }
    if version < Version::HTTP_2 && *door.phases.borrow() > Phase::Serving {
        // RFC 9112 section 9.6: "A server that sends a "close" connection option MUST initiate closure of the connection".
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer::new(body, under_way)))
}

async fn routed(
    door: &Door,
    settings: &Settings,
    address: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, GivenUp> {
    let limits = &settings.config.http;
    let (version, is_last) = (request.version(), gate::is_last(&request));
    let course = Course::default();
    let sends = if request.headers().contains_key(EXPECT) { Sends::WhenTold } else { Sends::AtOnce };
    let until = Instant::now() + limits.body_timeout;
    let mut request = request.map(|body| Body::new(Timed::new(body, until, course.clone(), sends)));
    request.extensions_mut().insert(Peer { address: Some(address) });
    let answered = tokio::time::timeout(limits.request_timeout, door.router.clone().oneshot(request)).await;
    let Ok(Ok(mut response)) = answered else {
        tracing::warn!(%address, "a request was not answered within request_timeout and is given up");
        return Err(GivenUp);
    };
    if course.is_late() {
        // RFC 9110 section 15.5.9: 408 "indicates that the server did not receive a complete request message within the time
        // that it was prepared to wait".
        response = gate::Refusal::Late.response(version);
    }
    if is_last || (course.is_left() && version < Version::HTTP_2) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A stream that tells when bytes come in.
struct Watched<I> {
    stream: I,
    place: Arc<Place>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.place.pace.read(Instant::now());
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
