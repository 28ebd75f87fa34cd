//! `regrant events`: what happened.

use regrant_server::admin::Command as Ask;
use regrant_server::admin::events::{EVENT_KINDS, EventLine, EventsWanted, MOST_EVENTS};

use crate::context::{Context, Done};
use crate::output;

/// Which events to list.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  regrant events --kind grant_ended --since 24h\n  regrant events --user alice\n  regrant events --kind alarm --json"
)]
pub(crate) struct Args {
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
    /// At most this many, newest first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_EVENTS)))]
    limit: u32,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let Args { kind, user, client, since, limit } = args;
    let wanted = EventsWanted { kind, user, client, since, before: 0, limit };
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
