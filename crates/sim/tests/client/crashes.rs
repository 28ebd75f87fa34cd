//! SIGKILL before and after each thing that a refresh does: the next start finishes it, or repeats the same.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use regrant_client::store::{Lock, Pending, Replaced};
use regrant_client::{
    Answered, Call, Clock, FileStore, Http, Profile, Record, Sealing, Session, Settings, Store, Transport,
};
use sim::process::Scratch;
use sim::wire::World;

use super::support::{PATIENCE, REPEAT_AFTER, again, pass, profile, ran, session_in, settings, told};

const LATER: Duration = Duration::from_secs(7200);

/// Kills this process before its step of that number.
#[derive(Debug)]
struct Steps(AtomicU32);

impl Steps {
    fn next(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("a signal");
        }
    }
}

/// The real store and the real network, with an end before and after each use.
#[derive(Debug)]
struct Mortal<T>(T, Arc<Steps>);

impl Store for Mortal<FileStore> {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        self.1.next();
        self.0.load(name)
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        Box::pin(async move {
            self.1.next();
            let replaced = self.0.replace(name, expected, record).await;
            self.1.next();
            replaced
        })
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        Box::pin(async move {
            self.1.next();
            let lock = self.0.lock(name, patience).await;
            self.1.next();
            lock
        })
    }
}

impl Transport for Mortal<Http> {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            self.1.next();
            let answer = self.0.send(call).await;
            self.1.next();
            answer
        })
    }
}

fn open(directory: &Path) -> FileStore {
    FileStore::open(directory.join("sessions"), &Sealing::KeyFile(directory.join("key"))).expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_loses_no_session() {
    let world = World::new().await;
    let mut killed = 0;
    for step in 1.. {
        let scratch = Scratch::new("kill-client");
        let clock = Clock::manual();
        session_in(&world, Arc::new(open(scratch.path())), &clock).await;
        pass(&world, &clock, LATER);
        let environment = [
            ("MORTAL_STORE", scratch.path().display().to_string()),
            ("MORTAL_ISSUER", world.app.issuer().to_owned()),
            ("MORTAL_STEP", step.to_string()),
        ];
        let child = ran(again("client::crashes::a_mortal", &environment)).await;
        // The next start: it has the session, and the server takes what it has.
        let session =
            Session::open_with(Arc::new(open(scratch.path())), profile(&world, "s", "phone"), settings(&clock)).await;
        let session = session.unwrap_or_else(|error| panic!("killed at step {step}: {error}"));
        let token = session.token().await.unwrap_or_else(|error| panic!("killed at step {step}: {error}"));
        assert_eq!(world.introspect(token.expose()).await["active"], true, "killed at step {step}");
        pass(&world, &clock, LATER);
        session.token().await.unwrap_or_else(|error| panic!("killed at step {step}, then refreshed: {error}"));
        if child.status.success() {
            break;
        }
        assert_eq!(child.status.signal(), Some(9), "{}", String::from_utf8_lossy(&child.stdout));
        killed += 1;
    }
    println!("killed at {killed} steps");
    assert!(killed >= 10, "only {killed} steps");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above"]
async fn a_mortal() {
    let steps = Arc::new(Steps(AtomicU32::new(told("MORTAL_STEP").parse().expect("a number"))));
    let store = Mortal(open(told("MORTAL_STORE").as_ref()), steps.clone());
    let transport = Mortal(Http::new().expect("certificates"), steps);
    let clock = Clock::manual();
    clock.advance(LATER);
    let settings = Settings { transport: Arc::new(transport), clock, patience: PATIENCE, repeat_after: REPEAT_AFTER };
    let profile = Profile::new("s", told("MORTAL_ISSUER"), "phone");
    let session = Session::open_with(Arc::new(store), profile, settings).await.expect("a session");
    session.token().await.expect("a token");
}
