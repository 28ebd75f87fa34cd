//! `regrant doctor`: it finds what is wrong, says what to do, changes nothing, and is quiet where all is well.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;
use sim::process::{Home, Scratch, Server};

/// The exit code, and what was found.
fn doctor(home: &Home) -> (Option<i32>, Vec<Value>) {
    let ended = home.command(&["doctor", "--json"]).stdin(Stdio::null()).output().expect("regrant runs");
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let findings = told["findings"].as_array().expect("findings").clone();
    assert_eq!(told["healthy"], ended.status.success());
    for finding in &findings {
        let is_problem = finding["state"] == "problem";
        assert!(!is_problem || finding["remedy"].is_string(), "a problem without a remedy: {finding}");
    }
    (ended.status.code(), findings)
}

fn problems(home: &Home) -> Vec<String> {
    let (_, findings) = doctor(home);
    let problems = findings.iter().filter(|finding| finding["state"] == "problem");
    problems.map(|finding| format!("{}: {}", finding["check"], finding["says"])).collect()
}

fn home(name: &str) -> (Scratch, Home) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    std::fs::set_permissions(home.root_key_file(), std::fs::Permissions::from_mode(0o400)).expect("a mode");
    (scratch, home)
}

#[test]
fn a_healthy_deployment_has_no_problem() {
    let (_scratch, home) = home("doctor-healthy");
    let server = Server::start(&home);
    let (code, findings) = doctor(&home);
    assert_eq!(code, Some(0), "{findings:?}");
    for check in ["configuration", "root key", "store", "disk", "server", "clock", "open files", "issuer"] {
        assert!(findings.iter().any(|finding| finding["check"] == check), "nothing looked at {check}: {findings:?}");
    }
    let pid = format!("process {}", server.pid());
    assert!(findings.iter().any(|finding| finding["says"].as_str().is_some_and(|says| says.contains(&pid))));
    server.stop();
    assert_eq!(problems(&home), [] as [String; 0], "nor has one whose server is stopped");
}

#[test]
fn what_is_wrong_is_found_and_nothing_is_changed() {
    let (scratch, home) = home("doctor-problems");
    Server::start(&home).stop();
    let found = |words: &str| {
        let problems = problems(&home);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(words), "{problems:?}");
    };
    // Others can read the key, then the store; then the directory is everybody's.
    for (path, bad, good, words) in [
        (home.root_key_file(), 0o644, 0o400, "other users of this machine can read"),
        (home.store(), 0o644, 0o600, "other users of this machine can read"),
        (home.data(), 0o777, 0o755, "every user of this machine can write"),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bad)).expect("a mode");
        found(words);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(good)).expect("a mode");
    }
    // Check K6: another root key.
    let other = Home::make(&scratch.path().join("other"));
    let kept = std::fs::read(home.root_key_file()).expect("a key");
    std::fs::set_permissions(home.root_key_file(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::copy(other.root_key_file(), home.root_key_file()).expect("copied");
    std::fs::set_permissions(home.root_key_file(), std::fs::Permissions::from_mode(0o400)).expect("a mode");
    found("does not belong to this store");
    std::fs::set_permissions(home.root_key_file(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::write(home.root_key_file(), kept).expect("written");
    std::fs::set_permissions(home.root_key_file(), std::fs::Permissions::from_mode(0o400)).expect("a mode");
    // Events cannot be written down.
    let good = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), format!("{good}\n[events]\njson_lines = \"nowhere/events.jsonl\"\n"))
        .expect("written");
    found("no line of json_lines can be written here");
    std::fs::write(home.config_file(), good).expect("written");
    // Nobody answers at the issuer; then a server that calls itself otherwise does.
    let good = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), format!("issuer = \"http://127.0.0.1:1\"\n{good}")).expect("written");
    found("cannot be read from here");
    std::fs::write(home.config_file(), &good).expect("written");
    let server = Server::start(&home);
    let elsewhere = server.base().replace("127.0.0.1", "localhost");
    std::fs::write(home.config_file(), format!("issuer = \"{elsewhere}\"\n{good}")).expect("written");
    found("calls itself");
    std::fs::write(home.config_file(), "nonsense = 1").expect("written");
    found("nonsense");
    std::fs::write(home.config_file(), &good).expect("written");
    server.stop();
    assert_eq!(problems(&home), [] as [String; 0]);
}

/// Before the first start of a newer program: no damage, and what the start will do.
#[test]
fn a_store_of_any_older_schema_is_healthy_and_told() {
    let (_scratch, home) = home("doctor-older");
    let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/src/sqlite/migrations");
    let migrations =
        (1..).map_while(|version| std::fs::read_to_string(migrations.join(format!("{version:04}.sql"))).ok());
    let migrations: Vec<String> = migrations.collect();
    for from in 1..migrations.len() {
        let _ = std::fs::remove_file(home.store());
        let store = rusqlite::Connection::open(home.store()).expect("a file");
        migrations[..from].iter().for_each(|migration| store.execute_batch(migration).expect("the schema"));
        let mark =
            "UPDATE meta SET deployment = zeroblob(16), root_check = zeroblob(16); PRAGMA application_id = 1380405844";
        store.execute_batch(&format!("{mark}; PRAGMA user_version = {from}")).expect("the mark");
        drop(store);
        std::fs::set_permissions(home.store(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let (code, findings) = doctor(&home);
        assert_eq!(code, Some(0), "version {from}: {findings:?}");
        let says = format!("schema version {from}, and the next start brings it to {}", migrations.len());
        assert!(
            findings.iter().any(|found| found["says"].as_str().is_some_and(|found| found.contains(&says))),
            "{findings:?}"
        );
    }
}
