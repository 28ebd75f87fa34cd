//! `regrant explain`: why was I logged out?

use std::io::Read as _;

use regrant_server::admin::explain::{ClockView, Explanation, PlaceView, ReasonView};
use regrant_server::admin::{Command as Ask, Password};
use zeroize::Zeroizing;

use crate::context::{Context, Done, Failure};
use crate::output;

/// The longest text on standard input.
const MAX_INPUT: u64 = 64 * 1024;

/// What to explain.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Any genuine token will do, expired and superseded ones too, for as long as the grant is\nremembered ([events] tombstones_kept). What presenting it now would do is told by the rule\nthat would decide it; nothing is written.\n\nExamples:\n  regrant explain 4f0e6b1c2d3a9f58\n  regrant explain 2aX7… --json\n  pbpaste | regrant explain -"
)]
pub(crate) struct Args {
    /// A refresh token, access token or code of any age, the id of a grant, or the correlation id of an answer. "-" reads it from
    /// standard input, so that a token shows in no list of processes.
    what: String,
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    let mut what = Zeroizing::new(args.what);
    if what.as_str() == "-" {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin()
            .take(MAX_INPUT)
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(65, format!("standard input cannot be read: {error}")))?;
        what = Zeroizing::new(text.trim().to_owned());
    }
    let told: Explanation = context.operate(|hands| hands.ask(Ask::Explain { what: Password::new(what) }))?;
    if context.json {
        output::json(&told);
    } else {
        print(&told);
    }
    Ok(())
}

/// Who, where, until when; then the times in order; at the end what it means.
fn print(told: &Explanation) {
    let place = |place: &Option<PlaceView>| {
        place.as_ref().map_or(String::new(), |PlaceView { since, network, agent }| {
            let parts: Vec<&str> =
                [network.as_str(), agent.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
            format!(
                "{}, since {}",
                if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") },
                output::minute(since)
            )
        })
    };
    if let Some(grant) = &told.grant {
        let state = match &grant.reason {
            Some(reason) => format!("{}: {reason}", grant.state),
            None => grant.state.clone(),
        };
        let refreshed = grant.last_refreshed_at.as_deref().filter(|at| *at != grant.created_at).map(output::minute);
        output::pairs([
            ("grant", grant.id.clone()),
            ("state", state),
            ("client", grant.client.clone()),
            ("user", grant.user.clone().unwrap_or_else(|| grant.subject.clone())),
            ("scope", grant.scope.clone()),
            ("resources", grant.resources.clone()),
            ("made", output::minute(&grant.created_at)),
            ("made from", place(&told.made_from)),
            ("used from", place(&told.used_from)),
            ("last refresh", refreshed.unwrap_or_else(|| "none yet".to_owned())),
            ("generation", format!("{}, {}", grant.generation, grant.rotation)),
            ("retries of the last", grant.retries.to_string()),
        ]);
    }
    if !told.events.is_empty() {
        output::line("");
        timeline(told);
    }
    if !told.clocks.is_empty() {
        output::line("");
        let end = |clock: &ClockView| {
            (if clock.is_over { "ended" } else { "ends" }, format!("{}  {}", output::minute(&clock.at), clock.ends))
        };
        output::pairs(told.clocks.iter().map(end));
    }
    output::line("");
    verdict(told);
}

fn timeline(told: &Explanation) {
    let dim = anstyle::Style::new().dimmed();
    for event in &told.events {
        let color = match event.kind.as_str() {
            "grant_created" | "login" | "consent" => anstyle::AnsiColor::Green,
            "grant_ended" | "alarm" | "replay_refused" => anstyle::AnsiColor::Red,
            _ => anstyle::AnsiColor::Yellow,
        }
        .on_default();
        let mut text =
            format!("{dim}{}{dim:#}  {color}{}{color:#}", output::minute(&event.at), output::clean(&event.kind));
        if let Some(reason) = event.reason.as_deref().filter(|reason| *reason != event.kind) {
            text.push_str(&format!(" {}", output::clean(reason)));
        }
        if let Some(client) = &event.client {
            text.push_str(&format!(" {dim}by{dim:#} {}", output::clean(client)));
        }
        if !event.detail.is_empty() {
            text.push_str(&format!("  {dim}{}{dim:#}", output::clean(&event.detail).replace('\n', " ")));
        }
        if !event.correlation.is_empty() {
            text.push_str(&format!("  {dim}[{}]{dim:#}", output::clean(&event.correlation)));
        }
        output::line(&text);
    }
}

/// What the question was: what this token would do now, or why that request was refused.
fn verdict(told: &Explanation) {
    if let Some(token) = &told.token {
        let which = match (token.generation, token.current) {
            (Some(0), _) if told.asked_about == "authorization_code" => "the authorization code".to_owned(),
            (Some(generation), Some(current)) => format!("generation {generation}, and {current} is the current one"),
            _ => "a token without a grant".to_owned(),
        };
        output::pairs([("this token", which)]);
        let says = match token.now.as_str() {
            "rotated" => "it is live: presented now it is replaced by the next",
            "reused" => "it is live: presented now it is answered with itself",
            "retried" => "it was just replaced: presented now it gets the last answer again",
            "redeemed" => "presented now, with its proofs, it is redeemed",
            "active" => "it is active",
            _ => "presented now it is refused",
        };
        output::pairs([("presented now", says.to_owned())]);
    }
    if let Some(ReasonView { code, outside, happened, accepted }) = &told.refused {
        output::pairs([
            ("reason", code.clone()),
            ("what happened", happened.clone()),
            ("would be accepted", accepted.clone()),
            ("the client hears", outside.clone()),
        ]);
    } else if told.token.is_none()
        && let Some(grant) = told.grant.as_ref().filter(|grant| grant.state == "live")
    {
        output::done(&format!("grant {} is live", grant.id));
    }
}
