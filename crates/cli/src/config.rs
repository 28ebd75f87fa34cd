//! `regrant config check`.

use crate::context::{Context, Done};
use crate::output;

/// What to do with the configuration.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Say everything that is wrong with it, and what its choices cost.
    Check,
}

pub(crate) fn run(context: &Context, command: &Command) -> Done {
    let Command::Check = command;
    let config = context.load()?;
    if context.json {
        output::json(&serde_json::json!({
            "ok": true,
            "issuer": config.issuer,
            "listen": config.listen.to_string(),
            "clients": config.clients.len(),
            "notices": config.notices,
        }));
        return Ok(());
    }
    let yellow = anstyle::AnsiColor::Yellow.on_default();
    for notice in &config.notices {
        output::line(&format!("{yellow}note:{yellow:#} {notice}"));
    }
    let (clients, scopes, resources) = (config.clients.len(), config.scopes.len(), config.resources.len());
    output::done(&format!("the configuration is valid: {clients} clients, {scopes} scopes, {resources} resources"));
    Ok(())
}
