//! `bench postgres`: durable refreshes over a real PostgreSQL, by one node and by more that share it, beside a bare HTTP server.
//!
//! The database is started here with `fsync` and `synchronous_commit` on, on the same machine as everything else: what a network
//! between them would cost is not in these figures. What it wrote for a refresh is its own count of bytes of WAL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use sim::pg;
use sim::process::{Home, pause};
use tokio::runtime::Runtime;

use crate::case::{Case, Flow, Format, Kind, clients};
use crate::load::{Load, Measured, drive};
use crate::peers::store::ROWS;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::refresh::form;
use crate::report::{Row, round, table, thousands};
use crate::servers::{Running, Written, processor_time, processor_time_so_far};
use crate::speak::{Clients, Expected, Form};
use crate::stock::Stock;

/// The longest slice.
const SLICE: f64 = 2.0;
/// Connections of the warm-up, and of what makes the table old.
const STEADY_CONNECTIONS: usize = 64;
/// Refreshes in a second, for the plan only.
const PLANNED: f64 = 10_000.0;
/// What the answer of a ceiling is as long as: that of a refresh.
const ANSWER: usize = 420;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Over how many grants.
    #[arg(long, default_value_t = 100_000)]
    grants: u64,
    /// At how many connections.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64, 256])]
    connections: Vec<usize>,
    /// Up to how many nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=16))]
    nodes: u64,
    /// Seconds for each server in each case.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Refreshes before the first measurement: the first one of a grant also notes where it is used from.
    #[arg(long, default_value_t = 250_000)]
    warm_up: u64,
    /// Refreshes after which the tables are compared with what they were before.
    #[arg(long, default_value_t = 1_000_000)]
    steady: u64,
    /// PostgreSQL's `shared_buffers`.
    #[arg(long, default_value = "256MB")]
    shared_buffers: String,
    /// Another setting of PostgreSQL, as `name=value`; again for more.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Where the homes of the nodes are made.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    /// Up to three nodes, for who wants the figures alone.
    pub(crate) fn of_three(directory: &Path, json: &Path, seconds: f64) -> Self {
        Self {
            grants: 50_000,
            connections: vec![16, 64, 256],
            nodes: 3,
            seconds,
            warm_up: 150_000,
            steady: 0,
            shared_buffers: "256MB".to_owned(),
            settings: Vec::new(),
            directory: directory.to_owned(),
            json: Some(json.to_owned()),
        }
    }
}

/// What PostgreSQL has counted of itself.
#[derive(Clone, Copy, Default, Serialize, Debug)]
struct Book {
    /// Bytes of write-ahead log, of which whole pages after a checkpoint are a part.
    wal_bytes: f64,
    /// Whole pages in it.
    wal_pages: f64,
    /// Transactions.
    commits: f64,
    /// Rows that were updated in `grants`, and those of them that stayed on their page.
    updated: f64,
    updated_in_place: f64,
    /// Rows in all tables.
    rows: f64,
    /// Bytes of the table of grants, and of everything.
    grants_bytes: f64,
    all_bytes: f64,
}

struct Deployment {
    database: pg::Server,
    name: String,
    nodes: Vec<Home>,
}

impl Deployment {
    fn make(options: &Options) -> Self {
        let buffers = format!("shared_buffers={}", options.shared_buffers);
        let database =
            pg::Server::start(&[&buffers, "max_wal_size=2GB", "track_io_timing=off", "autovacuum_naptime=10s"]);
        let named = database.database();
        let address = named.at(&[database.port]).address;
        let directory = options.directory.join("postgres");
        let _ = std::fs::remove_dir_all(&directory);
        let nodes: Vec<Home> = (0..options.nodes)
            .map(|number| {
                let home =
                    Home::make_with(&directory.join(number.to_string()), &clients(Kind::SingleUse, Format::Opaque));
                home.store_at(&address);
                home
            })
            .collect();
        for node in nodes.iter().skip(1) {
            std::fs::copy(nodes[0].root_key_file(), node.root_key_file()).expect("one root key for all");
        }
        Self { database, name: named.name, nodes }
    }

    fn ask(&self, sql: &str) -> f64 {
        self.database.sql(&self.name, sql).parse().unwrap_or_else(|_| panic!("no number: {sql}"))
    }

    fn book(&self, runtime: &Runtime) -> Book {
        // What backends have counted for themselves is told within a second.
        runtime.block_on(pause(Duration::from_millis(1_200)));
        Book {
            wal_bytes: self.ask("SELECT wal_bytes FROM pg_stat_wal"),
            wal_pages: self.ask("SELECT wal_fpi FROM pg_stat_wal"),
            commits: self.ask("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"),
            updated: self.ask("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'grants'"),
            updated_in_place: self.ask("SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'grants'"),
            rows: self.ask(ROWS),
            grants_bytes: self.ask("SELECT pg_total_relation_size('grants')"),
            all_bytes: self.ask("SELECT pg_database_size(current_database())"),
        }
    }

    /// Processor time of the database's processes, those that have ended included.
    fn cpu(&self) -> Duration {
        let pid = self.database.pid().expect("it runs").as_raw_nonzero().get().cast_unsigned();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        children.chain([pid]).filter_map(processor_time_so_far).sum()
    }
}

/// What one way of serving did.
#[derive(Default)]
struct Seen {
    measured: Measured,
    node_cpu: Duration,
    database_cpu: Duration,
    load_cpu: Duration,
    wal: f64,
    wal_pages: f64,
    written: Written,
    wrong: Option<String>,
}

/// A line of the figures.
#[derive(Clone, Serialize, Debug)]
struct Line {
    nodes: usize,
    #[serde(flatten)]
    row: Row,
    /// Processor time of the database for each answer.
    database_cpu_us: f64,
    /// That of whoever asks, on the same machine.
    load_cpu_us: f64,
    wal_bytes_per_refresh: f64,
    wal_pages_per_refresh: f64,
}

/// Measures, and tells it. `false`: something was wrong, and the figures are worth nothing.
///
/// # Errors
/// If a server or the disk fails.
///
/// # Panics
/// If a server does not start.
#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
pub fn run(options: &Options, runtime: &Runtime) -> std::io::Result<bool> {
    std::fs::create_dir_all(&options.directory)?;
    let measured = options.seconds * (options.nodes + 1) as f64 * options.connections.len() as f64;
    let mut progress = Progress::new(measured + (options.grants + options.warm_up + options.steady) as f64 / PLANNED);
    let deployment = Deployment::make(options);
    let home = deployment.nodes[0].clone();
    let stock = runtime.block_on(Stock::fill(home, Kind::SingleUse, options.grants, &mut |made| {
        progress.show_within(&format!("making grants: {made}"), made as f64 / PLANNED);
    }));
    progress.done(options.grants as f64 / PLANNED);
    let keys = stock.keys.clone();
    let mut parts = stock.pool.parts(deployment.nodes.len());
    let nodes: Vec<Running> =
        deployment.nodes.iter().map(|home| Running::regrant(home, Path::new("/dev/null"))).collect();
    let form = |node: &Running| form(node, Kind::SingleUse, Flow::RefreshSingleUse);
    let refresh = |part: &mut Pool, most: u64| -> std::io::Result<(u64, Option<String>)> {
        let mut clients = Clients::new(form(&nodes[0]), part, Expected::Next, Some(keys.clone()));
        clients.most = most;
        let duration = Duration::from_secs(3600);
        let load = Load { address: nodes[0].address, connections: STEADY_CONNECTIONS, duration };
        let seen = drive(load, &mut clients)?;
        Ok((seen.answered, clients.first_wrong))
    };
    progress.show("warming up");
    let mut wrong = Vec::new();
    for part in &mut parts {
        wrong.extend(refresh(part, options.warm_up / options.nodes)?.1);
    }
    progress.done(options.warm_up as f64 / PLANNED);

    let ceiling = Running::ceiling(ANSWER, None);
    let durable_file = options.directory.join("durable");
    let durable = Running::ceiling(ANSWER, Some(&durable_file));
    let slices = (options.seconds / SLICE).ceil().max(1.0);
    let duration = Duration::from_secs_f64(options.seconds / slices);
    let mut lines = Vec::new();
    for connections in &options.connections {
        let mut seen: Vec<Seen> = deployment.nodes.iter().map(|_| Seen::default()).collect();
        let mut ceilings = [Measured::default(), Measured::default()];
        for _ in 0..slices as usize {
            for (server, measured) in [&ceiling, &durable].into_iter().zip(&mut ceilings) {
                let mut padding = Pool::new(["x".repeat(113).as_str()]);
                let mut bare = Clients::new(form(server), &mut padding, Expected::Anything, None);
                measured.add(&drive(Load { address: server.address, connections: *connections, duration }, &mut bare)?);
            }
            for (count, seen) in seen.iter_mut().enumerate() {
                let nodes = &nodes[..=count];
                progress.show(&format!("{} nodes · {connections} connections", nodes.len()));
                let before = (processor(nodes), deployment.cpu(), wal(&deployment), written(nodes, runtime));
                let (asked, forms) = (processor_time(std::process::id()), nodes.iter().map(form));
                let together = at_once(nodes, forms, &mut parts, *connections, duration, &keys)?;
                seen.load_cpu += processor_time(std::process::id()).saturating_sub(asked);
                let after = (processor(nodes), deployment.cpu(), wal(&deployment), written(nodes, runtime));
                seen.measured.add(&together.0);
                seen.wrong = seen.wrong.take().or(together.1);
                seen.node_cpu += after.0.saturating_sub(before.0);
                seen.database_cpu += after.1.saturating_sub(before.1);
                seen.wal += after.2.0 - before.2.0;
                seen.wal_pages += after.2.1 - before.2.1;
                seen.written.add(&before.3, &after.3);
            }
            progress.done((options.nodes + 1) as f64 * duration.as_secs_f64());
        }
        for (count, seen) in seen.into_iter().enumerate() {
            let answered = seen.measured.answered.max(1) as f64;
            let case: Case = "refresh-single_use-opaque".parse().map_err(std::io::Error::other)?;
            let row = Row {
                case: format!("postgres, {} node{}", count + 1, if count == 0 { "" } else { "s" }),
                grants: options.grants,
                rss_mib: round(nodes[0].rss_mib(), 1),
                cpu_us: round(seen.node_cpu.as_secs_f64() * 1e6 / answered, 2),
                fdatasync_per_second: round(seen.written.commits / seen.measured.elapsed.as_secs_f64().max(1e-9), 1),
                batch: round(seen.written.jobs / seen.written.batches.max(1.0), 2),
                ..Row::new(case, *connections, &[seen.measured.clone(), ceilings[0].clone(), ceilings[1].clone()])
            };
            wrong.extend(seen.wrong);
            lines.push(Line {
                nodes: count + 1,
                row,
                database_cpu_us: round(seen.database_cpu.as_secs_f64() * 1e6 / answered, 2),
                load_cpu_us: round(seen.load_cpu.as_secs_f64() * 1e6 / answered, 2),
                wal_bytes_per_refresh: round(seen.wal / answered, 1),
                wal_pages_per_refresh: round(seen.wal_pages / answered, 4),
            });
        }
    }
    progress.show("growing old");
    let before = deployment.book(runtime);
    let (steady, first_wrong) = if options.steady == 0 { (0, None) } else { refresh(&mut parts[0], options.steady)? };
    wrong.extend(first_wrong);
    let after = deployment.book(runtime);
    progress.clear();
    nodes.into_iter().for_each(Running::stop);
    let _ = std::fs::remove_file(durable_file);

    println!("{}", table(&lines.iter().map(|line| line.row.clone()).collect::<Vec<_>>()));
    for line in &lines {
        println!(
            "{} node(s), {:>3} connections: the database took {} µs a refresh, and wrote {} bytes of WAL ({} whole pages)",
            line.nodes,
            line.row.connections,
            line.database_cpu_us,
            line.wal_bytes_per_refresh,
            line.wal_pages_per_refresh
        );
    }
    if steady > 0 {
        tell(&before, &after, steady);
    }
    wrong.iter().for_each(|what| println!("wrong: {what}"));
    if let Some(file) = &options.json {
        let said = json!({"rows": lines, "before": before, "after": after, "refreshes_between": steady});
        std::fs::write(file, serde_json::to_string_pretty(&said)? + "\n")?;
    }
    Ok(wrong.is_empty())
}

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
fn tell(before: &Book, after: &Book, refreshes: u64) {
    let growth = |before: f64, after: f64| 100.0 * (after / before.max(1.0) - 1.0);
    let count = refreshes as f64;
    println!("over {} refreshes more", thousands(count));
    println!("  rows                     {} -> {}", thousands(before.rows), thousands(after.rows));
    for (what, before, after) in
        [("table of grants", before.grants_bytes, after.grants_bytes), ("database", before.all_bytes, after.all_bytes)]
    {
        let growth = growth(before, after);
        println!("  {what:24} {} -> {} bytes ({growth:+.1} %)", thousands(before), thousands(after));
    }
    let in_place =
        100.0 * (after.updated_in_place - before.updated_in_place) / (after.updated - before.updated).max(1.0);
    println!("  updated on their page    {in_place:.1} %");
    println!("  WAL a refresh            {:.0} bytes", (after.wal_bytes - before.wal_bytes) / count);
    println!("  whole pages a refresh    {:.4}", (after.wal_pages - before.wal_pages) / count);
    println!("  transactions a refresh   {:.4}", (after.commits - before.commits) / count);
}

/// The load on all of these nodes, each with its share of the connections and of the grants.
fn at_once(
    nodes: &[Running],
    forms: impl Iterator<Item = Form>,
    parts: &mut [Pool],
    connections: usize,
    duration: Duration,
    keys: &std::sync::Arc<regrant_core::Keys>,
) -> std::io::Result<(Measured, Option<String>)> {
    let share = connections.div_ceil(nodes.len());
    let driven: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .zip(forms)
            .zip(parts.iter_mut())
            .map(|((node, form), part)| {
                scope.spawn(move || {
                    let mut clients = Clients::new(form, part, Expected::Next, Some(keys.clone()));
                    let seen = drive(Load { address: node.address, connections: share, duration }, &mut clients)?;
                    Ok::<_, std::io::Error>((seen, clients.first_wrong))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let (mut all, mut wrong, mut longest) = (Measured::default(), None, Duration::ZERO);
    for one in driven {
        let (seen, first) = one?;
        longest = longest.max(seen.elapsed);
        all.add(&seen);
        wrong = wrong.or(first);
    }
    // They ran side by side, and not one after the other.
    all.elapsed = longest;
    Ok((all, wrong))
}

fn processor(nodes: &[Running]) -> Duration {
    nodes.iter().map(Running::cpu).sum()
}

fn wal(deployment: &Deployment) -> (f64, f64) {
    let bytes = deployment.ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
    (bytes, deployment.ask("SELECT wal_fpi FROM pg_stat_wal"))
}

fn written(nodes: &[Running], runtime: &Runtime) -> Written {
    let mut all = Written::default();
    for node in nodes {
        all.add(&Written::default(), &runtime.block_on(node.written()));
    }
    all
}

/// Whether a database can be had.
///
/// # Errors
/// If not, and what to install.
pub fn possible() -> std::io::Result<()> {
    if pg::binaries().is_some() && Command::new("psql").arg("--version").output().is_ok() {
        return Ok(());
    }
    Err(std::io::Error::other("PostgreSQL is not installed\n  remedy: apt-get install postgresql"))
}
