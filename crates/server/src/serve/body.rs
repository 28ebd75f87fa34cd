//! The bodies on their way: a request's, which must be there in time, and an answer's, which tells when it is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, Sleep};

use super::seats::Place;

/// What became of a request's body.
#[derive(Clone, Default, Debug)]
pub(super) struct Course(Arc<Marks>);

#[derive(Default, Debug)]
struct Marks {
    is_late: AtomicBool,
    is_left: AtomicBool,
}

impl Course {
    /// It came too late.
    pub(super) fn is_late(&self) -> bool {
        self.0.is_late.load(Ordering::Relaxed)
    }

    /// A part of it was left on the way, so that nothing behind it can be read.
    pub(super) fn is_left(&self) -> bool {
        self.0.is_left.load(Ordering::Relaxed)
    }
}

/// What a client sends of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sends {
    /// All of it, at once.
    AtOnce,
    /// Nothing before it is told to (`Expect: 100-continue`).
    WhenTold,
}

/// A request's body until its time is over. Then it fails, and its reader ends by itself: nothing that a handler has begun is
/// broken off in its middle.
///
/// What a handler leaves unread is read and thrown away, up to [`LEFT_OVER`]: a connection that is closed with bytes on their way
/// to it is reset, and its client may lose the answer that says what was wrong. What a client was not told to send is not asked for.
pub(super) struct Timed {
    /// `None` once it is dropped.
    body: Option<Incoming>,
    over: Pin<Box<Sleep>>,
    course: Course,
    sends: Sends,
}

impl Timed {
    pub(super) fn new(body: Incoming, until: Instant, course: Course, sends: Sends) -> Self {
        Self { body: Some(body), over: Box::pin(tokio::time::sleep_until(until)), course, sends }
    }
}

/// The longest rest of a body that is read for the sake of its answer, in bytes.
const LEFT_OVER: u64 = 256 * 1024;
/// How long that may take.
const LEFT_OVER_TIME: Duration = Duration::from_secs(2);

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !http_body::Body::is_end_stream(body)) else { return };
        let is_short = http_body::Body::size_hint(&body).exact().is_some_and(|bytes| bytes <= LEFT_OVER);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if is_short && self.sends == Sends::AtOnce => {
                runtime.spawn(async move {
                    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
                    let _ = tokio::time::timeout(LEFT_OVER_TIME, rest).await;
                });
            }
            _ => self.course.0.is_left.store(true, Ordering::Relaxed),
        }
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // From now on it is told to.
        self.sends = Sends::AtOnce;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        std::task::ready!(self.over.as_mut().poll(context));
        self.course.0.is_late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err("the body came too late".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// A request under way, until it is dropped: with the last byte of its answer, or before, if nobody waits for it any more.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Place>);

impl UnderWay {
    pub(super) fn begin(place: &Arc<Place>, is_http2: bool) -> Self {
        place.pace.begin(Instant::now(), is_http2);
        Self(Arc::clone(place))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// An answer's body, which is under way as long as it is there.
pub(super) struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl Answer {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
