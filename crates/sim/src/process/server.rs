//! A running `regrant serve`: started, asked where it listens, stopped or killed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::Home;
use crate::wire::Http;

/// The real binary, which stands beside this one; built if it is missing or older than its sources.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn regrant() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let here = std::env::current_exe().expect("this program has a path");
        // A test stands one directory deeper, in `deps`.
        let directory = here.ancestors().nth(1).expect("a directory");
        let directory = directory.parent().filter(|_| directory.ends_with("deps")).unwrap_or(directory);
        let binary = directory.join("regrant");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let built = std::fs::metadata(&binary).and_then(|found| found.modified()).ok();
        if built.is_none_or(|built| newest(&root.join("crates")) > built) {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            // With the profile of this program, or another file would be built than the one that is run.
            let profile = directory.file_name().and_then(|name| name.to_str()).filter(|name| *name != "debug");
            let mut build = Command::new(cargo);
            // And with the features of `./test`: others would be another build of everything.
            build
                .args(["build", "--workspace", "--all-features", "--profile", profile.unwrap_or("dev")])
                .current_dir(root);
            assert!(build.status().is_ok_and(|status| status.success()), "{build:?} failed");
        }
        binary
    })
}

/// When a source of what ships was last changed.
fn newest(directory: &Path) -> SystemTime {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let ships = |path: &PathBuf| !path.ends_with("sim") && !path.ends_with("tests");
    let changed = entries.filter(ships).filter_map(|path| {
        if path.is_dir() { Some(newest(&path)) } else { std::fs::metadata(path).and_then(|file| file.modified()).ok() }
    });
    changed.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    metrics: Option<String>,
    admin: Option<String>,
    log: PathBuf,
}

/// The server did not start: how it ended, and what it said.
#[derive(Debug)]
pub struct Refused {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard error.
    pub said: String,
}

impl Server {
    /// `regrant serve` in a home.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(home: &Home) -> Self {
        Self::try_start(home.command(&["serve"]), &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Any program that says in its first line where it listens. Its standard error is added to `log`.
    ///
    /// # Errors
    /// [`Refused`] if it ends before it listens.
    ///
    /// # Panics
    /// If there is no such program.
    pub fn try_start(mut command: Command, log: &Path) -> Result<Self, Refused> {
        command.stdin(Stdio::null());
        Self::try_start_with_input(command, log)
    }

    /// The same for a program whose standard input is something.
    ///
    /// # Errors
    /// As [`Server::try_start`].
    ///
    /// # Panics
    /// As [`Server::try_start`].
    pub fn try_start_with_input(mut command: Command, log: &Path) -> Result<Self, Refused> {
        let before = std::fs::metadata(log).map_or(0, |log| log.len());
        let errors = OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let mut first = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let _ = output.read_line(&mut first);
        let line = serde_json::from_str::<serde_json::Value>(&first).ok();
        let told = |name: &str| line.as_ref().and_then(|line| line[name].as_str());
        let url = |name: &str| told(name).map(|address| format!("http://{address}"));
        let (listen, metrics, admin) = (told("listen"), url("metrics"), url("admin"));
        let Some(listen) = listen else {
            let code = child.wait().ok().and_then(|status| status.code());
            let log = std::fs::read(log).unwrap_or_default();
            let said = log.get(before as usize..).unwrap_or_default();
            return Err(Refused { code, said: String::from_utf8_lossy(said).into_owned() });
        };
        Ok(Self { base: format!("http://{listen}"), metrics, admin, child, log: log.to_owned() })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A client of its metrics, if they are told.
    #[must_use]
    pub fn metrics(&self) -> Option<Http> {
        self.metrics.as_deref().map(Http::new)
    }

    /// Where its admin API has a listener of its own, if it has.
    #[must_use]
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.base)
    }

    /// Its process id; under strace, strace's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing of its own runs any more.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("a running process");
        self.child.wait().expect("an ended process");
    }

    /// Kills strace and, whatever strace has left, the process that the store's lock file names.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill_all(mut self, store: &Path) {
        let mut lock = store.as_os_str().to_owned();
        lock.push(".lock");
        if let Ok(pid) = std::fs::read_to_string(lock) {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }

    /// Waits for its end, this long at most: its exit code, if it was not killed.
    ///
    /// # Errors
    /// If it does not end; it is killed then.
    pub async fn ended(mut self, patience: Duration) -> Result<Option<i32>, String> {
        const LOOK: Duration = Duration::from_millis(10);
        for _ in 0..patience.as_millis() / LOOK.as_millis() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status.code());
            }
            super::pause(LOOK).await;
        }
        Err(format!("it does not end within {} s", patience.as_secs()))
    }

    /// Where its standard error goes.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What was logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// SIGTERM to `pid`, and waits for the end. Returns what was logged.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop_by(self, pid: u32) -> String {
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill");
        assert!(sent.success(), "no process {pid}");
        self.stopped()
    }

    /// Waits for the end of a process that was told to stop. Returns what was logged.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stopped(mut self) -> String {
        let ended = self.child.wait().expect("an ended process");
        let mut log = Vec::new();
        let _ = File::open(&self.log).and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut log));
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(ended.success(), "{ended}: {log}");
        log
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(self) -> String {
        let pid = self.pid();
        self.stop_by(pid)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
