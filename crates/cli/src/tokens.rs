//! `regrant login`, `token`, `whoami`, `logout`, `profiles`, `exec`, `agent` and `proxy`: the client library for programs that cannot
//! link it.
//!
//! A profile says which client of which server; its session is kept beside it, sealed. All commands and all programs that use them
//! share one refresh for every expiry.

pub(crate) mod agent;
pub(crate) mod exec;
mod format;
mod keychain;
pub(crate) mod login;
mod place;
pub(crate) mod profiles;
pub(crate) mod proxy;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use regrant_client::{Error, Secret, Session};

use crate::context::{Context, Done, Failure, runtime};
use crate::output;
pub(crate) use format::Format;
use place::Place;

/// Which profile.
#[derive(clap::Args, Debug)]
pub(crate) struct Named {
    /// The profile, as it was named at `regrant login`.
    pub(crate) profile: String,
}

/// Which token, and how to print it.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  curl -H \"Authorization: Bearer $(regrant token work)\" https://api.example/thing\n  git config --global credential.https://git.example.helper '!regrant token work --format git'\n  regrant token work --format kubernetes       # as `exec` of a user in a kubeconfig"
)]
pub(crate) struct TokenArgs {
    /// The profile, as it was named at `regrant login`.
    profile: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
    /// An access token that an API has refused: print another one. "-" reads it from standard input, where no list of processes shows it.
    #[arg(long, value_name = "TOKEN")]
    refused: Option<String>,
    /// What git and Docker call a credential helper with: get, store, erase or list.
    #[arg(value_parser = ["get", "store", "erase", "list"])]
    action: Option<String>,
}

/// `regrant token`.
pub(crate) fn token(context: &Context, args: &TokenArgs) -> Done {
    let place = Place::find()?;
    let asked = format::Asked::read(args.format, args.action.as_deref())?;
    runtime()?.block_on(async {
        let session = place.session(&args.profile).await?;
        let refused = match args.refused.as_deref() {
            Some("-") => Some(place::standard_input()?),
            Some(token) => Some(Secret::new(token)),
            None => asked.refused().map(Secret::new),
        };
        match args.action.as_deref() {
            Some("list") => {
                output::raw(b"{}\n");
                return Ok(());
            }
            // What is kept is kept by the session. A password that was refused is an access token that was.
            Some("store") => return Ok(()),
            Some("erase") if refused.is_none() => return Ok(()),
            _ => {}
        }
        let fresh = match refused {
            Some(token) => session.token_after(&token).await,
            None => session.token().await,
        };
        let fresh = fresh.map_err(|error| failure(&args.profile, &error))?;
        not_bound(&args.profile, &session)?;
        if args.action.as_deref() == Some("erase") {
            return Ok(());
        }
        let format = if context.json && args.format == Format::Plain { Format::Json } else { args.format };
        let text = format.text(&fresh, &session, &asked.url);
        if format == Format::Github {
            return format::for_github(&text);
        }
        output::raw(text.as_bytes());
        Ok(())
    })
}

/// `regrant whoami`.
pub(crate) fn whoami(context: &Context, args: &Named) -> Done {
    let place = Place::find()?;
    let profile = place.profile(&args.profile)?;
    runtime()?.block_on(async {
        let session = place.session(&args.profile).await?;
        let tokens = session.tokens();
        let identity = tokens.as_ref().and_then(regrant_client::Tokens::identity);
        let good_for = tokens.as_ref().and_then(|tokens| tokens.good_for(&session.now()));
        let ends_in = session.ends_in();
        let claim = |name: &str| identity.as_ref().and_then(|identity| identity.text(name)).map(str::to_owned);
        let scope = tokens.as_ref().and_then(|tokens| tokens.scope.clone());
        if context.json {
            output::json(&serde_json::json!({
                "profile": args.profile, "issuer": profile.issuer, "client_id": profile.client_id,
                "subject": claim("sub"), "claims": identity.as_ref().map(regrant_client::Identity::claims),
                "scope": scope, "access_token_expires_in": good_for.map(|left| left.as_secs()),
                "session_ends_in": ends_in.map(|left| left.as_secs()),
            }));
            return Ok(());
        }
        output::pairs([
            ("profile", args.profile.clone()),
            ("issuer", profile.issuer.clone()),
            ("client", profile.client_id.clone()),
            ("subject", claim("sub").unwrap_or_else(|| "the server did not say (ask for the scope openid)".to_owned())),
            ("name", claim("name").or_else(|| claim("preferred_username")).unwrap_or_default()),
            ("email", claim("email").unwrap_or_default()),
            ("scope", scope.unwrap_or_default()),
            ("access token", good_for.map_or_else(String::new, |left| format!("good for {}", spoken(left)))),
            (
                "session",
                ends_in.map_or_else(String::new, |left| format!("ends in {}, unless it is used", spoken(left))),
            ),
        ]);
        Ok(())
    })
}

/// `regrant logout`.
pub(crate) fn logout(context: &Context, args: &Named) -> Done {
    let place = Place::find()?;
    let profile = place.profile(&args.profile)?;
    runtime()?.block_on(async {
        let session = place.session(&args.profile).await?;
        let given_back = session.logout().await;
        if profile.client_credentials {
            // It has no refresh token to give back, and needs nobody to log in.
            let why = format!("the client gets tokens by itself: `regrant profiles remove {}` ends that", args.profile);
            if context.json {
                output::json(&serde_json::json!({"profile": args.profile, "revoked": false, "live": true, "why": why}));
            } else {
                output::done(&format!(
                    "the access token of {} is forgotten; another is asked for when one is wanted",
                    args.profile
                ));
                output::note(&why);
            }
            return Ok(());
        }
        if context.json {
            let why = given_back.as_ref().err().map(ToString::to_string);
            output::json(&serde_json::json!({"profile": args.profile, "revoked": given_back.is_ok(), "why": why}));
            return Ok(());
        }
        if let Err(error) = given_back {
            output::note(&format!("the server did not take the refresh token back: {error}"));
        }
        output::done(&format!("logged out of {}", args.profile));
        Ok(())
    })
}

/// A token that is bound to a key is of no use to whoever has not the key.
fn not_bound(profile: &str, session: &Session) -> Result<(), Failure> {
    if session.tokens().is_some_and(|tokens| tokens.is_bound()) {
        let remedy = format!("regrant proxy {profile} --to URL");
        return Err(Failure::new(1, format!("the tokens of {profile} are bound to a key\n  remedy: {remedy}")));
    }
    Ok(())
}

/// What stands in the way of a token, and what to do about it.
fn failure(profile: &str, error: &Error) -> Failure {
    let login = format!("regrant login {profile}");
    match error {
        Error::LoggedOut => Failure::new(1, format!("nobody is logged in as {profile}\n  remedy: {login}")),
        Error::Terminal(why) => Failure::new(1, format!("the session of {profile} is over: {why}\n  remedy: {login}")),
        Error::Refused(why) => Failure::new(1, format!("the login was refused: {why}")),
        Error::Retry { after, cause } => {
            let remedy = format!("nothing is lost: try again in {}", spoken(*after));
            Failure::new(69, format!("no token now: {cause}\n  remedy: {remedy}"))
        }
        Error::Store(why) => Failure::new(74, format!("the tokens cannot be read or kept: {why}")),
        other => {
            Failure::new(78, format!("{other}\n  remedy: look at the profile; `{login}` with other flags changes it"))
        }
    }
}

/// A duration for people: its two largest units.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let mut parts = Vec::new();
    let mut left = seconds;
    for (name, size) in units {
        if left >= size || (size == 1 && parts.is_empty()) {
            parts.push(format!("{} {name}", left / size));
            left %= size;
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

/// Opens the session of a profile.
impl Place {
    async fn session(&self, name: &str) -> Result<Session, Failure> {
        let profile = self.profile(name)?.opened(name)?;
        Session::open(Arc::new(self.store()?), profile).await.map_err(|error| failure(name, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_two_units() {
        for (seconds, says) in [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (3661, "1 h 1 min"), (90_061, "1 d 1 h")] {
            assert_eq!(spoken(Duration::from_secs(seconds)), says);
        }
    }
}
