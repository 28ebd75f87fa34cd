//! What every command needs: the configuration, the opened store, and one way to fail.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use regrant_server::admin::{Admin, AdminError};
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
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), code }
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if json {
            output::error(&serde_json::json!({"error": self.message, "exit_code": self.code}).to_string());
        } else {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            output::error(&format!("{red}error:{red:#} {}", self.message));
        }
        ExitCode::from(self.code)
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
    /// The configuration: the file that was named, or safe defaults, said aloud.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        match &self.config {
            Some(path) => Config::load(path).map_err(|errors| Failure::new(78, errors)),
            None => {
                let directory = Path::new(DATA_DIR);
                output::error(&format!(
                    "no --config: safe defaults, data in ./{DATA_DIR} (`regrant init DIR` writes a configuration)"
                ));
                let config = Config::safe_defaults(directory);
                make_first_root_key(directory, &config.root_key_file)?;
                Ok(config)
            }
        }
    }

    /// Opens the store of a server that does not run, and works on it.
    pub(crate) fn with_admin<T>(&self, work: impl AsyncFnOnce(Admin) -> Result<T, AdminError>) -> Result<T, Failure> {
        let config = self.load()?;
        runtime()?.block_on(async {
            let app = App::open(config, Clock::system())?;
            Ok(work(app.admin()).await?)
        })
    }

    /// The same for what is known without waiting.
    pub(crate) fn with_app<T>(&self, work: impl FnOnce(&Arc<App>) -> Result<T, Failure>) -> Result<T, Failure> {
        let config = self.load()?;
        runtime()?.block_on(async { work(&App::open(config, Clock::system())?) })
    }
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
