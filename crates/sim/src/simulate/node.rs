//! One node: the server's own router and writer, at a time of its own. What it is asked is under way until somebody lets it work.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use regrant_core::keys::RootKey;
use regrant_server::{App, Clock, Config};
use regrant_store::Store;
use tower::ServiceExt as _;

use super::disk::{Disk, Writer};
use crate::wire::{ROOT, Reply};

/// What a question leads to.
pub(super) enum Done {
    /// An HTTP answer.
    Reply(Reply),
    /// An authorization code, if the store took it.
    Code(Option<String>),
    /// Whether an operator's act was confirmed.
    Acted(bool),
}

/// What it was about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// The question of this number.
    Question(usize),
    /// A login of this session.
    Login(usize),
    /// This session's grant is to end.
    End(usize),
    /// The keys are looked after.
    Tend,
    /// The events are verified.
    Verify,
}

pub(super) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

pub(super) struct Flight {
    pub(super) what: What,
    /// The step at which it began.
    pub(super) began: u64,
    /// The store's newest time then, in milliseconds: no decision goes by an earlier one.
    pub(super) at: i64,
    work: Work,
}

pub(super) struct Up {
    pub(super) app: Arc<App>,
    router: Router,
    pub(super) writer: Writer,
    flights: Vec<Flight>,
}

pub(super) struct Node {
    pub(super) up: Option<Up>,
    pub(super) clock: Clock,
    pub(super) is_cut_off: bool,
}

impl Node {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { up: None, clock, is_cut_off: false }
    }

    pub(super) fn start(&mut self, config: &Config, disk: &Disk) {
        disk.plan(None, None);
        self.start_on(config, disk.open());
    }

    pub(super) fn start_on(&mut self, config: &Config, store: Box<dyn Store>) {
        let opened = App::open_stepped(config.clone(), store, RootKey::new(ROOT), self.clock.clone());
        let (app, writer) = opened.unwrap_or_else(|refused| panic!("a node does not start: {refused}"));
        let router = regrant_server::router(Arc::clone(&app));
        self.up = Some(Up { app, router, writer: Arc::new(Mutex::new(Some(writer))), flights: Vec::new() });
    }

    /// Ends it, and whatever it was doing.
    pub(super) fn stop(&mut self) {
        if let Some(up) = self.up.take() {
            up.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// The time by which it decides, in milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.up.as_ref().map_or(i64::MIN, |up| up.app.engine.now().millis())
    }

    pub(super) fn is_failed(&self) -> bool {
        self.up.as_ref().is_some_and(|up| up.app.engine.failure().is_some())
    }
}

impl Up {
    pub(super) fn send(&self, request: Request<Body>) -> Work {
        let router = self.router.clone();
        Box::pin(async move {
            let Ok(response) = router.oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
            Done::Reply(Reply { status: parts.status, headers: parts.headers, body })
        })
    }

    pub(super) fn begin(&mut self, what: What, began: u64, at: i64, work: Work) {
        self.flights.push(Flight { what, began, at, work });
    }

    /// What is not answered yet.
    pub(super) fn questions(&self) -> Vec<usize> {
        let asked = |flight: &Flight| match flight.what {
            What::Question(number) => Some(number),
            _ => None,
        };
        self.flights.iter().filter_map(asked).collect()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// One batch of at most so many; whether there was any.
    pub(super) fn step(&self, most: usize) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_mut().is_some_and(|writer| writer.step(most))
    }

    /// Everything that is done by now.
    pub(super) fn poll(&mut self) -> Vec<(What, u64, i64, Done)> {
        let mut context = Context::from_waker(Waker::noop());
        let mut done = Vec::new();
        let mut at = 0;
        while let Some(flight) = self.flights.get_mut(at) {
            match flight.work.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => {
                    let flight = self.flights.remove(at);
                    done.push((flight.what, flight.began, flight.at, outcome));
                }
                Poll::Pending => at += 1,
            }
        }
        done
    }
}
