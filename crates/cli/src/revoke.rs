//! `regrant revoke`: the blacklist. One token, one grant, or everything of a user, a client, a session, a key, a scope, a resource or a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use regrant_server::admin::Command as Ask;
use regrant_server::admin::Password;
use regrant_server::admin::blacklist::{BulkRevoked, MOST_TOKENS, RevocationView, Selection, TokenRevoked};
use regrant_server::admin::import::Effect;
use serde_json::json;
use zeroize::Zeroizing;

use crate::context::{Context, Done, Failure, Hands};
use crate::output;
use crate::progress::Progress;

/// The longest line of a list of tokens, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// What to revoke.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "A bulk revocation is one write, whatever the number of grants, and bites at the next\nrequest: refresh, introspection, userinfo. Who logs in afterwards is not touched by it.\nCriteria narrow each other: --client web --scope files ends only what fits both. --undo\ntakes it back for as long as undo_window says (1h unless set).\n\nExamples:\n  regrant revoke --user alice --dry-run\n  regrant revoke --user alice --client phone --reason \"phone stolen\"\n  regrant revoke --client web --issued-before 2026-11-24T01:30:00Z --yes\n  regrant revoke --undo 7\n  regrant revoke --from-file leaked.txt\n  regrant revoke - <token.txt"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A token of any kind, old and expired ones too: a refresh token or code ends its grant, an access token is dead by itself. "-" reads
    /// it from standard input, where no list of processes shows it.
    #[arg(conflicts_with_all = ["from_file", "undo", "grant", "bulk"])]
    token: Option<String>,
    /// One grant, by its id.
    #[arg(long, value_name = "ID", conflicts_with_all = ["from_file", "undo", "bulk"], help_heading = "One by one")]
    grant: Option<String>,
    /// A list of leaked tokens, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["undo", "bulk"], help_heading = "One by one")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    bulk: Bulk,
    /// Take a bulk revocation back.
    #[arg(long, value_name = "ID", conflicts_with_all = ["bulk", "dry_run"])]
    undo: Option<u64>,
    /// Only tell how much it would end.
    #[arg(long, requires = "bulk")]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Why, for whoever looks at it later.
    #[arg(long, default_value = "")]
    reason: String,
}

/// What fits all that is given.
#[derive(clap::Args, Debug)]
#[group(id = "bulk", multiple = true)]
struct Bulk {
    /// All grants of a user, by name or subject; browser sessions end as well.
    #[arg(long, value_name = "NAME", help_heading = "In bulk")]
    user: Option<String>,
    /// All grants of a client.
    #[arg(long, value_name = "ID", help_heading = "In bulk")]
    client: Option<String>,
    /// All grants given in a browser session, as `regrant grants show` names it; the session ends as well.
    #[arg(long, value_name = "ID", help_heading = "In bulk")]
    session: Option<String>,
    /// All grants whose live refresh token was made with this tag key, which must have been replaced before.
    #[arg(long, value_name = "NUMBER", help_heading = "In bulk")]
    key: Option<u32>,
    /// All grants that hold a scope.
    #[arg(long, value_name = "SCOPE", help_heading = "In bulk")]
    scope: Option<String>,
    /// All grants that hold a resource.
    #[arg(long, value_name = "URI", help_heading = "In bulk")]
    resource: Option<String>,
    /// All grants made before a time: "2h" ago, or 2026-11-24T01:30:00Z.
    #[arg(long, value_name = "TIME", help_heading = "In bulk")]
    issued_before: Option<String>,
}

/// What else can be done with revocations.
#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the wide revocations that are not yet written into their grants, also those that followed from something else.
    List,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let Args { command, token, grant, from_file, bulk, undo, dry_run, yes, reason } = args;
    if let Some(Command::List) = command {
        return list(context);
    }
    if let Some(id) = undo {
        return take_back(context, id);
    }
    if let Some(file) = from_file {
        return from_list(context, &file, &reason);
    }
    if let Some(id) = grant {
        return one_grant(context, &id, reason);
    }
    if let Some(token) = token {
        return one_token(context, token, reason);
    }
    let Bulk { user, client, session, key, scope, resource, issued_before } = bulk;
    let selection = Selection { user, client, session, key, scope, resource, issued_before };
    in_bulk(context, &selection, dry_run, yes, &reason)
}

fn in_bulk(context: &Context, selection: &Selection, dry_run: bool, yes: bool, reason: &str) -> Done {
    let ask = |hands: &mut Hands, effect, reason: &str| {
        hands.ask::<BulkRevoked>(Ask::RevokeSelected {
            selection: selection.clone(),
            effect,
            reason: reason.to_owned(),
        })
    };
    context.operate(|hands| {
        if dry_run || !yes {
            let would = ask(hands, Effect::Check, "")?;
            if dry_run {
                tell_bulk(context, &would);
                return Ok(());
            }
            confirm(context, &would)?;
        }
        let done = ask(hands, Effect::Write, reason)?;
        tell_bulk(context, &done);
        Ok(())
    })
}

/// How many of what.
fn counted(would: &BulkRevoked) -> String {
    let number = |count: Option<u64>, one: &str| output::count(count.unwrap_or(0), one);
    let grants = number(would.grants, "live grant");
    format!("{grants} of {} at {}", number(would.users, "user"), number(would.clients, "client"))
}

/// Without a terminal there is nobody to ask.
fn confirm(context: &Context, would: &BulkRevoked) -> Done {
    if context.json || !std::io::stdin().is_terminal() {
        let what = counted(would);
        return Err(Failure::new(2, format!("this ends {what}\n  remedy: look at it with --dry-run, and add --yes")));
    }
    output::error(&format!("This ends {} ({}).", counted(would), would.reason));
    if would.ends_browser_sessions {
        output::error("Browser sessions end as well, and cannot be brought back.");
    }
    output::error("Type the word \"revoke\" to go on:");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "revoke" { Ok(()) } else { Err(Failure::new(1, "nothing was changed")) }
}

fn tell_bulk(context: &Context, bulk: &BulkRevoked) {
    if context.json {
        let mut value = serde_json::to_value(bulk).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.insert("ok".to_owned(), json!(true));
        }
        output::json(&value);
        return;
    }
    let Some(id) = bulk.id else {
        output::done(&format!("would end {} ({}); nothing was changed", counted(bulk), bulk.reason));
        return;
    };
    output::done(&format!("bulk revocation {id} is in force ({})", bulk.reason));
    match &bulk.undo_until {
        Some(until) => output::note(&format!("`regrant revoke --undo {id}` takes it back until {until}")),
        None => output::note("it cannot be taken back: undo_window is 0s"),
    }
    if bulk.ends_browser_sessions {
        output::note("browser sessions have ended as well, and stay so");
    }
}

fn take_back(context: &Context, id: u64) -> Done {
    let undone: RevocationView = context.operate(|hands| hands.ask(Ask::UndoRevocation { id }))?;
    if context.json {
        output::json(&undone);
    } else {
        output::done(&format!("bulk revocation {id} of {} is taken back: its grants live again", undone.selects));
        output::note("browser sessions that ended with it, and what else ended its grants, stay ended");
    }
    Ok(())
}

fn list(context: &Context) -> Done {
    let revocations: Vec<RevocationView> = context.operate(|hands| hands.ask(Ask::Revocations))?;
    if context.json {
        output::json(&revocations);
        return Ok(());
    }
    if revocations.is_empty() {
        output::line("no wide revocations wait to be written into their grants");
        return Ok(());
    }
    output::table(
        ["id", "at", "state", "reason", "what it ends", "why"],
        revocations.into_iter().map(|one| {
            let state = match &one.undo_until {
                Some(until) => format!("{}, undo until {}", one.state, output::minute(until)),
                None => one.state.clone(),
            };
            [one.id.to_string(), output::minute(&one.at), state, one.reason, one.selects, one.detail]
        }),
    );
    Ok(())
}

fn one_grant(context: &Context, id: &str, reason: String) -> Done {
    let was_live: bool = context.operate(|hands| hands.ask(Ask::RevokeGrant { id: id.to_owned(), reason }))?;
    if context.json {
        output::json(&json!({"ok": true, "id": id, "was_live": was_live}));
    } else if was_live {
        output::done(&format!("grant {id} is revoked"));
    } else {
        output::done(&format!("grant {id} had ended before; nothing was changed"));
    }
    Ok(())
}

fn one_token(context: &Context, token: String, reason: String) -> Done {
    let mut token = Zeroizing::new(token);
    if *token == "-" {
        token.clear();
        std::io::stdin().lock().take(MAX_LINE).read_to_string(&mut token)?;
    }
    let tokens = vec![Password::new(Zeroizing::new(token.trim().to_owned()))];
    let told: Vec<TokenRevoked> = context.operate(|hands| hands.ask(Ask::RevokeTokens { tokens, reason }))?;
    let Some(TokenRevoked { outcome, grant }) = told.into_iter().next() else {
        return Err(Failure::new(1, "the server said nothing of the token"));
    };
    let done = matches!(outcome.as_str(), "revoked" | "access_token_revoked" | "ended_before" | "expired");
    if context.json {
        output::json(&json!({"ok": done, "outcome": outcome, "grant": grant}));
    } else if done {
        let grant = grant.map(|grant| format!(" (grant {grant})")).unwrap_or_default();
        output::done(&format!("{}{grant}", in_words(&outcome)));
    }
    if done { Ok(()) } else { Err(Failure::new(1, format!("nothing was changed: {}", in_words(&outcome)))) }
}

fn in_words(outcome: &str) -> &str {
    match outcome {
        "revoked" => "revoked: the grant has ended, with all that was made from it",
        "access_token_revoked" => "the access token is revoked; the grant that it came from goes on",
        "ended_before" => "its grant had ended before",
        "expired" => "the access token had expired",
        "not_ours" => "this server has not made it, or it was mistyped",
        "unknown_grant" => "its grant is long gone",
        "proves_nothing" => {
            "it is an old one under a compromised key: others can make such tokens, and it ends nothing"
        }
        "unissued" => {
            "it was never issued: a key leaked, or the store was set back; look at `regrant events --kind alarm`"
        }
        other => other,
    }
}

/// Batch after batch; no line is held longer than its batch.
fn from_list(context: &Context, file: &Path, reason: &str) -> Done {
    let cannot = |error| Failure::new(65, format!("{} cannot be read: {error}", file.display()));
    let source = File::open(file).map_err(cannot)?;
    let progress = Progress::over(source.metadata().map_err(cannot)?.len());
    let mut source = BufReader::new(source);
    let (mut counts, mut lines): (BTreeMap<String, u64>, u64) = (BTreeMap::new(), 0);
    let done = context.operate(|hands| {
        let mut read = 0;
        loop {
            let (tokens, bytes) = batch(&mut source).map_err(cannot)?;
            if bytes == 0 {
                progress.end();
                return Ok(());
            }
            lines += tokens.len() as u64;
            read += bytes;
            if !tokens.is_empty() {
                let asked = Ask::RevokeTokens { tokens, reason: reason.to_owned() };
                for TokenRevoked { outcome, .. } in hands.ask::<Vec<TokenRevoked>>(asked)? {
                    *counts.entry(outcome).or_default() += 1;
                }
            }
            progress.show(read);
        }
    });
    if context.json {
        output::json(&json!({"ok": done.is_ok(), "tokens": lines, "outcomes": counts}));
    } else {
        let total: u64 = counts.values().sum();
        output::done(&format!("{total} of {lines} tokens looked at"));
        output::table(
            ["outcome", "tokens", "that is"],
            counts.iter().map(|(outcome, count)| [outcome.clone(), count.to_string(), in_words(outcome).to_owned()]),
        );
    }
    done.map_err(|failure| {
        let remedy = "run the same command again: what is revoked stays revoked";
        Failure::new(failure.code(), format!("{failure}\n  remedy: {remedy}"))
    })
}

/// The next tokens, and how many bytes they were read from; 0 at the end. Empty lines and lines with # are passed over.
fn batch(source: &mut impl BufRead) -> std::io::Result<(Vec<Password>, u64)> {
    let (mut tokens, mut bytes) = (Vec::new(), 0);
    while tokens.len() < MOST_TOKENS {
        let mut line = Zeroizing::new(Vec::new());
        let read = source.take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            tokens.push(Password::new(Zeroizing::new(text.to_owned())));
        }
    }
    Ok((tokens, bytes))
}
