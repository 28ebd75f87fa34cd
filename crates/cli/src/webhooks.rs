//! `regrant webhooks`: who is told of events and of logouts, how far each is, and what could not be delivered.

use regrant_server::admin::Command as Ask;
use regrant_server::admin::logouts::LogoutsView;
use regrant_server::admin::webhooks::{Retried, WebhookView};

use crate::context::{Context, Done, Failure};
use crate::output;

/// What to do with webhooks.
#[derive(clap::Subcommand, Debug)]
#[command(
    after_help = "An event that a webhook refused five times, or that grew older than its give_up_after, is a\ndead letter: set aside, so that no other event waits for it. A retry sends it with the\nwebhook-id that it had before.\n\nExamples:\n  regrant webhooks list\n  regrant webhooks logouts\n  regrant webhooks retry alerts\n  regrant webhooks drop alerts"
)]
pub(crate) enum Command {
    /// List them, with what waits and what could not be delivered.
    List,
    /// List the clients that have not heard of a logout: what waits, and what was given up.
    Logouts,
    /// Try once more to deliver the dead letters of one, in order, until one fails.
    Retry {
        /// Its name.
        name: String,
    },
    /// Let the dead letters of one go. The events themselves stay.
    Drop {
        /// Its name; also of one that is no longer in the configuration.
        name: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::List => list(context),
        Command::Logouts => logouts(context),
        Command::Retry { name } => {
            let retried: Retried = context.operate(|hands| hands.ask(Ask::RetryWebhook { name }))?;
            if context.json {
                output::json(&retried);
            } else {
                output::done(&format!("{} delivered, {} no longer kept", retried.delivered, retried.dropped));
            }
            match retried.failure {
                None => Ok(()),
                Some(failure) => Err(Failure::new(1, format!("{} are left: {failure}", retried.left))),
            }
        }
        Command::Drop { name } => {
            let dropped: Retried = context.operate(|hands| hands.ask(Ask::DropDeadLetters { name }))?;
            if context.json {
                output::json(&dropped);
            } else {
                output::done(&format!("{} dead letters dropped", dropped.dropped));
            }
            Ok(())
        }
    }
}

fn list(context: &Context) -> Done {
    let webhooks: Vec<WebhookView> = context.operate(|hands| hands.ask(Ask::Webhooks))?;
    if context.json {
        output::json(&webhooks);
        return Ok(());
    }
    if webhooks.is_empty() {
        output::line("no webhooks: see [[webhook]] and [events] json_lines in the configuration");
        return Ok(());
    }
    output::table(
        ["webhook", "to", "kinds", "position", "waiting", "oldest", "dead letters"],
        webhooks.iter().map(|webhook| {
            let kinds = if webhook.kinds.is_empty() { "all".to_owned() } else { webhook.kinds.join(" ") };
            let position = webhook.position.map_or_else(|| "not begun".to_owned(), |position| position.to_string());
            let oldest = webhook.oldest_waiting_at.as_deref().map(output::minute).unwrap_or_default();
            let (waiting, dead) = (webhook.waiting.to_string(), webhook.dead_letters.len().to_string());
            [webhook.name.clone(), webhook.to.clone(), kinds, position, waiting, oldest, dead]
        }),
    );
    let letters: Vec<_> = webhooks
        .iter()
        .flat_map(|webhook| webhook.dead_letters.iter().map(|letter| (webhook.name.clone(), letter)))
        .map(|(name, letter)| [name, letter.event.to_string(), output::minute(&letter.at), letter.failure.clone()])
        .collect();
    if !letters.is_empty() {
        output::line("");
        output::table(["webhook", "event", "given up", "failure"], letters);
    }
    Ok(())
}

fn logouts(context: &Context) -> Done {
    let clients: Vec<LogoutsView> = context.operate(|hands| hands.ask(Ask::Logouts))?;
    if context.json {
        output::json(&clients);
        return Ok(());
    }
    if clients.is_empty() {
        output::line("every client has heard of every logout");
        return Ok(());
    }
    output::table(
        ["client", "waiting", "oldest", "given up"],
        clients.iter().map(|one| {
            let oldest = one.oldest_waiting_at.as_deref().map(output::minute).unwrap_or_default();
            [one.client.clone(), one.waiting.to_string(), oldest, one.given_up.len().to_string()]
        }),
    );
    let given_up: Vec<_> = clients
        .iter()
        .flat_map(|one| one.given_up.iter().map(|logout| (one.client.clone(), logout)))
        .map(|(client, logout)| {
            let user = logout.user.clone().or_else(|| logout.subject.clone()).unwrap_or_default();
            [client, logout.event.to_string(), output::minute(&logout.at), user, logout.failure.clone()]
        })
        .collect();
    if !given_up.is_empty() {
        output::line("");
        output::table(["client", "event", "given up", "user", "failure"], given_up);
    }
    Ok(())
}
