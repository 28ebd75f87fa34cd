//! One automatic failover: two PostgreSQL that Patroni looks after, with etcd to agree in, `synchronous_mode` on; and nodes that know both by
//! name. The machine of the primary is gone at once (Patroni and PostgreSQL together), nobody is told, and the standby is promoted by Patroni
//! when the leader's key in etcd has run out. The history must hold, and how long nobody was answered is measured.
//!
//! Patroni and etcd are those that `REGRANT_PATRONI` and `REGRANT_ETCD` name: `crates/sim/servers/run patroni` installs and names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use regrant_server::Clock;
use serde_json::json;
use tokio::task::JoinSet;

use super::client::{Client, Nodes};
use super::{Report, Tally};
use crate::pg::{self, free_port, home};
use crate::pooler::Held;
use crate::process::{Dice, Holder, Home, Server, pause};
use crate::wire::CONFIG;

/// How long the leader's key lives when nobody renews it: Patroni takes no less.
const TTL: u64 = 20;
/// The longest that anything here may take.
const PATIENCE: u64 = 120;

/// What happened.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The history.
    pub report: Report,
    /// How many rows of a node went back, as the nodes have noted.
    pub doubts: u64,
    /// For each failover: from the last answer before it to the first one behind it.
    pub silences: Vec<Duration>,
}

impl Outcome {
    /// Whether everything held, and there was a failover.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.report.holds() && self.doubts == 0 && !self.silences.is_empty()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let silences: Vec<f64> = self.silences.iter().map(Duration::as_secs_f64).collect();
        json!({"history": self.report.json(), "seconds_without_an_answer": silences, "ttl_seconds": TTL, "holds": self.holds()})
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.report)?;
        for silence in &self.silences {
            writeln!(f, "without an answer       {:.1} s (the leader's key lives {TTL} s)", silence.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A PostgreSQL and the Patroni that looks after it.
struct Member {
    name: String,
    server: pg::Server,
    api: u16,
    etcd: u16,
    patroni: Option<Held>,
}

impl Member {
    fn place(name: &str, etcd: u16) -> Self {
        Self { name: name.to_owned(), server: pg::Server::place(), api: free_port(), etcd, patroni: None }
    }

    fn start(&mut self, program: &str) {
        let (home, _) = home();
        let file = home.join("patroni.yml");
        std::fs::write(&file, self.configuration()).expect("written");
        self.patroni = Some(Held::start(&home, self.api, &[program, &file.display().to_string()]));
    }

    fn configuration(&self) -> String {
        let Self { name, server, api, etcd, .. } = self;
        let (port, data, socket, bin) = (server.port, server.data(), server.home.display(), server.bin.display());
        json!({
            "scope": "regrant", "name": name,
            "restapi": {"listen": format!("127.0.0.1:{api}"), "connect_address": format!("127.0.0.1:{api}")},
            "etcd3": {"host": format!("127.0.0.1:{etcd}")},
            "bootstrap": {
                "dcs": {"ttl": TTL, "loop_wait": 2, "retry_timeout": 5, "synchronous_mode": true,
                    "postgresql": {"use_pg_rewind": true, "use_slots": true}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"auth": "trust"}],
            },
            "postgresql": {
                "listen": format!("127.0.0.1:{port}"), "connect_address": format!("127.0.0.1:{port}"),
                "data_dir": data, "bin_dir": bin.to_string(), "pgpass": format!("{socket}/pgpass"),
                "authentication": {"superuser": {"username": "regrant"}, "replication": {"username": "replicator"},
                    "rewind": {"username": "regrant"}},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "parameters": {"unix_socket_directories": socket.to_string(), "shared_buffers": "32MB", "max_connections": 100},
            },
        })
        .to_string()
    }

    fn says(&self, sql: &str) -> Option<String> {
        self.server.psql("postgres", &[sql]).ok()
    }

    fn leads(&self) -> bool {
        self.says("SELECT pg_is_in_recovery()").as_deref() == Some("f")
    }

    /// Whether somebody is there that COMMIT waits for.
    fn is_followed(&self) -> bool {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        self.leads() && self.says(sql).as_deref() == Some("1")
    }

    /// Its machine is gone.
    fn lose(&mut self) {
        if let Some(patroni) = self.patroni.take() {
            patroni.kill();
            self.server.kill();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.lose();
    }
}

/// Both of them.
struct Cluster {
    members: Vec<Member>,
    program: String,
    _etcd: Held,
}

impl Cluster {
    fn start(program: &str, etcd: &str) -> Self {
        let (home, _) = home();
        let (port, peers) = (free_port(), free_port());
        let [here, peer] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
        let (data, alone) = (home.join("data").display().to_string(), format!("default={peer}"));
        let arguments = [
            etcd,
            "--data-dir",
            &data,
            "--listen-client-urls",
            &here,
            "--advertise-client-urls",
            &here,
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &alone,
        ];
        let held = Held::start(&home, port, &arguments);
        let mut members = vec![Member::place("one", port), Member::place("two", port)];
        members.iter_mut().for_each(|member| member.start(program));
        Self { members, program: program.to_owned(), _etcd: held }
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(Member::leads)
    }

    /// Until one leads and the other follows so that COMMIT waits for it.
    async fn settle(&self) {
        for _ in 0..PATIENCE * 5 {
            if self.members.iter().any(Member::is_followed) {
                return;
            }
            pause(Duration::from_millis(200)).await;
        }
        let said: Vec<String> =
            self.members.iter().filter_map(|member| member.patroni.as_ref()).map(Held::said).collect();
        panic!("Patroni did not settle: {}", said.join("\n---\n"));
    }
}

/// What an environment variable names.
fn named(variable: &str) -> Result<String, String> {
    let told = || format!("{variable} names no program: run crates/sim/servers/run patroni, which installs it");
    let path = std::env::var(variable).map_err(|_| told())?;
    if Path::new(&path).exists() { Ok(path) } else { Err(told()) }
}

/// Runs: three nodes and their clients, and so many machines of primaries that are gone at once.
///
/// # Errors
/// If Patroni or etcd are not there.
///
/// # Panics
/// If the cluster does not start.
pub async fn run(
    (nodes, clients, failovers, seed): (usize, u64, u64, u64),
    directory: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Outcome, String> {
    let (program, etcd) = (named("REGRANT_PATRONI")?, named("REGRANT_ETCD")?);
    let mut cluster = Cluster::start(&program, &etcd);
    cluster.settle().await;
    let leader = cluster.leader().ok_or("nobody leads")?;
    progress(&format!("Patroni leads with member {}", cluster.members[leader].name));
    let database = cluster.members[leader].server.database();
    let ports: Vec<u16> = cluster.members.iter().map(|member| member.server.port).collect();
    let known = Arc::new(Nodes::default());
    let mut servers: Vec<Server> = Vec::new();
    let mut key: Option<PathBuf> = None;
    for number in 0..nodes {
        let home = Home::make_with(&directory.join(format!("node{number}")), CONFIG);
        home.store_at(&database.at(&ports).address);
        match &key {
            Some(key) => drop(std::fs::copy(key, home.root_key_file()).expect("one root key for all")),
            None => {
                home.add_user();
                key = Some(home.root_key_file());
            }
        }
        let server = Server::start(&home);
        known.set(number, server.http());
        servers.push(server);
    }
    let (is_over, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let (mut dice, mut working) = (Dice::new(seed), JoinSet::new());
    for number in 0..clients {
        let holder = Holder::ALL[(number % 4) as usize];
        let client = Client::connect(number, holder, &known, Dice::new(dice.next())).await;
        working.spawn(client.work(Arc::clone(&known), Arc::clone(&is_over), Arc::clone(&tally)));
    }
    let mut outcome = Outcome { report: Report { seed, ..Report::default() }, doubts: 0, silences: Vec::new() };
    for _ in 0..failovers {
        tally.more(clients * 8).await;
        let leader = cluster.leader().ok_or("nobody leads")?;
        cluster.members[leader].lose();
        progress(&format!("the machine of member {} is gone", cluster.members[leader].name));
        let silence = silence(&tally).await.ok_or("nobody was answered any more")?;
        progress(&format!("answers again after {:.1} s", silence.as_secs_f64()));
        outcome.report.faults[1] += 1;
        outcome.silences.push(silence);
        tally.more(clients * 8).await;
        let program = cluster.program.clone();
        cluster.members[leader].start(&program);
        cluster.settle().await;
        progress(&format!("member {} is back, and COMMIT waits for it", cluster.members[leader].name));
    }
    tally.more(clients * 8).await;
    is_over.store(true, Ordering::SeqCst);
    while let Some(heard) = working.join_next().await {
        outcome.report.add(&heard.expect("a client does not panic"));
    }
    let leader = cluster.leader().ok_or("nobody leads")?;
    let noted = cluster.members[leader].server.sql(&database.name, "SELECT count(*) FROM lost_commits");
    outcome.doubts = noted.parse().unwrap_or(u64::MAX);
    for server in servers {
        server.stop();
    }
    Ok(outcome)
}

/// From the last answer to the next one, behind at least a second without any.
async fn silence(tally: &Tally) -> Option<Duration> {
    let clock = Clock::system();
    let (mut count, mut since) = (tally.0.load(Ordering::Relaxed), clock.ran());
    for _ in 0..PATIENCE * 100 {
        pause(Duration::from_millis(10)).await;
        let (now, counted) = (clock.ran(), tally.0.load(Ordering::Relaxed));
        if counted != count {
            let silent = now.saturating_sub(since);
            if silent > Duration::from_secs(1) {
                return Some(silent);
            }
            (count, since) = (counted, now);
        }
    }
    None
}
