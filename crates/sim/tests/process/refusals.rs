//! Starting on what does not fit (checks K6, K7): the real binary refuses, says what to do, and changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rusqlite::Connection;
use sim::exploit::format::sha256;
use sim::process::{Home, Refused, Scratch, Server};
use sim::wire::{CONFIG, PASSWORD, USER, text};

/// A service that cannot have what it needs; and one whose configuration is wrong (sysexits.h).
const UNAVAILABLE: Option<i32> = Some(69);
const IN_USE: Option<i32> = Some(75);
const CONFIGURATION: Option<i32> = Some(78);

/// A deployment that has served, with one grant, and is stopped.
async fn served(name: &str) -> (Scratch, Home, String) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let server = Server::start(&home);
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    server.stop();
    (scratch, home, text(&reply.json(), "refresh_token"))
}

/// Every file of the data directory and its hash, but for the lock, a log in which there is nothing, and its index.
fn hashes(home: &Home) -> BTreeMap<PathBuf, [u8; 32]> {
    let entries = std::fs::read_dir(home.data()).expect("the data").flatten().map(|entry| entry.path());
    let is_empty = |path: &PathBuf| path.metadata().is_ok_and(|found| found.len() == 0);
    let says_nothing = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        matches!(ending, "lock" | "db-shm") || (ending == "db-wal" && is_empty(path))
    };
    let kept = entries.filter(|path| !says_nothing(path));
    kept.map(|path| (path.clone(), sha256(&std::fs::read(&path).expect("a file")))).collect()
}

fn refused(home: &Home) -> Refused {
    Server::try_start(home.command(&["serve"]), &home.log()).expect_err("the server must not start")
}

/// It refuses with this code, names what to do, and leaves every file as it was.
fn expect_refusal(home: &Home, code: Option<i32>, words: &[&str]) {
    let before = hashes(home);
    assert!(!before.is_empty());
    let Refused { code: ended, said } = refused(home);
    assert_eq!(ended, code, "{said}");
    for word in words.iter().chain(&["remedy"]) {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert_eq!(hashes(home), before, "something was changed");
}

/// Once what was wrong is put right, the session lives.
async fn expect_recovery(home: &Home, token: &str) {
    let server = Server::start(home);
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    let _ = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    server.stop();
}

/// A client of the store that needs what the file no longer declares, and one that the file has by now as well: all others are served, doctor
/// tells of both, and commands mend them.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_no_longer_fits_hinders_no_other_and_can_be_mended() {
    let (_scratch, home, token) = served("misfit").await;
    let output = |arguments: &[&str]| home.command(arguments).stdin(Stdio::null()).output().expect("regrant runs");
    let run = |arguments: &[&str]| {
        let done = output(arguments);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    };
    let to = ["--public", "--redirect-uri", "https://app.example/cb", "--scope"];
    for (client, scope) in [("narrow", "read files"), ("double", "read")] {
        run(&["client", "add", client, to[0], to[1], to[2], to[3], scope]);
    }
    run(&["client", "add", "leaked", to[1], to[2], to[3], "read files"]);
    let without = CONFIG.replace("files", "papers");
    let double = "[[client]]\nid = \"double\"\ntoken_endpoint_auth_method = \"none\"\n\
        redirect_uris = [\"https://app.example/cb\"]\nscopes = [\"read\"]\n";
    home.configure(&format!("{without}\n{double}"));
    let says = |expected: &[&str]| {
        let told = String::from_utf8_lossy(&output(&["doctor", "--json"]).stdout).into_owned();
        expected.iter().for_each(|expected| assert!(told.contains(expected), "{expected:?} in {told}"));
    };
    says(&["client narrow of the store goes without files", "regrant client remove double"]);
    let server = Server::start(&home);
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
    let token =
        text(&server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token");
    run(&["client", "disable", "narrow"]);
    // Its secret is out: that it lacks a scope is no reason to keep it.
    run(&["client", "rotate-secret", "leaked", "--overlap", "0"]);
    let log = server.stop();
    assert!(log.contains("goes without files") && log.contains("regrant client remove double"), "{log}");
    run(&["client", "set", "narrow", "--scope", "read papers"]);
    run(&["client", "enable", "narrow"]);
    run(&["client", "remove", "double"]);
    run(&["client", "remove", "leaked"]);
    let told = String::from_utf8_lossy(&output(&["doctor", "--json"]).stdout).into_owned();
    assert!(!told.contains("\"clients\""), "nothing is left to mend: {told}");
    expect_recovery(&home, &token).await;
}

/// Check K6: with another root key the server refuses to start, says so, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_is_refused_and_changes_nothing() {
    let (scratch, home, token) = served("wrong-key").await;
    let other = Home::make(&scratch.path().join("other"));
    let right = std::fs::read(home.root_key_file()).expect("the key");
    std::fs::copy(other.root_key_file(), home.root_key_file()).expect("the wrong key");
    expect_refusal(&home, CONFIGURATION, &["root key does not belong to this store", "root_key_file"]);
    std::fs::write(home.root_key_file(), right).expect("the right key");
    expect_recovery(&home, &token).await;
}

/// Check K7: another deployment's database is refused, and neither is changed.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_another_deployment_is_refused_and_changes_nothing() {
    let (_one, home, token) = served("one").await;
    let (_two, other, _) = served("two").await;
    let right = std::fs::read(home.store()).expect("the store");
    std::fs::copy(other.store(), home.store()).expect("the wrong store");
    expect_refusal(&home, CONFIGURATION, &["another deployment's", "Nothing was changed"]);
    // With its anchor, it is the root key that does not fit.
    let anchor = home.data().join("regrant.db.anchor");
    let kept = std::fs::read(&anchor).expect("an anchor");
    std::fs::copy(other.data().join("regrant.db.anchor"), &anchor).expect("the wrong anchor");
    expect_refusal(&home, CONFIGURATION, &["root key does not belong to this store", "nothing was changed"]);
    std::fs::write(home.store(), right).expect("the right store");
    std::fs::write(&anchor, kept).expect("its anchor");
    expect_recovery(&home, &token).await;
}

/// Checks K5, K6: a lost root key file is no reason to make a new one, and a short, damaged or default key is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_root_key_file_is_refused_and_changes_nothing() {
    let (_scratch, home, token) = served("lost-key").await;
    let right = std::fs::read_to_string(home.root_key_file()).expect("the key");
    std::fs::remove_file(home.root_key_file()).expect("lost");
    let name = home.root_key_file().display().to_string();
    expect_refusal(&home, CONFIGURATION, &[&name, "put the file back"]);
    assert!(!home.root_key_file().exists(), "no new key is made");
    for damaged in ["", "secret", &right[..right.len() - 2], &right.to_uppercase(), &format!("{right}{right}")] {
        std::fs::write(home.root_key_file(), damaged).expect("a damaged key");
        expect_refusal(&home, CONFIGURATION, &[&name, "no root key"]);
    }
    std::fs::write(home.root_key_file(), right).expect("the right key");
    expect_recovery(&home, &token).await;
}

/// Checks K6, K7: a store that a newer program wrote is refused and not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_changes_nothing() {
    let (_scratch, home, token) = served("newer").await;
    let version = |to: i64| {
        let connection = Connection::open(home.store()).expect("the store");
        let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).expect("a version");
        connection.pragma_update(None, "user_version", to).expect("a version");
        found
    };
    let known = version(9_999);
    expect_refusal(&home, UNAVAILABLE, &["schema version 9999", "newer program"]);
    version(known);
    expect_recovery(&home, &token).await;
}

/// Checks K6, K7: a file that is no database, and one of another application, are refused and not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_kind_is_refused_and_changes_nothing() {
    let (_scratch, home, token) = served("foreign").await;
    let right = std::fs::read(home.store()).expect("the store");
    std::fs::write(home.store(), "These are somebody's notes and no database at all. ".repeat(100)).expect("notes");
    expect_refusal(&home, UNAVAILABLE, &["is not a database"]);
    std::fs::remove_file(home.store()).expect("gone");
    Connection::open(home.store())
        .and_then(|other| other.execute_batch("CREATE TABLE photos (a)"))
        .expect("a database");
    expect_refusal(&home, UNAVAILABLE, &["another application"]);
    std::fs::write(home.store(), right).expect("the right store");
    expect_recovery(&home, &token).await;
}

/// What the server writes for one setting is never what another one names, at the start or by a reload.
#[tokio::test(flavor = "multi_thread")]
async fn two_settings_with_one_file_are_refused_and_change_nothing() {
    let (_scratch, home, token) = served("one-file").await;
    let (good, key) = (home.config_file(), std::fs::read(home.root_key_file()).expect("a key"));
    let good = std::fs::read_to_string(good).expect("a configuration");
    let lines = |file: &str| format!("{good}\n[events]\njson_lines = \"{file}\"\n");
    for (text, words) in [
        (format!("anchor_file = \"root.key\"\n{good}"), ["anchor_file", "root_key_file"]),
        (format!("anchor_file = \"data/regrant.db\"\n{good}"), ["anchor_file", "store"]),
        (
            format!("revocations_file = \"data/../data/regrant.db.anchor\"\n{good}"),
            ["revocations_file", "beside store"],
        ),
        (lines("root.key"), ["events.json_lines", "root_key_file"]),
        (lines("data/regrant.db"), ["events.json_lines", "store"]),
    ] {
        std::fs::write(home.config_file(), text).expect("written");
        let before = hashes(&home);
        let Refused { code, said } = refused(&home);
        assert_eq!(code, CONFIGURATION, "{said}");
        assert!(words.iter().chain(&["regrant.toml:"]).all(|word| said.contains(word)), "{words:?} in: {said}");
        assert_eq!(hashes(&home), before, "something was changed");
        assert!(!home.command(&["config", "check"]).output().expect("regrant runs").status.success());
    }
    std::fs::write(home.config_file(), &good).expect("written");
    let server = Server::start(&home);
    for file in ["root.key", "data/regrant.db.anchor", "regrant.toml"] {
        std::fs::write(home.config_file(), lines(file)).expect("written");
        let reload = home.command(&["reload"]).output().expect("regrant runs");
        let said = String::from_utf8_lossy(&reload.stderr).into_owned();
        assert!(!reload.status.success() && said.contains("json_lines"), "{file}: {said}");
    }
    std::fs::write(home.config_file(), &good).expect("written");
    server.stop();
    assert_eq!(std::fs::read(home.root_key_file()).expect("a key"), key, "as it was");
    expect_recovery(&home, &token).await;
}

/// What one setting names belongs to the other one, and both are kept.
#[tokio::test(flavor = "multi_thread")]
async fn the_anchor_and_the_revocation_journal_exchanged_are_refused_and_kept() {
    let (_scratch, home, token) = served("exchanged").await;
    let good = std::fs::read_to_string(home.config_file()).expect("a configuration");
    home.set("anchor_file = \"data/regrant.db.revocations\"\nrevocations_file = \"data/regrant.db.anchor\"\n");
    expect_refusal(&home, UNAVAILABLE, &["is no anchor", "`anchor_file`", "regrant.db.revocations"]);
    std::fs::write(home.config_file(), format!("revocations_file = \"data/other\"\n{good}")).expect("written");
    std::fs::write(home.data().join("other"), "no journal").expect("written");
    let Refused { code, said } = refused(&home);
    assert_eq!(code, UNAVAILABLE, "{said}");
    assert!(said.contains("no revocation journal") && said.contains("`revocations_file`"), "{said}");
    assert_eq!(std::fs::read(home.data().join("other")).expect("readable"), b"no journal");
    std::fs::write(home.config_file(), good).expect("written");
    expect_recovery(&home, &token).await;
}

/// A second process is kept out, and told by whom.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_one_store_is_refused() {
    let (_scratch, home, token) = served("second").await;
    let first = Server::start(&home);
    let Refused { code, said } = refused(&home);
    assert_eq!(code, IN_USE, "{said}");
    assert!(said.contains(&first.pid().to_string()) && said.contains("remedy"), "{said}");
    first.stop();
    expect_recovery(&home, &token).await;
}

/// Checks K6, K7: what cannot be written is refused at start and not at the first client: a database, or its directory.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_or_directory_is_refused_and_changes_nothing() {
    let (scratch, home, token) = served("read-only").await;
    // The superuser may write everything: then the server runs as nobody, and everything is nobody's.
    let nobody = 65_534;
    let is_root = std::fs::metadata(scratch.path()).expect("ours").uid() == 0;
    let binary = scratch.path().join("regrant");
    std::fs::copy(sim::process::regrant(), &binary).expect("a binary that nobody may run");
    let start = || {
        let mut command = std::process::Command::new(&binary);
        command.arg("--config").arg(home.config_file()).arg("serve");
        if is_root {
            command.uid(nobody).gid(nobody);
        }
        Server::try_start(command, &home.log())
    };
    let all = || {
        let data = std::fs::read_dir(home.data()).expect("the data").flatten().map(|entry| entry.path());
        data.chain([home.directory().to_owned(), home.data(), home.config_file(), home.root_key_file()])
    };
    if is_root {
        all().for_each(|path| std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).expect("given away"));
    }
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    let expect_read_only = |what: &str| {
        let before = hashes(&home);
        let Refused { code, said } = start().expect_err(what);
        assert_eq!(code, UNAVAILABLE, "{what}: {said}");
        assert!(said.contains("cannot be written") && said.contains("remedy"), "{what}: {said}");
        assert_eq!(hashes(&home), before, "{what}: something was changed");
    };
    mode(&home.store(), 0o400);
    expect_read_only("a read-only database");
    mode(&home.store(), 0o600);
    mode(&home.data(), 0o500);
    expect_read_only("a read-only directory");
    mode(&home.data(), 0o700);
    start().expect("it starts again").stop();
    let asked_as_before = if is_root { 0 } else { nobody };
    if is_root {
        all().for_each(|path| std::os::unix::fs::chown(path, Some(asked_as_before), Some(0)).expect("taken back"));
    }
    expect_recovery(&home, &token).await;
}
