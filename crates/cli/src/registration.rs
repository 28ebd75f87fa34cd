//! `regrant registration`: tokens with which clients register themselves, where `[registration] mode` is "token".

use regrant_server::admin::Command as Ask;
use regrant_server::admin::registration::RegistrationTokenView;

use crate::context::{self, Context, Done, Failure};
use crate::output;

/// What to do with registrations.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Make, list and remove the tokens with which clients register themselves.
    #[command(subcommand)]
    Token(Token),
}

/// What to do with such tokens.
#[derive(clap::Subcommand, Debug)]
#[command(
    after_help = "Who has such a token registers clients by POST /oauth2/register (RFC 7591), as an\nAuthorization: Bearer header, while [registration] mode is \"token\".\n\nExamples:\n  regrant registration token new --uses 10 --expires 7d --label \"for the fair\"\n  regrant registration token list"
)]
pub(crate) enum Token {
    /// Make one. It is shown once.
    New {
        /// For how many clients.
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
        /// For how long.
        #[arg(long, value_name = "TIME", default_value = "7d")]
        expires: String,
        /// What it is for.
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// List them.
    List,
    /// Remove one: nobody registers with it any more. Clients that did stay.
    Remove {
        /// Its id.
        id: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    let Command::Token(token) = command;
    match token {
        Token::New { uses, expires, label } => {
            let lifetime = regrant_server::config::duration::parse(&expires).ok_or_else(|| {
                Failure::new(65, format!("--expires: {expires:?} is no duration: write it like 24h or 7d"))
            })?;
            let ask = || Ask::NewRegistrationToken { label: label.clone(), uses, lifetime };
            let made: RegistrationTokenView = context.operate(|hands| hands.ask(ask()))?;
            let remedy = format!("`regrant registration token remove {}`, and make another", made.id);
            let shown = || context::shown("the token was made, and is not shown", &remedy);
            if context.json {
                output::json(&made);
                return shown();
            }
            output::done(&format!("registration token {} made for {}", made.id, output::count(made.uses, "client")));
            output::pairs([("token", made.token.unwrap_or_default()), ("expires", output::minute(&made.expires_at))]);
            shown()?;
            output::error("This is the only time that the token is shown: the store keeps its hash.");
            Ok(())
        }
        Token::List => list(context),
        Token::Remove { id } => {
            context.operate(|hands| hands.ask::<()>(Ask::RemoveRegistrationToken { id: id.clone() }))?;
            if context.json {
                output::json(&serde_json::json!({"removed": id}));
            } else {
                output::done(&format!("registration token {id} removed"));
            }
            Ok(())
        }
    }
}

fn list(context: &Context) -> Done {
    let tokens: Vec<RegistrationTokenView> = context.operate(|hands| hands.ask(Ask::RegistrationTokens))?;
    if context.json {
        output::json(&tokens);
        return Ok(());
    }
    if tokens.is_empty() {
        output::line("no registration tokens: `regrant registration token new` makes one");
        return Ok(());
    }
    output::table(
        ["id", "uses", "expires", "label"],
        tokens.iter().map(|token| {
            [token.id.clone(), token.uses.to_string(), output::minute(&token.expires_at), token.label.clone()]
        }),
    );
    Ok(())
}
