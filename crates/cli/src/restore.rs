//! `regrant restore FILE`: a backup in the place of the store. What was there is kept, and what comes next is said.

use std::path::PathBuf;

use regrant_server::Clock;
use regrant_server::recover::restore;

use crate::context::{Context, Done, Failure};
use crate::output;

/// From where.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What `regrant backup` wrote.
    file: PathBuf,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    context.say_defaults();
    let config = context.load()?;
    let done =
        restore(&config, &args.file, &Clock::system()).map_err(|error| Failure::new(error.exit_code(), error))?;
    if context.json {
        output::json(&done);
        return Ok(());
    }
    output::done(&format!("{} is in the place of the store", done.backup.file));
    output::pairs([
        ("as of", format!("{}, commit {} (era {})", done.backup.at, done.backup.commits, done.backup.era)),
        ("grants", done.backup.grants.to_string()),
        ("users", done.backup.users.to_string()),
        ("kept aside", done.kept.unwrap_or_default()),
        ("it had come to", done.seen.map_or_else(String::new, |(commits, at)| format!("commit {commits} of {at}"))),
    ]);
    if !done.root_key_fits {
        output::note("whether the root key is the backup's could not be looked at; `regrant recover` does");
    }
    output::note(
        "it is older than what was answered, and no server starts from it: next comes `regrant recover --dry-run`, then `regrant recover`",
    );
    Ok(())
}
