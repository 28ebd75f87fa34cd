//! Power cuts: the real server on a file system that forgets what nobody waited for (a FUSE file system over [`Disk`]).
//!
//! The clients and what is checked are those of [`kill`](crate::kill): nothing acknowledged is lost, nothing forks, nobody is logged out.
//! What differs is what the server finds at its next start: SIGKILL leaves the page cache, a power cut leaves what `fsync` was answered for,
//! and of the rest whatever the dice say.
//!
//! | when the power fails             | what must be there afterwards                                                              |
//! |----------------------------------|----------------------------------------------------------------------------------------------|
//! | while the first server makes its store | a server starts, on an empty store or a whole one                                      |
//! | while `regrant user add` works   | a server starts                                                                              |
//! | after it has answered            | the user                                                                                     |
//! | while a server starts            | what was there before                                                                        |
//! | under load                       | every rotation that a client was told of, or its answer on a retry                           |
//! | after a server was stopped       | the same                                                                                     |

mod disk;
mod mount;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regrant_store::Writes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::kill::{self, Client, Load};
use crate::process::{Dice, Home, Server, pause, regrant};
use crate::wire::{PASSWORD, USER};

pub use disk::{Counts, Disk, Kind, Node, ROOT, Trouble};
pub use mount::{Mounted, can_mount};

/// Most cuts come before one of so many changes of the disk: half of those stand between a write and the wait for it. The others come at some
/// moment.
const CHANGES: u64 = 80;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the power fails while a server makes its store or a user.
    pub births: u64,
    /// How often the power fails under load.
    pub cycles: u64,
    /// How many clients there are.
    pub clients: u64,
    /// Where the chance comes from.
    pub seed: u64,
    /// How the store writes, in turns.
    pub writes: &'static [Writes],
    /// The program `sim`, to serve from a store that waits for nothing: that must be found.
    pub careless: Option<PathBuf>,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Clients and rows. Its `cycles` are the cuts under load, its `kills_at_start` those while a server started.
    pub kill: kill::Report,
    /// Cuts while a server made its store or a user.
    pub births: u64,
    /// Cuts after a server had stopped.
    pub idle: u64,
    /// What the cuts took.
    pub counts: Counts,
    /// A server that did not start on what a cut had left.
    pub refused: u64,
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.kill.holds() && self.refused == 0
    }

    /// All cuts.
    #[must_use]
    pub const fn cuts(&self) -> u64 {
        self.births + self.idle + self.kill.cycles + self.kill.kills_at_start
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let Counts { struck, syncs, unsynced, lost, torn, names } = self.counts;
        let mut told = self.kill.json();
        told["cuts"] = json!({
            "all": self.cuts(), "births": self.births, "under_load": self.kill.cycles, "at_start": self.kill.kills_at_start,
            "idle": self.idle, "before_a_change": struck,
        });
        told["disk"] = json!({"syncs": syncs, "unsynced_writes": unsynced, "lost_writes": lost, "torn_writes": torn, "names": names});
        told["refused_starts"] = json!(self.refused);
        told["holds"] = json!(self.holds());
        told
    }

    fn refuse(&mut self, when: &str, said: &str) {
        self.refused += 1;
        self.kill.troubles.push(format!("no server starts after a cut {when}: {said}"));
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kill.fmt(f)?;
        let Counts { struck, syncs, unsynced, lost, torn, names } = self.counts;
        writeln!(
            f,
            "power cuts              {} ({} under load, {} while a server started, {} while it made its store or a user, {} idle)",
            self.cuts(),
            self.kill.cycles,
            self.kill.kills_at_start,
            self.births,
            self.idle
        )?;
        writeln!(f, "before a change         {struck} of them")?;
        writeln!(f, "waited for              {syncs} times")?;
        writeln!(
            f,
            "not waited for          {unsynced} writes, of which {lost} are gone, {torn} of them in part; and {names} names"
        )?;
        writeln!(f, "starts refused          {}", self.refused)
    }
}

/// Makes a deployment in `directory`, its store on a disk whose power fails, and lets it fail again and again.
///
/// # Errors
/// If the disk cannot be mounted.
///
/// # Panics
/// If the deployment cannot be made.
pub async fn run(options: &Options, directory: &Path, progress: &mut dyn FnMut(&Report)) -> std::io::Result<Report> {
    let home = Home::make(&directory.join("home"));
    let disk = Mounted::new(&home.data(), Disk::default())?;
    let kill = kill::Report { seed: options.seed, ..kill::Report::default() };
    let mut room = Room { home, disk, dice: Dice::new(options.seed), report: Report { kill, ..Report::default() } };
    let clients = room.all(options, progress).await?;
    let mut report = room.report.clone();
    clients.iter().for_each(|client| report.kill.add(&client.heard));
    Ok(report)
}

/// A deployment, and the switch of its power.
struct Room {
    home: Home,
    disk: Mounted,
    dice: Dice,
    report: Report,
}

impl Room {
    async fn all(&mut self, options: &Options, progress: &mut dyn FnMut(&Report)) -> std::io::Result<Vec<Client>> {
        for _ in 0..options.births {
            self.birth().await?;
            progress(&self.report);
            if self.report.refused > 0 {
                return Ok(Vec::new());
            }
        }
        self.report.idle += 1;
        self.home.add_user();
        self.cut(|| {}, || {})?;
        let mut clients = kill::connect(&self.home, options.clients, &mut self.dice).await;
        for writes in options.writes.iter().cycle().take(usize::try_from(options.cycles).unwrap_or(usize::MAX)) {
            self.home.write_by(*writes);
            if self.dice.one_in(4) {
                self.cut_at_start().await?;
            }
            let server = match self.server(options) {
                Ok(server) => server,
                Err(said) => {
                    self.report.refuse("under load", &said);
                    return Ok(clients);
                }
            };
            let pid = process(server.pid());
            self.disk.fail_before(self.dice.between(0, CHANGES), pid);
            let load = Load::start(clients, &server);
            pause(Duration::from_millis(self.dice.between(50, 250))).await;
            // Nothing is answered between the moment of which the disk is and the end of the process: what a client was told came before.
            self.cut(|| end(pid), || server.kill())?;
            clients = load.stop().await;
            self.report.kill.cycles += 1;
            let mut now = self.report.clone();
            clients.iter().for_each(|client| now.kill.add(&client.heard));
            progress(&now);
        }
        self.settle(options, &mut clients).await?;
        Ok(clients)
    }

    /// Everybody goes on once more; then the server stops, the power fails, and the rows are looked at.
    async fn settle(&mut self, options: &Options, clients: &mut [Client]) -> std::io::Result<()> {
        let server = match self.server(options) {
            Ok(server) => server,
            Err(said) => {
                self.report.refuse("under load", &said);
                return Ok(());
            }
        };
        for client in &mut *clients {
            client.settle(&server.http()).await;
        }
        server.stop();
        self.cut(|| {}, || {})?;
        self.report.idle += 1;
        match self.server(options) {
            Ok(server) => drop(server.stop()),
            Err(said) => {
                self.report.refuse("after its stop", &said);
                return Ok(());
            }
        }
        kill::compare_with_rows(&self.home, clients).await;
        Ok(())
    }

    /// A command is cut off: the first start of a server, or the adding of somebody.
    async fn birth(&mut self) -> std::io::Result<()> {
        let child = if self.dice.one_in(2) {
            spawned(self.home.command(&["serve"]), "")
        } else {
            let name = format!("{USER}{}", self.report.births);
            spawned(self.home.command(&["user", "add", &name, "--password-stdin"]), PASSWORD)
        };
        self.cut_off(child, 400).await?;
        self.report.births += 1;
        let started = Server::try_start(self.home.command(&["serve"]), &self.home.log());
        match started {
            Ok(server) => drop(server.stop()),
            Err(refused) => self.report.refuse("of a birth", &refused.said),
        }
        // Half of the next ones begin with an empty disk again, and with one that remembers no other.
        if self.dice.one_in(2) {
            for entry in std::fs::read_dir(self.home.data())?.flatten() {
                std::fs::remove_file(entry.path())?;
            }
            std::fs::File::open(self.home.data())?.sync_all()?;
        }
        Ok(())
    }

    async fn cut_at_start(&mut self) -> std::io::Result<()> {
        let child = spawned(self.home.command(&["serve"]), "");
        self.cut_off(child, 120).await?;
        self.report.kill.kills_at_start += 1;
        Ok(())
    }

    async fn cut_off(&mut self, mut child: Child, within: u64) -> std::io::Result<()> {
        let pid = process(child.id());
        self.disk.fail_before(self.dice.between(0, CHANGES), pid);
        pause(Duration::from_millis(self.dice.between(within / 4, within))).await;
        self.cut(
            || end(pid),
            || {
                let _ = child.wait();
            },
        )
    }

    fn cut(&mut self, meanwhile: impl FnOnce(), after: impl FnOnce()) -> std::io::Result<()> {
        let counts = self.disk.cut(&mut self.dice, meanwhile, after)?;
        self.report.counts = self.report.counts.and(counts);
        Ok(())
    }

    fn server(&self, options: &Options) -> Result<Server, String> {
        let command = match &options.careless {
            None => self.home.command(&["serve"]),
            Some(program) => {
                let mut command = Command::new(program);
                command.arg("serve").arg("--store").arg(self.home.store()).arg("--root").arg(self.home.root_key_file());
                command.args(["--synchronous", "off"]);
                command
            }
        };
        Server::try_start(command, &self.home.log()).map_err(|refused| refused.said)
    }
}

fn spawned(mut command: Command, input: &str) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", regrant().display()));
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    child
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).expect("the number of a process")
}

/// Its last instant; it is waited for elsewhere.
fn end(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}
