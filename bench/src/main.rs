//! `bench`: how fast, by command. Never shipped.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::case::Case;
use bench::{batcher, ceiling, docs, instructions, peers, plot, postgres, refresh, report};
use clap::{Parser, Subcommand};
use serde_json::json;
use tokio::runtime::Runtime;

#[derive(Parser, Debug)]
#[command(name = "bench", about = "How fast: Regrant beside what the machine allows.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measure Regrant beside a bare HTTP server and one that waits for the device, in slices of the same minute.
    Refresh(Refresh),
    /// Count the instructions of a request under callgrind, and compare them with bench/instructions.toml.
    Instructions {
        /// Store what is counted now.
        #[arg(long)]
        bless: bool,
        /// The file.
        #[arg(long, default_value = "bench/instructions.toml")]
        file: PathBuf,
    },
    /// What callgrind looks at.
    #[command(hide = true)]
    Drive {
        /// Which case.
        case: Case,
        /// How many rounds of requests.
        #[arg(long)]
        rounds: usize,
        /// Beside how many bulk revocations of others.
        #[arg(long, default_value_t = 0)]
        revocations: u64,
        /// Where the store is made.
        #[arg(long)]
        directory: PathBuf,
    },
    /// Serve what the machine allows: an answer of this many bytes, after an fdatasync of this file if one is named.
    #[command(hide = true)]
    Ceiling {
        /// Bytes of the answer.
        #[arg(long)]
        length: usize,
        /// The file to wait for; it must not be there.
        #[arg(long)]
        durable: Option<PathBuf>,
    },
    /// Measure durable refreshes over PostgreSQL, by one node and by two, beside a bare HTTP server.
    Postgres(postgres::Options),
    /// Predict what many nodes would do over one PostgreSQL, by a simulation that is held against three measured ones.
    Batcher(batcher::Options),
    /// Compare with node-oidc-provider and Keycloak: speed, storage, and what becomes of sessions.
    Peers(peers::Options),
}

#[derive(clap::Args, Debug)]
struct Refresh {
    /// Which cases, by name; all unless some are named.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<Case>,
    /// At how many connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// Over how many grants.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000])]
    grants: Vec<u64>,
    /// Seconds for each of the three servers in each case.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Refreshes before each case of refreshes is measured; unless told, one for each grant and 100,000 at least.
    #[arg(long)]
    warm_up: Option<u64>,
    /// Where the stores are made: on the disk that is meant. A directory in memory syncs nothing.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Where Regrant's log goes, a line for each request.
    #[arg(long, default_value = "/dev/null")]
    log: PathBuf,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures into the documents: docs/performance.{json,svg,md} and README.md, from the repository's root.
    #[arg(long)]
    docs: bool,
    /// Write the plot to this file instead of `refresh.svg` in the directory.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = match command {
        // One thread, so that what runs is the same every time.
        Command::Drive { .. } => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    let runtime = runtime.expect("a runtime");
    let done = match command {
        Command::Instructions { bless, file } => count(bless, &file),
        Command::Drive { case, rounds, revocations, directory } => {
            runtime.block_on(instructions::drive(case, rounds, revocations, &directory));
            Ok(true)
        }
        Command::Refresh(asked) => measure(asked, &runtime),
        Command::Ceiling { length, durable } => runtime.block_on(ceiling::serve(length, durable)).map(|()| true),
        Command::Postgres(options) => postgres::possible().and_then(|()| postgres::run(&options, &runtime)),
        Command::Batcher(options) => batcher::run(&options, &runtime),
        Command::Peers(options) => runtime.block_on(peers::run(options)).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(asked: Refresh, runtime: &Runtime) -> std::io::Result<bool> {
    std::fs::create_dir_all(&asked.directory)?;
    let plot = asked.plot.unwrap_or_else(|| asked.directory.join("refresh.svg"));
    let options = refresh::Options {
        cases: if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases },
        connections: asked.connections,
        grants: asked.grants,
        seconds: asked.seconds,
        warm_up: asked.warm_up,
        directory: asked.directory,
        log: asked.log,
    };
    let refresh::Outcome { rows, verified, rotations, wrong } = refresh::run(&options, runtime)?;
    println!("{}", report::table(&rows));
    println!("verified tokens            {}", report::thousands(verified as f64));
    println!("rotations answered         {}", report::thousands(rotations.0 as f64));
    println!("rotations in the stores    {}", report::thousands(rotations.1 as f64));
    println!("asked to come again        {}", rows.iter().map(|row| row.retried).sum::<u64>());
    println!("wrong                      {}", wrong.len());
    wrong.iter().for_each(|what| println!("  {what}"));
    if let Some(file) = asked.json {
        keep(&file, &(serde_json::to_string_pretty(&json!({"rows": rows}))? + "\n"))?;
        println!("rows                       {}", file.display());
    }
    keep(&plot, &plot::svg(&rows, "Answers per second beside a bare HTTP server"))?;
    println!("plot                       {}", plot.display());
    if asked.docs && wrong.is_empty() {
        docs::write(Path::new("."), &rows)?;
        println!("documents                  README.md, docs/performance.md");
    }
    Ok(wrong.is_empty())
}

/// Writes a file, and its directory if it is not there.
fn keep(file: &Path, text: &str) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(file, text))
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

fn count(bless: bool, file: &Path) -> std::io::Result<bool> {
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    let stored: instructions::Stored = toml::from_str(&stored).unwrap_or_default();
    let compiler = instructions::compiler();
    let is_same = stored.compiler == compiler;
    println!("{:28} {:>12} {:>12} {:>8}", "instructions of a request", "stored", "now", "change");
    let counts = instructions::count(&stored, |count| {
        let was = count.stored.map_or_else(|| "-".to_owned(), |stored| report::thousands(stored as f64));
        let change = 100.0 * count.growth();
        println!("{:28} {was:>12} {:>12} {change:>+7.1}%", count.scenario, report::thousands(count.now as f64));
    })
    .map_err(std::io::Error::other)?;
    let beside = instructions::beside_revocations(&counts).map_err(std::io::Error::other)?;
    let (plain, now) = (report::thousands(beside.plain as f64), report::thousands(beside.now as f64));
    let what = format!("beside {} bulk revocations", instructions::REVOCATIONS);
    println!("{what:28} {plain:>12} {now:>12} {:>+7.1}%", 100.0 * beside.cost());
    if bless {
        let instructions = counts.iter().map(|count| (count.scenario.to_owned(), count.now)).collect();
        let text = toml::to_string(&instructions::Stored { compiler, instructions }).map_err(std::io::Error::other)?;
        let head = "# Instructions of one request under callgrind; see bench/src/instructions.rs. Written on purpose, by\n\
            # cargo run --profile proof -p bench -- instructions --bless\n";
        std::fs::write(file, format!("{head}{text}"))?;
        return Ok(true);
    }
    if !beside.holds() {
        println!("bulk revocations of others cost a refresh too much");
        return Ok(false);
    }
    if !is_same {
        println!("not compared: the stored counts are of {}, this is {compiler}", stored.compiler);
        return Ok(true);
    }
    let holds = counts.iter().all(instructions::Count::holds);
    if !holds {
        println!("a request takes more than it did: mend it, or store it on purpose with --bless");
    }
    Ok(holds)
}
