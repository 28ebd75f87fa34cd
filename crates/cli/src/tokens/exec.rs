//! `regrant exec`: runs a program with a token, in its environment or in a file that is kept fresh.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use regrant_client::{Secret, Session};
use regrant_server::chance;
use tokio::signal::unix::{SignalKind, signal};

use super::place::Place;
use super::{failure, not_bound};
use crate::context::{Failure, runtime};
use crate::output;

/// How often the file is looked at. A token is renewed within the last fifth of its life.
const LOOK: Duration = Duration::from_secs(1);

/// What to run.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A token in the environment of a running program cannot be renewed. With --file\nthe program reads REGRANT_TOKEN_FILE anew for each request.\n\nExamples:\n  regrant exec work -- ./import.sh\n  regrant exec work --env GH_TOKEN -- gh api user\n  regrant exec work --file -- ./service"
)]
pub(crate) struct Args {
    /// The profile, as it was named at `regrant login`.
    profile: String,
    /// The variable that holds the token.
    #[arg(long, value_name = "NAME", default_value = "REGRANT_TOKEN")]
    env: String,
    /// Put it into a file instead, whose name is in REGRANT_TOKEN_FILE, and keep that fresh while the program runs.
    #[arg(long)]
    file: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs it, and ends as it ends.
pub(crate) fn run(args: &Args, json: bool) -> ExitCode {
    execute(args).unwrap_or_else(|failure| failure.report(json))
}

fn execute(args: &Args) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(2, "there is nothing to run"));
    };
    let place = Place::find()?;
    let mut command = Command::new(program);
    command.args(arguments);
    let runtime = runtime()?;
    let (session, token) = runtime.block_on(async {
        let session = place.session(&args.profile).await?;
        let token = session.token().await.map_err(|error| failure(&args.profile, &error))?;
        not_bound(&args.profile, &session)?;
        Ok::<_, Failure>((session, token))
    })?;
    // As shells say it: so that it is no word of the program's own.
    let not_there = |error: std::io::Error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::new(code, format!("{program} cannot be run: {error}"))
    };
    if !args.file {
        command.env(&args.env, token.expose());
        // The program takes our place: its signals and its end are its own.
        return Err(not_there(command.exec()));
    }
    let file = TokenFile::make()?;
    file.write(&token)?;
    command.env("REGRANT_TOKEN_FILE", file.path());
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // The terminal sends it to the program as well, which decides what it means.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut child = command.spawn().map_err(not_there)?;
        let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        let mut held = token;
        loop {
            tokio::select! {
                status = &mut ended => {
                    let status = status.map_err(|error| Failure::new(1, error))??;
                    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
                    return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
                }
                _ = terminate.recv() => {
                    if let Some(id) = id {
                        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
                    }
                }
                _ = interrupt.recv() => {}
                () = tokio::time::sleep(LOOK) => renew(&session, &file, &mut held).await,
            }
        }
    })
}

/// A failure is told and survived: the program has a token yet, and the next look may do better.
async fn renew(session: &Session, file: &TokenFile, held: &mut Secret) {
    // Another process may have renewed it, or logged out.
    let fresh = match session.reread().await {
        Ok(()) => session.token().await,
        Err(error) => Err(error),
    };
    let renewed = match fresh {
        Ok(token) if token == *held => return,
        Ok(token) => file.write(&token).map(|()| *held = token),
        Err(regrant_client::Error::Retry { .. }) => return,
        Err(error) => Err(Failure::new(1, error)),
    };
    if let Err(error) = renewed {
        output::note(&format!("the token is not renewed: {error}"));
    }
}

/// A file in a directory of its own, for this user alone; gone at the end.
struct TokenFile(PathBuf);

impl TokenFile {
    fn make() -> Result<Self, Failure> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        let name = format!("regrant-exec-{:032x}", u128::from_be_bytes(chance::bytes()));
        let directory = runtime.unwrap_or_else(std::env::temp_dir).join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| Failure::new(74, format!("{}: {error}", directory.display())))?;
        Ok(Self(directory))
    }

    fn path(&self) -> PathBuf {
        self.0.join("token")
    }

    /// Whoever reads it has the old one or the new one.
    fn write(&self, token: &Secret) -> Result<(), Failure> {
        let beside: &Path = &self.0.join("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
        file.write_all(token.expose().as_bytes())?;
        Ok(std::fs::rename(beside, self.path())?)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
