//! `bench`: how fast, by command. Never shipped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(name = "bench", about = "How fast: Regrant beside what the machine allows.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve what the machine allows: an answer of this many bytes, after an fdatasync of this file if one is named.
    #[command(hide = true)]
    Ceiling {
        /// Bytes of the answer.
        #[arg(long)]
        length: usize,
        /// The file to wait for.
        #[arg(long)]
        durable: Option<PathBuf>,
    },
    /// Compare with node-oidc-provider and Keycloak: speed, storage, and what becomes of sessions.
    Peers(bench::peers::Options),
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let done = match command {
        Command::Ceiling { length, durable } => runtime.block_on(bench::ceiling::serve(length, durable)),
        Command::Peers(options) => runtime.block_on(bench::peers::run(options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
