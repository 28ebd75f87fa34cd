//! `regrant recover`: says what was lost and what happens to whom, and opens a new era.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use regrant_core::recovery::Unproven;
use regrant_server::Clock;
use regrant_server::config::StoreLocation;
use regrant_server::recover::{AnchorNeed, Plan, RecoverError, Report, recover, rehearse};

use crate::context::{Context, Done, Failure};
use crate::output;

/// How.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What becomes of sessions whose newest token nobody can know, for the client proves nothing.
    #[arg(long, value_enum, default_value_t = Wish::End)]
    unproven: Wish,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Recover a store that has no anchor: everything from its newest time until now counts as lost.
    #[arg(long)]
    without_anchor: bool,
    /// Replay this revocation journal, too: each node keeps its own. As often as there are others.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    revocations: Vec<PathBuf>,
    /// Believe the clock, though it is more than 30 days ahead of what the store has seen last.
    #[arg(long)]
    accept_clock: bool,
}

/// As on the command line.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    /// Their users log in again; no superseded token works.
    End,
    /// Nobody logs in again; a superseded token that a thief has kept may be the one that comes first.
    Accept,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    context.say_defaults();
    let config = context.load()?;
    let unproven = if args.unproven == Wish::End { Unproven::End } else { Unproven::Accept };
    let anchor = if args.without_anchor { AnchorNeed::Waived } else { AnchorNeed::Needed };
    let plan = Plan { unproven, anchor, journals: args.revocations.clone() };
    let clock = if args.accept_clock { Clock::system().accepted() } else { Clock::system() };
    let failed = |error: RecoverError| Failure::new(error.exit_code(), error);
    if args.dry_run || !args.yes {
        let report = rehearse(&config, &clock, &plan).map_err(failed)?;
        match (args.dry_run, context.json) {
            (true, true) => output::json(&report),
            (_, false) => tell(&report),
            (false, true) => {}
        }
        if args.dry_run {
            if !context.json {
                output::note("nothing was changed");
            }
            return Ok(());
        }
        confirm(context)?;
    }
    let report = recover(&config, &clock, &plan).map_err(failed)?;
    if context.json {
        output::json(&report);
        return Ok(());
    }
    if args.yes {
        tell(&report);
    }
    let next = match config.store {
        StoreLocation::Postgres(_) => "nodes that run go on by themselves; start the others",
        StoreLocation::Sqlite(_) | StoreLocation::Memory => "start the server",
    };
    output::done(&format!("era {} is open: {next}", report.era));
    output::note("make a backup soon, and look at `regrant events --kind alarm` for sessions that rolled forward");
    Ok(())
}

fn tell(report: &Report) {
    let (revocations, grants) = (&report.revocations, &report.grants);
    let ends = report.unproven == Unproven::End.as_str();
    let public = if ends {
        "end at their next refresh: their users log in again, and no superseded token works"
    } else {
        "go on under whichever token comes first: a superseded one that a thief has kept may be that one"
    };
    let rotated = if ends { "and end with one of the lost span" } else { "and with one of the lost span, too" };
    let commit = |(commits, at): &(u64, String)| format!("commit {commits} of {at}");
    output::pairs([
        ("the store is at", commit(&report.found)),
        ("it had come to", report.seen.as_ref().map_or_else(|| "nobody knows".to_owned(), commit)),
        ("lost", format!("{} until {}", report.lost_from, report.lost_until)),
        ("new era", report.era.to_string()),
        (
            "revocations",
            format!(
                "{} in the journal: {} grants are revoked again, {} had ended, {} are not in the copy; {} access tokens; \
                 {} in bulk are in force again, {} were in the copy, {} were taken back",
                revocations.entries,
                revocations.grants,
                revocations.ended_already,
                revocations.not_in_the_copy,
                revocations.access_tokens,
                revocations.bulk,
                revocations.bulk_ended_already,
                revocations.bulk_taken_back
            ),
        ),
        ("holders of a key", format!("{} sessions go on, also with tokens of the lost span", grants.of_keys)),
        ("clients with a secret", format!("{} sessions go on", grants.of_secrets)),
        ("  rotated", format!("{} sessions go on with a token of the copy, {rotated}", grants.of_secrets_rotated)),
        ("public clients", format!("{} sessions {public}", grants.of_public_clients)),
        ("begun in the lost span", "gone: their users log in again".to_owned()),
        (
            "restricted again",
            format!(
                "{} users (disabled, removed, or with their newer password), {} clients, {} consents; {} ends of browser sessions; \
                 {} compromised keys",
                revocations.users, revocations.clients, revocations.consents, revocations.sessions, revocations.keys
            ),
        ),
        (
            "not brought back",
            "users and clients that were added, attributes and consents that were given, and initial access tokens that were used or removed, \
             in the lost span"
                .to_owned(),
        ),
    ]);
    if revocations.is_missing {
        output::note(
            "there is no revocation journal (revocations_file): what was revoked since the copy was made lives again, and compromised keys \
             are believed. If it can be had, name it (--revocations) and restore once more",
        );
    }
    for (count, says) in [
        (revocations.damaged, "entries of the revocation journal are damaged, and are not replayed"),
        (revocations.unknown, "entries of the revocation journal are of a newer program: recover with that one"),
        (grants.tampered, "rows were changed by something else, and are refused"),
    ] {
        if count > 0 {
            output::note(&format!("{count} {says}"));
        }
    }
}

/// Without a terminal there is nobody to ask.
fn confirm(context: &Context) -> Done {
    if context.json || !std::io::stdin().is_terminal() {
        let remedy = "add --yes, or --dry-run to look first";
        return Err(Failure::new(
            2,
            format!("this cannot be taken back, and there is nobody to ask\n  remedy: {remedy}"),
        ));
    }
    output::error("This cannot be taken back. Type the word \"recover\" to go on:");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "recover" { Ok(()) } else { Err(Failure::new(1, "nothing was changed")) }
}
