//! `regrant grants`: who is connected where, and the blacklist.

use regrant_server::admin::{Command as Ask, EventView, GrantFilter, GrantView};

use crate::context::{Context, Done};
use crate::output;

/// Grants asked for at once.
const PAGE: u32 = 1000;

/// Views, and the number to go on after.
type Page = (Vec<GrantView>, Option<u64>);

/// What to do with grants.
#[derive(clap::Subcommand, Debug)]
#[command(
    after_help = "Examples:\n  regrant grants list --user alice\n  regrant grants list --json --limit 0 | jq -r '.[] | select(.state == \"live\").id'\n  regrant grants revoke ID --reason \"laptop stolen\""
)]
pub(crate) enum Command {
    /// List grants in the order in which they were made.
    List {
        /// Only of this client.
        #[arg(long)]
        client: Option<String>,
        /// Only of this user.
        #[arg(long)]
        user: Option<String>,
        /// At most this many; 0 for all.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one grant and what happened to it.
    Show {
        /// Its id.
        id: String,
    },
    /// Blacklist a grant: its refresh token is dead from this moment, and nothing of it is vouched for.
    Revoke {
        /// Its id.
        id: String,
        /// Why, for whoever looks at it later.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::List { client, user, limit } => list(context, &GrantFilter { client, user }, limit),
        Command::Show { id } => show(context, &id),
        Command::Revoke { id, reason } => {
            let revoked: bool = context.operate(|hands| hands.ask(Ask::RevokeGrant { id: id.clone(), reason }))?;
            if context.json {
                output::json(&serde_json::json!({"ok": true, "id": id, "was_live": revoked}));
            } else if revoked {
                output::done(&format!("grant {id} is revoked"));
            } else {
                output::done(&format!("grant {id} had ended before; nothing was changed"));
            }
            Ok(())
        }
    }
}

fn list(context: &Context, filter: &GrantFilter, limit: usize) -> Done {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let (grants, more) = context.operate(|hands| {
        let (mut grants, mut after): (Vec<GrantView>, u64) = (Vec::new(), 0);
        while grants.len() < limit {
            let page = u32::try_from(limit - grants.len()).unwrap_or(PAGE).min(PAGE);
            let (views, next): Page = hands.ask(Ask::Grants { filter: filter.clone(), after, limit: page })?;
            grants.extend(views);
            match next {
                Some(next) => after = next,
                None => return Ok((grants, false)),
            }
        }
        let next: Page = hands.ask(Ask::Grants { filter: filter.clone(), after, limit: 1 })?;
        let more = !next.0.is_empty();
        Ok((grants, more))
    })?;
    if context.json {
        output::json(&grants);
        return Ok(());
    }
    if grants.is_empty() {
        output::line("no grants");
        return Ok(());
    }
    output::table(
        ["grant", "client", "user", "state", "generation", "last refresh", "ends without use"],
        grants.into_iter().map(|grant| {
            let state = match &grant.reason {
                Some(reason) => format!("{}: {reason}", grant.state),
                None => grant.state.clone(),
            };
            let user = grant.user.unwrap_or(grant.subject);
            // The first answer counts as one in the row; people would not call it a refresh.
            let refreshed = grant.last_refreshed_at.as_deref().filter(|at| *at != grant.created_at);
            let last = refreshed.map_or_else(|| "none yet".to_owned(), output::minute);
            let ends = match (&grant.ended_at, grant.state.as_str()) {
                (Some(ended), _) => format!("ended {}", output::minute(ended)),
                (None, "code" | "code_expired") => String::new(),
                (None, _) => output::minute(grant.idle_ends_at.as_str().min(&grant.absolute_ends_at)),
            };
            [grant.id, grant.client, user, state, grant.generation.to_string(), last, ends]
        }),
    );
    if more {
        output::error("… and more: --limit 0 shows all");
    }
    Ok(())
}

fn show(context: &Context, id: &str) -> Done {
    let (grant, events): (GrantView, Vec<EventView>) =
        context.operate(|hands| hands.ask(Ask::Grant { id: id.to_owned() }))?;
    if context.json {
        let mut value = serde_json::to_value(&grant).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.insert("events".to_owned(), serde_json::to_value(&events).unwrap_or_default());
        }
        output::json(&value);
        return Ok(());
    }
    print(&grant, &events);
    Ok(())
}

/// A grant and its events, as an operator reads them.
pub(crate) fn print(grant: &GrantView, events: &[EventView]) {
    let user = grant.user.clone().map_or(grant.subject.clone(), |name| format!("{name} ({})", grant.subject));
    output::pairs([
        ("grant", grant.id.clone()),
        ("state", grant.state.clone()),
        ("reason", grant.reason.clone().unwrap_or_default()),
        ("ended at", grant.ended_at.clone().unwrap_or_default()),
        ("client", grant.client.clone()),
        ("user", user),
        ("browser session", grant.session.clone().unwrap_or_default()),
        ("scope", grant.scope.clone()),
        ("resources", grant.resources.clone()),
        ("rotation", grant.rotation.clone()),
        ("generation", grant.generation.to_string()),
        ("retries of the last", grant.retries.to_string()),
        ("made at", grant.created_at.clone()),
        ("last refreshed at", grant.last_refreshed_at.clone().unwrap_or_default()),
        ("ends without use at", grant.idle_ends_at.clone()),
        ("ends at the latest at", grant.absolute_ends_at.clone()),
    ]);
    if !events.is_empty() {
        output::line("");
        output::table(
            ["at", "event", "reason", "detail", "correlation id"],
            events
                .iter()
                .cloned()
                .map(|event| [event.at, event.kind, event.reason.unwrap_or_default(), event.detail, event.correlation]),
        );
    }
}
