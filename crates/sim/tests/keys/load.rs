//! Rotation under load: nobody who refreshes notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use regrant_server::admin::KeyTurn::{Announced, AtOnce};
use sim::wire::World;

use super::support::{is_active, keys, secs, statuses, sweep, tend, tokens, world};

/// One of each class, with JWTs and opaque access tokens.
const CLIENTS: [&str; 4] = ["web", "web-single", "opaque", "phone"];

struct Load {
    stop: Arc<AtomicBool>,
    refreshed: Arc<AtomicU64>,
    workers: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    /// Two sessions of each class refresh without a pause. Whatever is not a 200 with a token that is vouched for is a panic.
    async fn begin(world: &Arc<World>) -> Self {
        let (stop, refreshed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut workers = Vec::new();
        for client in CLIENTS.into_iter().chain(CLIENTS) {
            let mut token = world.first(client).await;
            let (world, stop, refreshed) = (Arc::clone(world), Arc::clone(&stop), Arc::clone(&refreshed));
            workers.push(tokio::spawn(async move {
                let mut done = 0;
                while !stop.load(Ordering::SeqCst) {
                    let began = world.clock.now();
                    let (access, refresh) = tokens(world.refresh(client, &token).await);
                    token = refresh;
                    done += 1;
                    refreshed.fetch_add(1, Ordering::SeqCst);
                    if done % 8 == 0 {
                        // Where no day went by meanwhile, with which it would have ended.
                        let vouched = is_active(&world, &access).await;
                        assert!(
                            vouched || world.clock.now() > began,
                            "{client}: a fresh access token is not vouched for"
                        );
                    }
                }
                done
            }));
        }
        Self { stop, refreshed, workers }
    }

    /// Until so many more refreshes were answered.
    async fn goes_on(&self, more: u64) {
        let until = self.refreshed.load(Ordering::SeqCst) + more;
        while self.refreshed.load(Ordering::SeqCst) < until {
            assert!(self.workers.iter().all(|worker| !worker.is_finished()), "a session was lost");
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = 0;
        for worker in self.workers {
            all += worker.await.expect("no refresh failed");
        }
        all
    }
}

/// Check K2: every kind of key is rotated six times while sessions of every class refresh: 0 failed refreshes, and each access token is
/// vouched for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_of_every_kind_under_load_fails_no_refresh() {
    let world = Arc::new(world().await);
    let load = Load::begin(&world).await;
    for round in 0..6 {
        for kind in ["tag", "seed", "sealing", "signing"] {
            let turn = if round % 2 == 0 { AtOnce } else { Announced };
            let _ = world.app.admin().rotate_key(kind, None, turn).await.expect("rotated");
            load.goes_on(12).await;
        }
        let _ = world.app.admin().rotate_key("signing", Some("EdDSA"), AtOnce).await.expect("rotated");
        // What was announced takes over, the old ones end.
        world.advance(secs(86_400));
        let _ = tend(&world).await;
        let _ = sweep(&world).await;
        load.goes_on(24).await;
    }
    let refreshed = load.end().await;
    assert!(refreshed >= 6 * (4 * 12 + 24), "{refreshed} refreshes is no load");
    assert_eq!(statuses(&world, "tag").await.len(), 7);
    for kind in ["tag", "seed", "sealing"] {
        let all = keys(&world, kind).await;
        assert!(all.len() >= 7 && all.iter().filter(|key| key.status == "current").count() == 1, "{kind}: {all:?}");
    }
    assert!(statuses(&world, "sealing").await.iter().any(|status| status == "gone"));
    assert!(statuses(&world, "seed").await.iter().any(|status| status == "gone"));
}

/// Check K3, under load: each kind is found to be compromised while sessions refresh: nobody is logged out. (A seed key's pending retries
/// are another matter, and these clients lose no answer.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_under_load_logs_nobody_out() {
    let world = Arc::new(world().await);
    let (stop, mut workers) = (Arc::new(AtomicBool::new(false)), Vec::new());
    for client in CLIENTS {
        let mut token = world.first(client).await;
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        workers.push(tokio::spawn(async move {
            let mut done = 0;
            while !stop.load(Ordering::SeqCst) || done < 20 {
                token = tokens(world.refresh(client, &token).await).1;
                done += 1;
            }
        }));
    }
    for _ in 0..3 {
        for kind in ["tag", "seed", "sealing", "signing"] {
            let current = keys(&world, kind).await.into_iter().find(|key| key.status == "current").expect("one");
            let _ = world.app.admin().compromise_key(kind, &current.id.to_string()).await.expect("compromised");
        }
    }
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.expect("no refresh failed");
    }
    for kind in ["tag", "seed", "sealing", "signing"] {
        assert_eq!(statuses(&world, kind).await, ["compromised", "compromised", "compromised", "current"], "{kind}");
    }
}

/// An RSA key takes its time; the one thread that answers requests answers them meanwhile.
#[tokio::test]
async fn making_an_rsa_key_holds_up_no_request() {
    let world = Arc::new(world().await);
    let mut token = world.first("phone").await;
    let making = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for _ in 0..3 {
                let _ = world.app.admin().rotate_key("signing", Some("RS256"), AtOnce).await.expect("rotated");
            }
        })
    };
    let mut answered = 0;
    while !making.is_finished() {
        token = tokens(world.refresh("phone", &token).await).1;
        answered += 1;
    }
    making.await.expect("keys were made");
    assert!(answered >= 3, "{answered} answers while three RSA keys were made");
}
