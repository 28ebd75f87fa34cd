//! `bench peers`: Regrant beside node-oidc-provider and Keycloak, in one run on one machine, under one load.
//!
//! Absolute figures move from machine to machine, so what is told is the ratio within a run, with what the machine allows beside
//! it. Every server has a fresh store on the same disk, confirms each rotation only when it is durable, and issues a new refresh
//! token with each answer. The others are their published packages ([`install`]), with configurations of our own in
//! `bench/peers/`. What cannot be had is left out, and told.
//!
//! Nothing listens anywhere but on 127.0.0.1; everything is stopped at the end, whatever the end is ([`process`]).

pub mod door;
pub mod install;
pub mod process;
pub mod report;
pub mod rotation;
pub mod servers;
pub mod session;
pub mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::process::{Running, Usage};
use self::report::{Machine, Report, Row};
use self::rotation::{Rotation, SESSIONS, Same};
use self::servers::Server;
use self::session::Sessions;
use self::store::Size;
use crate::load::{Load, Measured, Speaker, drive};

/// In how many parts each is measured, by turns.
pub const SLICES: u32 = 5;

/// What to compare.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How long each server is measured; it is warmed up for as long before, Keycloak for four times as long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256))]
    connections: u64,
    /// To how many sessions each of the things is done that can harm one; 0 leaves them out.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=200))]
    sessions: u64,
    /// Only the cases whose name begins so; again for more.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Install the others into target/peers/ and measure nothing. A measurement installs what is missing.
    #[arg(long)]
    install: bool,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the tables into a document, between its two marks.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// What is compared, in the order in which it is measured and told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// Bare axum: what the machine allows.
    Ceiling,
    /// Regrant on SQLite.
    Regrant,
    /// node-oidc-provider on Redis.
    OidcProvider,
    /// The same with two worker processes.
    OidcProviderTwice,
    /// Keycloak on PostgreSQL.
    Keycloak,
}

impl Case {
    const ALL: [Self; 5] = [Self::Ceiling, Self::Regrant, Self::OidcProvider, Self::OidcProviderTwice, Self::Keycloak];

    const fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "ceiling",
            Self::Regrant => "regrant",
            Self::OidcProvider => "oidc-provider-1",
            Self::OidcProviderTwice => "oidc-provider-2",
            Self::Keycloak => "keycloak",
        }
    }

    /// A just-in-time compiler needs its time.
    const fn warm_ups(self) -> u32 {
        if matches!(self, Self::Keycloak) { 4 } else { 1 }
    }

    /// Gets it, if it has to be got, and starts it.
    fn start(self, directories: &Directories, progress: &dyn Fn(&str)) -> Result<Server, String> {
        let own = directories.run.join(self.name());
        std::fs::create_dir_all(&own).map_err(|error| format!("{}: {error}", own.display()))?;
        match self {
            Self::Ceiling => servers::ceiling(&own),
            Self::Regrant => servers::regrant(&own),
            Self::OidcProvider | Self::OidcProviderTwice => {
                let found = install::oidc_provider(&directories.peers, progress)?;
                progress("starting it");
                servers::oidc_provider(&found, if self == Self::OidcProvider { 1 } else { 2 }, &own)
            }
            Self::Keycloak => {
                let found = install::keycloak(&directories.peers, progress)?;
                progress("starting it, which takes a minute");
                servers::keycloak(&found, &own)
            }
        }
    }
}

struct Directories {
    /// `target/peers`, for what is installed.
    peers: PathBuf,
    /// Within it, for this run.
    run: PathBuf,
}

impl Directories {
    /// Beside the directory of this program: all on the disk that is measured.
    fn of_this_run() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let target = program.ancestors().nth(2).ok_or("this program stands in no target directory")?;
        let peers = target.join("peers");
        let run = peers.join(format!("run-{}", std::process::id()));
        std::fs::create_dir_all(&run).map_err(|error| format!("{}: {error}", run.display()))?;
        Ok(Self { peers, run })
    }
}

/// Compares, and prints. Ends with everything stopped and the stores removed, also on SIGINT and SIGTERM.
///
/// # Errors
/// If nothing can be compared, or a file cannot be written.
pub async fn run(options: Options) -> std::io::Result<()> {
    let directories = Directories::of_this_run().map_err(std::io::Error::other)?;
    let run = directories.run.clone();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut work = tokio::task::spawn_blocking(move || compare(&options, &directories));
    let done = tokio::select! {
        done = &mut work => Some(done),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    // A failure has dropped what it had started; a signal finds the rest here.
    process::stop_all();
    let _ = std::fs::remove_dir_all(run);
    match done {
        Some(done) => done.map_err(std::io::Error::other)?.map_err(std::io::Error::other),
        None => {
            eprintln!("stopped");
            // The thread that compares has nothing left to talk to, and nobody waits for it.
            std::process::exit(130)
        }
    }
}

fn compare(options: &Options, directories: &Directories) -> Result<(), String> {
    if options.install {
        return install_all(&directories.peers);
    }
    let chosen = |case: &Case| options.only.is_empty() || options.only.iter().any(|name| case.name().starts_with(name));
    let cases: Vec<Case> = Case::ALL.into_iter().filter(chosen).collect();
    if cases.is_empty() {
        return Err(format!("the cases are {}", Case::ALL.map(Case::name).join(", ")));
    }
    let mut report = Report {
        machine: Machine::look(),
        seconds: options.seconds,
        connections: options.connections,
        rows: Vec::new(),
        skipped: Vec::new(),
    };
    if let Some(warning) = report.machine.warning() {
        eprintln!("{warning}");
    }
    let mut running = Vec::new();
    for case in cases {
        let progress = |what: &str| eprintln!("{}: {what}", case.name());
        progress("starting");
        match case.start(directories, &progress).and_then(|server| Contest::begin(case, server, options, &progress)) {
            Ok(contest) => running.push(contest),
            Err(why) => report.leave_out(case, why),
        }
    }
    let slices = if running.is_empty() { 0 } else { SLICES };
    for slice in 1..=slices {
        eprintln!("measuring, slice {slice} of {SLICES}");
        running.retain_mut(|contest| match contest.measure(options) {
            Ok(()) => true,
            Err(why) => {
                report.leave_out(contest.case, why);
                false
            }
        });
    }
    for contest in running {
        let case = contest.case;
        match contest.end(options) {
            Ok(row) => report.rows.push(row),
            Err(why) => report.leave_out(case, why),
        }
    }
    if process::is_stopped() {
        // What is there was cut short: nobody is to take it for a measurement.
        return Err("stopped".to_owned());
    }
    if report.rows.is_empty() {
        return Err("nothing could be measured".to_owned());
    }
    print!("{}", report.to_markdown());
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.to_json()).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    options.document.as_deref().map_or(Ok(()), |file| report.put_into(file))
}

/// What is missing is told, and no reason to leave out the rest.
fn install_all(peers: &Path) -> Result<(), String> {
    let oidc_provider = install::oidc_provider(peers, &|what| eprintln!("oidc-provider: {what}"));
    let keycloak = install::keycloak(peers, &|what| eprintln!("keycloak: {what}"));
    println!("oidc-provider: {}", oidc_provider.as_ref().map_or_else(String::as_str, |found| &found.version));
    println!("keycloak: {}", keycloak.as_ref().map_or_else(String::as_str, |found| &found.version));
    match (oidc_provider, keycloak) {
        (Ok(_), Ok(_)) => Ok(()),
        _ => Err("not everything could be installed".to_owned()),
    }
}

/// A server that is measured with the others by turns, so that whatever else the machine does befalls all of them alike.
struct Contest {
    case: Case,
    server: Server,
    speaker: Box<dyn Speaker>,
    seen: Measured,
    used: Usage,
    /// Its store after the warm-up.
    before: Size,
}

impl Contest {
    /// Begins the sessions of all connections, and warms up.
    fn begin(case: Case, server: Server, options: &Options, progress: &dyn Fn(&str)) -> Result<Self, String> {
        let connections = options.connections as usize;
        let mut speaker: Box<dyn Speaker> = if case == Case::Ceiling {
            Box::new(Same(server.door.refresh_request(&[b'x'; 60])))
        } else {
            progress(&format!("beginning {} sessions", connections * SESSIONS));
            let tokens = server.door.mint(connections * SESSIONS).map_err(|error| error.to_string())?;
            Box::new(Rotation::new(server.door.clone(), connections, tokens))
        };
        let duration = Duration::from_secs(options.seconds) * case.warm_ups();
        progress(&format!("warming up, {} s", duration.as_secs()));
        let load = Load { address: server.door.address, connections, duration };
        drive(load, &mut *speaker).map_err(|error| error.to_string())?;
        let before = server.books.read()?;
        Ok(Self { case, server, speaker, seen: Measured::default(), used: Usage::default(), before })
    }

    fn measure(&mut self, options: &Options) -> Result<(), String> {
        let duration = Duration::from_secs(options.seconds) / SLICES;
        let load = Load { address: self.server.door.address, connections: options.connections as usize, duration };
        let pids: Vec<u32> = self.server.processes.iter().map(Running::pid).collect();
        let before = process::usage(&pids);
        self.seen.add(&drive(load, &mut *self.speaker).map_err(|error| error.to_string())?);
        self.used.add(&before, &process::usage(&pids));
        Ok(())
    }

    /// Looks at the store and at what becomes of sessions, and stops it.
    fn end(self, options: &Options) -> Result<Row, String> {
        let stores = [self.before, self.server.books.read()?];
        let mut row = Row::of(self.case, &self.server, &self.seen, &self.used, stores);
        if self.case != Case::Ceiling && options.sessions > 0 {
            let progress = |what: &str| eprintln!("{}: {what}", self.case.name());
            let sessions = Sessions::observe(&self.server.door, options.sessions as usize, &progress);
            row.sessions = Some(sessions.map_err(|error| error.to_string())?);
        }
        Ok(row)
    }
}
