//! `bench`: how fast, by command. Never shipped.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use bench::case::Case;
use bench::{ceiling, peers, plot, refresh, report};
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
    /// Refreshes before the first measurement on each store.
    #[arg(long, default_value_t = 100_000)]
    warm_up: u64,
    /// Where the stores are made: on the disk that is meant. A directory in memory syncs nothing.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Where Regrant's log goes, a line for each request.
    #[arg(long, default_value = "/dev/null")]
    log: PathBuf,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the plot to this file.
    #[arg(long, value_name = "FILE", default_value = "target/bench/refresh.svg")]
    plot: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let done = match command {
        Command::Refresh(asked) => measure(asked, &runtime),
        Command::Ceiling { length, durable } => runtime.block_on(ceiling::serve(length, durable)).map(|()| true),
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
    std::fs::write(&asked.plot, plot::svg(&rows, "Answers per second beside a bare HTTP server"))?;
    println!("plot                       {}", asked.plot.display());
    if let Some(file) = asked.json {
        std::fs::write(&file, serde_json::to_string_pretty(&json!({"rows": rows}))? + "\n")?;
        println!("rows                       {}", file.display());
    }
    Ok(wrong.is_empty())
}
