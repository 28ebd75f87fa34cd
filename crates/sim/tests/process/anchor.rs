//! A database that went back in time under the real server: refused with both numbers and a remedy, before anything is answered.

use std::path::PathBuf;
use std::process::Stdio;

use sim::process::{Home, Refused, Scratch, Server};
use sim::wire::{PASSWORD, Reply, USER, text};

const CONFIGURATION: Option<i32> = Some(78);

fn home(name: &str) -> (Scratch, Home) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    (scratch, home)
}

async fn first(server: &Server) -> String {
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    text(&server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token")
}

async fn refresh(server: &Server, token: &str) -> Reply {
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    server.http().post("/oauth2/token", &asked, &[]).await
}

async fn next(server: &Server, token: &str) -> String {
    text(&refresh(server, token).await.expect_status(200).json(), "refresh_token")
}

fn beside(home: &Home, ending: &str) -> PathBuf {
    home.data().join(format!("regrant.db{ending}"))
}

/// The start is refused with 78 and these words; and `doctor` says the same.
fn expect_refusal(home: &Home, words: &[&str]) {
    let Refused { code, said } = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("it went back");
    assert_eq!(code, CONFIGURATION, "{said}");
    let doctor = home.command(&["doctor"]).stdin(Stdio::null()).output().expect("regrant runs");
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success(), "{found}");
    for word in words.iter().chain(&["Nothing was changed"]) {
        assert!(said.contains(word) && found.contains(word), "no {word:?} in: {said}\n{found}");
    }
    assert!(said.contains("remedy"), "{said}");
}

/// Check Z16: the log of a killed server is removed, or not copied; with it back, everything goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_log_is_refused_and_with_the_log_back_the_session_goes_on() {
    let (_scratch, home) = home("no-log");
    let server = Server::start(&home);
    let token = first(&server).await;
    let token = next(&server, &token).await;
    server.kill();
    let log = std::fs::read(beside(&home, "-wal")).expect("a log");
    assert!(!log.is_empty());
    std::fs::remove_file(beside(&home, "-wal")).expect("removed");
    expect_refusal(&home, &["went back", "regrant.db-wal", "has seen commit", "put the store and its log back"]);
    std::fs::write(beside(&home, "-wal"), log).expect("put back");
    let server = Server::start(&home);
    let _ = next(&server, &token).await;
    server.stop();
}

/// Check Z15: an older copy is put back: refused, though everything in it is sound. The newer one starts again.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_is_refused_and_nothing_is_answered_from_it() {
    let (_scratch, home) = home("older-copy");
    let server = Server::start(&home);
    let old = first(&server).await;
    server.stop();
    let older = std::fs::read(home.store()).expect("a copy");
    let server = Server::start(&home);
    let live = next(&server, &old).await;
    server.stop();
    let newer = std::fs::read(home.store()).expect("a copy");
    std::fs::write(home.store(), older).expect("put back");
    expect_refusal(&home, &["went back", "an older copy was put back"]);
    std::fs::write(home.store(), newer).expect("put back");
    let server = Server::start(&home);
    let _ = next(&server, &live).await;
    server.stop();
}

/// Check Z16: the log of another deployment, as a careless copy leaves it, would be taken by the file: it is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_another_deployment_is_refused() {
    let (_scratch, home) = home("another-log");
    let (_elsewhere, other) = self::home("another-log-other");
    let mut tokens = Vec::new();
    for home in [&home, &other] {
        let server = Server::start(home);
        tokens.push(first(&server).await);
        server.kill();
    }
    let log = std::fs::read(beside(&home, "-wal")).expect("a log");
    std::fs::copy(beside(&other, "-wal"), beside(&home, "-wal")).expect("the wrong log");
    expect_refusal(&home, &["another deployment's", "the log of another one"]);
    std::fs::write(beside(&home, "-wal"), log).expect("put back");
    let server = Server::start(&home);
    let _ = next(&server, &tokens[0]).await;
    server.stop();
}

/// A lost anchor hinders nobody, and is told in the log and in the events.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_anchor_is_made_anew_and_told() {
    let (_scratch, home) = home("lost-anchor");
    let server = Server::start(&home);
    let token = first(&server).await;
    server.stop();
    std::fs::remove_file(beside(&home, ".anchor")).expect("removed");
    let server = Server::start(&home);
    let _ = next(&server, &token).await;
    let events = home.command(&["events", "--json"]).output().expect("regrant runs");
    let log = server.stop();
    for told in [String::from_utf8_lossy(&events.stdout).into_owned(), log] {
        assert!(told.contains("made anew") && told.contains("regrant.db.anchor"), "{told}");
    }
    assert!(beside(&home, ".anchor").exists());
}

/// Checks Z15, T36: a copy that comes without its anchor is refused all the same if something was revoked since, each time that it is
/// started; the recovery revokes it again, and each one of the same copy opens an era of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_its_anchor_is_told_by_what_was_revoked_since() {
    let (_scratch, home) = home("older-copy-alone");
    let server = Server::start(&home);
    let (revoked, live) = (first(&server).await, first(&server).await);
    server.stop();
    let older = std::fs::read(home.store()).expect("a copy");
    let server = Server::start(&home);
    let asked = [("token", revoked.as_str()), ("client_id", "phone")];
    let _ = server.http().post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    server.stop();
    for era in 1..=2 {
        std::fs::write(home.store(), &older).expect("put back");
        std::fs::remove_file(beside(&home, ".anchor")).expect("removed");
        for _ in 0..2 {
            expect_refusal(&home, &["went back", "regrant.db.revocations", "recover --without-anchor"]);
        }
        let recover = |more: &[&str]| {
            let arguments = [&["recover", "--json", "--unproven", "accept"], more].concat();
            home.command(&arguments).stdin(Stdio::null()).output().expect("regrant runs")
        };
        assert_eq!(recover(&["--yes"]).status.code(), CONFIGURATION, "nobody said that there is no anchor");
        let rehearsed = recover(&["--dry-run", "--without-anchor"]);
        let done = recover(&["--yes", "--without-anchor"]);
        for told in [&rehearsed, &done] {
            let report: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
            assert_eq!((&report["era"], &report["revocations"]["grants"]), (&era.into(), &1.into()), "{report}");
        }
        let server = Server::start(&home);
        let refused = refresh(&server, &revoked).await.expect_status(400).json();
        assert_eq!(text(&refused, "error"), "invalid_grant");
        let _ = next(&server, &live).await;
        server.stop();
    }
}

/// `doctor` only looks: at a killed server's store, whose log is full, no file is made, changed or removed.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_changes_nothing_of_a_stopped_servers_store() {
    let (_scratch, home) = home("doctor-looks");
    let server = Server::start(&home);
    let token = first(&server).await;
    let token = next(&server, &token).await;
    server.kill();
    for ending in ["-shm", ".lock", ".sock"] {
        let _ = std::fs::remove_file(beside(&home, ending));
    }
    let all = || {
        let names = std::fs::read_dir(home.data()).expect("readable").flatten();
        let mut all: Vec<_> = names.map(|entry| (entry.path(), std::fs::read(entry.path()).expect("a file"))).collect();
        all.sort();
        all
    };
    let before = all();
    assert!(before.iter().any(|(path, bytes)| path.ends_with("regrant.db-wal") && !bytes.is_empty()));
    let done = home.command(&["doctor", "--json"]).stdin(Stdio::null()).output().expect("regrant runs");
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let findings = told["findings"].as_array().expect("findings");
    let server = findings.iter().find(|finding| finding["check"] == "server").expect("a look at the store");
    assert!(server["says"].as_str().is_some_and(|says| says.contains("none runs")), "{told}");
    assert!(all() == before, "something was changed");
    let server = Server::start(&home);
    let _ = next(&server, &token).await;
    server.stop();
}
