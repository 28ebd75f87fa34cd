//! A deployment on disk: `regrant.toml`, `root.key`, and beside them the store.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regrant_server::Config;
use regrant_store::Writes;

use super::Inside;
use super::server::regrant;
use crate::wire::{CONFIG, PASSWORD, SECRET, USER};

/// A directory that `regrant` serves from.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
    /// Another binary than the one that was built with this program.
    binary: Option<PathBuf>,
}

impl Home {
    /// Writes the configuration of all worlds and a fresh root key into a directory.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn make(directory: &Path) -> Self {
        Self::make_with(directory, CONFIG)
    }

    /// The same with other clients. Nothing is limited unless they come with `[limits]`: what is done here is done faster than
    /// anybody honest would.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn make_with(directory: &Path, clients: &str) -> Self {
        let home = Self { directory: directory.to_owned(), binary: None };
        std::fs::create_dir_all(directory.join("data")).expect("a directory");
        home.configure(clients);
        let key = regrant_server::keyring::new_root_key();
        std::fs::write(home.root_key_file(), format!("{}\n", *key.text())).expect("the root key is written");
        home
    }

    /// Writes the configuration anew, with these clients.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, clients: &str) {
        let top = "listen = \"127.0.0.1:0\"\nstore = \"sqlite:data/regrant.db\"\nroot_key_file = \"root.key\"\n\
            [http]\ndrain_delay = \"0\"\n";
        let limits = if clients.contains("[limits]") { "" } else { UNLIMITED };
        std::fs::write(self.config_file(), format!("{top}{}{limits}", with_hash(clients)))
            .expect("the configuration is written");
    }

    /// Names another store in the configuration.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn store_at(&self, address: &str) {
        let text = std::fs::read_to_string(self.config_file()).expect("the configuration");
        let text = text.replace("sqlite:data/regrant.db", address);
        std::fs::write(self.config_file(), text).expect("the configuration is written");
    }

    /// Puts settings at the top of the configuration.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn set(&self, settings: &str) {
        let text = std::fs::read_to_string(self.config_file()).expect("the configuration");
        std::fs::write(self.config_file(), format!("{settings}{text}")).expect("the configuration is written");
    }

    /// From now on it is another version that runs here.
    pub fn run_by(&mut self, binary: Option<&Path>) {
        self.binary = binary.map(Path::to_owned);
    }

    /// A directory that is such a home already.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), binary: None }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.directory.join("regrant.toml")
    }

    /// Says in the configuration how the store writes, from the next start on.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write_by(&self, writes: Writes) {
        let word = match writes {
            Writes::Journal => "journal",
            Writes::Rows => "rows",
        };
        let text = std::fs::read_to_string(self.config_file()).expect("the configuration");
        let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with("store_writes")).collect();
        std::fs::write(self.config_file(), format!("store_writes = \"{word}\"\n{}\n", rest.join("\n")))
            .expect("written");
    }

    /// The root key.
    #[must_use]
    pub fn root_key_file(&self) -> PathBuf {
        self.directory.join("root.key")
    }

    /// The directory of the store.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.data().join("regrant.db")
    }

    /// What the server writes to standard error goes here.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// The configuration, read.
    ///
    /// # Panics
    /// If it is wrong.
    #[must_use]
    pub fn config(&self) -> Config {
        Config::load(&self.config_file()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// `regrant --config FILE …`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary.as_deref().unwrap_or_else(|| regrant()));
        command.arg("--config").arg(self.config_file()).args(arguments);
        command
    }

    /// Adds the user of all worlds, with the real command.
    ///
    /// # Panics
    /// If it fails.
    pub fn add_user(&self) {
        self.add_user_named(USER);
    }

    /// Adds another one, with the same password.
    ///
    /// # Panics
    /// If it fails.
    pub fn add_user_named(&self, name: &str) {
        self.add_user_with(name, PASSWORD);
    }

    /// Adds another one, with a password of his own.
    ///
    /// # Panics
    /// If it fails.
    pub fn add_user_with(&self, name: &str, password: &str) {
        let mut child = self
            .command(&["user", "add", name, "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("regrant starts");
        child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("the password is read");
        assert!(child.wait().expect("regrant ends").success(), "regrant user add failed");
    }

    /// The same server within this process, on the same files, at the machine's time.
    ///
    /// # Panics
    /// If it does not open.
    #[must_use]
    pub fn open_inside(&self) -> Inside {
        Inside::open(self.config(), regrant_server::Clock::system()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A copy of everything, with the write-ahead log as it stands: what a backup or a thief of the disk has.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn copy_to(&self, directory: &Path) -> Self {
        copy_all(&self.directory, directory);
        Self::at(directory)
    }
}

/// Limits of nothing that is limited by default but for registration.
pub(crate) const UNLIMITED: &str = r#"
[limits]
login_failures = "off"
login_failures_per_network = "off"
login_failures_per_account = "off"
wrong_secrets = "off"
failures_per_network = "off"
requests_per_grant = "off"
requests_per_client = "off"
codes_per_user = "off"
refusals_logged = "off"
"#;

/// `HASH` stands for the hash of [`SECRET`].
fn with_hash(clients: &str) -> String {
    let hash = regrant_server::config::hash_text(&regrant_core::one_time::client_secret_hash(SECRET));
    clients.replace("HASH", &hash)
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    let mut entries: Vec<_> = std::fs::read_dir(from).expect("a directory").flatten().collect();
    // The anchor first: a server that runs on meanwhile must not take it ahead of the copied store.
    entries.sort_by_key(|entry| !entry.file_name().as_encoded_bytes().ends_with(b".anchor"));
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            // The admin socket is no file.
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
