//! Starting on a large store: how soon the server is ready, and how much memory it holds while it only sweeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regrant_core::issue::Granted;
use regrant_core::redeem;
use regrant_core::{Resources, Scope};
use tokio::task::JoinSet;

use crate::process::{Home, Inside, Server};
use crate::size;

/// Grants made at the same time: as many as one batch of the writer takes.
const AT_ONCE: u64 = 1024;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Startup {
    /// Grants in the store.
    pub grants: u64,
    /// Bytes of the database file.
    pub bytes: u64,
    /// How many of them are events, of which each new grant has one for a while.
    pub events: u64,
    /// From the start of the process to its first line, which it prints when it listens.
    pub ready: Duration,
    /// Resident memory once it is ready.
    pub rss_ready: u64,
    /// The most resident memory while it was watched, the first pass of the sweep included.
    pub rss_most: u64,
}

/// Makes `grants` grants of a plain public client through the engine and the core.
///
/// # Panics
/// If the server fails.
pub async fn fill(home: &Home, grants: u64, mut progress: impl FnMut(u64)) {
    let inside = home.open_inside();
    inside.add_user().await;
    let subject = |number: u64| format!("usr_{:022}", number % 100_000);
    let mut made = 0;
    make(&inside, "phone", grants, subject, |_| {
        made += 1;
        if made % AT_ONCE == 0 || made == grants {
            progress(made);
        }
    })
    .await;
    inside.close(&home.store()).await;
}

/// Makes `grants` grants of a client, each of the subject that its number gives, as many at a time as a batch takes, and shows each
/// one as it was made.
///
/// # Panics
/// If the server fails.
pub async fn make(
    inside: &Inside,
    client: &str,
    grants: u64,
    subject: impl Fn(u64) -> String,
    mut show: impl FnMut(redeem::Issued),
) {
    let client = inside.app.client(client).expect("the client is declared");
    let granted = Granted { scope: Scope::parse("read").expect("a scope"), resources: Resources::default() };
    let (mut made, mut tasks) = (0, JoinSet::new());
    while made < grants {
        for number in made..grants.min(made + AT_ONCE) {
            let (engine, client) = (inside.app.engine.clone(), Arc::clone(&client));
            let (subject, granted) = (subject(number), granted.clone());
            tasks.spawn(async move {
                let made = engine.create("", move |id, moment| {
                    let consent = redeem::Consent {
                        subject: subject.clone(),
                        granted: granted.clone(),
                        authenticated_at: moment.now,
                        session: None,
                        openid: None,
                        epoch: 0,
                    };
                    redeem::grant_at_once(id, &client, consent, moment.keys, moment.now, &moment.entropy)
                });
                made.await.expect("the store answers").expect("granted")
            });
        }
        while let Some(done) = tasks.join_next().await {
            show(done.expect("made"));
        }
        made = grants.min(made + AT_ONCE);
    }
}

/// Starts the real server on a home, and watches it for a while.
///
/// # Panics
/// If it does not start.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
pub fn watch(home: &Home, grants: u64, watched: Duration) -> Startup {
    let begun = Instant::now();
    let server = Server::start(home);
    let ready = begun.elapsed();
    let rss_ready = resident(server.pid());
    let mut rss_most = rss_ready;
    while begun.elapsed() < ready + watched {
        std::thread::sleep(Duration::from_millis(100));
        rss_most = rss_most.max(resident(server.pid()));
    }
    server.stop();
    let bytes = std::fs::metadata(home.store()).expect("a store").len();
    let (_, events) = size::held(&home.store());
    Startup { grants, bytes, events, ready, rss_ready, rss_most }
}

/// Resident memory of a process, in bytes.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
