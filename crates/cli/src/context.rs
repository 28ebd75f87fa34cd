//! What every command needs: the configuration, the opened store, and one way to fail.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use regrant_server::admin::socket::Conversation;
use regrant_server::admin::{Acting, AdminError, Command, Operator};
use regrant_server::config::{ConfigErrors, Source, StoreLocation, environment};
use regrant_server::{App, Clock, Config, StartError, keyring};
use serde::de::DeserializeOwned;

use crate::output;
use crate::remote::{self, Remote};

/// Where everything is without a configuration file.
const DATA_DIR: &str = "regrant-data";

/// The global options.
#[derive(Debug)]
pub(crate) struct Context {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--json`.
    pub(crate) json: bool,
    /// `--server` and what belongs to it.
    pub(crate) remote: remote::Args,
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

    /// The exit code.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if json {
            let (error, remedy) = self.message.split_once("\n  remedy: ").unwrap_or((&self.message, ""));
            let mut value = serde_json::json!({"error": error, "exit_code": self.code});
            if let Some(members) = value.as_object_mut().filter(|_| !remedy.is_empty()) {
                members.insert("remedy".to_owned(), remedy.into());
            }
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self { errors: Some(errors.clone()), ..Self::new(78, errors) }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error.exit_code(), error)
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

impl Failure {
    /// Standard output does not hold what was printed: `what` could not be told, and `remedy` is what to do about it.
    pub(crate) fn unwritten(what: &str, why: &str, remedy: &str) -> Self {
        Self::new(74, format!("{what}: standard output cannot be written: {why}\n  remedy: {remedy}"))
    }
}

/// Nothing, if standard output holds what was printed. For what is shown once, and lost if it was not.
pub(crate) fn shown(what: &str, remedy: &str) -> Done {
    output::unwritten().map_or(Ok(()), |why| Err(Failure::unwritten(what, why, remedy)))
}

/// What a command says when it is done.
pub(crate) type Done = Result<(), Failure>;

impl Context {
    /// The configuration: the file that was named, or safe defaults, with what the environment says. Makes nothing.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Ok(Config::from_source(&self.source())?)
    }

    /// Where the configuration comes from.
    pub(crate) fn source(&self) -> Source {
        let (file, variables) = (self.config.clone(), environment::variables());
        Source { file, data_dir: DATA_DIR.into(), variables, ..Source::default() }
    }

    /// The same for commands that may be the first of all: without a configuration they make the data directory and its key.
    /// `listen` is what the command line says of it.
    pub(crate) fn load_or_begin(&self, listen: Option<SocketAddr>) -> Result<Config, Failure> {
        let config = Config::from_source(&Source { listen, ..self.source() })?;
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

    /// Whether the deployment is a server elsewhere, whose configuration is not here.
    pub(crate) const fn is_elsewhere(&self) -> bool {
        self.remote.server.is_some()
    }

    /// Says it on standard error, for people.
    pub(crate) fn say_defaults(&self) {
        if let Some(notice) = self.defaults_notice().filter(|_| !self.json) {
            output::error(&notice);
        }
    }

    /// Works on the deployment: through the running server if there is one, else on its store.
    pub(crate) fn operate<T>(&self, work: impl FnOnce(&mut Hands) -> Result<T, Failure>) -> Result<T, Failure> {
        if let Some(remote) = self.remote.open()? {
            return work(&mut Hands::Elsewhere(Box::new(remote)));
        }
        self.say_defaults();
        if self.config.is_none() && !Path::new(DATA_DIR).exists() {
            let remedy =
                "name the configuration with --config, or begin here with `regrant serve` or `regrant user add`";
            return Err(Failure::new(69, format!("there is no ./{DATA_DIR} here\n  remedy: {remedy}")));
        }
        operate_on(self.load()?, work)
    }

    /// The same for a command that may be the first of all.
    pub(crate) fn begin_and_operate<T>(
        &self,
        work: impl FnOnce(&mut Hands) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.is_elsewhere() {
            return self.operate(work);
        }
        self.say_defaults();
        operate_on(self.load_or_begin(None)?, work)
    }
}

/// Works on the deployment of a configuration.
pub(crate) fn operate_on<T>(config: Config, work: impl FnOnce(&mut Hands) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut hands = Hands::reach(config)?;
    let done = work(&mut hands);
    hands.let_go();
    done
}

/// How a command works on a deployment: there are never two writers on one store.
pub(crate) enum Hands {
    /// Through the server that runs on it.
    Server(Conversation),
    /// Through the admin API of a server elsewhere.
    Elsewhere(Box<Remote>),
    /// On its store, which this command holds meanwhile.
    Store(tokio::runtime::Runtime, Arc<App>),
}

impl Hands {
    /// The running server, or the store if none runs.
    pub(crate) fn reach(config: Config) -> Result<Self, Failure> {
        let socket = config.admin_socket();
        let unreachable = match Self::of_server(&config) {
            Some(Ok(server)) => return Ok(server),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let runtime = runtime()?;
        match runtime.block_on(async { App::open_for_command(config, Clock::system()) }) {
            Ok(app) => Ok(Self::Store(runtime, app)),
            Err(error) if error.exit_code() == 75 => {
                Err(Failure::new(75, in_use(&error, socket.as_deref(), unreachable)))
            }
            // Another user's: what failed after it, as a key that this user may not read, is not what is wrong.
            Err(_) if unreachable.as_ref().is_some_and(|why| why.kind() == std::io::ErrorKind::PermissionDenied) => {
                Err(not_yours(socket.as_deref()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The running server; `None` if the configuration has no admin socket.
    pub(crate) fn of_server(config: &Config) -> Option<std::io::Result<Self>> {
        let socket = config.admin_socket()?;
        Some(Conversation::open(&socket, owner(config)).map(Self::Server))
    }

    /// Does what the command says, and reads the answer as the view it is documented to be.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, command: Command) -> Result<T, Failure> {
        let value = match self {
            Self::Server(conversation) => conversation.ask(&command)?,
            Self::Elsewhere(remote) => remote.ask(&command)?,
            Self::Store(runtime, app) => {
                runtime.block_on(app.admin().acting(Acting::new(Operator::CommandLine)).run(command))?
            }
        };
        serde_json::from_value(value).map_err(|error| {
            let remedy = "use the `regrant` of the same version as the server";
            Failure::new(
                1,
                format!("the running server answers in words of another version: {error}\n  remedy: {remedy}"),
            )
        })
    }

    /// Whether a server runs.
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Elsewhere(_))
    }

    /// Closes what was opened.
    pub(crate) fn let_go(self) {
        if let Self::Store(runtime, app) = self {
            // Everything is then in the database file itself.
            runtime.block_on(app.engine.stop());
        }
    }
}

/// The user that owns the store, or this one.
fn owner(config: &Config) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let found = match &config.store {
        StoreLocation::Sqlite(path) => std::fs::metadata(path).ok(),
        StoreLocation::Postgres(_) | StoreLocation::Memory => None,
    };
    found.map_or_else(|| rustix::process::geteuid().as_raw(), |found| found.uid())
}

/// A server runs, and cannot be reached.
pub(crate) fn in_use(error: &StartError, socket: Option<&Path>, unreachable: Option<std::io::Error>) -> String {
    let why = match (socket, unreachable) {
        (Some(path), Some(why)) => format!("its admin socket {} cannot be reached: {why}", path.display()),
        _ => "it has no admin socket (admin_socket = \"off\")".to_owned(),
    };
    format!(
        "{error}\n  A server runs on the store, and {why}\n  remedy: run this as the user that runs the server, or stop the server first"
    )
}

/// A server runs as another user.
fn not_yours(socket: Option<&Path>) -> Failure {
    use std::os::unix::fs::MetadataExt as _;
    // Its directory may be closed as well: whose that is can be seen from above.
    let owner = socket.and_then(|path| path.ancestors().find_map(|path| std::fs::metadata(path).ok()));
    let command = owner.map(|found| format!(" (`sudo -u '#{}' regrant …`)", found.uid())).unwrap_or_default();
    let shown = socket.map(|path| path.display().to_string()).unwrap_or_default();
    let remedy = format!("run this as the user that runs the server{command}, or as root");
    Failure::new(77, format!("the admin socket {shown} belongs to another user\n  remedy: {remedy}"))
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
