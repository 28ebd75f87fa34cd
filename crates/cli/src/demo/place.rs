//! The directory of a demonstration: its marker, the root key, the configuration and the store.
//!
//! What a later demonstration replaces are the files that an earlier one made, by name, in a directory with its marker. Nothing else
//! is ever removed.

use std::path::{Path, PathBuf};

use regrant_core::one_time::client_secret_hash;
use regrant_server::config::hash_text;
use regrant_store::{OpenError, Sqlite, SqliteOptions};

use super::Trouble;
use super::resource::RESOURCE;
use super::stage::Secrets;

/// Says that a directory is a demonstration's own.
const MARKER: &str = ".regrant-demo";
/// The store.
const STORE: &str = "regrant.db";
/// Everything that a demonstration leaves there besides the marker.
const FILES: [&str; 7] =
    ["regrant.toml", "root.key", STORE, "regrant.db-wal", "regrant.db-shm", "regrant.db.lock", "regrant.db.anchor"];
/// What every redirect URI is registered as: RFC 8252 section 7.3, "The authorization server MUST allow any port".
pub(super) const REGISTERED_CALLBACK: &str = "http://127.0.0.1/callback";

/// The configuration in it.
pub(super) fn config_file(dir: &Path) -> PathBuf {
    dir.join("regrant.toml")
}

/// Makes the directory, or empties an earlier demonstration's, and writes configuration and root key.
pub(super) fn make(dir: &Path, listen: std::net::SocketAddr, secrets: &Secrets) -> Result<(), Trouble> {
    clear(dir)?;
    let file = config_file(dir);
    std::fs::write(&file, configuration(listen, secrets)).map_err(|error| cannot(&file, &error))?;
    let key = dir.join("root.key");
    crate::context::write_root_key(&key).map_err(|error| cannot(&key, &error))
}

fn clear(dir: &Path) -> Result<(), Trouble> {
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    let marker = dir.join(MARKER);
    if !marker.exists() {
        let mut entries = std::fs::read_dir(dir).map_err(|error| cannot(dir, &error))?;
        if entries.next().is_some() {
            let shown = dir.display();
            return Err(Trouble::new(format!(
                "the directory {shown} holds something else than an earlier demonstration; nothing was changed\n  \
                 remedy: name another directory with --dir"
            )));
        }
        return std::fs::write(&marker, "Made by `regrant demo`, and replaced by the next one.\n")
            .map_err(|error| cannot(&marker, &error));
    }
    refuse_if_in_use(&dir.join(STORE))?;
    for name in FILES {
        let file = dir.join(name);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&file, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// A server that still runs on the store would go on writing to files that nobody can find any more.
fn refuse_if_in_use(store: &Path) -> Result<(), Trouble> {
    let options = SqliteOptions { create: false, ..SqliteOptions::default() };
    match Sqlite::open(store, &options) {
        Err(OpenError::InUse { pid, .. }) => Err(Trouble::new(format!(
            "a demonstration still runs in {}{}\n  remedy: stop it (Ctrl-C), or name another directory with --dir",
            store.parent().unwrap_or(Path::new(".")).display(),
            pid.map_or_else(String::new, |pid| format!(" (pid {pid})")),
        ))),
        _ => Ok(()),
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(format!(
        "{} cannot be written: {error}\n  remedy: name a directory that you may write with --dir",
        path.display()
    ))
}

fn configuration(listen: std::net::SocketAddr, secrets: &Secrets) -> String {
    let hash = |secret: &str| hash_text(&client_secret_hash(secret));
    format!(
        r#"# Written by `regrant demo`. `regrant init DIR` writes one with every setting explained.
listen = "{listen}"
store = "sqlite:{STORE}"
root_key_file = "root.key"

[[scope]]
name = "things.read"
description = "Read your things"

[[scope]]
name = "things.write"
description = "Change your things"

[[resource]]
uri = "{RESOURCE}"
scopes = ["things.read", "things.write"]

# The client of the article: confidential, so its refresh tokens are reusable unless it says otherwise.
[[client]]
id = "12345"
name = "Example Web App"
secret_hash = "{}"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["{REGISTERED_CALLBACK}"]
scopes = ["things.read", "things.write"]
resources = ["{RESOURCE}"]
may_introspect = true

# The same with refresh tokens that work once, and an end after 60 days.
[[client]]
id = "67890"
name = "Example Bank App"
secret_hash = "{}"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["{REGISTERED_CALLBACK}"]
scopes = ["things.read", "things.write"]
resources = ["{RESOURCE}"]
rotation = "single_use"
absolute_lifetime = "60d"

# A public client: it has no secret, so its refresh tokens work once.
[[client]]
id = "phone"
name = "Example Phone App"
token_endpoint_auth_method = "none"
redirect_uris = ["{REGISTERED_CALLBACK}"]
scopes = ["things.read"]
resources = ["{RESOURCE}"]

# The two flows that give no refresh token.
[[client]]
id = "old-browser-app"
name = "Example Old Browser App"
token_endpoint_auth_method = "none"
redirect_uris = ["{REGISTERED_CALLBACK}"]
grant_types = ["implicit"]
scopes = ["things.read"]
resources = ["{RESOURCE}"]

[[client]]
id = "nightly-job"
secret_hash = "{}"
token_endpoint_auth_method = "client_secret_post"
grant_types = ["client_credentials"]
scopes = ["things.read"]
resources = ["{RESOURCE}"]
"#,
        hash(&secrets.reusable),
        hash(&secrets.single_use),
        hash(&secrets.job),
    )
}
