//! `regrant config check`.

use std::path::Path;

use regrant_server::config::StoreLocation;
use regrant_server::serve::Certificates;
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
    notices.extend(about_places(&config));
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
    let clients = output::count(config.clients.len(), "client");
    let scopes = output::count(config.scopes.len(), "scope");
    let resources = output::count(config.resources.len(), "resource");
    output::done(&format!("the configuration is valid: {clients}, {scopes}, {resources}"));
    Ok(())
}

/// What else the server needs when it starts, and may be on another machine than the one where the file is checked.
fn about_places(config: &Config) -> Vec<String> {
    let mut notices = Vec::new();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if let Err(error) = Certificates::look(config, credentials.as_deref().map(Path::new)) {
        notices.push(format!("the server would not start here: {error}"));
    }
    if let StoreLocation::Sqlite(store) = &config.store
        && let Some(directory) = store.parent().filter(|path| !path.as_os_str().is_empty() && !path.is_dir())
    {
        let shown = directory.display();
        notices.push(format!("the server would not start here: the directory of the store {shown} is not there\n  remedy: make it, for the user that runs the server alone (mode 0700)"));
    }
    notices
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
