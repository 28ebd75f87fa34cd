//! The evidence page: what is claimed, by which command, how often it was run and where; and what it does not show.
//!
//! `sim evidence --run` runs the commands, one after the other, and keeps what they said in `docs/evidence.json`; `sim evidence` writes
//! `docs/evidence.md` of it. A test holds the page to the file: no figure in it was written by hand, and no claim stands there without
//! its command.

mod claims;
mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use regrant_server::Clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use claims::{CLAIMS, Claim, FOUND};
pub use page::page;

/// What a run of a claim's command has shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// As it was typed.
    pub command: String,
    /// Name and count, as the command told them.
    pub counts: BTreeMap<String, Value>,
    /// Whether it held.
    pub holds: bool,
    /// How long it took.
    pub seconds: u64,
    /// Of which commit; `+` if something was changed beside it.
    pub commit: String,
    /// On which machine.
    pub machine: String,
    /// On which day.
    pub day: String,
}

/// By the claim's name.
pub type All = BTreeMap<String, Shown>;

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What was shown so far.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn shown() -> std::io::Result<All> {
    let file = root().join("docs/evidence.json");
    if !file.exists() {
        return Ok(All::new());
    }
    Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
}

/// Writes the page, and what it is made of.
///
/// # Errors
/// If a file cannot be written.
pub fn write(all: &All) -> std::io::Result<()> {
    let json = serde_json::to_string_pretty(all)? + "\n";
    std::fs::write(root().join("docs/evidence.json"), json)?;
    std::fs::write(root().join("docs/evidence.md"), page(all))
}

/// Runs a claim's command in the repository.
///
/// # Errors
/// If it cannot be started, or says nothing that can be read.
pub fn run(claim: &Claim) -> std::io::Result<Shown> {
    let clock = Clock::system();
    let began = clock.ran();
    let mut command = match claim.sim {
        // The same program that the printed command builds.
        Some(arguments) => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--json").args(arguments.split(' '));
            command
        }
        None => {
            let mut command = Command::new("sh");
            command.args(["-c", claim.command]);
            command
        }
    };
    let output = command.current_dir(root()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts: BTreeMap<String, Value> =
        (claim.read)(&text).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some((name, _)) = counts.iter().find(|(_, value)| value.is_null()) {
        return Err(std::io::Error::other(format!("{}: nothing was told of \"{name}\"", claim.name)));
    }
    Ok(Shown {
        command: claim.typed(),
        counts,
        holds: output.status.success(),
        seconds: clock.ran().saturating_sub(began).as_secs(),
        commit: commit(),
        machine: machine(),
        day: clock.now().seconds().to_string(),
    })
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn commit() -> String {
    let changed = if said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { "+" };
    format!("{}{changed}", said("git", &["rev-parse", "--short", "HEAD"]))
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim()).to_owned();
    let kind = if cfg!(debug_assertions) { "a build without optimisation" } else { "a release build" };
    format!("{cores} cores of {model}, {} {}, {kind}", said("uname", &["-s"]), said("uname", &["-r"]))
}
