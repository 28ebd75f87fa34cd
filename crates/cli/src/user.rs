//! `regrant user`: who may log in.

mod attributes;
mod csv;
mod transfer;

use std::io::{IsTerminal as _, Read as _};

use regrant_server::admin::{Command as Ask, Password, UserView};
use zeroize::Zeroizing;

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
    /// Give a user another password; ends the user's browser sessions, and unless on_password_changed says otherwise all grants.
    SetPassword {
        /// The name.
        name: String,
        /// Read the password from standard input, to its end or its first line break.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Show everything that is known of a user, but for the password's hash.
    Show {
        /// The name.
        name: String,
    },
    /// Set what is known of a user, and tokens can carry: email, groups, roles, attributes of your own.
    #[command(
        after_help = "Examples:\n  regrant user set ann email=ann@example.com email_verified=true --add groups=admin\n  \
        regrant user set ann address.country=DE department=research --unset nickname\n  \
        regrant user set ann --json-value quota='{\"gb\":5}'"
    )]
    Set(attributes::Set),
    /// Remove a user: nothing of the user's is refreshed or vouched for again.
    Remove {
        /// The name.
        name: String,
    },
    /// Take in users of another server, with bcrypt, PBKDF2, scrypt or Argon2 hashes of their passwords.
    Import(transfer::Import),
    /// Write all users as JSON lines, as import takes them.
    Export(transfer::Export),
    /// Withdraw what a user allowed a client: it is asked for again, and unless on_consent_withdrawn says otherwise its grants end.
    WithdrawConsent {
        /// The user's name.
        name: String,
        /// The client's identifier.
        client: String,
    },
    /// Switch a user off: no login, no refresh, nothing vouched for. Unless on_user_disabled says otherwise all grants end.
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
            let user = context.begin_and_operate(|hands| {
                hands.ask::<UserView>(Ask::AddUser { name, password: Password::new(password) })
            })?;
            if context.json {
                output::json(&user);
            } else {
                output::done(&format!("user {} added; sub {}", user.name, user.subject));
            }
        }
        Command::List => list(context)?,
        Command::Show { name } => attributes::show(context, &name)?,
        Command::Set(set) => attributes::set(context, set)?,
        Command::Remove { name } => {
            context.operate(|hands| hands.ask::<()>(Ask::RemoveUser { name: name.clone() }))?;
            confirm(context, &name, "is removed: nothing of the user's is refreshed or vouched for again");
        }
        Command::Import(import) => transfer::import(context, &import)?,
        Command::Export(export) => transfer::export(context, &export)?,
        Command::SetPassword { name, password_stdin } => {
            let password = read_password(password_stdin)?;
            let password = Password::new(password);
            context.operate(|hands| hands.ask::<()>(Ask::SetPassword { name: name.clone(), password }))?;
            confirm(context, &name, "has a new password; the browser sessions have ended");
        }
        Command::WithdrawConsent { name, client } => {
            let (of, at) = (name.clone(), client.clone());
            context.operate(|hands| hands.ask::<()>(Ask::WithdrawConsent { name: of, client: at }))?;
            confirm(context, &name, &format!("is asked for consent by {client} again"));
        }
        Command::Disable { name } => {
            context.operate(|hands| hands.ask::<()>(Ask::SetUserDisabled { name: name.clone(), disabled: true }))?;
            confirm(context, &name, "is disabled: no login, no refresh, nothing vouched for");
        }
        Command::Enable { name } => {
            context.operate(|hands| hands.ask::<()>(Ask::SetUserDisabled { name: name.clone(), disabled: false }))?;
            confirm(context, &name, "is enabled");
        }
    }
    Ok(())
}

fn list(context: &Context) -> Done {
    let users = context.operate(|hands| {
        let mut users: Vec<UserView> = Vec::new();
        loop {
            let after = users.last().map_or(String::new(), |user| user.name.clone());
            let page: Vec<UserView> = hands.ask(Ask::Users { after, limit: PAGE })?;
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
                let state = user
                    .disabled_at
                    .map_or("enabled".to_owned(), |at| format!("disabled since {}", output::minute(&at)));
                [user.name, user.subject, state, output::minute(&user.created_at)]
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

/// From standard input where that was asked for; else from the terminal, twice and unseen.
fn read_password(from_stdin: bool) -> Result<Zeroizing<String>, Failure> {
    let cannot = |error| Failure::new(65, format!("the password cannot be read: {error}"));
    let password = if from_stdin {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).map_err(cannot)?;
        Zeroizing::new(text.split(['\n', '\r']).next().unwrap_or_default().to_owned())
    } else if std::io::stdin().is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password("Password: ").map_err(cannot)?);
        let second = Zeroizing::new(rpassword::prompt_password("The same again: ").map_err(cannot)?);
        if *first != *second {
            return Err(Failure::new(65, "the two passwords differ; nothing was changed"));
        }
        first
    } else {
        return Err(Failure::new(
            2,
            "there is no terminal to ask for the password\n  remedy: pipe it in and add --password-stdin",
        ));
    };
    if password.is_empty() {
        return Err(Failure::new(65, "the password is empty"));
    }
    Ok(password)
}
