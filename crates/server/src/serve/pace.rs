//! What a connection does, and until when it may do that.
//!
//! | it                                        | may do so until                                    |
//! |-------------------------------------------|----------------------------------------------------|
//! | has a request under way                   | `request_timeout` answered it, and once more for the reading of the answer |
//! | has sent a part of a head                 | `header_timeout` after the first byte              |
//! | has never sent a whole head               | `header_timeout` after it began                    |
//! | has nothing to do                         | `idle_timeout` after the last answer               |
//!
//! HTTP/2 sends frames that belong to no request, so that a byte begins no head there: after its first request such a connection is
//! idle or at work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::http::HttpSettings;

/// What a connection does.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    under_way: u32,
    /// When a request last began or ended, at first when the connection began.
    last: Instant,
    head_began: Option<Instant>,
    has_served: bool,
    is_http2: bool,
    /// Somebody looked for who waits and found it at work: the end of that is to be told.
    tells_end: bool,
}

/// What it does, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    /// A request is under way.
    Work,
    /// A head is on its way.
    Head,
    /// Nothing.
    Idle,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        let (has_served, is_http2, tells_end) = (false, false, false);
        Self(Mutex::new(State { under_way: 0, last: now, head_began: None, has_served, is_http2, tells_end }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came in.
    pub(super) fn read(&self, now: Instant) {
        let mut state = self.state();
        if state.under_way == 0 && !state.is_http2 && state.head_began.is_none() {
            state.head_began = Some(now);
        }
    }

    /// A head is there.
    pub(super) fn begin(&self, now: Instant, is_http2: bool) {
        let mut state = self.state();
        let under_way = state.under_way + 1;
        *state = State { under_way, last: now, head_began: None, has_served: true, is_http2, ..*state };
    }

    /// The answer is on its way, or given up. Whether somebody wants to know that it waits again.
    pub(super) fn end(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.last = now;
        state.under_way == 0 && std::mem::take(&mut state.tells_end)
    }

    /// The handshake is over: the time for the first head begins.
    pub(super) fn shook_hands(&self, now: Instant) {
        self.state().last = now;
    }

    /// Since when it has waited for a request. `None` where one is under way: [`Pace::end`] then tells when that is over.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let mut state = self.state();
        state.tells_end = state.under_way > 0;
        (state.under_way == 0).then_some(state.last)
    }

    /// Whether there was a request.
    pub(super) fn has_served(&self) -> bool {
        self.state().has_served
    }

    /// Whether it turned out to be HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.state().is_http2
    }

    /// What it does, and until when it may.
    pub(super) fn until(&self, limits: &HttpSettings) -> (Doing, Instant) {
        let state = *self.state();
        let (doing, since, limit): (_, _, Duration) = match state {
            State { under_way: 1.., .. } => (Doing::Work, state.last, limits.request_timeout * 2),
            State { head_began: Some(began), has_served: true, .. } => (Doing::Head, began, limits.header_timeout),
            State { has_served: false, .. } => (Doing::Head, state.last, limits.header_timeout),
            _ => (Doing::Idle, state.last, limits.idle_timeout),
        };
        (doing, since + limit)
    }
}
