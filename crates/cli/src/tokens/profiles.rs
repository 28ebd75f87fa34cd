//! `regrant profiles`: what is kept here, and the end of it.

use std::time::Duration;

use regrant_client::{Session, Store as _};

use super::place::{Kept, Place};
use super::{Named, failure, spoken};
use crate::context::{Context, Done, runtime};
use crate::output;

/// What to do with profiles.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List them, as without a word.
    List,
    /// Log out as `regrant logout` does, and forget what the profile says.
    Remove(Named),
}

pub(crate) fn run(context: &Context, args: Args) -> Done {
    match args.command {
        None | Some(Command::List) => list(context),
        Some(Command::Remove(named)) => remove(context, &named.profile),
    }
}

/// The server is asked first. What it says changes nothing about what goes here: the file of a secret may be gone, or the server itself.
///
/// The emptied session stays as a number, so that an agent that runs takes what is logged in under the name later for newer.
fn remove(context: &Context, name: &str) -> Done {
    let place = Place::find()?;
    let profile = place.profile(name);
    if let Err(missing) = &profile
        && matches!(missing.code(), 1 | 2)
    {
        return profile.map(drop);
    }
    let has_refresh_token = profile.is_ok_and(|profile| !profile.client_credentials);
    runtime()?.block_on(async {
        let given_back = match place.session(name).await {
            Ok(session) if has_refresh_token => session.logout().await.map_err(|error| error.to_string()),
            Ok(_) => {
                Err("the client has no refresh token to give back; an access token works until it is over".to_owned())
            }
            Err(failure) => Err(failure.to_string()),
        };
        let store = place.store()?;
        Session::forget(&store, name).await.map_err(|error| failure(name, &error))?;
        place.remove(name)?;
        if context.json {
            let why = given_back.as_ref().err();
            output::json(
                &serde_json::json!({"profile": name, "removed": true, "revoked": given_back.is_ok(), "why": why}),
            );
            return Ok(());
        }
        if let Err(why) = given_back {
            output::note(&format!("nothing was given back to the server: {why}"));
        }
        output::done(&format!("profile {name} is removed"));
        Ok(())
    })
}

fn list(context: &Context) -> Done {
    let place = Place::find()?;
    runtime()?.block_on(async {
        let store = place.store()?;
        let clock = regrant_client::Clock::default();
        let mut found = Vec::new();
        for (name, profile) in place.profiles()? {
            let record = store.load(&name).await;
            let state = match &record {
                Err(error) => format!("unreadable: {error}"),
                Ok(Some(record)) if record.tokens.is_some() => "live".to_owned(),
                Ok(Some(record)) if record.ended.is_some() => "over".to_owned(),
                Ok(_) if profile.client_credentials => "live".to_owned(),
                Ok(_) => "logged out".to_owned(),
            };
            let tokens = record.ok().flatten().and_then(|record| record.tokens);
            let ends = tokens.and_then(|tokens| tokens.ends_in(&clock.now()));
            found.push((name, profile, state, ends));
        }
        if context.json {
            let line = |(name, profile, state, ends): &(String, Kept, String, Option<Duration>)| {
                serde_json::json!({
                    "profile": name, "issuer": profile.issuer, "client_id": profile.client_id, "state": state,
                    "session_ends_in": ends.map(|left| left.as_secs()),
                })
            };
            output::json(&found.iter().map(line).collect::<Vec<_>>());
        } else if found.is_empty() {
            output::line("no profile yet: regrant login NAME --issuer URL --client-id ID");
        } else {
            let rows = found.into_iter().map(|(name, profile, state, ends)| {
                [name, state, ends.map_or_else(String::new, spoken), profile.issuer, profile.client_id]
            });
            output::table(["profile", "state", "ends in", "issuer", "client"], rows);
        }
        Ok(())
    })
}
