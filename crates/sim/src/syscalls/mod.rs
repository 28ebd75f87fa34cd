//! System calls: every 200 is written to its socket after the device has confirmed the batch that it tells of (law L1).
//!
//! SIGKILL does not lose the page cache, so no kill test can show this. A recording of the server's system calls can: the
//! page written to the write-ahead log holds SHA-256 of the new seed, the answer holds the seed itself, so each answer is
//! matched with its very own write, and not with some write:
//!
//! ```text
//! pwrite64(regrant.db-wal, … SHA-256(seed) …)   the batch
//! fdatasync(regrant.db-wal) = 0                 begun after it …
//! sendto(socket, … refresh token with seed …)   … and ended before this
//! ```

pub mod inject;
mod recording;

use std::path::Path;
use std::process::Command;

use tokio::task::JoinSet;

use crate::exploit::format;
use crate::process::{Holder, Home, Server};
use crate::wire::{Http, PASSWORD, USER, text};

pub use recording::{Checked, check};

/// What is recorded: whatever writes, and whatever waits for the device.
const TRACED: &str = "trace=fdatasync,fsync,sendto,sendmsg,write,writev,pwrite64,pwritev";
/// More than a page of the store, and more than an answer: nothing is cut short.
const LONGEST: &str = "9000";

/// An answer that a client got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The refresh token.
    pub token: String,
    /// SHA-256 of its seed: what the row holds.
    pub hash: [u8; 32],
}

/// Whether strace runs here, or why not.
///
/// # Errors
/// What it said.
pub fn can_record() -> Result<(), String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output().map_err(|error| error.to_string())?;
    if tried.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).into_owned()) }
}

/// Runs a server of `home` under strace, with `clients` clients that refresh `times` times each, and returns the recording and
/// what the clients were told. The server is `regrant serve`, unless `instead` is another program on the same store.
///
/// # Panics
/// If anything of it does not run.
pub async fn record(home: &Home, clients: u64, times: u64, instead: Option<Command>) -> (String, Vec<Answered>) {
    let server = Server::start(home);
    let mut tokens = Vec::new();
    for _ in 0..clients {
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        tokens.push(ask(&server.http(), &parameters).await);
    }
    server.stop();
    let recording = home.directory().join("recording.txt");
    let server = under_strace(home, &recording, instead);
    let mut tasks = JoinSet::new();
    for mut token in tokens {
        let http = server.http();
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..times {
                token = ask(&http, &[("grant_type", "refresh_token"), ("refresh_token", &token)]).await;
                let hash = format::sha256(&format::Token::read(&token).expect("a refresh token").seed);
                answers.push(Answered { token: token.clone(), hash });
            }
            answers
        });
    }
    let answers = tasks.join_all().await.into_iter().flatten().collect();
    // The traced process, not strace: the store's lock file names it.
    let mut lock = home.store().into_os_string();
    lock.push(".lock");
    let pid = std::fs::read_to_string(lock).expect("a lock file").trim().parse().expect("a process id");
    server.stop_by(pid);
    let recording = std::fs::read(recording).expect("a recording");
    (String::from_utf8_lossy(&recording).into_owned(), answers)
}

fn under_strace(home: &Home, recording: &Path, instead: Option<Command>) -> Server {
    let traced = instead.unwrap_or_else(|| home.command(&["serve"]));
    let mut command = Command::new("strace");
    command.args(["-f", "-ttt", "-y", "-x", "-s", LONGEST, "-e", TRACED, "-o"]).arg(recording).arg("--");
    command.arg(traced.get_program()).args(traced.get_args());
    Server::try_start(command, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"))
}

async fn ask(http: &Http, parameters: &[(&str, &str)]) -> String {
    let (parameters, headers) = Holder::SingleUse.request(parameters, "");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    text(&http.post("/oauth2/token", &parameters, &headers).await.expect_status(200).json(), "refresh_token")
}
