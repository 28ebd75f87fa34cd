//! `regrant demo --json`: the last table for a program, and nothing else on either output.

use std::process::{Command, Stdio};

use serde_json::Value;
use sim::process::{Scratch, regrant};

/// What was shown, checked as for people; and what cannot be given to a program is refused as JSON.
#[test]
fn the_demonstration_is_told_to_a_program_in_json() {
    let scratch = Scratch::new("demo-json");
    let run = |more: &[&str]| {
        let mut command = Command::new(regrant());
        command.current_dir(scratch.path()).args(["demo", "--json"]).args(more).stdin(Stdio::null());
        command.output().expect("regrant runs")
    };
    let played = run(&[]);
    assert!(played.status.success(), "{played:?}");
    let told: Value = serde_json::from_slice(&played.stdout).expect("JSON");
    let acts = told["acts"].as_array().expect("a list");
    assert!(
        acts.len() > 10 && acts.iter().all(|act| act["happened"].is_string() && act["proof"].is_string()),
        "{told}"
    );
    let refused = run(&["--keep"]);
    assert_eq!(refused.status.code(), Some(2));
    let said: Value = serde_json::from_slice(&refused.stderr).expect("JSON");
    assert!(said["remedy"].as_str().is_some_and(|remedy| remedy.contains("--json")), "{said}");
    std::fs::create_dir(scratch.path().join("other")).expect("a directory");
    std::fs::write(scratch.path().join("other/thing"), "x").expect("a file");
    let refused = run(&["--dir", "other"]);
    let said: Value = serde_json::from_slice(&refused.stderr).expect("JSON");
    assert_eq!((refused.status.code(), &said["exit_code"]), (Some(1), &1.into()), "{said}");
}
