//! What a request costs that has a fresh token: nearly nothing, or programs would keep copies of their own.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::http::HeaderMap;
use regrant_client::{Clock, MemoryStore};

use super::support::Strict;

const CALLS: u32 = 100_000;
/// The machine may do something else in some of them.
const ROUNDS: usize = 20;
/// Nanoseconds; a build without optimisation takes longer.
const MOST: u128 = if cfg!(debug_assertions) { 20_000 } else { 1_000 };

/// While the token is fresh, a request asks nobody, waits for nobody, and loses less than a microsecond.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_token_costs_less_than_a_microsecond() {
    let (server, clock) = (Strict::start(3600).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    let machine = Clock::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut best = i64::MAX;
    for _ in 0..ROUNDS {
        let began = machine.ran();
        for _ in 0..CALLS {
            // All that `Session::client` does to a request beside sending it.
            let Poll::Ready(token) = pin!(session.token()).poll(&mut context) else { panic!("it waits") };
            let (token, mut headers) = (token.expect("a token"), HeaderMap::new());
            session.present(&token, "GET", "https://api.example/thing", &mut headers).expect("a header");
            let _ = black_box(headers);
        }
        best = best.min(machine.ran() - began);
    }
    let each = u128::try_from(best).expect("time goes on") * 1_000_000 / u128::from(CALLS);
    println!("a fresh token, and its header: {each} ns");
    assert!(each < MOST, "{each} ns");
    assert_eq!(server.asked(), 0);
}
