//! `regrant doctor` of a node: what it says of the database that nodes share, without a change to it.

use std::process::Stdio;
use std::time::Duration;

use regrant_server::app::examine;
use regrant_server::{Clock, Config};
use serde_json::Value;
use sim::pg::{self, Database};
use sim::process::{Home, Refused, Scratch, Server};
use sim::wire::CONFIG;

use crate::contract::server;

fn home(scratch: &Scratch, name: &str, database: &Database) -> Home {
    let home = Home::make_with(&scratch.path().join(name), CONFIG);
    home.store_at(&database.options().address);
    home
}

/// The problems that it finds, but for the key's mode.
fn problems(home: &Home) -> Vec<String> {
    let ended = home.command(&["doctor", "--json"]).stdin(Stdio::null()).output().expect("regrant runs");
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let findings = told["findings"].as_array().expect("findings").iter();
    let problems = findings.filter(|finding| finding["state"] == "problem" && finding["check"] != "root key");
    problems.map(|finding| format!("{}: {} {}", finding["check"], finding["says"], finding["remedy"])).collect()
}

fn only(home: &Home, words: &str) {
    let found = problems(home);
    assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
}

/// A database in doubt, another one's root key, a newest time that is ahead; and each look leaves the database as it was.
#[test]
fn doctor_says_what_keeps_nodes_from_their_database() {
    if !pg::is_there() {
        return;
    }
    let (scratch, database) = (Scratch::new("doctor"), server().database());
    let home_of = home(&scratch, "home", &database);
    assert_eq!(problems(&home_of), [] as [String; 0], "one that is not used yet");
    home_of.add_user();
    let state = || server().sql(&database.name, "SELECT (SELECT count(*) FROM nodes), high_water FROM meta");
    let before = state();
    assert_eq!(problems(&home_of), [] as [String; 0]);
    only(&home(&scratch, "other", &database), "root key does not belong");
    assert_eq!(state(), before);

    let note = "INSERT INTO lost_commits (node, era, known, known_at, told, told_at) VALUES ('another', 0, 1, 1, 2, 2)";
    server().sql(&database.name, note);
    only(&home_of, "regrant recover");
    server().sql(&database.name, "DELETE FROM lost_commits; UPDATE meta SET high_water = high_water + 3600000");
    only(&home_of, "behind the newest time");
}

/// A machine that is ahead of the database's makes the time of all nodes: that is said from a minute on.
#[test]
fn a_clock_that_is_ahead_of_the_databases_is_told_of() {
    if !pg::is_there() {
        return;
    }
    let (scratch, database) = (Scratch::new("ahead"), server().database());
    let home = home(&scratch, "home", &database);
    home.add_user();
    let ahead = |seconds| {
        let clock = Clock::manual(Clock::system().now().plus(Duration::from_secs(seconds)));
        examine(&home.config(), &clock).expect("a look").ahead.map(|ahead| ahead.as_secs())
    };
    assert_eq!(ahead(30), None);
    assert!(ahead(120).is_some_and(|seconds| (60..=120).contains(&seconds)));
}

/// A store that cannot be opened is named with its setting and the line of that; what is written in another form is shown in the right one.
#[test]
fn a_store_that_cannot_be_used_is_named_with_its_line() {
    let scratch = Scratch::new("named");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.store_at("postgres://regrant@127.0.0.1:1/regrant");
    let Refused { code, said } = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("nobody is there");
    let line = format!("(`store`, {}:2)", home.config_file().display());
    assert!(code == Some(69) && said.contains(&line), "{line}: {said}");
    for (store, remedy) in [
        ("Postgres://regrant@db1/regrant", "postgres://regrant@db1/regrant"),
        ("host=db1 port=5433 user=me password=secret dbname=auth", "postgres://me@db1:5433/auth"),
        ("postgres:host=db1 dbname=auth", "postgres://regrant@db1/auth"),
    ] {
        let refused = Config::parse(&format!("store = \"{store}\"\n"), "regrant.toml", scratch.path());
        let refused = refused.expect_err("it is no address").to_string();
        assert!(refused.contains(remedy) && !refused.contains("secret"), "{store}: {refused}");
    }
}
