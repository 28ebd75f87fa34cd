//! The worst day, as a drill with the real binary: a backup under load, revocations behind it, the loss, the restore, the recovery.
//!
//! What must hold (checks Z15, K3, T36): no server starts from the older copy; everything that was revoked stays revoked; no
//! superseded token of a client that proves nothing is accepted; whoever proves itself goes on.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sim::process::{Dice, Holder, Home, Refused, Scratch, Server, fresh_seed, pause};
use sim::wire::{Http, PASSWORD, Reply, SECRET, USER, http, text};
use tokio::task::JoinSet;

/// A client's session, with every refresh token that it was given.
#[derive(Clone, Debug)]
struct Session {
    holder: Holder,
    tokens: Vec<String>,
    access: String,
}

impl Session {
    async fn begin(http: &Http, holder: Holder) -> Self {
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        let mut session = Self { holder, tokens: Vec::new(), access: String::new() };
        session.hear(&post(http, holder, "/oauth2/token", &asked).await.expect_status(200));
        session
    }

    fn hear(&mut self, reply: &Reply) {
        self.access = text(&reply.json(), "access_token");
        self.tokens.push(text(&reply.json(), "refresh_token"));
    }

    fn newest(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }

    async fn refresh(&mut self, http: &Http) {
        let reply = present(http, self.holder, self.newest()).await.expect_status(200);
        self.hear(&reply);
    }

    /// Refreshes until it is told to stop.
    async fn work(mut self, http: Http, is_over: Arc<AtomicBool>) -> Self {
        while !is_over.load(Ordering::Acquire) {
            self.refresh(&http).await;
            pause(Duration::from_millis(5)).await;
        }
        self
    }
}

pub(crate) async fn post(http: &Http, holder: Holder, path: &str, parameters: &[(&str, &str)]) -> Reply {
    let (parameters, headers) = holder.request(parameters, "one");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    http.post(path, &parameters, &headers).await
}

async fn present(http: &Http, holder: Holder, token: &str) -> Reply {
    post(http, holder, "/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

fn run(home: &Home, arguments: &[&str]) -> Output {
    home.command(arguments).stdin(Stdio::null()).output().expect("regrant runs")
}

pub(crate) fn done(home: &Home, arguments: &[&str]) -> Value {
    let output = run(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// No server starts, with 78 and the way out.
fn refused(home: &Home) {
    let Refused { code, said } = Server::try_start(home.command(&["serve"]), &home.log()).expect_err("it is older");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("went back") && said.contains("regrant recover"), "{said}");
}

/// Sessions of each holder that work, and sessions that rest.
async fn sessions(http: &Http, holders: &[Holder], each: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for holder in holders.iter().cycle().take(holders.len() * each) {
        sessions.push(Session::begin(http, *holder).await);
    }
    sessions
}

/// Lets sessions work, makes a backup at a moment of chance, and lets them go on behind it.
async fn work_around_a_backup(home: &Home, http: &Http, sessions: Vec<Session>, to: &Path) -> Vec<Session> {
    let seed = fresh_seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let (is_over, mut working) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for session in sessions {
        working.spawn(session.work(http.clone(), Arc::clone(&is_over)));
    }
    pause(Duration::from_millis(dice.between(50, 400))).await;
    let (home, to) = (home.clone(), to.display().to_string());
    let backup = tokio::task::spawn_blocking(move || done(&home, &["backup", "--json", &to])).await.expect("a backup");
    assert!(backup["commits"].as_u64().is_some_and(|commits| commits > 0), "{backup}");
    pause(Duration::from_millis(dice.between(50, 300))).await;
    is_over.store(true, Ordering::Release);
    working.join_all().await
}

/// Checks Z15, T36: the drill.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_what_was_revoked_stays_revoked_and_nothing_superseded_works() {
    let scratch = Scratch::new("drill");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let backup = scratch.path().join("backup.db");
    let server = Server::start(&home);
    let http = server.http();
    let working = sessions(&http, &Holder::ALL, 3).await;
    let mut resting = sessions(&http, &[Holder::SingleUse, Holder::Reusable], 2).await;
    for session in &mut resting {
        session.refresh(&http).await;
    }
    // These are there when the backup is made, and revoked behind it: by their client, by an operator, by access token.
    let by_client = sessions(&http, &Holder::ALL, 2).await;
    let working = work_around_a_backup(&home, &http, working, &backup).await;
    // Never over a file that is there.
    assert_eq!(run(&home, &["backup", &backup.display().to_string()]).status.code(), Some(69));
    let lost = Session::begin(&http, Holder::Reusable).await;
    for session in &by_client {
        let _ = post(&http, session.holder, "/oauth2/revoke", &[("token", session.newest())]).await.expect_status(200);
    }
    let by_access_token = &resting[3];
    let asked = [("token", by_access_token.access.as_str())];
    let _ = post(&http, Holder::Reusable, "/oauth2/revoke", &asked).await.expect_status(200);
    let listed = done(&home, &["grants", "list", "--client", "web-single", "--json"]);
    let live = |grant: &&Value| grant["state"] == "live";
    let operated: Vec<String> =
        listed.as_array().expect("grants").iter().filter(live).take(2).map(|grant| text(grant, "id")).collect();
    for id in &operated {
        done(&home, &["grants", "revoke", id, "--json"]);
    }
    server.kill();

    let restored = done(&home, &["restore", "--json", &backup.display().to_string()]);
    let kept = restored["kept"].as_str().expect("the store that was there").to_owned();
    assert!(Path::new(&kept).exists(), "{restored}");
    refused(&home);
    let rehearsed = done(&home, &["recover", "--dry-run", "--json"]);
    refused(&home);
    assert_eq!(run(&home, &["recover"]).status.code(), Some(2), "nobody is there to be asked");
    let report = done(&home, &["recover", "--yes", "--json"]);
    assert_eq!(report["revocations"], rehearsed["revocations"], "it did what it said");
    assert_eq!(report["grants"], rehearsed["grants"]);
    assert_eq!(report["era"], 1);
    assert_eq!(report["revocations"]["grants"], by_client.len() + operated.len(), "{report}");
    assert_eq!(report["revocations"]["access_tokens"], 1);
    assert_eq!(run(&home, &["recover", "--yes"]).status.code(), Some(1), "there is nothing more to recover");

    let server = Server::start(&home);
    let http = server.http();
    for session in &by_client {
        present(&http, session.holder, session.newest()).await.expect_error(400, "invalid_grant");
    }
    for id in &operated {
        let shown = done(&home, &["grants", "show", id, "--json"]);
        assert!(shown.to_string().contains("revoked_by_operator"), "{shown}");
    }
    let basic = http::basic("api", SECRET);
    let asked = [("token", by_access_token.access.as_str())];
    let shown = http.post("/oauth2/introspect", &asked, &[("authorization", &basic)]).await.expect_status(200);
    assert_eq!(shown.json()["active"], false, "the access token stays revoked");
    let mut accepted = 0;
    for session in working.iter().filter(|session| matches!(session.holder, Holder::Plain | Holder::Keyed)) {
        for token in session.tokens.iter().rev() {
            accepted += usize::from(present(&http, session.holder, token).await.status.as_u16() == 200);
        }
    }
    assert_eq!(accepted, 0, "superseded tokens of clients that prove nothing");
    for session in working.iter().filter(|session| session.holder == Holder::Reusable) {
        let _ = present(&http, session.holder, session.newest()).await.expect_status(200);
    }
    // The operator has revoked two of `web-single`, of whichever sessions; the others that rested go on.
    let mut goes_on = 0;
    for session in &resting {
        goes_on += usize::from(present(&http, session.holder, session.newest()).await.status.as_u16() == 200);
    }
    assert!(goes_on + operated.len() >= resting.len(), "{goes_on} of {} go on", resting.len());
    present(&http, lost.holder, lost.newest()).await.expect_error(400, "invalid_grant");
    // And life goes on, in the new era, also over a restart.
    let mut fresh = Session::begin(&http, Holder::Plain).await;
    fresh.refresh(&http).await;
    server.stop();
    let server = Server::start(&home);
    fresh.refresh(&server.http()).await;
    server.stop();
    let doctor = run(&home, &["doctor"]);
    assert!(!String::from_utf8_lossy(&doctor.stdout).contains("went back"), "{doctor:?}");
}

/// The other choice: nobody logs in again, and what is from the future rolls forward.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_sessions_go_on_with_their_newest_token() {
    let scratch = Scratch::new("drill-accept");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let backup = scratch.path().join("backup.db");
    let server = Server::start(&home);
    let http = server.http();
    let working = sessions(&http, &[Holder::Plain, Holder::SingleUse], 3).await;
    let working = work_around_a_backup(&home, &http, working, &backup).await;
    server.stop();
    done(&home, &["restore", "--json", &backup.display().to_string()]);
    done(&home, &["recover", "--yes", "--json", "--unproven", "accept"]);
    let server = Server::start(&home);
    let http = server.http();
    for mut session in working {
        session.refresh(&http).await;
        session.refresh(&http).await;
        let first = session.tokens.first().cloned().unwrap_or_default();
        assert_ne!(present(&http, session.holder, &first).await.status.as_u16(), 200, "and the first one does not");
    }
    server.stop();
}

/// A backup holds neither seed keys nor what is in them, is its owner's alone, and a damaged one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_whole_and_holds_no_seed_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("backup");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let server = Server::start(&home);
    let session = Session::begin(&server.http(), Holder::Plain).await;
    let backup = scratch.path().join("backup.db");
    let name = backup.display().to_string();
    let told = done(&home, &["backup", "--json", &name]);
    assert_eq!((told["users"].as_u64(), told["grants"].as_u64()), (Some(1), Some(1)), "{told}");
    server.kill();
    assert_eq!(std::fs::metadata(&backup).expect("a file").permissions().mode() & 0o777, 0o600);
    let sql = rusqlite::Connection::open(&backup).expect("a file of SQLite");
    let seeds: i64 = sql.query_row("SELECT count(*) FROM seed_keys", [], |row| row.get(0)).expect("a table");
    assert_eq!(seeds, 0);
    drop(sql);
    let source = rusqlite::Connection::open(home.store()).expect("a file of SQLite");
    let wrapped: Vec<u8> = source.query_row("SELECT wrapped FROM seed_keys", [], |row| row.get(0)).expect("a seed key");
    drop(source);
    let bytes = std::fs::read(&backup).expect("a file");
    assert!(!bytes.windows(wrapped.len()).any(|window| window == wrapped), "not even where it was deleted");
    // A stopped server's store, whose log is full, is copied as well, and nothing of it is changed.
    let again = scratch.path().join("again.db");
    let told_again = done(&home, &["backup", "--json", &again.display().to_string()]);
    assert!(told_again["commits"].as_u64() >= told["commits"].as_u64(), "{told_again}");
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(0x5a);
    let bad = scratch.path().join("bad.db");
    std::fs::write(&bad, damaged).expect("written");
    let before = std::fs::read(home.store()).expect("the store");
    let output = run(&home, &["restore", &bad.display().to_string()]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("remedy"), "{output:?}");
    assert!(std::fs::read(home.store()).expect("the store") == before, "something was changed");
    let server = Server::start(&home);
    let _ = present(&server.http(), session.holder, session.newest()).await.expect_status(200);
    let output = run(&home, &["restore", &name]);
    assert_eq!(output.status.code(), Some(75), "a running server's store is not replaced: {output:?}");
    server.stop();
}

/// The revocation journal is on a disk that is full: nothing is confirmed that a restore could undo, and it recovers alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_not_confirmed_before_the_journal_has_it() {
    let scratch = Scratch::new("full-journal");
    let home = Home::make(&scratch.path().join("home"));
    let small = scratch.path().join("small");
    std::fs::create_dir_all(&small).expect("a directory");
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new("mount").args(arguments).arg(&small).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"]) {
        return sim::process::skip("the full disk", "mounting is not permitted");
    }
    let written = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let line = format!("revocations_file = \"{}\"\n", small.join("revocations").display());
    std::fs::write(home.config_file(), line + &written).expect("written");
    home.add_user();
    let server = Server::start(&home);
    let http = server.http();
    let (one, two) = (Session::begin(&http, Holder::Plain).await, Session::begin(&http, Holder::Plain).await);
    let filler = small.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
    drop(file);
    // What is in the journal's last block already has its place; what does not fit is not confirmed.
    let revoke = |token: String| {
        let http = http.clone();
        async move { post(&http, Holder::Plain, "/oauth2/revoke", &[("token", &token)]).await.status.as_u16() }
    };
    let mut statuses = vec![revoke(one.newest().to_owned()).await];
    let mut ended = vec![one.newest().to_owned()];
    while statuses.last() == Some(&200) && statuses.len() < 200 {
        let next = Session::begin(&http, Holder::Plain).await;
        statuses.push(revoke(next.newest().to_owned()).await);
        ended.push(next.newest().to_owned());
    }
    assert_eq!(statuses.last(), Some(&503), "{statuses:?}");
    let last = ended.last().cloned().unwrap_or_default();
    assert_eq!(revoke(last.clone()).await, 503, "nor when it is asked for again");
    let _ = present(&http, Holder::Plain, two.newest()).await.expect_status(200);
    std::fs::remove_file(&filler).expect("room");
    let third = Session::begin(&http, Holder::Plain).await;
    assert_eq!(revoke(last).await, 200, "it was kept with the next commit");
    let _ = present(&http, Holder::Plain, third.newest()).await.expect_status(200);
    server.stop();
    let _ = std::process::Command::new("umount").arg("-l").arg(&small).output();
}

/// What was compromised stays so: no token is signed with it, none of before is believed, and no other key is made in its place.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_a_compromised_key_is_compromised_again() {
    let scratch = Scratch::new("drill-keys");
    let home = Home::make(&scratch.path().join("home"));
    home.add_user();
    let backup = scratch.path().join("backup.db");
    let server = Server::start(&home);
    let mut session = Session::begin(&server.http(), Holder::Reusable).await;
    done(&home, &["backup", "--json", &backup.display().to_string()]);
    let kids = async |server: &Server| {
        let set = server.http().get("/oauth2/jwks", &[]).await.expect_status(200).json();
        let keys = set["keys"].as_array().expect("keys").iter().filter(|key| key["use"] == "sig");
        keys.map(|key| text(key, "kid")).collect::<Vec<String>>()
    };
    let before = kids(&server).await;
    let listed = done(&home, &["keys", "list", "--json"]);
    let current = listed.as_array().expect("keys").iter().filter(|key| key["status"] == "current");
    let keys: Vec<(String, String)> = current.map(|key| (text(key, "kind"), key["id"].to_string())).collect();
    assert!(keys.len() >= 4, "{listed}");
    for (kind, id) in &keys {
        done(&home, &["keys", "compromise", kind, id, "--yes", "--json"]);
    }
    // The one that took its place, too: the copy knows of neither.
    done(&home, &["keys", "compromise", "sealing", "2", "--yes", "--json"]);
    server.kill();

    done(&home, &["restore", "--json", &backup.display().to_string()]);
    let rehearsed = done(&home, &["recover", "--dry-run", "--json"]);
    let report = done(&home, &["recover", "--yes", "--json"]);
    assert_eq!(report["revocations"], rehearsed["revocations"], "it did what it said");
    assert_eq!(report["revocations"]["keys"], keys.len() + 1, "{report}");
    let server = Server::start(&home);
    let after = kids(&server).await;
    assert!(after.iter().all(|kid| !before.contains(kid)), "{before:?} {after:?}");
    let listed = done(&home, &["keys", "list", "--json"]);
    let sealing =
        |id: u64| listed.as_array().expect("keys").iter().find(|key| key["kind"] == "sealing" && key["id"] == id);
    let status = |id| sealing(id).map(|key| text(key, "status"));
    assert_eq!(
        [1, 2, 3].map(status),
        ["compromised", "compromised", "current"].map(|word| Some(word.to_owned())),
        "{listed}"
    );
    let basic = http::basic("api", SECRET);
    let asked = [("token", session.access.as_str())];
    let shown = server.http().post("/oauth2/introspect", &asked, &[("authorization", &basic)]).await.expect_status(200);
    assert_eq!(shown.json()["active"], false, "a token of a compromised key");
    session.refresh(&server.http()).await;
    server.stop();
}

/// On a machine whose anchor is of an older copy, or of another store, no server starts from a copy before it is recovered, and what was kept
/// aside is not taken for whole without its log.
#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_is_not_ahead_does_not_let_a_copy_start() {
    let scratch = Scratch::new("drill-anchors");
    let [main, spare] = ["main", "spare"].map(|name| Home::make(&scratch.path().join(name)));
    main.add_user();
    let copies = ["first.db", "second.db"].map(|name| scratch.path().join(name).display().to_string());
    let server = Server::start(&main);
    let http = server.http();
    let mut session = Session::begin(&http, Holder::Plain).await;
    for copy in &copies {
        done(&main, &["backup", "--json", copy]);
        session.refresh(&http).await;
        session.refresh(&http).await;
    }
    server.kill();
    // The spare machine had a store of its own.
    spare.add_user();
    std::fs::copy(main.root_key_file(), spare.root_key_file()).expect("the root key");
    let _ = std::fs::remove_file(spare.data().join("regrant.db.revocations"));
    for copy in &copies {
        done(&spare, &["restore", "--json", copy]);
        refused(&spare);
        done(&spare, &["recover", "--dry-run", "--json"]);
    }
    done(&spare, &["recover", "--yes", "--json"]);
    let server = Server::start(&spare);
    for token in session.tokens.iter().rev() {
        present(&server.http(), session.holder, token).await.expect_error(400, "invalid_grant");
    }
    server.stop();
    let kept = text(&done(&main, &["restore", "--json", &copies[0]]), "kept");
    let refused = run(&main, &["restore", &kept]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(65) && said.contains("-wal"), "{said}");
}
