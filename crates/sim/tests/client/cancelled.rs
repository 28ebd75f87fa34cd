//! Whoever stops waiting for a token stops nothing: the answer is kept all the same.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::{Clock, MemoryStore, Store as _};
use sim::wire::World;

use super::support::{Strict, pass, session_in};

/// Dropped at every point at which it waits, from the first on.
#[tokio::test]
async fn a_request_for_a_token_can_be_dropped_at_any_point() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let store = Arc::new(MemoryStore::new());
    let session = server.session(store.clone(), &clock).await;
    for turns in 0..80 {
        clock.advance(Duration::from_secs(3600));
        let asked = server.asked();
        tokio::select! {
            biased;
            token = session.token() => drop(token.expect("a token")),
            () = after(turns) => {}
        }
        // It was begun, or it was not: now it is finished, once.
        let token = session.token().await.expect("a token");
        let kept = store.load("s").await.expect("the store").expect("a record");
        assert_eq!(kept.tokens.map(|tokens| tokens.access_token), Some(token), "{turns}");
        assert_eq!(server.asked(), asked + 1, "{turns}");
    }
    assert_eq!(server.refused(), 0);
}

/// So many turns of the scheduler.
async fn after(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// The whole runtime goes while a refresh is under way, at each point of it: the next one repeats the same refresh.
#[test]
fn a_runtime_that_ends_in_the_middle_loses_no_session() {
    let outside = tokio::runtime::Runtime::new().expect("a runtime");
    let (world, clock) = (outside.block_on(World::new()), Clock::manual());
    let store = Arc::new(MemoryStore::new());
    outside.block_on(session_in(&world, store.clone(), &clock));
    for turns in 0..60 {
        pass(&world, &clock, Duration::from_secs(7200));
        let inside = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        inside.block_on(async {
            let session = open(&world, &store, &clock).await;
            tokio::select! {
                biased;
                token = session.token() => drop(token.expect("a token")),
                () = after(turns) => {}
            }
        });
        drop(inside);
        let token = outside.block_on(async { open(&world, &store, &clock).await.token().await });
        let token = token.unwrap_or_else(|error| panic!("after {turns} turns: {error}"));
        assert_eq!(outside.block_on(world.introspect(token.expose()))["active"], true, "{turns}");
    }
}

async fn open(world: &World, store: &Arc<MemoryStore>, clock: &Clock) -> regrant_client::Session {
    let profile = super::support::profile(world, "s", "phone");
    regrant_client::Session::open_with(store.clone(), profile, super::support::settings(clock))
        .await
        .expect("a session")
}
