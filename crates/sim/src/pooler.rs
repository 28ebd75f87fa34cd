//! What people put between nodes and a database, and between clients and nodes: PgBouncer in transaction mode, and HAProxy.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::pg::{HOLD, free_port, home};
use crate::process;

/// A real PgBouncer. Dropping it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    _held: Held,
}

impl PgBouncer {
    /// Its version, major and minor, if it is installed.
    ///
    /// # Panics
    /// If it is not, with `CI=true`.
    #[must_use]
    pub fn version() -> Option<(u32, u32)> {
        let said = Command::new(program()).arg("--version").output().ok();
        let Some(said) = said.filter(|said| said.status.success()) else {
            process::skip("nodes behind a pooler", "pgbouncer is not installed (apt-get install pgbouncer)");
            return None;
        };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut numbers = said.split_whitespace().nth(1)?.split('.').map_while(|number| number.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    }

    /// Starts one in front of a server's port, with so many connections to it for each database, and waits until it listens.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(server: u16, pool: usize) -> Self {
        let (home, _) = home();
        let port = free_port();
        let prepared = match Self::version() {
            Some(version) if version >= (1, 21) => "max_prepared_statements = 200\n",
            _ => "",
        };
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=regrant\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = {pool}\n\
             query_wait_timeout = 2\nserver_connect_timeout = 2\nserver_login_retry = 0\n{prepared}"
        );
        let ini = home.join("pgbouncer.ini");
        std::fs::write(&ini, text).expect("written");
        let held = Held::start(&home, port, &[&program(), &ini.display().to_string()]);
        Self { port, _held: held }
    }
}

/// The PgBouncer that `REGRANT_PGBOUNCER` names (`crates/sim/servers/run`), or the one that is installed.
fn program() -> String {
    std::env::var("REGRANT_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned())
}

/// A real HAProxy in front of nodes, which asks each of them whether it is ready. Dropping it ends it.
#[derive(Debug)]
pub struct HaProxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    held: Held,
}

impl HaProxy {
    /// Whether it is installed.
    ///
    /// # Panics
    /// If it is not, with `CI=true`.
    #[must_use]
    pub fn is_there() -> bool {
        let found = Command::new("haproxy").arg("-v").output().is_ok_and(|said| said.status.success());
        if !found {
            process::skip("nodes behind a balancer", "haproxy is not installed (apt-get install haproxy)");
        }
        found
    }

    /// Starts one for nodes at these ports, and waits until it listens. It is what docs/scaling.md shows.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(nodes: &[u16]) -> Self {
        let (home, _) = home();
        let port = free_port();
        let servers: String = nodes
            .iter()
            .enumerate()
            .map(|(number, port)| format!("    server node{number} 127.0.0.1:{port} check\n"))
            .collect();
        let text = format!(
            "global\n    stats socket {home}/control mode 600 level admin\n\
             defaults\n    mode http\n    timeout connect 1s\n    timeout client 30s\n    timeout server 30s\n    timeout check 1s\n\
             \x20   retries 3\n    option redispatch 1\n    retry-on conn-failure\n\
             \x20   http-error status 503 content-type application/json string '{{\"error\":\"temporarily_unavailable\"}}' hdr retry-after 1\n\
             frontend clients\n    bind 127.0.0.1:{port}\n    default_backend nodes\n\
             backend nodes\n    balance roundrobin\n    option httpchk GET /readyz\n    http-check expect status 200\n\
             \x20   default-server inter 200ms fastinter 100ms fall 2 rise 1\n{servers}",
            home = home.display()
        );
        let file = home.join("haproxy.cfg");
        std::fs::write(&file, text).expect("written");
        let held = Held::start(&home, port, &["haproxy", "-db", "-f", &file.display().to_string()]);
        Self { port, held }
    }

    /// A node is back, at another port.
    ///
    /// # Panics
    /// If HAProxy does not take it.
    pub fn lead(&self, node: usize, port: u16) {
        let said = self.ask(&format!("set server nodes/node{node} addr 127.0.0.1 port {port}"));
        assert!(said.contains("changed") || said.contains("no need") || said.trim().is_empty(), "{said}");
    }

    /// Which nodes it believes in.
    ///
    /// # Panics
    /// If HAProxy does not say.
    #[must_use]
    pub fn up(&self) -> Vec<bool> {
        let said = self.ask("show stat");
        let nodes = said.lines().filter(|line| line.starts_with("nodes,node"));
        nodes.map(|line| line.split(',').nth(17).is_some_and(|status| status.starts_with("UP"))).collect()
    }

    fn ask(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.held.home.join("control")).expect("its socket");
        socket.write_all(format!("{command}\n").as_bytes()).expect("asked");
        let mut said = String::new();
        socket.read_to_string(&mut said).expect("answered");
        said
    }
}

/// A program that ends with this one, however that ends.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its directory, which goes with it.
    pub(crate) home: PathBuf,
    shell: Child,
    stdin: Option<ChildStdin>,
}

impl Held {
    /// Starts it as the owner of its directory, and waits until it listens.
    #[expect(clippy::disallowed_methods, reason = "a program of somebody else's says nowhere that it has started")]
    pub(crate) fn start(home: &Path, port: u16, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(home.join("log")).expect("a log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HOLD, "sh"]).args(arguments).env("HOME_OF_SERVER", home).env("END", "TERM");
        let owner = std::fs::metadata(home).expect("its directory");
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let mut shell =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).current_dir(home).spawn().expect("starts");
        let stdin = shell.stdin.take();
        let mut held = Self { home: home.to_owned(), shell, stdin };
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return held;
            }
            assert!(held.shell.try_wait().expect("its state").is_none(), "{arguments:?} ended: {}", held.said());
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{arguments:?} does not listen: {}", held.said());
    }

    /// SIGKILL to the program, as when its machine is gone.
    pub(crate) fn kill(&self) {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
        // The shell starts the program first.
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        if let Some(pid) = first.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
