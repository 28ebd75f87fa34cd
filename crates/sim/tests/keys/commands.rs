//! `regrant keys` and `regrant client rotate-secret`, as an operator types them.

use std::process::Output;

use serde_json::Value;
use sim::process::{Home, Scratch};

fn run(home: &Home, arguments: &[&str]) -> Output {
    home.command(arguments).stdin(std::process::Stdio::null()).output().expect("regrant starts")
}

#[track_caller]
fn json(home: &Home, arguments: &[&str]) -> Value {
    let output = run(home, &[&["--json"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn fails(home: &Home, arguments: &[&str], code: i32, says: &str) {
    let output = run(home, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && said.contains(says), "{arguments:?}: {:?} {said}", output.status);
}

fn seen(home: &Home) -> Vec<String> {
    let keys = json(home, &["keys", "list", "--all"]);
    let word = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let line = |key: &Value| format!("{} {} {}", word(key, "kind"), key["id"], word(key, "status"));
    keys.as_array().expect("keys").iter().map(line).collect()
}

/// Every command once, in text and in JSON; what cannot be taken back asks first.
#[test]
fn keys_are_listed_rotated_retired_and_compromised() {
    let scratch = Scratch::new("keys-commands");
    let home = Home::make(&scratch.path().join("home"));
    assert_eq!(
        seen(&home),
        ["tag 1 current", "seed 1 current", "sealing 1 current", "signing 1 current", "signing 2 current"]
    );
    let _ = json(&home, &["keys", "rotate", "signing"]);
    let _ = json(&home, &["keys", "rotate", "signing", "--algorithm", "EdDSA", "--now"]);
    let _ = json(&home, &["keys", "rotate", "tag"]);
    let _ = json(&home, &["keys", "retire", "tag", "1"]);
    fails(&home, &["keys", "compromise", "sealing", "1"], 2, "--yes");
    let _ = json(&home, &["keys", "compromise", "sealing", "1", "--yes"]);
    fails(&home, &["keys", "retire", "seed", "1"], 65, "is in use");
    fails(&home, &["keys", "rotate", "lock"], 65, "tag, seed, sealing, signing");
    fails(&home, &["keys", "compromise", "seed", "9", "--yes"], 1, "there is no seed key 9");
    assert_eq!(
        seen(&home),
        [
            "tag 1 gone",
            "tag 2 current",
            "seed 1 current",
            "sealing 1 compromised",
            "sealing 2 current",
            "signing 1 current",
            "signing 2 current",
            "signing 3 next",
            "signing 4 current",
        ]
    );
    let table = String::from_utf8(run(&home, &["keys", "list"]).stdout).expect("text");
    for words in ["EdDSA", "takes over", "is replaced", "stops to sign", "grants"] {
        assert!(table.contains(words), "no {words:?} in\n{table}");
    }
    assert!(!table.contains("gone"), "{table}");
}

/// The new secret is shown once, and is the one that works.
#[test]
fn a_secret_is_replaced_by_command() {
    let scratch = Scratch::new("secret-command");
    let home = Home::make(&scratch.path().join("home"));
    let added = json(&home, &["client", "add", "job", "--grant-type", "client_credentials"]);
    let replaced = json(&home, &["client", "rotate-secret", "job", "--overlap", "2h"]);
    let (old, new) = (added["client_secret"].as_str(), replaced["client_secret"].as_str());
    assert!(new.is_some_and(|secret| secret.starts_with("rgs_")) && old != new);
    assert!(replaced["previous_works_until"].is_string());
    fails(&home, &["client", "rotate-secret", "job", "--overlap", "soon"], 65, "is no duration");
    fails(&home, &["client", "rotate-secret", "daemon"], 65, "previous_secret_hash");
}
