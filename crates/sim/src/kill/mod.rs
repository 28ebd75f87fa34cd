//! Kill: the real binary under many clients, SIGKILL at random moments, and a history that must hold.
//!
//! Each client has a grant of its own and refreshes as fast as it is answered. When the server dies, a client has a token, and
//! perhaps a request that was not answered: it goes on with the one or the retry of the other. What is checked, of each answer
//! and at the end against the rows (security.md section 3.4, Hist1, Hist2, Hist4, Hist7, Hist9):
//!
//! | never                          | how it would show                                                                   |
//! |--------------------------------|-------------------------------------------------------------------------------------|
//! | an acknowledged rotation lost  | the row's generation is below the rotations that its client was told of              |
//! | a fork                         | two different successors for one presented token, or a generation that nobody knows  |
//! | a session lost                 | a client that presents its last token, or its retry, hears anything but 200 or 503   |
//!
//! SIGKILL does not lose the page cache: that a 200 waits for the device is what [`syscalls`](crate::syscalls) shows, and what is left when the
//! power fails [`power`](crate::power).

mod client;
pub mod device;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use regrant_core::token::RefreshToken;
use regrant_store::Writes;
use serde_json::json;
use tokio::task::JoinSet;

use crate::process::{Dice, Holder, Home, Server, pause};
pub(crate) use client::Client;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often the server is killed.
    pub cycles: u64,
    /// How many clients there are: a quarter of each [`Holder`].
    pub clients: u64,
    /// Where the chance comes from.
    pub seed: u64,
    /// What is wrong with the machine, to show that it would be noticed.
    pub fault: Option<Fault>,
    /// How the store writes, in turns: each start takes the next one, and finds what the one before left.
    pub writes: &'static [Writes],
}

/// A fault that the check must notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// After a kill the store is what it was before the cycle: everything acknowledged since then is gone.
    SetBack,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where the chance came from.
    pub seed: u64,
    /// Kills under load.
    pub cycles: u64,
    /// Further kills, while the server started.
    pub kills_at_start: u64,
    /// New refresh tokens that a client was told of.
    pub acknowledged: u64,
    /// The same refresh token again, for reusable ones.
    pub reused: u64,
    /// Requests that were not answered.
    pub interrupted: u64,
    /// Unanswered requests that were asked again and answered.
    pub retried: u64,
    /// Answers that were asked for twice on purpose.
    pub repeated: u64,
    /// Of those, the ones asked for again after a kill.
    pub repeated_after_kill: u64,
    /// 503: ask again shortly.
    pub busy: u64,
    /// The longest that a client waited for its next token, over all repetitions of the request. On a machine that stood still for longer
    /// than the retry window it tells why sessions ended.
    pub longest_wait: Duration,
    /// Acknowledged rotations that the store does not know.
    pub lost: u64,
    /// Two successors of one token.
    pub forks: u64,
    /// Clients that were turned away.
    pub sessions_lost: u64,
    /// The first few things that went wrong.
    pub troubles: Vec<String>,
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.lost == 0 && self.forks == 0 && self.sessions_lost == 0
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({
            "seed": self.seed, "cycles": self.cycles, "kills_at_start": self.kills_at_start,
            "acknowledged_rotations": self.acknowledged, "reused": self.reused,
            "interrupted_requests": self.interrupted, "retried_and_answered": self.retried,
            "repeated": self.repeated, "repeated_after_kill": self.repeated_after_kill, "busy": self.busy,
            "longest_wait_ms": u64::try_from(self.longest_wait.as_millis()).unwrap_or(u64::MAX), "lost": self.lost, "forks": self.forks, "sessions_lost": self.sessions_lost,
            "troubles": self.troubles, "holds": self.holds(),
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.reused += other.reused;
        self.interrupted += other.interrupted;
        self.retried += other.retried;
        self.repeated += other.repeated;
        self.repeated_after_kill += other.repeated_after_kill;
        self.busy += other.busy;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.lost += other.lost;
        self.forks += other.forks;
        self.sessions_lost += other.sessions_lost;
        let room = 20_usize.saturating_sub(self.troubles.len());
        self.troubles.extend(other.troubles.iter().take(room).cloned());
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed                    {}", self.seed)?;
        writeln!(f, "cycles                  {} (and {} kills at start)", self.cycles, self.kills_at_start)?;
        writeln!(
            f,
            "acknowledged rotations  {} (and {} answers with a reusable token)",
            self.acknowledged, self.reused
        )?;
        writeln!(f, "interrupted requests    {}", self.interrupted)?;
        writeln!(f, "retried and answered    {}", self.retried)?;
        writeln!(f, "asked for twice         {} ({} of them after a kill)", self.repeated, self.repeated_after_kill)?;
        writeln!(f, "told to come again      {}", self.busy)?;
        writeln!(f, "longest wait            {:.1} s", self.longest_wait.as_secs_f64())?;
        writeln!(f, "lost                    {}", self.lost)?;
        writeln!(f, "forks                   {}", self.forks)?;
        writeln!(f, "sessions lost           {}", self.sessions_lost)?;
        self.troubles.iter().try_for_each(|trouble| writeln!(f, "  {trouble}"))
    }
}

/// Makes a deployment in `directory` and kills its server again and again.
///
/// # Panics
/// If the server does not start, or the deployment cannot be made.
pub async fn run(options: Options, directory: &Path, progress: &mut dyn FnMut(&Report)) -> Report {
    let home = Home::make(&directory.join("home"));
    home.add_user();
    let mut dice = Dice::new(options.seed);
    let mut report = Report { seed: options.seed, ..Report::default() };
    let mut clients = connect(&home, options.clients, &mut dice).await;
    for cycle in 0..options.cycles {
        if dice.one_in(8) {
            kill_at_start(&home, dice.between(0, 30)).await;
            report.kills_at_start += 1;
        }
        let set_back = options.fault == Some(Fault::SetBack) && cycle == options.cycles / 2;
        let earlier = set_back.then(|| home.copy_to(&directory.join("earlier")));
        if let Some(writes) = options.writes.iter().cycle().nth(usize::try_from(cycle).unwrap_or(0)) {
            home.write_by(*writes);
        }
        let server = Server::start(&home);
        let load = Load::start(clients, &server);
        pause(Duration::from_millis(dice.between(20, 150))).await;
        server.kill();
        clients = load.stop().await;
        report.cycles += 1;
        if let Some(earlier) = earlier {
            std::fs::remove_dir_all(home.data()).expect("the store is removed");
            std::fs::rename(earlier.data(), home.data()).expect("the earlier store is put in its place");
        }
        let mut now = report.clone();
        clients.iter().for_each(|client| now.add(&client.heard));
        progress(&now);
    }
    // Everybody goes on once more: with the retry, and then with the token that it gave.
    let server = Server::start(&home);
    for client in &mut clients {
        client.settle(&server.http()).await;
    }
    server.stop();
    compare_with_rows(&home, &mut clients).await;
    clients.iter().for_each(|client| report.add(&client.heard));
    report
}

/// Gives each client its grant.
pub(crate) async fn connect(home: &Home, clients: u64, dice: &mut Dice) -> Vec<Client> {
    let server = Server::start(home);
    let mut connected = Vec::new();
    for (number, holder) in (0..clients).zip(Holder::ALL.into_iter().cycle()) {
        connected.push(Client::connect(number, holder, &server.http(), Dice::new(dice.next())).await);
    }
    server.stop();
    connected
}

/// The server is killed before or while it opens its store.
async fn kill_at_start(home: &Home, after: u64) {
    let mut command = home.command(&["serve"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("regrant starts");
    pause(Duration::from_millis(after)).await;
    child.kill().expect("a running process");
    child.wait().expect("an ended process");
}

/// All clients at work.
pub(crate) struct Load {
    tasks: JoinSet<Client>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn start(clients: Vec<Client>, server: &Server) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for client in clients {
            tasks.spawn(client.work(server.http(), Arc::clone(&is_over)));
        }
        Self { tasks, is_over }
    }

    pub(crate) async fn stop(self) -> Vec<Client> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut clients = self.tasks.join_all().await;
        clients.sort_by_key(Client::number);
        clients
    }
}

/// The rows know every rotation that a client was told of, and no other.
pub(crate) async fn compare_with_rows(home: &Home, clients: &mut [Client]) {
    let inside = home.open_inside();
    let keys = inside.app.engine.keys();
    for client in clients {
        let Some(token) = RefreshToken::open(client.token(), &keys) else {
            client.trouble("holds a token that is not ours");
            client.heard.sessions_lost += 1;
            continue;
        };
        let row = inside.app.engine.load(token.grant).await.expect("the store answers");
        let generation = row.map_or(0, |row| u64::from(row.grant.generation));
        let told = 1 + client.heard.acknowledged;
        if generation < told {
            client.trouble(&format!("was told of generation {told}, and the row has {generation}"));
            client.heard.lost += told - generation;
        } else if generation > told {
            client.trouble(&format!(
                "was told of generation {told}, and the row has {generation}: a step nobody knows of"
            ));
            client.heard.forks += 1;
        }
    }
    inside.close(&home.store()).await;
}
