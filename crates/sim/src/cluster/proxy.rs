//! What stands between a node and the database: a wire that is cut, goes silent, or loses the answer to a COMMIT; and that leads to
//! whichever server is the primary now.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// What it should.
    Sound = 0,
    /// Nobody gets through, and whoever was is cut off.
    Cut = 1,
    /// Everything seems to be open, and nothing moves.
    Silent = 2,
    /// The next COMMIT arrives, and its answer does not.
    LosesAnswer = 3,
    /// A COMMIT goes no further for now, and what comes behind it; the rest moves.
    HoldsCommit = 4,
    /// The server warns in German.
    SpeaksGerman = 5,
}

/// The word that a server with `lc_messages = 'de_DE'` has for it, as long as the English one. The other word of a message stays.
const WARNING: &[u8] = b"SWARNING\0";
const WARNUNG: &[u8] = b"SWARNUNG\0";

/// What nodes say at the beginning of each transaction, and what a planted fault makes of it: as long, and something else.
const SAID: &[u8] = b"synchronous_commit = on";
const PLANTED: &[u8] = b"synchronous_commit =off";

/// A wire.
#[derive(Debug)]
pub struct Proxy {
    /// Where it begins, on 127.0.0.1.
    pub port: u16,
    state: Arc<State>,
    cut: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    wire: AtomicU8,
    /// Whether a COMMIT is held.
    held: watch::Sender<bool>,
}

impl State {
    fn is(&self, wire: Wire) -> bool {
        self.wire.load(Ordering::SeqCst) == wire as u8
    }
}

impl Proxy {
    /// Leads to `target`, whatever that is at the time. Planted, it turns `synchronous_commit` off.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(target: Arc<AtomicU16>, is_planted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (wire, (cut, cuts)) = (AtomicU8::new(Wire::Sound as u8), watch::channel(0));
        let shared = Arc::new(State { wire, held: watch::Sender::new(false) });
        let state = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                if state.is(Wire::Cut) {
                    continue;
                }
                let server = SocketAddr::from(([127, 0, 0, 1], target.load(Ordering::SeqCst)));
                let (state, cuts) = (Arc::clone(&state), cuts.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        carry(node, server, &state, cuts, is_planted).await;
                    }
                });
            }
        });
        Self { port, state: shared, cut }
    }

    /// From now on it does this.
    pub fn set(&self, wire: Wire) {
        self.state.wire.store(wire as u8, Ordering::SeqCst);
        if wire == Wire::Cut {
            self.hang_up();
        }
    }

    /// Waits until it holds a COMMIT.
    pub async fn held(&self) {
        let _ = self.state.held.subscribe().wait_for(|is_held| *is_held).await;
    }

    /// Ends what goes through it now.
    pub fn hang_up(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    mut node: TcpStream,
    mut server: TcpStream,
    state: &State,
    mut cuts: watch::Receiver<u64>,
    is_planted: bool,
) {
    cuts.mark_unchanged();
    let (mut asked, mut told) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let (from_node, length) = tokio::select! {
            read = node.read(&mut asked) => (true, read.unwrap_or(0)),
            read = server.read(&mut told) => (false, read.unwrap_or(0)),
            _ = cuts.changed() => return,
        };
        if length == 0 {
            return;
        }
        while state.is(Wire::Silent) {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
                _ = cuts.changed() => return,
            }
        }
        if !from_node {
            if state.is(Wire::SpeaksGerman) {
                replace(&mut told[..length], WARNING, WARNUNG);
            }
            if node.write_all(&told[..length]).await.is_err() {
                return;
            }
            continue;
        }
        if is_planted {
            replace(&mut asked[..length], SAID, PLANTED);
        }
        let commits = asked[..length].windows(6).any(|bytes| bytes == b"COMMIT");
        while commits && state.is(Wire::HoldsCommit) {
            state.held.send_replace(true);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
                _ = cuts.changed() => return,
            }
        }
        if server.write_all(&asked[..length]).await.is_err() {
            return;
        }
        let loses = (Wire::LosesAnswer as u8, Wire::Sound as u8);
        if commits && state.wire.compare_exchange(loses.0, loses.1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // It has arrived when it is answered; the answer goes no further.
            let _ = tokio::time::timeout(Duration::from_secs(2), server.read(&mut told)).await;
            return;
        }
    }
}

/// Puts something that is as long in its place.
fn replace(bytes: &mut [u8], said: &[u8], instead: &[u8]) {
    let found = bytes.windows(said.len()).enumerate().filter(|(_, found)| *found == said);
    let places: Vec<usize> = found.map(|(place, _)| place).collect();
    for place in places {
        bytes[place..place + said.len()].copy_from_slice(instead);
    }
}
