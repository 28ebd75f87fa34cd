//! `regrant webhooks`: who is told of events, how far each is, and what could not be delivered.

use regrant_server::admin::Command as Ask;
use regrant_server::admin::webhooks::{Retried, WebhookView};

use crate::context::{Context, Done, Failure};
use crate::output;

/// What to do with webhooks.
#[derive(clap::Subcommand, Debug)]
#[command(
    after_help = "An event that a webhook refused five times, or that grew older than its give_up_after, is a\ndead letter: set aside, so that no other event waits for it. A retry sends it with the\nwebhook-id that it had before.\n\nExamples:\n  regrant webhooks list\n  regrant webhooks retry alerts\n  regrant webhooks drop alerts"
)]
pub(crate) enum Command {
    /// List them, with what waits and what could not be delivered.
    List,
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
