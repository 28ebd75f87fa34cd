//! `regrant keys`: where each key stands, and what to do when one is known to others.

use std::io::{BufRead as _, IsTerminal as _};

use regrant_server::admin::{Command as Ask, KeyDone, KeyTurn, KeyView};

use crate::context::{Context, Done, Failure};
use crate::output;

/// What to do with keys.
#[derive(clap::Subcommand, Debug)]
#[command(
    after_help = "Kinds:\n  tag      says of refresh tokens and codes that they are ours\n  seed     computes a lost answer again\n  sealing  seals opaque access tokens\n  signing  signs JWT access tokens\n\nA life: next -> current -> verify -> gone. All of it happens by schedule; see [keys] in the configuration.\n\nExamples:\n  regrant keys list\n  regrant keys rotate signing\n  regrant keys rotate signing --algorithm EdDSA --now\n  regrant keys compromise tag 3"
)]
pub(crate) enum Command {
    /// List the keys: where each stands, what is next, and how much hangs on it.
    List {
        /// Those that are gone, too.
        #[arg(long)]
        all: bool,
    },
    /// Replace the current key of a kind before its time.
    Rotate {
        /// tag, seed, sealing or signing.
        kind: String,
        /// Of a signing key: ES256 (default), EdDSA, PS256 or RS256.
        #[arg(long, value_name = "ALG")]
        algorithm: Option<String>,
        /// Do not publish a signing key first: it signs at once.
        #[arg(long)]
        now: bool,
    },
    /// A key is known to others: what it made is dead or proves less from this moment, and a new key is in use.
    Compromise {
        /// tag, seed, sealing or signing.
        kind: String,
        /// Its number; a kid will do for signing keys.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Destroy a key on which nothing hangs any more, before the schedule does.
    Retire {
        /// tag, seed, sealing or signing.
        kind: String,
        /// Its number; a kid will do for signing keys.
        id: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::List { all } => list(context, |key| all || key.status != "gone"),
        Command::Rotate { kind, algorithm, now } => {
            let turn = if now { KeyTurn::AtOnce } else { KeyTurn::Announced };
            let done: KeyDone = context.operate(|hands| hands.ask(Ask::RotateKey { kind, algorithm, turn }))?;
            tell(context, &done);
            Ok(())
        }
        Command::Compromise { kind, id, yes } => {
            if !yes {
                confirm(context, &kind, &id)?;
            }
            let done: KeyDone = context.operate(|hands| hands.ask(Ask::CompromiseKey { kind, id }))?;
            tell(context, &done);
            Ok(())
        }
        Command::Retire { kind, id } => {
            let done: KeyDone = context.operate(|hands| hands.ask(Ask::RetireKey { kind, id }))?;
            tell(context, &done);
            Ok(())
        }
    }
}

fn list(context: &Context, is_shown: impl Fn(&KeyView) -> bool) -> Done {
    let mut keys: Vec<KeyView> = context.operate(|hands| hands.ask(Ask::Keys))?;
    keys.retain(is_shown);
    if context.json {
        output::json(&keys);
        return Ok(());
    }
    output::table(
        ["kind", "id", "algorithm", "status", "since", "next step", "grants"],
        keys.into_iter().map(|key| {
            let id = key.kid.map_or_else(|| key.id.to_string(), |kid| format!("{}\n{kid}", key.id));
            let next = match (key.next_step, key.next_step_at) {
                (Some(step), Some(at)) => format!("{step} {}", output::minute(&at)),
                (Some(step), None) => format!("{step} when nothing hangs on it"),
                (None, _) => String::new(),
            };
            let hang = key.grants.map_or_else(String::new, |hang| hang.to_string());
            [key.kind, id, key.algorithm.unwrap_or_default(), key.status, output::minute(&key.since), next, hang]
        }),
    );
    Ok(())
}

fn tell(context: &Context, KeyDone { done, notes }: &KeyDone) {
    if context.json {
        output::json(&serde_json::json!({"ok": true, "done": done, "notes": notes}));
        return;
    }
    output::done(done);
    for note in notes {
        output::note(note);
    }
}

/// A word that nobody types by chance. Without a terminal there is nobody to ask.
fn confirm(context: &Context, kind: &str, id: &str) -> Done {
    if context.json || !std::io::stdin().is_terminal() {
        return Err(Failure::new(2, "this cannot be taken back, and there is nobody to ask\n  remedy: add --yes"));
    }
    output::error(&format!(
        "{kind} key {id} will be compromised for ever: what it made is dead, or proves less. Type the word \"compromised\" to go on:"
    ));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "compromised" { Ok(()) } else { Err(Failure::new(1, "nothing was changed")) }
}
