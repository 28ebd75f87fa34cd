//! What connections that do nothing cost those who do something: the time of honest refreshes at the real server, without and
//! with thousands of idle and slow connections beside them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::process::{Home, Server};
use crate::wire::{PASSWORD, USER, text};

/// The clients that refresh, each as fast as it is answered.
const CLIENTS: usize = 8;
/// How often each slow connection sends a byte.
const DRIP: Duration = Duration::from_millis(1000);
/// How many connections come from one address.
const PER_ADDRESS: usize = 100;

/// The times of honest refreshes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Half were faster.
    pub p50: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// How many there were.
    pub count: usize,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Idle and slow connections.
    pub connections: usize,
    /// With nobody else.
    pub alone: Times,
    /// Beside them.
    pub beside: Times,
    /// How many of them were still open in the end.
    pub open: usize,
    /// Resident memory of the server, in KiB, before and beside them.
    pub resident: [u64; 2],
}

impl Report {
    /// Every refresh was answered, and the slowest of a hundred took less than twice as long.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.beside.p99 < self.alone.p99 * 2
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let times = |times: Times| {
            let micros = [times.p50, times.p99].map(|time| time.as_micros() as u64);
            serde_json::json!({"p50_us": micros[0], "p99_us": micros[1], "refreshes": times.count})
        };
        serde_json::json!({"connections": self.connections, "open": self.open, "alone": times(self.alone),
            "beside": times(self.beside), "resident_kib": self.resident, "holds": self.holds()})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, alone, beside, open, resident } = self;
        writeln!(f, "{connections} connections, half of them idle and half dripping; {open} open in the end")?;
        for (name, times) in [("alone", alone), ("beside them", beside)] {
            let Times { p50, p99, count } = times;
            writeln!(f, "{name:12} {count:6} refreshes, p50 {p50:?}, p99 {p99:?}")?;
        }
        writeln!(f, "resident     {} KiB alone, {} KiB beside them", resident[0], resident[1])
    }
}

/// Opens `count` connections to a server of its own in `home`, and measures `rounds` refreshes of each client without and with them.
///
/// # Panics
/// If an honest request fails, or the system does not allow so many connections.
pub async fn run(home: &Home, count: usize, rounds: usize) -> Report {
    let needed = count + 200;
    assert!(regrant_server::serve::allow_open_files() > needed, "ulimit -n allows fewer than {needed} files");
    home.add_user();
    let server = Server::start(home);
    let tokens = log_in(&server).await;
    // Once for nobody: caches, pages, the allocator.
    let (_, tokens) = measure(&server, tokens, rounds / 4 + 1).await;
    let (alone, tokens) = measure(&server, tokens, rounds).await;
    let before = resident(server.pid());
    let mut slow = JoinSet::new();
    for number in 0..count {
        slow.spawn(hold(server.base().to_owned(), number));
        // The backlog of a listener is short.
        if number % 200 == 199 {
            let _ = server.http().get("/healthz", &[]).await.expect_status(200);
        }
    }
    // Until all of them are there: a queue of the kernel's costs the server nothing.
    for _ in 0..100 {
        if sockets(server.pid()) >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (beside, _) = measure(&server, tokens, rounds).await;
    let report = Report {
        connections: count,
        alone,
        beside,
        open: sockets(server.pid()),
        resident: [before, resident(server.pid())],
    };
    drop(slow);
    server.stop();
    report
}

/// A refresh token for each honest client.
pub(crate) async fn log_in(server: &Server) -> Vec<String> {
    let mut tokens = Vec::new();
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    for _ in 0..CLIENTS {
        let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
        tokens.push(text(&reply.json(), "refresh_token"));
    }
    tokens
}

/// A connection that does nothing, or that sends a byte of a head now and then; opened again when the server has had enough.
async fn hold(base: String, number: usize) {
    loop {
        let Some(mut stream) = connect(&base, number).await else {
            tokio::time::sleep(DRIP).await;
            continue;
        };
        if number.is_multiple_of(2) {
            // Idle, after a request that was in order.
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
            let mut answer = [0; 1000];
            while stream.read(&mut answer).await.is_ok_and(|count| count > 0) {}
            continue;
        }
        let _ = stream.write_all(b"POST /oauth2/token HTTP/1.1\r\nhost: x\r\nx: ").await;
        while stream.write_all(b"y").await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
    }
}

/// From one of many addresses of the loopback network.
async fn connect(base: &str, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    let from = number / PER_ADDRESS;
    let source = [127, 1, (from / 250) as u8, (from % 250) as u8 + 1];
    socket.bind(SocketAddr::from((source, 0))).ok()?;
    socket.connect(base.trim_start_matches("http://").parse().ok()?).await.ok()
}

/// Refreshes each token `rounds` times, all clients at once.
pub(crate) async fn measure(server: &Server, tokens: Vec<String>, rounds: usize) -> (Times, Vec<String>) {
    let mut clients = JoinSet::new();
    for mut token in tokens {
        let http = server.http();
        clients.spawn(async move {
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let asked =
                    [("grant_type", "refresh_token"), ("client_id", "phone"), ("refresh_token", token.as_str())];
                let began = Instant::now();
                let reply = http.post("/oauth2/token", &asked, &[]).await.expect_status(200);
                times.push(began.elapsed());
                token = text(&reply.json(), "refresh_token");
            }
            (times, token)
        });
    }
    let (times, tokens): (Vec<_>, Vec<_>) = clients.join_all().await.into_iter().unzip();
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    (Times { p50: at(50), p99: at(99), count: times.len() }, tokens)
}

/// Resident memory in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// How many sockets a process has open.
fn sockets(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
