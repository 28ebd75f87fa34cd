//! A cluster: real nodes over a real PostgreSQL with a synchronous standby, killed, failed over and cut off under load; and a history that
//! must hold (security.md section 3.4: Hist1, Hist2, Hist3, Hist4, Hist7, Hist9).
//!
//! | never                        | how it would show                                                              |
//! |------------------------------|--------------------------------------------------------------------------------|
//! | a session lost               | a client that presents its last token, or its retry, hears anything but 200 or 503 |
//! | an answer lost               | the same: its last token is from the future of the database that took over     |
//! | a fork                       | two successors of one token                                                    |
//! | a revocation lost            | a token that one node has revoked is taken by another                          |
//! | a 503 that says nothing      | no `Retry-After`                                                               |
//!
//! The nodes are the real binary, each behind a wire of its own ([`proxy`]). With the fault planted the wires turn `synchronous_commit`
//! off behind the nodes' backs: then a failover loses what was answered, and this must say so.

mod client;
mod proxy;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::pg;
use crate::process::{Dice, Holder, Home, Scratch, Server, fresh_seed, pause};
use crate::wire::CONFIG;
use client::{Client, Nodes};
use proxy::{Proxy, Wire};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many clients.
    pub clients: u64,
    /// How often a node is killed.
    pub kills: u64,
    /// How often the primary is killed, and its standby takes over.
    pub failovers: u64,
    /// How often a node's wire to the database is cut, goes silent, or loses an answer.
    pub partitions: u64,
    /// Where the chance comes from.
    pub seed: u64,
    /// Whether the database is made to confirm what it has not kept.
    pub is_planted: bool,
}

/// The same, on the command line.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// How many clients refresh at the same time.
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// How often a node is killed.
    #[arg(long, default_value_t = 15)]
    kills: u64,
    /// How often the primary is killed.
    #[arg(long, default_value_t = 2)]
    failovers: u64,
    /// How often a wire is cut, goes silent, or loses an answer.
    #[arg(long, default_value_t = 10)]
    partitions: u64,
    /// Where the chance comes from; a fresh one is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Turn `synchronous_commit` off behind the nodes' backs: this must fail.
    #[arg(long)]
    planted: bool,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where the chance came from.
    pub seed: u64,
    /// Nodes killed, primaries killed, wires troubled.
    pub faults: (u64, u64, u64),
    /// New refresh tokens that a client was told of.
    pub acknowledged: u64,
    /// The same refresh token again, for reusable ones.
    pub reused: u64,
    /// Requests that were not answered.
    pub interrupted: u64,
    /// Unanswered requests that were asked again and answered.
    pub retried: u64,
    /// 503: ask again shortly.
    pub busy: u64,
    /// 503 without a word when.
    pub rude: u64,
    /// Grants that their clients have revoked.
    pub revoked: u64,
    /// Of those, served afterwards.
    pub revived: u64,
    /// Two successors of one token.
    pub forks: u64,
    /// Clients that were turned away: a session, or an answer, was lost.
    pub sessions_lost: u64,
    /// The first few things that went wrong.
    pub troubles: Vec<String>,
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.forks == 0 && self.sessions_lost == 0 && self.revived == 0 && self.rude == 0
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({
            "seed": self.seed, "kills": self.faults.0, "failovers": self.faults.1, "partitions": self.faults.2,
            "acknowledged_rotations": self.acknowledged, "reused": self.reused, "interrupted_requests": self.interrupted,
            "retried_and_answered": self.retried, "busy": self.busy, "revoked": self.revoked, "revived": self.revived,
            "forks": self.forks, "sessions_lost": self.sessions_lost, "without_retry_after": self.rude,
            "troubles": self.troubles, "holds": self.holds(),
        })
    }

    fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.reused += other.reused;
        self.interrupted += other.interrupted;
        self.retried += other.retried;
        self.busy += other.busy;
        self.rude += other.rude;
        self.revoked += other.revoked;
        self.revived += other.revived;
        self.forks += other.forks;
        self.sessions_lost += other.sessions_lost;
        let room = 20_usize.saturating_sub(self.troubles.len());
        self.troubles.extend(other.troubles.iter().take(room).cloned());
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kills, failovers, partitions) = self.faults;
        writeln!(f, "seed                    {}", self.seed)?;
        writeln!(f, "faults                  {kills} nodes killed, {failovers} failovers, {partitions} partitions")?;
        writeln!(
            f,
            "acknowledged rotations  {} (and {} answers with a reusable token)",
            self.acknowledged, self.reused
        )?;
        writeln!(f, "interrupted requests    {}", self.interrupted)?;
        writeln!(f, "retried and answered    {}", self.retried)?;
        writeln!(f, "told to come again      {} ({} without Retry-After)", self.busy, self.rude)?;
        writeln!(f, "revoked                 {} ({} served afterwards)", self.revoked, self.revived)?;
        writeln!(f, "forks                   {}", self.forks)?;
        writeln!(f, "sessions lost           {}", self.sessions_lost)?;
        self.troubles.iter().try_for_each(|trouble| writeln!(f, "  {trouble}"))
    }
}

/// How many answers there were: faults come when work was done, and not at a time.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

impl Tally {
    fn answered(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for some more, or for a while.
    async fn more(&self, answers: u64) {
        let until = self.0.load(Ordering::Relaxed) + answers;
        for _ in 0..300 {
            if self.0.load(Ordering::Relaxed) >= until {
                return;
            }
            pause(Duration::from_millis(10)).await;
        }
    }
}

/// The database: a primary and the standby that it waits for.
struct Databases {
    primary: pg::Server,
    standby: pg::Server,
    /// Where the wires lead.
    target: Arc<AtomicU16>,
}

impl Databases {
    fn start() -> Self {
        let primary = pg::Server::start(&[]);
        let standby = primary.standby("standby");
        wait_for(&primary, true);
        let target = Arc::new(AtomicU16::new(primary.port));
        Self { primary, standby, target }
    }

    /// The primary dies, its standby takes over, and gets a standby of its own.
    fn fail_over(&mut self) {
        self.primary.kill();
        self.standby.promote();
        // Nobody is there yet to wait for.
        wait_for(&self.standby, false);
        self.target.store(self.standby.port, Ordering::SeqCst);
        let next = self.standby.standby("standby");
        wait_for(&self.standby, true);
        self.primary = std::mem::replace(&mut self.standby, next);
    }
}

/// Whether COMMIT waits for the standby.
fn wait_for(server: &pg::Server, waits: bool) {
    let names = if waits { "standby" } else { "" };
    server.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
    server.sql("postgres", "SELECT pg_reload_conf()");
}

/// A node, its home and its wire.
struct Node {
    home: Home,
    proxy: Arc<Proxy>,
    server: Option<Server>,
}

/// Runs, and tells it to whoever looks: whether all of it held.
pub async fn tell(arguments: &Arguments, json: bool) -> bool {
    let Arguments { nodes, clients, kills, failovers, partitions, seed, planted: is_planted } = *arguments;
    let seed = seed.unwrap_or_else(fresh_seed);
    let options = Options { nodes, clients, kills, failovers, partitions, seed, is_planted };
    let scratch = Scratch::new("cluster");
    let mut told = |what: &str| {
        if !json {
            println!("{what}");
        }
    };
    let report = run(options, scratch.path(), &mut told).await;
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

/// Starts a cluster in `directory`, and troubles it.
///
/// # Panics
/// If it does not start.
pub async fn run(options: Options, directory: &Path, progress: &mut dyn FnMut(&str)) -> Report {
    let mut databases = Databases::start();
    let database = databases.primary.database();
    let (nodes, mut running) = (Arc::new(Nodes::default()), Vec::new());
    for number in 0..options.nodes {
        let proxy = Arc::new(Proxy::start(Arc::clone(&databases.target), options.is_planted).await);
        let home = Home::make_with(&directory.join(format!("node{number}")), CONFIG);
        let address = database.at(&[proxy.port]).address;
        let config = std::fs::read_to_string(home.config_file()).expect("a configuration");
        let config = config.replace("sqlite:data/regrant.db", &address);
        std::fs::write(home.config_file(), config).expect("written");
        let first = running.first().map_or_else(|| home.root_key_file(), |node: &Node| node.home.root_key_file());
        if number > 0 {
            std::fs::copy(first, home.root_key_file()).expect("one root key for all");
        } else {
            home.add_user();
        }
        let server = Server::start(&home);
        nodes.set(number, server.http());
        running.push(Node { home, proxy, server: Some(server) });
    }
    let (mut dice, mut report) = (Dice::new(options.seed), Report { seed: options.seed, ..Report::default() });
    let (is_over, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        let holder = Holder::ALL[(number % 4) as usize];
        let client = Client::connect(number, holder, &nodes, Dice::new(dice.next())).await;
        clients.spawn(client.work(Arc::clone(&nodes), Arc::clone(&is_over), Arc::clone(&tally)));
    }
    let mut faults = [options.kills, options.failovers, options.partitions];
    while faults.iter().sum::<u64>() > 0 {
        tally.more(options.clients * 4).await;
        let fault = loop {
            let fault = dice.below(3);
            if faults[fault] > 0 {
                break fault;
            }
        };
        faults[fault] -= 1;
        let number = dice.below(running.len());
        let node = &mut running[number];
        match fault {
            0 => {
                if let Some(server) = node.server.take() {
                    server.kill();
                }
                let home = node.home.clone();
                let started = tokio::task::spawn_blocking(move || Server::start(&home)).await.expect("it starts again");
                nodes.set(number, started.http());
                node.server = Some(started);
                report.faults.0 += 1;
                progress(&format!("node {number} was killed, and is back"));
            }
            1 => {
                databases = tokio::task::spawn_blocking(move || {
                    databases.fail_over();
                    databases
                })
                .await
                .expect("the standby takes over");
                report.faults.1 += 1;
                progress("the primary was killed, and its standby has taken over");
            }
            _ => {
                let wire = [Wire::Cut, Wire::Silent, Wire::LosesAnswer][dice.below(3)];
                node.proxy.set(wire);
                pause(Duration::from_millis(dice.between(50, 1_500))).await;
                node.proxy.set(Wire::Sound);
                if wire == Wire::Silent {
                    // What was half open never comes back.
                    node.proxy.hang_up();
                }
                report.faults.2 += 1;
                progress(&format!("the wire of node {number} was {wire:?}"));
            }
        }
    }
    tally.more(options.clients * 4).await;
    is_over.store(true, Ordering::SeqCst);
    while let Some(heard) = clients.join_next().await {
        report.add(&heard.expect("a client does not panic"));
    }
    for node in running {
        if let Some(server) = node.server {
            server.stop();
        }
    }
    report
}
