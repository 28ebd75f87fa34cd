//! A store that takes no writes: nothing is sent before it takes one, and what was answered is not forgotten.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use regrant_client::store::{Lock, Pending, Replaced};
use regrant_client::{
    Answered, Call, Clock, Error, Event, FileStore, MemoryStore, Record, Sealing, Session, Settings, Store, StoreError,
    Transport,
};
use sim::process::{Scratch, skip};

use super::support::{Strict, settings};

const HOUR: Duration = Duration::from_secs(3600);

/// A store whose writes fail, from the one of that number on, until it is mended.
#[derive(Clone, Debug, Default)]
struct Full {
    store: MemoryStore,
    left: Arc<AtomicU32>,
}

impl Store for Full {
    fn load<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Record>> {
        self.store.load(name)
    }

    fn replace<'a>(&'a self, name: &'a str, expected: u64, record: &'a Record) -> Pending<'a, Replaced> {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Box::pin(std::future::ready(Err(StoreError("no space left on device".to_owned()))));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        self.store.replace(name, expected, record)
    }

    fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Pending<'a, Lock> {
        self.store.lock(name, patience)
    }
}

/// A network during whose answers the disk fills.
#[derive(Debug)]
struct Filling {
    inner: Arc<dyn Transport>,
    filler: PathBuf,
    is_on: AtomicBool,
}

impl Transport for Filling {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            let answer = self.inner.send(call).await;
            if self.is_on.load(Ordering::SeqCst) {
                let _ = std::fs::write(&self.filler, vec![1; 1 << 20]);
            }
            answer
        })
    }
}

/// The intent cannot be kept: so nothing is sent, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_the_store_takes_a_write() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let store = Full::default();
    store.left.store(1, Ordering::SeqCst);
    let session = server.session(Arc::new(store.clone()), &clock).await;
    clock.advance(HOUR);
    assert!(matches!(session.token().await, Err(Error::Store(_))));
    assert_eq!(server.asked(), 0);
    store.left.store(9, Ordering::SeqCst);
    clock.advance(HOUR);
    assert!(session.token().await.is_ok());
    assert_eq!((server.asked(), server.refused()), (1, 0));
}

/// The intent is kept and the answer is not: it is held in memory, and kept before the next one is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_kept_is_kept_when_it_can() {
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let store = Full::default();
    store.left.store(2, Ordering::SeqCst);
    let session = server.session(Arc::new(store.clone()), &clock).await;
    let mut events = session.events();
    clock.advance(HOUR);
    session.token().await.expect("a token, in memory");
    assert!(matches!([events.try_recv(), events.try_recv()], [Ok(Event::Renewing), Ok(Event::NotKept(_))]));
    store.left.store(9, Ordering::SeqCst);
    clock.advance(HOUR);
    session.token().await.expect("a token");
    assert_eq!((server.asked(), server.refused()), (2, 0));
    let reopened = Session::open_with(Arc::new(store), server.profile("s"), settings(&clock)).await.expect("a session");
    clock.advance(HOUR);
    reopened.token().await.expect("a token");
    assert!(server.all_live());
}

/// The same with a real disk that is really full, before a refresh and in the middle of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_no_session() {
    let scratch = Scratch::new("full-client");
    let disk = scratch.path().join("disk");
    std::fs::create_dir_all(&disk).expect("a directory");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"]).arg(&disk).output();
    if !mounted.as_ref().is_ok_and(|mounted| mounted.status.success()) {
        skip("a full disk", &format!("{mounted:?}"));
        return;
    }
    let (server, clock) = (Strict::start(60).await, Clock::manual());
    let open =
        || FileStore::open(disk.join("sessions"), &Sealing::KeyFile(scratch.path().join("key"))).expect("a store");
    let filler = disk.join("filler");
    let filling = Filling { inner: settings(&clock).transport, filler: filler.clone(), is_on: AtomicBool::new(false) };
    let filling = Arc::new(filling);
    let settings = Settings { transport: filling.clone(), ..settings(&clock) };
    let first = server.first();
    let session = Session::adopt(Arc::new(open()), server.profile("s"), first, settings).await.expect("a session");
    let mut events = session.events();
    for _ in 0..3 {
        clock.advance(HOUR);
        let _ = std::fs::write(&filler, vec![1; 1 << 20]);
        let asked = server.asked();
        let full = session.token().await;
        assert!(matches!(full, Err(Error::Store(_))), "{full:?}");
        assert_eq!(server.asked(), asked, "a refresh was sent that could not be kept");
        std::fs::remove_file(&filler).expect("the filler goes");
        clock.advance(HOUR);
        session.token().await.expect("a token");
        // It is full when the answer comes: the tokens are in memory, and kept before anything else is asked.
        clock.advance(HOUR);
        filling.is_on.store(true, Ordering::SeqCst);
        let asked = server.asked();
        session.token().await.expect("a token, in memory");
        assert_eq!(server.asked(), asked + 1);
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        assert!(told.iter().any(|event| matches!(event, Event::NotKept(_))), "{told:?}");
        filling.is_on.store(false, Ordering::SeqCst);
        std::fs::remove_file(&filler).expect("the filler goes");
        clock.advance(HOUR);
        session.token().await.expect("a token");
    }
    let reopened = Session::open_with(Arc::new(open()), server.profile("s"), super::support::settings(&clock))
        .await
        .expect("a session");
    assert_eq!(reopened.token().await, session.token().await);
    assert!(server.all_live());
    let _ = Command::new("umount").arg("--lazy").arg(&disk).status();
}
