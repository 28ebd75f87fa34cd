//! `regrant client secret` and `rotate-secret`: secrets are shown once, or written into a file of their own, and never again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use regrant_core::one_time::{client_secret, client_secret_hash};
use regrant_server::admin::{Command as Ask, SecretReplaced};
use regrant_server::chance;
use regrant_server::config::hash_text;

use crate::context::{self, Context, Done, Failure};
use crate::output;

/// A new secret, and the hash of it.
pub(super) fn new() -> (String, String) {
    let secret = client_secret(chance::bytes()).to_string();
    let hash = hash_text(&client_secret_hash(&secret));
    (secret, hash)
}

/// `regrant client secret`: of no client yet.
pub(super) fn make(context: &Context, out: Option<&Path>) -> Done {
    let (secret, hash) = new();
    if let Some(file) = out {
        write(file, &secret)?;
        if context.json {
            output::json(&serde_json::json!({"secret_file": file, "secret_hash": hash}));
        } else {
            output::done(&format!("{} holds a new secret (mode 0600)", file.display()));
            output::pairs([("secret_hash", hash)]);
        }
        return Ok(());
    }
    if context.json {
        output::json(&serde_json::json!({"secret": secret, "secret_hash": hash}));
    } else {
        output::pairs([("client_secret", secret), ("secret_hash", hash)]);
    }
    context::shown("the secret is not shown", "nothing was kept of it: make room, and make another")
}

/// The secret and nothing else, as `secret_file` wants it.
fn write(file: &Path, secret: &str) -> Done {
    let shown = file.display();
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut made = made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            1,
            format!(
                "{shown} is there already, and nothing was written\n  remedy: name another file, or remove it first"
            ),
        ),
        _ => Failure::new(1, format!("{shown} cannot be made: {error}")),
    })?;
    let written = writeln!(made, "{secret}").and_then(|()| made.sync_all());
    written.map_err(|error| {
        // Half a secret would be in the way of the next attempt.
        let _ = std::fs::remove_file(file);
        Failure::new(1, format!("{shown} cannot be written: {error}"))
    })
}

/// `regrant client rotate-secret`.
pub(super) fn rotate(context: &Context, id: &str, overlap: &str) -> Done {
    let overlap = regrant_server::config::duration::parse(overlap).ok_or_else(|| {
        Failure::new(65, format!("--overlap: {overlap:?} is no duration: write it like 24h, 7d or 0"))
    })?;
    let (secret, hash) = new();
    let ask = Ask::RotateClientSecret { id: id.to_owned(), secret_hash: hash, overlap };
    let replaced: SecretReplaced = context.operate(|hands| hands.ask(ask))?;
    // Of three secrets the oldest would be dead, and that is the one in use.
    let remedy = format!(
        "`regrant client rotate-secret {id}` makes another; the secret that the client uses now is dead from then on"
    );
    let shown = || context::shown("the client has a new secret, which is not shown", &remedy);
    if context.json {
        let mut value = serde_json::to_value(&replaced).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.insert("client_secret".to_owned(), secret.into());
        }
        output::json(&value);
        return shown();
    }
    output::done(&format!("client {id} has a new secret"));
    output::pairs([("client_id", replaced.client), ("client_secret", secret)]);
    shown()?;
    match replaced.previous_works_until {
        Some(until) => output::error(&format!("The secret before it works until {}.", output::minute(&until))),
        None => output::error("The secret before it is dead."),
    }
    if replaced.dropped_an_older_one {
        output::note("a still older secret was to work longer, and is dead: at most two work at a time");
    }
    output::error("This is the only time that the secret is shown: the store keeps its hash.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_in_a_file_is_its_owners_alone_and_never_over_what_is_there() {
        let directory = std::env::temp_dir().join(format!("regrant-secret-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("ops.secret");
        write(&file, "rgs_x").expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "rgs_x\n");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let refused = write(&file, "rgs_y").expect_err("it is there").to_string();
        assert!(refused.contains("is there already") && refused.contains("remedy"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "rgs_x\n");
        std::fs::remove_dir_all(directory).expect("gone");
    }
}
