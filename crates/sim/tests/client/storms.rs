//! Many who need a token at once: one asks.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::{Clock, FileStore, Http, MemoryStore, Profile, Sealing, Session, Settings};
use sim::process::{Scratch, pause};
use sim::wire::Http as Plain;

use super::support::{PATIENCE, REPEAT_AFTER, Strict, again, ran, told};

/// How long the storm goes on, in seconds: REGRANT_STORM_SECONDS says otherwise.
const SHORT: u64 = 7;

/// What most clients do: each of four workers finds the token over, and refreshes it with what it has read.
#[tokio::test(flavor = "multi_thread")]
async fn a_naive_client_is_logged_out_by_its_own_workers() {
    let server = Strict::start(60).await;
    let token = server.first().refresh_token.expect("a refresh token");
    let mut workers = Vec::new();
    for _ in 0..4 {
        let (http, token) = (Plain::new(&server.base), token.expose().to_owned());
        workers.push(tokio::spawn(async move {
            http.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &token)], &[]).await.status
        }));
    }
    for worker in workers {
        worker.await.expect("an answer");
    }
    assert_eq!(server.refused(), 3);
    assert!(!server.all_live(), "three replays, and the family lives");
}

/// Sixteen processes with sixteen tasks each, on one sealed file, at a server that forgives nothing: each token is renewed once.
#[tokio::test(flavor = "multi_thread")]
async fn processes_and_tasks_ask_once_for_every_expiry() {
    let seconds = std::env::var("REGRANT_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SHORT);
    let scratch = Scratch::new("storm");
    let server = Strict::start(2).await;
    server.session(Arc::new(open(scratch.path())), &Clock::default()).await;
    let environment = [
        ("STORM_STORE", scratch.path().display().to_string()),
        ("STORM_SERVER", server.base.clone()),
        ("STORM_SECONDS", seconds.to_string()),
    ];
    let start = || ran(again("client::storms::one_of_the_processes", &environment));
    let children: Vec<_> = (0..16).map(|_| tokio::spawn(start())).collect();
    for child in children {
        let output = child.await.expect("it is waited for");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let asked_at = server.asked_at();
    println!("{} refreshes in {seconds} s, {} refused", asked_at.len(), server.refused());
    assert!(server.all_live() && server.refused() == 0, "a token was presented twice");
    // A token of 2 s is renewed within its last fifth: what comes sooner is a second question for one expiry.
    let soonest = asked_at.windows(2).map(|pair| pair[1] - pair[0]).min().expect("some refreshes");
    assert!(soonest >= 1500, "{soonest} ms after another: {asked_at:?}");
    assert!(asked_at.len() as u64 >= seconds / 2 - 1, "{asked_at:?}");
}

fn open(directory: &std::path::Path) -> FileStore {
    FileStore::open(directory.join("sessions"), &Sealing::KeyFile(directory.join("key"))).expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above"]
async fn one_of_the_processes() {
    let store = open(told("STORM_STORE").as_ref());
    let base = told("STORM_SERVER");
    let seconds: i64 = told("STORM_SECONDS").parse().expect("a number");
    let profile = Profile::new("s", &base, "app").with_token_endpoint(format!("{base}/token"));
    let clock = Clock::default();
    let settings = Settings {
        transport: Arc::new(Http::new().expect("certificates")),
        clock: clock.clone(),
        patience: PATIENCE,
        repeat_after: REPEAT_AFTER,
    };
    let session = Session::open_with(Arc::new(store), profile, settings).await.expect("a session");
    let until = clock.ran() + seconds * 1000;
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (session, clock) = (session.clone(), clock.clone());
        tasks.push(tokio::spawn(async move {
            while clock.ran() < until {
                session.token().await.expect("a token");
                pause(Duration::from_millis(5)).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("it has a token at any time");
    }
}

/// An hour of tokens of a minute, in which 256 tasks ask every five seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_256_tasks_costs_one_request_for_every_expiry() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let session = server.session(Arc::new(MemoryStore::new()), &clock).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..720 {
        let tasks: Vec<_> = (0..256)
            .map(|_| {
                let session = session.clone();
                tokio::spawn(async move { session.token().await })
            })
            .collect();
        for task in tasks {
            seen.insert(task.await.expect("it ends").expect("a token").expose().to_owned());
        }
        clock.advance(Duration::from_secs(5));
    }
    let asked = server.asked();
    assert_eq!(server.refused(), 0);
    // The first is not asked for, and the last may be on its way.
    assert!(seen.len() - 1 <= asked && asked <= seen.len(), "{asked} requests for {} tokens", seen.len());
    assert!((60..=75).contains(&asked), "{asked} requests in 60 lifetimes");
}
