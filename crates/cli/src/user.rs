//! `regrant user`: who may log in.

use std::io::{IsTerminal as _, Read as _};

use regrant_server::admin::UserView;

use crate::context::{Context, Done, Failure};
use crate::output;

/// The longest input that is read as a password.
const MAX_INPUT: u64 = 4096;
/// Users asked for at once.
const PAGE: u32 = 1000;

/// What to do with users.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Add a user.
    Add {
        /// The name to log in with; case does not matter.
        name: String,
        /// Read the password from standard input, to its end or its first line break.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all users.
    List,
    /// Give a user another password; ends the user's browser sessions.
    SetPassword {
        /// The name.
        name: String,
        /// Read the password from standard input, to its end or its first line break.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Switch a user off: no login, no refresh, nothing vouched for.
    Disable {
        /// The name.
        name: String,
    },
    /// Switch a user on again.
    Enable {
        /// The name.
        name: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::Add { name, password_stdin } => {
            let password = read_password(password_stdin)?;
            let user = context.with_admin(async |admin| admin.add_user(&name, password.into()).await)?;
            if context.json {
                output::json(&user);
            } else {
                output::done(&format!("user {} added; sub {}", user.name, user.subject));
            }
        }
        Command::List => list(context)?,
        Command::SetPassword { name, password_stdin } => {
            let password = read_password(password_stdin)?;
            context.with_admin(async |admin| admin.set_password(&name, password.into()).await)?;
            confirm(context, &name, "has a new password; the browser sessions have ended");
        }
        Command::Disable { name } => {
            context.with_admin(async |admin| admin.set_user_disabled(&name, true).await)?;
            confirm(context, &name, "is disabled: no login, no refresh, nothing vouched for");
        }
        Command::Enable { name } => {
            context.with_admin(async |admin| admin.set_user_disabled(&name, false).await)?;
            confirm(context, &name, "is enabled");
        }
    }
    Ok(())
}

fn list(context: &Context) -> Done {
    let users = context.with_admin(async |admin| {
        let mut users: Vec<UserView> = Vec::new();
        loop {
            let after = users.last().map_or(String::new(), |user| user.name.clone());
            let page = admin.users(&after, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            users.extend(page);
            if is_last {
                return Ok(users);
            }
        }
    })?;
    if context.json {
        output::json(&users);
    } else if users.is_empty() {
        output::line("no users yet: `regrant user add NAME`");
    } else {
        output::table(
            ["user", "sub", "state", "added"],
            users.into_iter().map(|user| {
                let state = user.disabled_at.map_or("enabled".to_owned(), |at| format!("disabled since {at}"));
                [user.name, user.subject, state, user.created_at]
            }),
        );
    }
    Ok(())
}

fn confirm(context: &Context, name: &str, text: &str) {
    if context.json {
        output::json(&serde_json::json!({"ok": true, "name": name}));
    } else {
        output::done(&format!("user {name} {text}"));
    }
}

/// One line of standard input. On a terminal it is asked for; what is typed is not hidden by us, so the prompt says so.
fn read_password(from_stdin: bool) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut text = String::new();
    if stdin.is_terminal() {
        if !from_stdin {
            output::error("Password (it will be visible while you type; --password-stdin takes it from a pipe):");
        }
        stdin.read_line(&mut text)?;
    } else if from_stdin {
        stdin
            .take(MAX_INPUT)
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(65, format!("the password cannot be read: {error}")))?;
    } else {
        return Err(Failure::new(
            2,
            "there is no terminal to ask for the password\n  remedy: pipe it in and add --password-stdin",
        ));
    }
    let password = text.split(['\n', '\r']).next().unwrap_or_default().to_owned();
    if password.is_empty() {
        return Err(Failure::new(65, "the password is empty"));
    }
    Ok(password)
}
