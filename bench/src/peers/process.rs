//! Processes of others: started in groups of their own, asked what they used, and ended, whatever becomes of us.
//!
//! Each one is kept in a list until it is stopped. A signal ends everything in the list ([`stop_all`]), a failure or the end of
//! the measurement drops [`Running`], which does the same for one.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::time::{Watch, pause};

/// How often something is looked at that comes at a time of its own.
const LOOK: Duration = Duration::from_millis(50);
/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What runs, with the signal on which it ends well; nothing once everything was stopped.
static STARTED: Mutex<Option<Vec<(Pid, Signal)>>> = Mutex::new(Some(Vec::new()));

/// A process, the leader of its group. Dropping it stops the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Usage {
    /// Adds what was used between two looks; the memory is that of the newest.
    pub fn add(&mut self, before: &Self, after: &Self) {
        self.cpu += after.cpu.saturating_sub(before.cpu);
        self.written += after.written.saturating_sub(before.written);
        self.memory = after.memory;
    }
}

impl Running {
    /// Starts a program. What it says goes to `name.log` in this directory; `stop` is the signal on which it ends well.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(name: &'static str, mut command: Command, directory: &Path, stop: Signal) -> Result<Self, String> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = output.map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        // Under the lock, so that a signal finds either no process or one that is in the list.
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        let started = started.as_mut().ok_or_else(|| "stopped by a signal".to_owned())?;
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        started.push((Pid::from_child(&child), stop));
        Ok(Self { child, name, log })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready, which is when this finds something.
    ///
    /// # Errors
    /// If it ends, or takes longer than `patience`; with the end of what it said.
    pub fn ready<T>(&mut self, patience: Duration, mut look: impl FnMut(&Path) -> Option<T>) -> Result<T, String> {
        let since = Watch::start();
        while since.elapsed() < patience {
            if let Some(found) = look(&self.log) {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended with {status}: {}", self.name, self.last_words()));
            }
            pause(LOOK);
        }
        Err(format!("{} is not ready after {} s: {}", self.name, patience.as_secs(), self.last_words()))
    }

    /// Waits for the line that tells where it listens: `{"listen":"127.0.0.1:8420"}`.
    ///
    /// # Errors
    /// As [`Running::ready`].
    pub fn listens(&mut self, patience: Duration) -> Result<std::net::SocketAddr, String> {
        self.ready(patience, |log| {
            let said = std::fs::read_to_string(log).ok()?;
            said.lines()
                .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["listen"].as_str()?.parse().ok())
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it fails, or takes longer than `patience`; with the end of what it said.
    pub fn finish(mut self, patience: Duration) -> Result<(), String> {
        let since = Watch::start();
        while since.elapsed() < patience {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{} ended with {status}: {}", self.name, self.last_words())),
                Ok(None) => pause(LOOK),
                Err(error) => return Err(format!("{}: {error}", self.name)),
            }
        }
        Err(format!("{} has not ended after {} s: {}", self.name, patience.as_secs(), self.last_words()))
    }

    fn last_words(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" / ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a signal that comes now waits until this one has ended.
        if let Some(started) = started.as_mut() {
            for (_, stop) in started.extract_if(.., |(running, _)| *running == pid) {
                end(pid, stop);
            }
        }
        drop(started);
        let _ = self.child.wait();
    }
}

/// Ends everything that was started and not stopped yet, the newest first: a server goes before its database. Nothing can be
/// started afterwards.
pub fn stop_all() {
    let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (pid, stop) in started.into_iter().flatten().rev() {
        end(pid, stop);
    }
}

/// Whether [`stop_all`] was called.
#[must_use]
pub fn is_stopped() -> bool {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner).is_none()
}

/// The signal, and after a while the one that nobody can refuse.
fn end(leader: Pid, stop: Signal) {
    let _ = rustix::process::kill_process(leader, stop);
    let since = Watch::start();
    while since.elapsed() < PATIENCE && is_alive(leader) {
        pause(LOOK);
    }
    let _ = rustix::process::kill_process_group(leader, Signal::KILL);
}

/// Whether it runs: what has ended and was not waited for is in state Z.
fn is_alive(pid: Pid) -> bool {
    stat(pid.as_raw_nonzero().get().unsigned_abs()).is_some_and(|stat| stat.state != "Z")
}

/// What processes have used since they began.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Memory now, in bytes; what several share is counted once.
    pub memory: u64,
    /// Bytes that they gave the disk to write.
    pub written: u64,
}

/// What these processes and all that they have started use.
#[must_use]
pub fn usage(roots: &[u32]) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second();
    let mut sum = Usage::default();
    for pid in descendants(roots) {
        let Some(stat) = stat(pid) else { continue };
        sum.cpu += Duration::from_millis(stat.ticks * 1000 / ticks);
        sum.memory += 1024 * told(pid, "smaps_rollup", "Pss:");
        sum.written += told(pid, "io", "write_bytes:");
    }
    sum
}

fn descendants(roots: &[u32]) -> Vec<u32> {
    let mut children = HashMap::<u32, Vec<u32>>::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        at += 1;
    }
    found
}

struct Stat {
    state: String,
    parent: u32,
    /// Its own, and those of children that have ended.
    ticks: u64,
}

/// proc(5), `/proc/pid/stat`: the name in parentheses may hold anything, so what follows is counted from the last one.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Stat {
        state: (*fields.first()?).to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        ticks: (11..15).filter_map(number).sum(),
    })
}

fn told(pid: u32, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A port that was free a moment ago.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(listener.map_err(|error| format!("no free port: {error}"))?.port())
}

/// Runs a program to its end and returns what it wrote.
///
/// # Errors
/// If it cannot be started, or fails; with the end of what it said.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let start = said.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
    Err(format!("{name} failed: {}", said.get(start..).unwrap_or_default().replace('\n', " / ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_stopped_with_all_that_it_has_started() {
        let scratch = sim::process::Scratch::new("running");
        let mut command = Command::new("sh");
        // A child that does not hear the signal, as a server behind a start script.
        command.args(["-c", "trap 'exit 0' TERM; sleep 600 & echo $!; wait"]);
        let mut running = Running::start("shell", command, scratch.path(), Signal::TERM).expect("a shell");
        let child: u32 = running
            .ready(Duration::from_secs(10), |log| std::fs::read_to_string(log).ok()?.trim().parse().ok())
            .expect("it says its child's number");
        assert_eq!(descendants(&[running.pid()]), [running.pid(), child]);
        assert!(usage(&[running.pid()]).memory > 0);
        drop(running);
        assert!(stat(child).is_none_or(|child| child.state == "Z" || child.parent == 1));
        let since = Watch::start();
        while stat(child).is_some_and(|child| child.state != "Z") {
            assert!(since.elapsed() < Duration::from_secs(10), "the child was killed");
            pause(LOOK);
        }
    }

    #[test]
    fn a_process_that_ends_early_is_told_with_its_last_words() {
        let scratch = sim::process::Scratch::new("ended");
        let mut command = Command::new("sh");
        command.args(["-c", "echo no disk >&2; exit 3"]);
        let mut running = Running::start("shell", command, scratch.path(), Signal::TERM).expect("a shell");
        let why = running.listens(Duration::from_secs(10)).expect_err("it ended");
        assert!(why.contains("exit status: 3") && why.contains("no disk"), "{why}");
    }
}
