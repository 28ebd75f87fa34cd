//! A real PostgreSQL, started by a test on a free port and gone with it.
//!
//! Debian's binaries or those that `REGRANT_POSTGRES` names (`crates/sim/servers/run`), a data directory of its own, `fsync` on as everywhere. A shell holds the server: it ends it when the test's process
//! is gone, however that ended. PostgreSQL refuses to run as root: then it runs as `postgres`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use regrant_store::{Postgres, PostgresOptions};

/// Ends the server with its own standard input, and itself with the server.
pub(crate) const HOLD: &str = r#"exec 3<&0; "$@" <&- 3<&- & server=$!
(read -r _ <&3; kill -"$END" "$server"; while kill -0 "$server"; do sleep 0.05; done; [ -e "$HOME_OF_SERVER/keep" ] || rm -rf "$HOME_OF_SERVER") >/dev/null 2>&1 &
exec 3<&-; wait "$server""#;

/// Where the binaries are: in the folder that `REGRANT_POSTGRES` names, or else the newest version that Debian has installed.
#[must_use]
pub fn binaries() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("REGRANT_POSTGRES") {
        return Some(named.into());
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

/// Whether a test can have a server. Says why not; with `CI=true` there is no excuse.
///
/// # Panics
/// With `CI=true`, if there is none.
#[must_use]
pub fn is_there() -> bool {
    let found = binaries().is_some();
    if !found {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI=true, and PostgreSQL is not installed");
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| println!("skipped: PostgreSQL is not installed (apt-get install postgresql)"));
    }
    found
}

/// A server.
#[derive(Debug)]
pub struct Server {
    pub(crate) bin: PathBuf,
    /// Its data, its socket and its log.
    pub home: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    user: Option<(u32, u32)>,
    held: Option<(Child, ChildStdin)>,
}

impl Server {
    /// Makes a cluster and starts it, with these settings beside ours.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::make();
        server.begin(settings);
        server
    }

    /// Makes a cluster, and does not start it yet.
    #[must_use]
    pub fn make() -> Self {
        let server = Self::place();
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "regrant", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]);
        server
    }

    /// Over TCP only these lines of `pg_hba.conf` let anybody in.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn let_in(&self, lines: &str) {
        std::fs::write(format!("{}/pg_hba.conf", self.data()), format!("local all all trust\n{lines}\n"))
            .expect("written");
    }

    /// A file that only the server can read.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn keep(&self, name: &str, text: &str) -> String {
        let path = self.home.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("the server's own file");
        }
        path.display().to_string()
    }

    /// A standby of this one, under this name, ready to take over.
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let mut standby = Self::place();
        let (data, port) = (standby.data(), self.port.to_string());
        if self.bin.join("pg_basebackup").exists() {
            let from = [
                "-D",
                &data,
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "regrant",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
            ];
            standby.run("pg_basebackup", &from);
        } else {
            self.copy_to(&standby);
        }
        let _ = standby.keep("data/standby.signal", "");
        let conf = format!("primary_conninfo = 'host=127.0.0.1 port={port} user=regrant application_name={name}'\n");
        let auto = Path::new(&data).join("postgresql.auto.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(auto).expect("a standby's settings");
        file.write_all(conf.as_bytes()).expect("written");
        standby.begin(&["hot_standby=on"]);
        standby
    }

    /// What pg_basebackup does, which comes with no embedded server: a copy of the directory that is under way, and what makes it sound.
    fn copy_to(&self, standby: &Self) {
        let data = standby.data();
        let copy = format!("\\! cp -a {} {data}", self.data());
        let said = ["SELECT pg_backup_start('copy', true)", &copy, "SELECT labelfile FROM pg_backup_stop(false)"];
        let said = self.psql("postgres", &said).unwrap_or_else(|why| panic!("{why}"));
        let label = said.split_once('\n').map_or("", |(_, label)| label);
        assert!(label.contains("START WAL LOCATION"), "{said}");
        for gone in ["postmaster.pid", "postmaster.opts"] {
            let _ = std::fs::remove_file(Path::new(&data).join(gone));
        }
        let _ = standby.keep("data/backup_label", &format!("{label}\n"));
    }

    /// A place for one: its binaries, a directory of its own, a free port.
    pub(crate) fn place() -> Self {
        let bin = binaries().expect("PostgreSQL is installed");
        let (home, user) = home();
        Self { bin, home, port: free_port(), user, held: None }
    }

    pub(crate) fn data(&self) -> String {
        self.home.join("data").display().to_string()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.home).env("LC_ALL", "C").env("HOME_OF_SERVER", &self.home).env("END", "QUIT");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let done = self.command(&self.bin.join(program)).args(arguments).stdin(Stdio::null()).output().expect("runs");
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts it (again), and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not start.
    pub fn begin(&mut self, settings: &[&str]) {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", HOLD, "sh"]).arg(self.bin.join("postgres"));
        command.args(["-D", &self.data(), "-p", &self.port.to_string(), "-k"]).arg(&self.home);
        for setting in ["listen_addresses=127.0.0.1", "shared_buffers=32MB", "max_connections=200", "wal_level=replica"]
        {
            command.args(["-c", setting]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let (stdin, log) = (child.stdin.take().expect("piped"), child.stderr.take().expect("piped"));
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_ready = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("ready to accept"))
        });
        assert!(is_ready, "PostgreSQL did not start: {}", said.join("\n"));
        // Nobody waits for what it says later, but it must be able to say it.
        let mut kept = std::fs::File::create(self.home.join(format!("log-{}", child.id()))).expect("a log");
        thread::spawn(move || lines.for_each(|line| drop(writeln!(kept, "{line}"))));
        self.held = Some((child, stdin));
    }

    /// Runs statements as the owner of everything.
    ///
    /// # Panics
    /// If the server refuses one.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.psql(database, &[sql]).unwrap_or_else(|why| panic!("{why}"))
    }

    /// One after the other in one session, or why not. An embedded server comes without `psql`: then it is the system's.
    ///
    /// # Errors
    /// The server's own words.
    ///
    /// # Panics
    /// If there is no `psql`.
    pub fn psql(&self, database: &str, statements: &[&str]) -> Result<String, String> {
        let own = self.bin.join("psql");
        let mut command = self.command(if own.exists() { &own } else { Path::new("psql") });
        command.arg("-h").arg(&self.home).args(["-p", &self.port.to_string(), "-U", "regrant", "-d", database]);
        command.args(["-qAt", "-v", "ON_ERROR_STOP=1"]);
        for statement in statements {
            command.args(["-c", statement]);
        }
        let done = command.output().expect("psql runs");
        if !done.status.success() {
            return Err(format!("{statements:?}: {}", String::from_utf8_lossy(&done.stderr)));
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Ends every connection of the nodes of a database, and waits until their processes are gone. A commit that is on its way at that
    /// moment is one that nobody knows the outcome of: so is one whose node has not heard of it yet.
    pub fn hang_up(&self, database: &str) {
        let ends = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'regrant'"
        );
        self.sql("postgres", &ends);
    }

    /// A new, empty database, and its address.
    pub fn database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("regrant_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        );
        Database { name, port: self.port }
    }

    /// The postmaster's process.
    #[must_use]
    pub fn pid(&self) -> Option<rustix::process::Pid> {
        let text = std::fs::read_to_string(self.home.join("data/postmaster.pid")).ok()?;
        rustix::process::Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }

    /// SIGKILL to the postmaster and everything below it; what is on the disk stays.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero()))
                .unwrap_or_default();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                if let Some(child) = rustix::process::Pid::from_raw(child) {
                    let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
                }
            }
        }
        self.ended();
        let _ = std::fs::remove_file(self.home.join("data/postmaster.pid"));
    }

    /// As an operator stops it: whoever is connected is told to go (57P01).
    pub fn stop(&mut self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "fast", "-D", &self.data()]);
        self.ended();
    }

    /// Waits for the one who holds the server, who must not remove the directory.
    fn ended(&mut self) {
        std::fs::write(self.home.join("keep"), "").expect("a mark");
        if let Some((mut shell, stdin)) = self.held.take() {
            let _ = shell.wait();
            drop(stdin);
        }
    }

    /// From now on a standby hears nothing more of this server. What was committed before, it has.
    pub fn cut_off(&self, standby: &Self) {
        let here = self.sql("postgres", "SELECT pg_current_wal_lsn()");
        let has = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'::pg_lsn");
        while standby.sql("postgres", &has) != "t" {}
        standby.sql("postgres", "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'");
        standby.sql("postgres", "SELECT pg_reload_conf()");
        while self.sql("postgres", "SELECT count(*) FROM pg_stat_replication") != "0" {}
    }

    /// A standby takes over.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w", "-D", &self.data()]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut shell, stdin)) = self.held.take() {
            drop(stdin);
            let _ = shell.wait();
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// A database of a server.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    port: u16,
}

impl Database {
    /// How a node reaches it.
    #[must_use]
    pub fn options(&self) -> PostgresOptions {
        self.at(&[self.port])
    }

    /// How a node reaches it over other ports: those of a proxy, or of a server and its standby.
    ///
    /// # Panics
    /// Never: the address is well-formed.
    #[must_use]
    pub fn at(&self, ports: &[u16]) -> PostgresOptions {
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        PostgresOptions::parse(&format!("postgres://regrant@{}/{}", hosts.join(","), self.name)).expect("an address")
    }

    /// A node's hold on it.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn node(&self) -> Postgres {
        Postgres::open(&self.options()).expect("the store opens")
    }
}

/// A directory of its own, and whose it is, if it must be somebody else's.
pub(crate) fn home() -> (PathBuf, Option<(u32, u32)>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("regrant-pg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let home = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&home).expect("a directory for the server");
    let user = rustix::process::geteuid().is_root().then(postgres_user);
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&home, Some(uid), Some(gid)).expect("the server's own directory");
    }
    (home, user)
}

/// Free now; whoever takes it before the server does makes the start fail loudly.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

fn postgres_user() -> (u32, u32) {
    let id = |flag: &str| -> u32 {
        let said = Command::new("id").args([flag, "postgres"]).output().expect("id runs");
        String::from_utf8_lossy(&said.stdout).trim().parse().expect("there is a user postgres")
    };
    (id("-u"), id("-g"))
}
