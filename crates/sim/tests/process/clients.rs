//! `regrant client` as an operator types it: what it says is what was done, and a secret is where it was said to be.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server};

/// The device took no more (sysexits.h: EX_IOERR).
const DEVICE: Option<i32> = Some(74);

fn home(name: &str) -> (Scratch, Home) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    (scratch, home)
}

fn run(home: &Home, line: &[&str]) -> Output {
    home.command(line).stdin(Stdio::null()).output().expect("regrant runs")
}

/// The same with a standard output that is full.
fn into_the_full(home: &Home, line: &[&str]) -> (Option<i32>, String) {
    let full = File::options().write(true).open("/dev/full").expect("a device that is full");
    let output = home.command(line).stdin(Stdio::null()).stdout(full).output().expect("regrant runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn json(output: &Output) -> Value {
    let (told, said) = said(output);
    assert!(output.status.success(), "{said}");
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// What becomes of its grants is told as the policy has it, with the number of the revocation, which takes it back.
#[test]
fn who_removes_a_client_hears_what_became_of_its_grants() {
    let (_scratch, home) = home("clients-removed");
    let add = || {
        json(&run(&home, &["client", "add", "wiki", "--public", "--redirect-uri", "https://a.example/cb", "--json"]))
    };
    let _ = add();
    let (told, noted) = said(&run(&home, &["client", "remove", "wiki"]));
    assert!(told.contains("client wiki removed; its grants have ended"), "{told}");
    assert!(noted.contains("regrant revoke --undo") && noted.contains("that works until"), "{noted}");
    let _ = add();
    let removed = json(&run(&home, &["client", "remove", "wiki", "--json"]));
    assert_eq!((&removed["ok"], &removed["grants_ended"]), (&true.into(), &true.into()), "{removed}");
    let number = removed["revocation"].as_u64().expect("a number").to_string();
    assert!(removed["undo_until"].is_string(), "{removed}");
    let _ = add();
    assert_eq!(json(&run(&home, &["revoke", "--undo", &number, "--json"]))["reason"], "client_removed");
    let mut suspends = home.command(&["client", "remove", "wiki"]);
    let suspended = suspends.env("REGRANT_REVOCATION_ON_CLIENT_REMOVED", "suspend").output().expect("regrant runs");
    assert!(said(&suspended).0.contains("unusable until it returns"), "{suspended:?}");
}

/// A file of a secret is what `secret_file` wants, is its owner's alone, and is never written over.
#[test]
fn a_secret_is_written_into_a_file_of_its_own() {
    let (scratch, home) = home("clients-secret-file");
    let file = scratch.path().join("ops.secret");
    let shown = file.display().to_string();
    let made = json(&run(&home, &["client", "secret", "--out", &shown, "--json"]));
    assert_eq!(made["secret_file"], shown);
    assert!(made["secret"].is_null(), "it is in the file alone: {made}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(&file).expect("a secret");
    let refused = run(&home, &["client", "secret", "--out", &shown]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).1.contains("is there already"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("a secret"), kept);
    home.configure(&format!(
        "[[client]]\nid = \"ops\"\nsecret_file = {shown:?}\nredirect_uris = [\"https://a.example/cb\"]\n"
    ));
    let checked = run(&home, &["config", "check"]);
    assert!(checked.status.success() && !said(&checked).1.contains(&shown), "{checked:?}");
}

/// A full disk under standard output is no success; of a secret that is shown once it is said how to get another.
#[test]
fn an_answer_that_could_not_be_written_is_no_success() {
    let (_scratch, home) = home("clients-full");
    for line in
        [&["client", "list"][..], &["client", "list", "--json"], &["keys", "list"], &["man"], &["completions", "bash"]]
    {
        let (code, said) = into_the_full(&home, line);
        assert!(code == DEVICE && said.contains("standard output cannot be written"), "{line:?}: {code:?}: {said}");
    }
    home.add_user();
    let (code, said) = into_the_full(&home, &["user", "export"]);
    assert!(code == DEVICE && said.contains("is not whole"), "{said}");
    let (code, said) = into_the_full(&home, &["client", "secret"]);
    assert!(code == DEVICE && said.contains("make another"), "{said}");
    let (code, said) = into_the_full(&home, &["client", "add", "shelf", "--redirect-uri", "https://a.example/cb"]);
    assert!(code == DEVICE && said.contains("regrant client rotate-secret shelf --overlap 0"), "{said}");
    let (code, said) = into_the_full(&home, &["client", "rotate-secret", "shelf", "--json"]);
    assert_eq!(code, DEVICE, "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert!(said["remedy"].as_str().is_some_and(|remedy| remedy.contains("rotate-secret shelf")), "{said}");
    // A server that runs has heard the command all the same.
    let server = Server::start(&home);
    let (code, _) = into_the_full(&home, &["client", "disable", "shelf"]);
    assert_eq!(code, DEVICE);
    assert_eq!(json(&run(&home, &["client", "show", "shelf", "--json"]))["disabled"], true);
    server.stop();
}

/// Who reads the first line and goes away is no trouble.
#[test]
fn a_reader_who_goes_away_is_no_error() {
    let (_scratch, home) = home("clients-pipe");
    let mut child =
        home.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
