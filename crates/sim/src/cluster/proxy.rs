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
pub(super) enum Wire {
    /// What it should.
    Sound = 0,
    /// Nobody gets through, and whoever was is cut off.
    Cut = 1,
    /// Everything seems to be open, and nothing moves.
    Silent = 2,
    /// The next COMMIT arrives, and its answer does not.
    LosesAnswer = 3,
}

/// What nodes say at the beginning of each transaction, and what a planted fault makes of it: as long, and something else.
const SAID: &[u8] = b"synchronous_commit = on";
const PLANTED: &[u8] = b"synchronous_commit =off";

/// A wire.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) port: u16,
    wire: Arc<AtomicU8>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Leads to `target`, whatever that is at the time.
    pub(super) async fn start(target: Arc<AtomicU16>, is_planted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (wire, (cut, cuts)) = (Arc::new(AtomicU8::new(Wire::Sound as u8)), watch::channel(0));
        let state = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                if state.load(Ordering::SeqCst) == Wire::Cut as u8 {
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
        Self { port, wire, cut }
    }

    pub(super) fn set(&self, wire: Wire) {
        self.wire.store(wire as u8, Ordering::SeqCst);
        if wire == Wire::Cut {
            self.hang_up();
        }
    }

    /// Ends what goes through it now.
    pub(super) fn hang_up(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    mut node: TcpStream,
    mut server: TcpStream,
    wire: &AtomicU8,
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
        while wire.load(Ordering::SeqCst) == Wire::Silent as u8 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
                _ = cuts.changed() => return,
            }
        }
        if !from_node {
            if node.write_all(&told[..length]).await.is_err() {
                return;
            }
            continue;
        }
        if is_planted {
            plant(&mut asked[..length]);
        }
        let commits = asked[..length].windows(6).any(|bytes| bytes == b"COMMIT");
        if server.write_all(&asked[..length]).await.is_err() {
            return;
        }
        let loses = (Wire::LosesAnswer as u8, Wire::Sound as u8);
        if commits && wire.compare_exchange(loses.0, loses.1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // It has arrived when it is answered; the answer goes no further.
            let _ = tokio::time::timeout(Duration::from_secs(2), server.read(&mut told)).await;
            return;
        }
    }
}

fn plant(bytes: &mut [u8]) {
    let places: Vec<usize> =
        bytes.windows(SAID.len()).enumerate().filter(|(_, found)| *found == SAID).map(|(place, _)| place).collect();
    for place in places {
        bytes[place..place + SAID.len()].copy_from_slice(PLANTED);
    }
}
