//! `regrant config check`.

use regrant_server::{Config, keyring};

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
    context.say_defaults();
    let config = context.load()?;
    let mut notices = config.notices.clone();
    notices.extend(about_root_key(&config));
    if context.json {
        output::json(&serde_json::json!({
            "ok": true,
            "issuer": config.issuer,
            "listen": config.listen.to_string(),
            "clients": config.clients.len(),
            "notices": notices,
        }));
        return Ok(());
    }
    for notice in &notices {
        output::note(notice);
    }
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (clients, scopes) = (counted(config.clients.len(), "client"), counted(config.scopes.len(), "scope"));
    let resources = counted(config.resources.len(), "resource");
    output::done(&format!("the configuration is valid: {clients}, {scopes}, {resources}"));
    Ok(())
}

/// The key may be elsewhere where the file is only checked, so its absence is a note.
fn about_root_key(config: &Config) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    // Without a file, the first start makes the key.
    config.source.file.as_ref()?;
    let path = &config.root_key_file;
    if let Err(error) = keyring::read_root_key(path) {
        return Some(format!("the server would not start here: {error}"));
    }
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let shown = path.display();
    (mode & 0o077 != 0)
        .then(|| format!("other users of this machine can read {shown}; close it with `chmod 400 {shown}`"))
}
