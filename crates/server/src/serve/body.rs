//! The bodies on their way: a request's, which must be there in time, and an answer's, which tells when it is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use http_body::{Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, Sleep};

use super::pace::Pace;

/// Whether a body came too late.
#[derive(Clone, Default, Debug)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request's body until its time is over. Then it fails, and its reader ends by itself: nothing that a handler has begun is
/// broken off in its middle.
pub(super) struct Timed {
    body: Incoming,
    over: Pin<Box<Sleep>>,
    late: Late,
}

impl Timed {
    pub(super) fn new(body: Incoming, until: Instant, late: Late) -> Self {
        Self { body, over: Box::pin(tokio::time::sleep_until(until)), late }
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        std::task::ready!(self.over.as_mut().poll(context));
        self.late.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err("the body came too late".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request under way, until it is dropped: with the last byte of its answer, or before, if nobody waits for it any more.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Pace>);

impl UnderWay {
    pub(super) fn begin(pace: &Arc<Pace>, is_http2: bool) -> Self {
        pace.begin(Instant::now(), is_http2);
        Self(Arc::clone(pace))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end(Instant::now());
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
