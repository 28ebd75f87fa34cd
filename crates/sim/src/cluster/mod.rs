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
//! | a commit lost                | a node was told of more commits than the database that took over knows of     |
//!
//! The nodes are the real binary, each behind a wire of its own ([`proxy`]). With the fault planted the wires turn `synchronous_commit`
//! off behind the nodes' backs: then a failover loses what was answered, and this must say so.

mod client;
pub mod patroni;
pub mod proxy;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::task::JoinSet;

use crate::pg;
use crate::pooler::HaProxy;
use crate::process::{Dice, Holder, Home, Scratch, Server, fresh_seed, pause};
use crate::wire::{CONFIG, Http};
use client::{Client, Nodes};
use proxy::{Proxy, Wire};

/// What to do.
#[derive(Clone, Debug)]
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
    /// How often a node stands still, up to longer than it waits for the database.
    pub freezes: u64,
    /// How often everything is restarted in turn: each node, the standby, the primary.
    pub restarts: u64,
    /// Whether clients know a balancer only, and no node.
    pub is_balanced: bool,
    /// Another version of the server. Every second node begins with it, and each start takes the other of the two.
    pub beside: Option<PathBuf>,
    /// Where the chance comes from.
    pub seed: u64,
    /// Whether the database is made to confirm what it has not kept.
    pub is_planted: bool,
}

/// The same, on the command line.
#[derive(clap::Args, Clone, Debug)]
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
    /// How often a node stands still.
    #[arg(long, default_value_t = 3)]
    freezes: u64,
    /// How often everything is restarted in turn.
    #[arg(long, default_value_t = 1)]
    restarts: u64,
    /// Put HAProxy in front of the nodes.
    #[arg(long)]
    balanced: bool,
    /// The binary of another version: each start of a node takes the other of the two, as upgrades and ways back do.
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Where the chance comes from; a fresh one is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Turn `synchronous_commit` off behind the nodes' backs: this must fail.
    #[arg(long)]
    planted: bool,
    /// Let Patroni and etcd fail over by themselves, and do nothing else.
    #[arg(long)]
    patroni: bool,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where the chance came from.
    pub seed: u64,
    /// Nodes killed, primaries killed, wires troubled, nodes frozen, everything restarted.
    pub faults: [u64; 5],
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
    /// Commits that nodes were told of and that are gone after a failover, as they have noted themselves.
    pub lost_commits: u64,
    /// The first few things that went wrong.
    pub troubles: Vec<String>,
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.forks == 0 && self.sessions_lost == 0 && self.revived == 0 && self.rude == 0 && self.lost_commits == 0
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({
            "seed": self.seed, "kills": self.faults[0], "failovers": self.faults[1], "partitions": self.faults[2],
            "freezes": self.faults[3], "restarts": self.faults[4],
            "acknowledged_rotations": self.acknowledged, "reused": self.reused, "interrupted_requests": self.interrupted,
            "retried_and_answered": self.retried, "busy": self.busy, "revoked": self.revoked, "revived": self.revived,
            "forks": self.forks, "sessions_lost": self.sessions_lost, "lost_commits": self.lost_commits, "without_retry_after": self.rude,
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
        let [kills, failovers, partitions, freezes, restarts] = self.faults;
        writeln!(f, "seed                    {}", self.seed)?;
        writeln!(
            f,
            "faults                  {kills} nodes killed, {failovers} failovers, {partitions} partitions, {freezes} nodes frozen, \
             {restarts} restarts of everything"
        )?;
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
        writeln!(f, "commits lost            {} (as nodes have noticed)", self.lost_commits)?;
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

    /// One after the other, as for new settings.
    fn restart(&mut self) {
        self.standby.stop();
        self.standby.begin(&["hot_standby=on"]);
        self.primary.stop();
        self.primary.begin(&[]);
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
    /// How often it was started.
    starts: usize,
    proxy: Arc<Proxy>,
    server: Option<Server>,
}

impl Node {
    /// Of two versions the other one.
    fn starts_by_turns(&mut self, beside: Option<&Path>) {
        self.home.run_by(beside.filter(|_| self.starts.is_multiple_of(2)));
        self.starts += 1;
    }
}

/// Runs, and tells it to whoever looks: whether all of it held.
pub async fn tell(arguments: &Arguments, json: bool) -> bool {
    let Arguments {
        nodes,
        clients,
        kills,
        failovers,
        partitions,
        freezes,
        restarts,
        balanced,
        beside,
        seed,
        planted,
        patroni,
    } = arguments.clone();
    let seed = seed.unwrap_or_else(fresh_seed);
    let (is_planted, is_balanced) = (planted, balanced);
    let options = Options {
        nodes,
        clients,
        kills,
        failovers,
        partitions,
        freezes,
        restarts,
        is_balanced,
        beside,
        seed,
        is_planted,
    };
    let scratch = Scratch::new("cluster");
    let mut told = |what: &str| {
        if !json {
            println!("{what}");
        }
    };
    if patroni {
        let outcome = patroni::run((nodes, clients, failovers, seed), scratch.path(), &mut told).await;
        let outcome = outcome.unwrap_or_else(|why| panic!("{why}"));
        if json {
            println!("{}", outcome.json());
        } else {
            print!("{outcome}");
        }
        return outcome.holds();
    }
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
    let mut cluster = Cluster::start(&options, directory).await;
    let (mut dice, mut report) = (Dice::new(options.seed), Report { seed: options.seed, ..Report::default() });
    let (is_over, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        let holder = Holder::ALL[(number % 4) as usize];
        let client = Client::connect(number, holder, &cluster.known, Dice::new(dice.next())).await;
        clients.spawn(client.work(Arc::clone(&cluster.known), Arc::clone(&is_over), Arc::clone(&tally)));
    }
    let mut faults = [options.kills, options.failovers, options.partitions, options.freezes, options.restarts];
    while faults.iter().sum::<u64>() > 0 {
        tally.more(options.clients * 4).await;
        let fault = loop {
            let fault = dice.below(faults.len());
            if faults[fault] > 0 {
                break fault;
            }
        };
        faults[fault] -= 1;
        report.faults[fault] += 1;
        let what = match fault {
            0 => cluster.kill(&mut dice).await,
            1 => {
                let what = "the primary was killed, and its standby has taken over";
                let what = cluster.of_databases(Databases::fail_over, what).await;
                report.lost_commits += cluster.recover().await;
                what
            }
            2 => cluster.partition(&mut dice).await,
            3 => cluster.freeze(&mut dice).await,
            _ => cluster.restart().await,
        };
        progress(&what);
    }
    tally.more(options.clients * 4).await;
    is_over.store(true, Ordering::SeqCst);
    while let Some(heard) = clients.join_next().await {
        report.add(&heard.expect("a client does not panic"));
    }
    for node in cluster.nodes {
        if let Some(server) = node.server {
            server.stop();
        }
    }
    report
}

/// All of it.
struct Cluster {
    databases: Option<Databases>,
    database: String,
    nodes: Vec<Node>,
    balancer: Option<HaProxy>,
    /// The binary of another version.
    beside: Option<PathBuf>,
    /// What clients know.
    known: Arc<Nodes>,
}

impl Cluster {
    async fn start(options: &Options, directory: &Path) -> Self {
        let databases = Databases::start();
        let database = databases.primary.database();
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..options.nodes {
            let proxy = Arc::new(Proxy::start(Arc::clone(&databases.target), options.is_planted).await);
            let home = Home::make_with(&directory.join(format!("node{number}")), CONFIG);
            home.store_at(&database.at(&[proxy.port]).address);
            // A journal of its own, which must never know of more than is there.
            home.set("revocations_file = \"revocations\"\n");
            match nodes.first() {
                Some(first) => {
                    std::fs::copy(first.home.root_key_file(), home.root_key_file()).expect("one root key for all");
                }
                None => home.add_user(),
            }
            let mut node = Node { home, starts: number, proxy, server: None };
            node.starts_by_turns(options.beside.as_deref());
            node.server = Some(Server::start(&node.home));
            nodes.push(node);
        }
        let ports: Vec<u16> = nodes.iter().filter_map(|node| node.server.as_ref().map(port)).collect();
        let balancer = options.is_balanced.then(|| HaProxy::start(&ports));
        let (databases, database, known) = (Some(databases), database.name, Arc::new(Nodes::default()));
        let cluster = Self { databases, database, nodes, balancer, beside: options.beside.clone(), known };
        match &cluster.balancer {
            Some(balancer) => cluster.known.set(0, Http::new(&format!("http://127.0.0.1:{}", balancer.port))),
            None => (0..options.nodes).for_each(|number| cluster.introduce(number)),
        }
        cluster
    }

    /// Clients hear where a node is.
    fn introduce(&self, number: usize) {
        let Some(server) = &self.nodes[number].server else { return };
        match &self.balancer {
            Some(balancer) => balancer.lead(number, port(server)),
            None => self.known.set(number, server.http()),
        }
    }

    async fn begin(&mut self, number: usize) {
        self.nodes[number].starts_by_turns(self.beside.as_deref());
        let home = self.nodes[number].home.clone();
        let started = tokio::task::spawn_blocking(move || Server::start(&home)).await.expect("it starts again");
        self.nodes[number].server = Some(started);
        self.introduce(number);
    }

    async fn kill(&mut self, dice: &mut Dice) -> String {
        let number = dice.below(self.nodes.len());
        if let Some(server) = self.nodes[number].server.take() {
            server.kill();
        }
        self.begin(number).await;
        format!("node {number} was killed, and is back")
    }

    async fn of_databases(&mut self, act: impl FnOnce(&mut Databases) + Send + 'static, what: &str) -> String {
        let mut databases = self.databases.take().expect("they are there");
        let acted = tokio::task::spawn_blocking(move || {
            act(&mut databases);
            databases
        });
        self.databases = Some(acted.await.expect("the databases go on"));
        what.to_owned()
    }

    /// Waits until all nodes serve again. Where something was lost they do not, before an operator has decided: nobody who proves nothing
    /// goes on, and how many commits were lost is told.
    async fn recover(&self) -> u64 {
        const NOTED: &str = "SELECT coalesce(sum(told - known), 0) FROM lost_commits";
        for _ in 0..1_000 {
            let mut ready = 0;
            for node in self.nodes.iter().filter_map(|node| node.server.as_ref()) {
                let http = node.http();
                let asked = http.try_send(Method::GET, "/readyz", &[], Body::empty());
                let answered = tokio::time::timeout(Duration::from_secs(1), asked).await;
                ready += usize::from(matches!(answered, Ok(Ok(reply)) if reply.status.as_u16() == 200));
            }
            let Some(databases) = &self.databases else { return 0 };
            let lost: u64 = databases.primary.sql(&self.database, NOTED).parse().unwrap_or(0);
            if lost > 0 {
                // The others notice it, too: each of them within a second.
                pause(Duration::from_secs(2)).await;
                let lost = databases.primary.sql(&self.database, NOTED).parse().unwrap_or(lost);
                let home = self.nodes[0].home.clone();
                let recovered = tokio::task::spawn_blocking(move || home.command(&["recover", "--yes"]).output());
                let recovered = recovered.await.expect("it ends").expect("regrant runs");
                assert!(recovered.status.success(), "{recovered:?}");
                return lost;
            }
            if ready == self.nodes.len() {
                return 0;
            }
            pause(Duration::from_millis(20)).await;
        }
        0
    }

    async fn partition(&self, dice: &mut Dice) -> String {
        let number = dice.below(self.nodes.len());
        let wire = [Wire::Cut, Wire::Silent, Wire::LosesAnswer][dice.below(3)];
        let proxy = &self.nodes[number].proxy;
        proxy.set(wire);
        pause(Duration::from_millis(dice.between(50, 1_500))).await;
        proxy.set(Wire::Sound);
        if wire == Wire::Silent {
            // What was half open never comes back.
            proxy.hang_up();
        }
        format!("the wire of node {number} was {wire:?}")
    }

    /// Check N4: what it does when it goes on, it does late.
    async fn freeze(&self, dice: &mut Dice) -> String {
        let number = dice.below(self.nodes.len());
        let Some(server) = &self.nodes[number].server else { return "there is no node to freeze".to_owned() };
        let signal = |signal| {
            let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a process");
            kill_process(pid, signal).expect("it is signalled");
        };
        let millis = dice.between(500, 7_000);
        signal(Signal::STOP);
        pause(Duration::from_millis(millis)).await;
        signal(Signal::CONT);
        format!("node {number} stood still for {millis} ms")
    }

    /// As in an upgrade: one after the other, and the others serve.
    async fn restart(&mut self) -> String {
        for number in 0..self.nodes.len() {
            if let Some(server) = self.nodes[number].server.take() {
                tokio::task::spawn_blocking(move || server.stop()).await.expect("it stops well");
            }
            self.begin(number).await;
        }
        self.of_databases(Databases::restart, "every node, the standby and the primary were restarted in turn").await
    }
}

fn port(server: &Server) -> u16 {
    server.base().rsplit(':').next().and_then(|port| port.parse().ok()).expect("its port")
}
