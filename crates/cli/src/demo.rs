//! `regrant demo`: the whole refresh token grant on real HTTP against a real embedded database, explained as it happens.
//!
//! Nothing that it prints is assumed: each claim is checked where it is made, and the demonstration ends with exit code 1 if the
//! server did otherwise. Waiting is done by moving the server's clock.

mod acts;
mod exchange;
mod flow;
mod resource;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;

/// How to play.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Show tokens and secrets whole.
    #[arg(long)]
    full: bool,
    /// Leave the server up afterwards, and print `curl` lines for it.
    #[arg(long)]
    keep: bool,
    /// Where the demonstration keeps its data. An earlier demonstration's is replaced; anything else is left alone.
    #[arg(long, default_value = "regrant-demo", value_name = "DIR")]
    dir: PathBuf,
}

/// What went otherwise than it should, or could not be done.
#[derive(Debug)]
pub(crate) struct Trouble(String);

impl Trouble {
    pub(crate) fn new(text: impl std::fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// Goes on only if the server did what is claimed.
pub(crate) fn check(holds: bool, claim: &str) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble(format!("the server did otherwise: {claim}"))) }
}

pub(crate) fn run(args: Args) -> ExitCode {
    let played = crate::context::runtime().map_err(Trouble::new).and_then(|runtime| runtime.block_on(play(&args)));
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(text)) => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            output::error(&format!("{red}error:{red:#} {text}"));
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args) -> Result<(), Trouble> {
    let stage = stage::Stage::build(&args.dir, args.full).await?;
    let shown = acts::all(&stage).await?;
    output::line("");
    output::table(
        ["", "what was shown", "how it ended"],
        shown.into_iter().map(|(what, how)| ["✓".to_owned(), what.to_owned(), how]),
    );
    output::line("Every line was checked against the server's own answers. `./test` proves the rest.");
    if args.keep { stage.keep().await } else { Ok(()) }
}
