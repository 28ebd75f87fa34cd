//! The admin socket: how the commands talk to a running server, so that there are never two writers on one store.
//!
//! A Unix stream socket of mode 0600 beside the store, one JSON object a line in both directions: a [`Command`], and
//! `{"ok": …}` or `{"error": …, "exit_code": …}`. Only the server's own user, and root, get an answer: the mode says so, and the
//! peer's credentials are asked as well, for a mode is easily changed.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::command::reply;
use super::{Acting, Admin, AdminError, Command, Operator};

/// The longest line, in bytes: a batch of users.
pub const MAX_LINE: u64 = 16 * 1024 * 1024;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(60);
/// How long a command waits for its answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most connections at once.
const MAX_CONNECTIONS: usize = 32;

/// A bound socket. Its file goes when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl AdminSocket {
    /// Binds the socket. A file that a killed server left there is replaced; one that is answered at is not.
    ///
    /// # Errors
    /// If the path cannot be bound, or another server answers there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt as _;
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
            }
            std::fs::remove_file(path)?;
        }
        // Between binding and narrowing the mode others could connect; they would be turned away by their credentials.
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until the future is dropped.
    pub async fn serve(&self, admin: Admin) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let admin = admin.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &admin).await {
                            tracing::debug!(%error, "a conversation on the admin socket ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn converse(stream: UnixStream, admin: &Admin) -> io::Result<()> {
    let (peer, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    let mut stream = BufReader::new(stream);
    if peer != own && peer != 0 {
        tracing::warn!(uid = peer, "another user was turned away from the admin socket");
        let refused = AdminError::Told {
            exit_code: 77,
            message: "this socket answers only to the user that runs the server".to_owned(),
        };
        return say(&mut stream, &reply(Err(refused))).await;
    }
    let admin = &admin.clone().acting(Acting::new(Operator::Socket { uid: peer }));
    loop {
        // Passwords come this way.
        let mut line = Zeroizing::new(Vec::new());
        let mut limited = (&mut stream).take(MAX_LINE);
        let read = limited.read_until(b'\n', &mut line);
        let Ok(read) = tokio::time::timeout(IDLE, read).await else { return Ok(()) };
        // Half a command is none, and what is longer than a line may be has no end that could be found.
        if read? == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        let done = match serde_json::from_slice::<Command>(&line) {
            Ok(command) => admin.run(command).await,
            // The words of the parser may quote what it read, and that may be a password.
            Err(_) => Err(AdminError::Invalid(
                "this is no command that this version of the server knows\n  remedy: use the `regrant` of the same version as the server".to_owned(),
            )),
        };
        say(&mut stream, &reply(done)).await?;
    }
}

async fn say(stream: &mut BufReader<UnixStream>, value: &serde_json::Value) -> io::Result<()> {
    let mut text = value.to_string();
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

/// A conversation with a running server, from the commands' side.
#[derive(Debug)]
pub struct Conversation {
    stream: std::io::BufReader<std::os::unix::net::UnixStream>,
}

impl Conversation {
    /// Connects. `owner` is the user that owns the store: nobody else's server is trusted with a password.
    ///
    /// # Errors
    /// If nobody listens there, or somebody else does.
    pub fn open(path: &Path, owner: u32) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        let server = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
        if ![0, owner, rustix::process::geteuid().as_raw()].contains(&server) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user's program listens there"));
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: std::io::BufReader::new(stream) })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`AdminError::Told`] with what the server said, or if it went away: then it is not known whether it was done.
    pub fn ask(&mut self, command: &Command) -> Result<serde_json::Value, AdminError> {
        use std::io::{BufRead as _, Read as _, Write as _};
        let gone = |error: io::Error| AdminError::Told {
            exit_code: 69,
            message: format!(
                "the running server went away before it answered ({error}): look whether it was done, and try again"
            ),
        };
        let mut text = Zeroizing::new(serde_json::to_vec(command).map_err(|error| gone(error.into()))?);
        text.push(b'\n');
        self.stream.get_mut().write_all(&text).map_err(gone)?;
        let mut line = Vec::new();
        (&mut self.stream).take(MAX_LINE * 4).read_until(b'\n', &mut line).map_err(gone)?;
        let mut answer: serde_json::Value = serde_json::from_slice(&line).map_err(|error| gone(error.into()))?;
        match answer.get_mut("ok").map(serde_json::Value::take) {
            Some(value) => Ok(value),
            None => {
                let message = answer["error"].as_str().unwrap_or("the server gave no reason").to_owned();
                let exit_code = answer["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                Err(AdminError::Told { exit_code, message })
            }
        }
    }
}
