//! A flood of forged tokens on a real server, and an honest client beside it at the same address (check X16).
//!
//! The tokens are of the right length and checksum and fail at the tag, which is the most that a stranger can make the server do.
//! One thread of the server owns the store: how often it wakes up is how often the store is asked, and the kernel counts it. The
//! requests are written many at a time, so that the machine's time goes to the server and not to us.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use regrant_core::codec;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::process::{Dice, Home, Server, pause};
use crate::wire::pipeline::Pipeline;
use crate::wire::{CONFIG, Http, PASSWORD, USER, text};

/// How many requests are written at once. The next ones wait for all answers, and the last answer for an acknowledgement: it takes
/// many connections to keep the server busy.
const TOGETHER: usize = 64;
/// How many grants the honest client has: each is refreshed as seldom as the limits want it.
const GRANTS: usize = 16;
/// Between two honest refreshes.
const PACE: Duration = Duration::from_millis(10);

/// How hard.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long, half of it with the honest client.
    pub seconds: u64,
    /// Over how many connections.
    pub connections: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Forged tokens a second, without an honest client.
    pub rate: f64,
    /// The same beside one.
    pub rate_beside: f64,
    /// How the forgeries were answered.
    pub answers: BTreeMap<u16, u64>,
    /// How often the thread that owns the store woke up while there were forgeries only.
    pub store_asked: u64,
    /// Honest refreshes during the flood.
    pub honest: u64,
    /// Those that were not answered with 200.
    pub refused: u64,
    /// The slowest hundredth of the honest refreshes took longer than this, without the flood and beside it.
    pub p99: [Duration; 2],
    /// Lines in the log.
    pub lines: u64,
}

impl Report {
    /// Whether nothing was asked of the store, and nobody honest was refused.
    #[must_use]
    pub fn holds(&self) -> bool {
        let accepted = self.answers.keys().any(|status| *status < 400 || *status >= 500);
        self.store_asked == 0 && self.refused == 0 && self.honest > 0 && !accepted
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let millis = self.p99.map(|p99| p99.as_secs_f64() * 1000.0);
        json!({"rate": self.rate, "rate_beside": self.rate_beside, "answers": self.answers, "store_asked": self.store_asked,
            "honest": self.honest, "refused": self.refused, "p99_ms": millis, "log_lines": self.lines})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "forged tokens a second       {:.0}, and {:.0} beside an honest client",
            self.rate, self.rate_beside
        )?;
        for (status, count) in &self.answers {
            writeln!(f, "  answered {status}               {count}")?;
        }
        writeln!(f, "times the store was asked    {}", self.store_asked)?;
        writeln!(f, "honest refreshes             {} ({} refused)", self.honest, self.refused)?;
        writeln!(f, "their p99                    {:?} without the flood, {:?} beside it", self.p99[0], self.p99[1])?;
        writeln!(f, "lines in the log             {}", self.lines)
    }
}

/// Floods a server in a directory.
///
/// # Panics
/// If the server does not start, or goes away.
pub async fn run(options: Options, directory: &Path) -> Report {
    // With the limits of a server that was told nothing.
    let home = Home::make_with(directory, &format!("{CONFIG}\n[limits]\n"));
    home.add_user();
    let server = Server::start(&home);
    let half = Duration::from_secs(options.seconds.max(2)) / 2;
    let mut honest = Honest::connect(server.http()).await;
    let mut report = Report::default();
    let (quiet, _) = honest.refresh_for(half.min(Duration::from_secs(5))).await;
    // What the server does by itself after a start is done by then.
    settle(&server).await;
    let before = wakes(server.pid());
    let alone = Flood::begin(&server, options.connections);
    pause(half).await;
    let (answers, elapsed) = alone.end().await;
    report.store_asked = wakes(server.pid()) - before;
    report.rate = answers.values().sum::<u64>() as f64 / elapsed.as_secs_f64();
    let beside = Flood::begin(&server, options.connections);
    let (loud, refused) = honest.refresh_for(half).await;
    let (more, elapsed) = beside.end().await;
    report.rate_beside = more.values().sum::<u64>() as f64 / elapsed.as_secs_f64();
    report.answers = answers;
    for (status, count) in more {
        *report.answers.entry(status).or_insert(0) += count;
    }
    (report.honest, report.refused) = (loud.len() as u64, refused);
    report.p99 = [p99(quiet), p99(loud)];
    report.lines = server.stop().lines().count() as u64;
    report
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().unwrap_or_default()
}

/// How often the writer's thread has gone to sleep, and so woken up.
fn wakes(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    let writer = tasks.flatten().map(|task| task.path()).find(|task| read(task, "comm").starts_with("regrant-writer"));
    let status = read(&writer.expect("the writer's thread"), "status");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// Waits until the writer sleeps.
async fn settle(server: &Server) {
    let mut last = wakes(server.pid());
    for _ in 0..50 {
        pause(Duration::from_millis(500)).await;
        let now = wakes(server.pid());
        if now == last {
            return;
        }
        last = now;
    }
}

/// A client that refreshes and measures.
struct Honest {
    http: Http,
    tokens: Vec<String>,
    turn: usize,
}

impl Honest {
    async fn connect(http: Http) -> Self {
        let mut tokens = Vec::new();
        for _ in 0..GRANTS {
            let form = [("grant_type", "password"), ("client_id", "phone"), ("username", USER), ("password", PASSWORD)];
            let reply = http.post("/oauth2/token", &form, &[]).await.expect_status(200);
            tokens.push(text(&reply.json(), "refresh_token"));
        }
        Self { http, tokens, turn: 0 }
    }

    /// How long each refresh took, and how many were refused.
    async fn refresh_for(&mut self, time: Duration) -> (Vec<Duration>, u64) {
        let (mut took, mut refused) = (Vec::new(), 0);
        let began = Instant::now();
        while began.elapsed() < time {
            let turn = self.turn % self.tokens.len();
            self.turn += 1;
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "phone"),
                ("refresh_token", self.tokens[turn].as_str()),
            ];
            let asked = Instant::now();
            let reply = self.http.post("/oauth2/token", &form, &[]).await;
            took.push(asked.elapsed());
            if reply.status == 200 {
                self.tokens[turn] = text(&reply.json(), "refresh_token");
            } else {
                refused += 1;
            }
            pause(PACE).await;
        }
        (took, refused)
    }
}

/// Forgers at work.
struct Flood {
    tasks: JoinSet<BTreeMap<u16, u64>>,
    is_over: Arc<AtomicBool>,
    began: Instant,
}

impl Flood {
    fn begin(server: &Server, connections: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            tasks.spawn(forge(server.base().to_owned(), number, Arc::clone(&is_over)));
        }
        Self { tasks, is_over, began: Instant::now() }
    }

    async fn end(self) -> (BTreeMap<u16, u64>, Duration) {
        self.is_over.store(true, Ordering::SeqCst);
        let mut answers = BTreeMap::new();
        for of_one in self.tasks.join_all().await {
            for (status, count) in of_one {
                *answers.entry(status).or_insert(0) += count;
            }
        }
        (answers, self.began.elapsed())
    }
}

/// One connection: many requests at once, each with another token, until it is over.
async fn forge(base: String, number: u64, is_over: Arc<AtomicBool>) -> BTreeMap<u16, u64> {
    let mut dice = Dice::new(number);
    let mut pipeline = Pipeline::to(&base);
    let mut answers = BTreeMap::new();
    while !is_over.load(Ordering::SeqCst) {
        let requests: Vec<Vec<u8>> = (0..TOGETHER).map(|_| request(pipeline.address(), &mut dice)).collect();
        let came = pipeline.ask(&requests).await;
        assert_eq!(came.answers.len(), TOGETHER, "the server hung up");
        for answer in came.answers {
            *answers.entry(answer.status).or_insert(0) += 1;
        }
    }
    answers
}

fn request(address: &str, dice: &mut Dice) -> Vec<u8> {
    // The version and the key are right: what is wrong is found by the HMAC and not before.
    let chance = (0..10).flat_map(|_| dice.next().to_be_bytes());
    let bytes: Vec<u8> = [1, 1].into_iter().chain(chance).take(76).collect();
    let token = codec::encode("rgr_", &bytes);
    let body = format!("grant_type=refresh_token&client_id=phone&refresh_token={token}");
    format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
