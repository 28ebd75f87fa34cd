//! `regrant events`: what happened, and what happens.

use std::time::Duration;

use regrant_server::admin::Command as Ask;
use regrant_server::admin::chain::{Break, ChainReport};
use regrant_server::admin::events::{EVENT_KINDS, EventLine, EventsWanted, MOST_EVENTS};
use tokio::signal::unix::{SignalKind, signal};

use crate::context::{Context, Done, Failure, Hands, runtime};
use crate::output;

/// How often a running server is asked for what is new.
const PACE: Duration = Duration::from_secs(1);
/// How many new ones are asked for at once.
const PAGE: u32 = 1000;

/// Which events to list.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  regrant events --kind grant_ended --since 24h\n  regrant events --user alice\n  regrant events --follow --limit 10\n  regrant events --kind alarm --json\n  regrant events verify"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only of this kind.
    #[arg(long, value_parser = EVENT_KINDS)]
    kind: Option<String>,
    /// Only about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only of this client.
    #[arg(long)]
    client: Option<String>,
    /// Only since then: a span like "2h" or "7d", or a time like "2026-11-24T01:30:00Z".
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most this many, newest first; with --follow, how many to begin with.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_EVENTS)))]
    limit: u32,
    /// Go on with what happens, one line for each, until Ctrl-C.
    #[arg(long)]
    follow: bool,
}

/// What else to do with events.
#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Check that the chain of events is whole, and name the first break.
    Verify,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let Args { command, kind, user, client, since, limit, follow: is_followed } = args;
    if let Some(Command::Verify) = command {
        return verify(context);
    }
    let wanted = EventsWanted { kind, user, client, since, after: 0, before: 0, limit };
    if is_followed {
        return context.operate(|hands| follow(context, hands, &wanted));
    }
    let events: Vec<EventLine> = context.operate(|hands| hands.ask(Ask::Events { wanted }))?;
    if context.json {
        output::json(&events);
        return Ok(());
    }
    if events.is_empty() {
        output::line("no events");
        return Ok(());
    }
    let full = events.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    output::table(
        ["at", "event", "reason", "grant", "client", "user", "detail", "correlation id"],
        events.into_iter().map(|event| {
            let EventLine { at, kind, reason, grant, client, subject, user, detail, correlation, .. } = event;
            let told = |text: Option<String>| text.unwrap_or_default();
            [at, kind, told(reason), told(grant), told(client), told(user.or(subject)), detail, correlation]
        }),
    );
    if full {
        output::error("… perhaps more: --limit shows more, --since and --kind show less");
    }
    Ok(())
}

/// Exit code 1 and the position where it breaks.
fn verify(context: &Context) -> Done {
    let report: ChainReport = context.operate(|hands| hands.ask(Ask::VerifyEvents))?;
    if context.json {
        output::json(&report);
    } else {
        output::pairs([
            ("verified", report.verified.to_string()),
            ("removed by retention", format!("up to position {}", report.removed_up_to)),
            ("newest", report.newest.to_string()),
            ("its link", report.newest_link.clone()),
        ]);
        if report.unchained > 0 {
            output::note(&format!("{} older events are from before there was a chain", report.unchained));
        }
    }
    match report.broken {
        Some(Break { event, at, what }) => {
            let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
            let remedy = "compare with a backup, with the JSON lines or with what a webhook was told; somebody wrote to the store";
            Err(Failure::new(1, format!("the chain breaks at event {event}{at}: {what}\n  remedy: {remedy}")))
        }
        None if context.json => Ok(()),
        None => {
            output::done("the chain of events is whole");
            Ok(())
        }
    }
}

/// The last ones, oldest first, and then each new one. Ends with Ctrl-C, when nobody reads any more, or with the server.
fn follow(context: &Context, hands: &mut Hands, wanted: &EventsWanted) -> Done {
    if !hands.is_running() {
        // Whoever holds the store keeps a server from starting.
        let remedy = "start the server, or list what happened without --follow";
        return Err(Failure::new(69, format!("no server runs here: nothing happens\n  remedy: {remedy}")));
    }
    let mut seen = newest(hands)?;
    let before = seen.saturating_add(1);
    let mut events: Vec<EventLine> = hands.ask(Ask::Events { wanted: EventsWanted { before, ..wanted.clone() } })?;
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            if !events.iter().rev().all(|event| output::told(&line(context, event))) {
                return Ok(());
            }
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                () = tokio::time::sleep(PACE) => {}
            }
            // Asked without a filter: what does not fit is not looked through again.
            let newest = newest(hands)?;
            events = between(hands, wanted, seen, newest)?;
            seen = newest;
        }
    })
}

/// The position of the newest event of all.
fn newest(hands: &mut Hands) -> Result<u64, Failure> {
    let wanted = EventsWanted { limit: 1, ..EventsWanted::default() };
    let events: Vec<EventLine> = hands.ask(Ask::Events { wanted })?;
    Ok(events.first().map_or(0, |event| event.id))
}

/// Those behind `seen` and up to `newest`, newest first.
fn between(hands: &mut Hands, wanted: &EventsWanted, seen: u64, newest: u64) -> Result<Vec<EventLine>, Failure> {
    let mut found = Vec::new();
    let mut before = newest.saturating_add(1);
    while before > seen.saturating_add(1) {
        // What is new is since any time that was meant.
        let wanted = EventsWanted { after: seen, before, since: None, limit: PAGE, ..wanted.clone() };
        let page: Vec<EventLine> = hands.ask(Ask::Events { wanted })?;
        let Some(last) = page.last() else { break };
        before = last.id;
        found.extend(page);
    }
    Ok(found)
}

/// One event on one line: an object for programs, words for people.
fn line(context: &Context, event: &EventLine) -> String {
    if context.json {
        return serde_json::to_string(event).unwrap_or_default();
    }
    let EventLine { at, kind, reason, grant, client, subject, user, detail, correlation, .. } = event;
    let mut line = format!("{at} {kind}");
    let named = [
        ("reason", reason.as_deref()),
        ("grant", grant.as_deref()),
        ("client", client.as_deref()),
        ("user", user.as_deref().or(subject.as_deref())),
        ("correlation", Some(correlation.as_str())),
    ];
    for (name, value) in named {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    if !detail.is_empty() {
        line.push_str(": ");
        line.push_str(detail);
    }
    output::clean(&line).replace('\n', "\u{fffd}")
}
