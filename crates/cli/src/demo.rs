//! `regrant demo`: the whole refresh token grant on real HTTP against a real embedded database, explained as it happens.
//!
//! Nothing that it prints is assumed. A line with a tick is printed by [`telling::check`] and by nothing else, after the server did
//! what the line says; if it did otherwise, the demonstration ends there with exit code 1. Waiting is done by moving the clock.
//!
//! | file          | is                                                                                |
//! |---------------|-----------------------------------------------------------------------------------|
//! | `stage.rs`    | the server on its store, its clock, its clients; stopping and starting it          |
//! | `place.rs`    | the directory, what may be replaced in it, and what is written there               |
//! | `exchange.rs` | an HTTP client, and how an exchange is printed                                     |
//! | `flow.rs`     | a browser that logs in, and the requests of clients                                |
//! | `resource.rs` | a protected resource                                                               |
//! | `acts.rs`     | the order of the acts, which are in `article.rs`, `rotation.rs` and `endings.rs`   |
//! | `keep.rs`     | `--keep`: the server stays, with `curl` lines for it                               |

mod acts;
mod article;
mod endings;
mod exchange;
mod flow;
mod keep;
mod place;
mod resource;
mod rotation;
mod stage;
mod telling;

use std::path::PathBuf;

use crate::context::{Context, Done, Failure};
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

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    if context.json && args.keep {
        return Err(Failure::new(2, "--keep prints lines for people to copy\n  remedy: leave --json or --keep out"));
    }
    if context.json {
        telling::be_quiet();
    }
    let failed = |Trouble(text): Trouble| Failure::new(1, text);
    let rows = crate::context::runtime()?.block_on(play(args)).map_err(failed)?;
    if context.json {
        output::json(&serde_json::json!({"acts": rows}));
    }
    Ok(())
}

async fn play(args: &Args) -> Result<Vec<telling::Row>, Trouble> {
    let mut stage = stage::Stage::build(&args.dir, args.full).await?;
    stage.introduce();
    let rows = acts::all(&mut stage).await?;
    telling::act("What was shown");
    telling::summary(&rows);
    if args.keep {
        keep::keep(stage).await?;
        return Ok(rows);
    }
    let command = telling::command();
    let file = place::config_file(&args.dir);
    telling::say("Every line with a tick was checked against what the server answered. Go on from here:");
    telling::commands(&[
        (format!("{command} demo --keep"), "leaves the server up, with curl lines for it"),
        (format!("{command} demo --full"), "shows the tokens whole"),
        (format!("{command} --config {} grants list", file.display()), "what the operator sees of all this"),
    ]);
    stage.stop().await?;
    Ok(rows)
}
