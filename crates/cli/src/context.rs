//! What every command needs: the configuration, the opened store, and one way to fail.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use regrant_server::admin::{Admin, AdminError};
use regrant_server::config::ConfigErrors;
use regrant_server::{App, Clock, Config, StartError, keyring};

use crate::output;

/// Where everything is without a configuration file.
const DATA_DIR: &str = "regrant-data";

/// The global options.
#[derive(Debug)]
pub(crate) struct Context {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--json`.
    pub(crate) json: bool,
}

/// Why a command could not be carried out: what people read, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    /// The single errors of a configuration, for `--json`.
    errors: Option<ConfigErrors>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), code, errors: None }
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if json {
            let mut value = serde_json::json!({"error": self.message, "exit_code": self.code});
            if let (Some(errors), Some(members)) = (&self.errors, value.as_object_mut()) {
                members.insert("errors".to_owned(), serde_json::to_value(&errors.0).unwrap_or_default());
            }
            output::error(&value.to_string());
        } else {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            let (message, many) = (&self.message, self.errors.as_ref().is_some_and(|errors| errors.0.len() > 1));
            let gap = if many { "\n" } else { " " };
            output::error(&format!("{red}error:{red:#}{gap}{message}"));
        }
        ExitCode::from(self.code)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self { errors: Some(errors.clone()), ..Self::new(78, errors) }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let hint = match error.exit_code() {
            75 => "\n  While a server runs on the store, only that server works with it.",
            _ => "",
        };
        Self::new(error.exit_code(), format!("{error}{hint}"))
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(1, error)
    }
}

/// What a command says when it is done.
pub(crate) type Done = Result<(), Failure>;

impl Context {
    /// The configuration: the file that was named, or safe defaults. Makes nothing.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Ok(match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::safe_defaults(Path::new(DATA_DIR)),
        })
    }

    /// The same for commands that may be the first of all: without a configuration they make the data directory and its key.
    pub(crate) fn load_or_begin(&self) -> Result<Config, Failure> {
        let config = self.load()?;
        if self.config.is_none() {
            make_first_root_key(Path::new(DATA_DIR), &config.root_key_file)?;
        }
        Ok(config)
    }

    /// What to say aloud where no configuration was named.
    pub(crate) fn defaults_notice(&self) -> Option<String> {
        let unread = if Path::new("regrant.toml").exists() {
            "; ./regrant.toml is there, but is read only with `--config regrant.toml`"
        } else {
            "; `regrant init DIR` writes a configuration"
        };
        self.config.is_none().then(|| format!("no --config: safe defaults on 127.0.0.1, data in ./{DATA_DIR}{unread}"))
    }

    /// Says it on standard error, for people.
    pub(crate) fn say_defaults(&self) {
        if let Some(notice) = self.defaults_notice().filter(|_| !self.json) {
            output::error(&notice);
        }
    }

    /// Opens the store of a server that does not run, and works on it.
    pub(crate) fn with_admin<T>(&self, work: impl AsyncFnOnce(Admin) -> Result<T, AdminError>) -> Result<T, Failure> {
        self.say_defaults();
        if self.config.is_none() && !Path::new(DATA_DIR).exists() {
            let remedy =
                "name the configuration with --config, or begin here with `regrant serve` or `regrant user add`";
            return Err(Failure::new(69, format!("there is no ./{DATA_DIR} here\n  remedy: {remedy}")));
        }
        on_store(self.load()?, work)
    }

    /// The same for a command that may be the first of all.
    pub(crate) fn begin_with_admin<T>(
        &self,
        work: impl AsyncFnOnce(Admin) -> Result<T, AdminError>,
    ) -> Result<T, Failure> {
        self.say_defaults();
        on_store(self.load_or_begin()?, work)
    }
}

/// Opens a store and works on it.
pub(crate) fn on_store<T>(
    config: Config,
    work: impl AsyncFnOnce(Admin) -> Result<T, AdminError>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        let app = App::open(config, Clock::system())?;
        let done = work(app.admin()).await;
        // Everything is then in the database file itself.
        app.engine.stop().await;
        Ok(done?)
    })
}

/// The runtime of a command.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Writes a new root key, readable by its owner alone. Never over a file that is there.
pub(crate) fn write_root_key(path: &Path) -> std::io::Result<()> {
    let key = keyring::new_root_key();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(key.text().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// The first start without a configuration makes its directory and key. A store whose key is lost gets no new one.
fn make_first_root_key(directory: &Path, key: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::new(78, format!("{} cannot be made: {error}", directory.display())))?;
    if !key.exists() && !directory.join("regrant.db").exists() {
        write_root_key(key)
            .map_err(|error| Failure::new(78, format!("{} cannot be written: {error}", key.display())))?;
    }
    Ok(())
}
