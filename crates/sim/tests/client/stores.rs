//! The contract of stores: held by those of the library, and by one over a database's pool, as a web back end has it
//! (`examples/token_store.rs`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regrant_client::store::contract;
use regrant_client::{Clock, FileStore, MemoryStore, Sealing, Secret, Session, Settings, Store as _};
use sim::process::Scratch;
use tokio::task::JoinSet;

use super::support::{PATIENCE, REPEAT_AFTER, Strict, settings};
use example::Database;

#[expect(dead_code, reason = "the example is a program, and this is its store")]
#[path = "../../../../examples/token_store.rs"]
mod example;

/// Users of the web back end.
const USERS: usize = 1_000;
/// Requests that a node serves at the same time.
const AT_ONCE: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn every_store_keeps_its_contract() {
    let scratch = Scratch::new("contract");
    contract::holds(&MemoryStore::new()).await;
    let key = Sealing::KeyFile(scratch.path().join("key"));
    contract::holds(&FileStore::open(scratch.path().join("a"), &key).expect("a store")).await;
    let passphrase = Sealing::Passphrase(Secret::new("correct horse"));
    contract::holds(&FileStore::open(scratch.path().join("b"), &passphrase).expect("a store")).await;
    contract::holds(&Database::open(scratch.path().join("sessions.db")).expect("a store")).await;
}

/// A sealed file holds no token in clear, opens with its own key alone, and not if others may read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_is_sealed() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("sealed");
    let (directory, key) = (scratch.path().join("sessions"), scratch.path().join("key"));
    let server = Strict::start(60).await;
    let open = |key: &str| FileStore::open(&directory, &Sealing::KeyFile(scratch.path().join(key))).expect("a store");
    server.session(Arc::new(open("key")), &Clock::manual()).await;
    let files: Vec<PathBuf> =
        std::fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    let session = files.iter().find(|path| path.extension().is_some_and(|end| end == "session")).expect("a session");
    let bytes = std::fs::read(session).expect("a file");
    assert!(!bytes.windows(7).any(|part| part == b"refresh"), "it is not sealed");
    for path in files.iter().chain([&key]) {
        let mode = std::fs::metadata(path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    // No key is made over what it would not open; and one that is there and is another opens nothing.
    let other = scratch.path().join("other-key");
    let sealing = Sealing::KeyFile(other.clone());
    let lost = FileStore::open(&directory, &sealing).expect_err("a second key for what is there");
    assert!(lost.0.contains("log in again") && !other.exists(), "{lost}");
    FileStore::open(scratch.path().join("elsewhere"), &sealing).expect("a store with another key");
    assert!(open("other-key").load("s").await.is_err(), "another key opens it");
    // A session of another name is another session: the name is sealed in.
    let stolen = session.with_file_name(session.file_name().expect("a name").to_string_lossy().replace("s-", "t-"));
    std::fs::copy(session, stolen).expect("a copy");
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(session, loose).expect("a mode");
    let refused = open("key").load("s").await.expect_err("others may read it");
    assert!(refused.0.contains("chmod 600"), "{refused}");
}

/// A thousand users' sessions in one table, and each of them is refreshed once, though two nodes want to.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_over_one_database_refresh_each_session_once() {
    let scratch = Scratch::new("pool");
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let node = || Arc::new(Database::open(scratch.path().join("sessions.db")).expect("a store"));
    let (first, second) = (node(), node());
    let (mut sessions, mut opening) = (Vec::new(), JoinSet::new());
    // One pool of connections to the server, as a program has it.
    let Settings { transport, .. } = settings(&clock);
    let settings = {
        let clock = clock.clone();
        move || Settings {
            transport: transport.clone(),
            clock: clock.clone(),
            patience: PATIENCE,
            repeat_after: REPEAT_AFTER,
        }
    };
    for user in 0..USERS {
        let (server, settings, nodes) = (server.clone(), settings.clone(), [first.clone(), second.clone()]);
        opening.spawn(async move {
            let profile = server.profile(&format!("user-{user}"));
            let [first, second] = nodes;
            let here = Session::adopt(first, profile.clone(), server.first(), settings()).await;
            let there = Session::open_with(second, profile, settings()).await;
            [here.expect("a session"), there.expect("a session")]
        });
        if opening.len() >= AT_ONCE {
            sessions.extend(opening.join_next().await.expect("one").expect("it ends"));
        }
    }
    sessions.extend(opening.join_all().await.into_iter().flatten());
    clock.advance(Duration::from_secs(3600));
    let mut asking = JoinSet::new();
    for session in sessions {
        asking.spawn(async move { session.token().await });
        if asking.len() >= 2 * AT_ONCE {
            asking.join_next().await.expect("one").expect("it ends").expect("a token");
        }
    }
    for token in asking.join_all().await {
        token.expect("a token");
    }
    assert_eq!((server.asked(), server.refused()), (USERS, 0));
}
