//! The servers that are measured, each a process of its own: what it costs in memory and time is its own, too.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sim::process::{Home, Server};
use sim::startup::resident;

/// The kernel counts a process's time in hundredths of a second (`USER_HZ`, the same on every Linux).
const TICK: Duration = Duration::from_millis(10);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Processor time of a process, and of its children that have ended.
///
/// # Panics
/// If it has ended.
#[must_use]
pub fn processor_time(pid: u32) -> Duration {
    processor_time_so_far(pid).expect("a running process")
}

/// The same, of one that may have ended by now.
#[must_use]
pub fn processor_time_so_far(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 14 to 17; the name, in brackets, is the second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Some(TICK * ticks)
}

/// What Regrant's writer has done so far, by its own metrics.
#[derive(Clone, Copy, Default, Debug)]
pub struct Written {
    /// Transactions, each with one fdatasync of the log.
    pub commits: f64,
    /// Batches of jobs, reads included.
    pub batches: f64,
    /// Jobs in them.
    pub jobs: f64,
}

impl Written {
    /// Adds what was done between two looks.
    pub fn add(&mut self, before: &Self, after: &Self) {
        self.commits += after.commits - before.commits;
        self.batches += after.batches - before.batches;
        self.jobs += after.jobs - before.jobs;
    }
}

impl Running {
    /// `regrant serve`, which writes its log there.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn regrant(home: &Home, log: &Path) -> Self {
        Self::start(home.command(&["serve"]), log)
    }

    /// What the machine allows: see [`ceiling`](crate::ceiling).
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn ceiling(length: usize, durable: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("ceiling").arg("--length").arg(length.to_string());
        if let Some(file) = durable {
            let _ = std::fs::remove_file(file);
            command.arg("--durable").arg(file);
        }
        Self::start(command, Path::new("/dev/null"))
    }

    fn start(command: Command, log: &Path) -> Self {
        let server = Server::try_start(command, log).unwrap_or_else(|refused| panic!("{refused:?}"));
        let address = server.base().trim_start_matches("http://").parse().expect("an address");
        Self { server, address }
    }

    /// Processor time so far.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        processor_time(self.server.pid())
    }

    /// Resident memory in MiB.
    #[must_use]
    pub fn rss_mib(&self) -> f64 {
        resident(self.server.pid()) as f64 / (1024.0 * 1024.0)
    }

    /// What its writer has done; nothing of a server without metrics.
    pub async fn written(&self) -> Written {
        let Some(metrics) = self.server.metrics() else { return Written::default() };
        let text = metrics.get("/metrics", &[]).await.text();
        let series = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        Written {
            commits: series("regrant_commit_duration_seconds_count"),
            batches: series("regrant_batch_jobs_count"),
            jobs: series("regrant_batch_jobs_sum"),
        }
    }

    /// `GET`: the body.
    pub async fn get(&self, path: &str) -> Vec<u8> {
        self.server.http().get(path, &[]).await.body
    }

    /// Stops it, and waits until it has closed its store.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop(self) {
        self.server.stop();
    }
}
