//! From a file to a database that many nodes share: nobody is logged out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use regrant_store::{
    Answer, MoveError, Moved, OpenError, Postgres, PostgresOptions, Question, Record, Sqlite, SqliteOptions, Store,
    move_store,
};
use sim::pg::{self, Database};
use sim::process::{Home, Scratch, Server};
use sim::wire::{CONFIG, Http, PASSWORD, USER, text};

use crate::contract::server;
use crate::races::{grant, write};

/// Moves a file as it is.
pub(crate) fn move_file(path: &Path, to: &PostgresOptions) -> Result<Moved, MoveError> {
    move_watched(path, to, |_, _, _| {})
}

fn move_watched(
    path: &Path,
    to: &PostgresOptions,
    told: impl FnMut(&'static str, u64, u64),
) -> Result<Moved, MoveError> {
    move_store(&mut Sqlite::open(path, &SqliteOptions::default())?, to, told)
}

/// The machine goes down when this table is reached.
fn break_off(path: &Path, to: &PostgresOptions, at: &str) {
    let broken = std::panic::catch_unwind(|| {
        let _ = move_watched(path, to, |table, _, _| assert!(table != at, "the machine goes down"));
    });
    assert!(broken.is_err(), "{at} was not reached");
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The note beside a file that was moved goes.
pub(crate) fn take_back(file: &Path) {
    std::fs::remove_file(beside(file, ".moved")).expect("it was moved");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn copy(home: &Home, address: &str, more: &[&str]) -> Output {
    let store = format!("sqlite:{}", home.store().display());
    let arguments = [&["--json", "copy", "--from", &store, "--to", address], more].concat();
    home.command(&arguments).output().expect("regrant runs")
}

async fn first(http: &Http) -> String {
    let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    text(&http.post("/oauth2/token", &parameters, &[]).await.expect_status(200).json(), "refresh_token")
}

async fn refresh(http: &Http, token: &str) -> (u16, String) {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    let reply = http.post("/oauth2/token", &parameters, &[]).await;
    let status = reply.status.as_u16();
    (status, if status == 200 { text(&reply.json(), "refresh_token") } else { reply.text() })
}

/// Old tokens refresh on the new store, a lost answer is given again there, and a spent token is still spent.
#[tokio::test]
async fn tokens_of_the_file_refresh_on_the_database() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.add_user();
    let before = Server::start(&home);
    let first = first(&before.http()).await;
    let (_, second) = refresh(&before.http(), &first).await;
    let (_, third) = refresh(&before.http(), &second).await;
    before.stop();

    let address = server().database().options().address;
    let moved = copy(&home, &address, &[]);
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let told: serde_json::Value = serde_json::from_slice(&moved.stdout).expect("JSON");
    assert_eq!((told["rows"]["grants"].as_u64(), told["compared"].as_u64()), (Some(1), Some(1)), "{told}");

    home.store_at(&address);
    let after = Server::start(&home);
    assert_eq!(refresh(&after.http(), &second).await, (200, third.clone()), "the answer before is given again");
    let (status, fourth) = refresh(&after.http(), &third).await;
    assert_eq!(status, 200, "{fourth}");
    let (status, _) = refresh(&after.http(), &first).await;
    assert_ne!(status, 200, "a spent token stays spent");
    after.stop();
}

fn file_with(path: &Path, grants: u64) {
    file_of([3; 16], path, grants);
}

fn file_of(deployment: [u8; 16], path: &Path, grants: u64) {
    let mut store = Sqlite::open(path, &SqliteOptions::default()).expect("a store");
    let deployment = regrant_core::keys::DeploymentId(deployment);
    let rows: Vec<Record> = (1..=grants).map(|number| write(None, &grant(number))).collect();
    let first = [Record::Initialise { deployment, root_check: [4; 16] }];
    store.commit(&first, regrant_core::Timestamp::from_millis(5)).expect("written");
    store.commit(&rows, regrant_core::Timestamp::from_millis(5)).expect("written");
}

/// Broken off in the middle, no node opens the database; begun again, it goes on where it was.
#[test]
fn a_move_that_was_broken_off_goes_on() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let (path, database) = (scratch.path().join("regrant.db"), server().database());
    file_with(&path, 2_500);
    let broken = std::panic::catch_unwind(|| {
        let _ = move_watched(&path, &database.options(), |table, done, _| {
            assert!(table != "grants" || done < 2_000, "the machine goes down");
        });
    });
    assert!(broken.is_err());
    let refused = Postgres::open(&database.options());
    assert!(matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("moved")), "{refused:?}");
    let mut begun = Vec::new();
    let moved = move_watched(&path, &database.options(), |table, done, _| {
        if table == "grants" {
            begun.push(done);
        }
    });
    let moved = moved.expect("it goes on");
    assert_eq!((moved.compared, moved.began_anew), (2_500, false));
    assert_eq!(begun.first(), Some(&2_000), "what was there was not sent again: {begun:?}");
    let mut store = database.node();
    let Ok(Answer::Deployment(Some(found))) = store.ask(&Question::Deployment) else { panic!("no deployment") };
    assert_eq!(found.id.0, [3; 16]);
}

/// Another deployment's database is left alone.
#[test]
fn a_database_in_use_is_no_place_to_move_to() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let (path, database) = (scratch.path().join("regrant.db"), server().database());
    file_with(&path, 1);
    let other = regrant_core::keys::DeploymentId([9; 16]);
    let record = Record::Initialise { deployment: other, root_check: [0; 16] };
    database.node().commit(&[record], regrant_core::Timestamp::from_millis(1)).expect("written");
    let refused = move_file(&path, &database.options());
    assert!(matches!(refused, Err(MoveError::InUse(_))), "{refused:?}");
}

/// Broken off, served again and changed, and begun again: what is on the database then is what the file holds then, and not what it held.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_served_since_the_move_was_broken_off_is_copied_anew() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    for name in [USER, "ann", "ben", "cid"] {
        home.add_user_with(name, PASSWORD);
    }
    let before = Server::start(&home);
    let (revoked, live) = (first(&before.http()).await, first(&before.http()).await);
    before.stop();
    let database = server().database();
    break_off(&home.store(), &database.options(), "revocations");
    let users = "SELECT string_agg(name || (disabled_at IS NOT NULL)::text, ' ' ORDER BY name) FROM users";
    assert_eq!(server().sql(&database.name, users), format!("{USER}false annfalse benfalse cidfalse"));

    let mut set = home.command(&["user", "set-password", "ann", "--password-stdin"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("regrant starts");
    set.stdin.take().expect("piped").write_all(b"another password of hers").expect("read");
    assert!(set.wait().expect("it ends").success());
    for words in [["user", "disable", "ben"], ["user", "remove", "cid"]] {
        let done = home.command(&words).output().expect("regrant runs");
        assert!(done.status.success(), "{}", said(&done));
    }
    home.add_user_with("dan", PASSWORD);
    let again = Server::start(&home);
    let asked = [("token", revoked.as_str()), ("client_id", "phone")];
    let _ = again.http().post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    again.stop();

    let moved = copy(&home, &database.options().address, &[]);
    assert!(moved.status.success(), "{}", said(&moved));
    let told: serde_json::Value = serde_json::from_slice(&moved.stdout).expect("JSON");
    assert_eq!(told["began_anew"], true, "{told}");
    assert_eq!(server().sql(&database.name, users), format!("{USER}false annfalse bentrue danfalse"));
    let password = "SELECT password FROM users WHERE name = 'ann'";
    let here = rusqlite::Connection::open(home.store()).expect("the file");
    let here: String = here.query_row(password, [], |row| row.get(0)).expect("her password");
    assert_eq!(server().sql(&database.name, password), here);
    home.store_at(&database.options().address);
    let after = Server::start(&home);
    assert_ne!(refresh(&after.http(), &revoked).await.0, 200, "what was revoked stays revoked");
    assert_eq!(refresh(&after.http(), &live).await.0, 200);
    after.stop();
}

/// Whatever differs, in whichever table: no node opens the database, and the next move empties it.
#[test]
fn a_database_that_is_not_what_the_file_holds_gets_no_identity() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.add_user();
    Server::start(&home).stop();
    let store = home.store();
    let database = server().database();
    for differs in [
        "UPDATE users SET password = 'of before'",
        "UPDATE users SET disabled_at = 7",
        "UPDATE events SET detail = detail || '.' WHERE id = (SELECT min(id) FROM events)",
        "UPDATE keys SET created_at = created_at + 1 WHERE kind = 'seed'",
        "UPDATE seed_keys SET wrapped = wrapped || '\\x00'",
        "INSERT INTO grant_places VALUES (9, 1, '', '', 1, '', '')",
        "INSERT INTO clients VALUES ('gone', '{}')",
        "INSERT INTO sessions VALUES ('\\x01', '\\x01', 'gone', 1, 9, '', '', '')",
        "INSERT INTO logins VALUES ('\\x01', 'phone', 9)",
        "INSERT INTO logout_notices VALUES (9, 'phone', 'gone', '\\x01', 1)",
        "INSERT INTO device_requests VALUES (9, 1, '\\x01', '\\x01', 'phone', '', '', 1, 9, '', '')",
        "INSERT INTO consents (subject, client, scope, resources, at) VALUES ('gone', 'phone', 'all', '', 1)",
        "INSERT INTO denied_access VALUES ('\\x01', 9)",
        "INSERT INTO used_once VALUES ('\\x01', 9)",
        "INSERT INTO registration_tokens VALUES ('\\x01', 'gone', 1, 1, 9)",
        "INSERT INTO login_failures VALUES ('\\x01', 1, 9)",
        "INSERT INTO deliveries VALUES ('gone', 1)",
        "INSERT INTO dead_letters VALUES ('gone', 1, 1, '')",
        "INSERT INTO epochs (number, at, online_only, reason, detail) VALUES (9, 1, 0, 1, '')",
        "INSERT INTO revocations (position, about, at, online_only) VALUES (9, '\\x01', 1, 0)",
    ] {
        break_off(&store, &database.options(), "revocations");
        server().sql(&database.name, differs);
        let moved = move_file(&store, &database.options());
        assert!(matches!(moved, Err(MoveError::Differs(_))), "{differs}: {moved:?}");
        assert!(stays_closed(&database), "{differs}: no node may open it");
    }
    let moved = move_file(&store, &database.options()).expect("emptied, and copied anew");
    assert!(moved.began_anew);
    drop(database.node());
}

/// Whether no node opens the database, for a store is being moved into it, and it has no identity.
fn stays_closed(database: &Database) -> bool {
    let refused = Postgres::open(&database.options());
    matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("moved"))
        && server().sql(&database.name, "SELECT deployment IS NULL FROM meta") == "t"
}

/// What another deployment has there of an unfinished move is not ours to empty; of a move by a program that did not note what it moved,
/// nothing is believed.
#[test]
fn only_an_unfinished_move_of_the_same_deployment_is_emptied() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let [ours, theirs] = ["ours.db", "theirs.db"].map(|name| scratch.path().join(name));
    file_of([3; 16], &ours, 5);
    file_of([4; 16], &theirs, 5);
    let database = server().database();
    break_off(&theirs, &database.options(), "users");
    let refused = move_file(&ours, &database.options());
    assert!(matches!(refused, Err(MoveError::InUse(_))), "{refused:?}");
    assert_eq!(server().sql(&database.name, "SELECT count(*) FROM grants"), "5");

    let before = "DROP TABLE regrant_moving; CREATE TABLE regrant_moving (begun_at timestamptz NOT NULL DEFAULT now());
        UPDATE grants SET version = 77";
    server().sql(&database.name, before);
    assert!(move_file(&ours, &database.options()).expect("emptied, and copied anew").began_anew);
}

/// What was moved is served from the database alone: a server that is started on the file again knows nothing of what goes on there.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_moved_is_opened_no_more() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.add_user();
    let before = Server::start(&home);
    let token = first(&before.http()).await;
    before.stop();
    let address = server().database().options().address;
    let moved = copy(&home, &address, &[]);
    assert!(moved.status.success(), "{}", said(&moved));
    for words in
        [&["user", "list"][..], &["doctor"][..], &["copy", "--from", "sqlite:data/regrant.db", "--to", &address]]
    {
        let refused = home.command(words).current_dir(home.directory()).output().expect("regrant runs");
        assert!(!refused.status.success() && said(&refused).contains("was moved to"), "{words:?}: {}", said(&refused));
    }
    let refused = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("it was moved");
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.said.contains(&address) && refused.said.contains("regrant.db.moved"), "{refused:?}");

    take_back(&home.store());
    let again = copy(&home, &address, &[]);
    assert!(again.status.success(), "neither of the two was served from: {}", said(&again));
    take_back(&home.store());
    let file = Server::start(&home);
    assert_eq!(refresh(&file.http(), &token).await.0, 200);
    file.stop();
    let refused = copy(&home, &address, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("served from since"), "{}", said(&refused));
}

/// What a start refuses is not moved either, or it would live on where nothing remembers.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_is_not_moved_wherever_its_anchor_and_its_journal_are() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    let [anchor, journal] = ["far.anchor", "far.revocations"].map(|name| scratch.path().join(name));
    home.set(&format!("anchor_file = {anchor:?}\nrevocations_file = {journal:?}\n"));
    home.add_user();
    let begun = Server::start(&home);
    let token = first(&begun.http()).await;
    begun.stop();
    let older = std::fs::read(home.store()).expect("a copy");
    let newer = Server::start(&home);
    let asked = [("token", token.as_str()), ("client_id", "phone")];
    let _ = newer.http().post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    newer.stop();
    std::fs::write(home.store(), &older).expect("put back");

    let database = server().database();
    let address = database.options().address;
    let refused = |more: &[&str], words: &str| {
        let refused = copy(&home, &address, more);
        assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
        assert!(said(&refused).contains(words), "{}", said(&refused));
    };
    refused(&[], "went back: it is at commit");
    refused(&["--without-anchor"], "went back: it is at commit");
    std::fs::remove_file(&anchor).expect("removed");
    refused(&[], "--without-anchor");
    assert!(!anchor.exists(), "a second try finds none either");
    refused(&["--without-anchor"], "recover --without-anchor");
    // Of a file that no configuration names, nobody knows where its anchor is.
    let elsewhere = scratch.path().join("other");
    let other = Home::make_with(&elsewhere, CONFIG);
    let store = format!("sqlite:{}", home.store().display());
    let refused = other.command(&["copy", "--from", &store, "--to", &address]).output().expect("regrant runs");
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    assert_eq!(server().sql(&database.name, "SELECT to_regclass('users') IS NULL"), "t", "nothing was moved");
    let moved = other.command(&["copy", "--without-anchor", "--from", &store, "--to", &address]).output();
    assert!(moved.expect("regrant runs").status.success(), "by whoever says that it is the newest");
}
