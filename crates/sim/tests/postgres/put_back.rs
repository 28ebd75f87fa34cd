//! A copy of the database is put back by its own tools: under nodes that run, and under nodes that are stopped (security section 4.4).

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sim::pg::{self, Database};
use sim::process::{Home, Refused, Scratch, Server, pause};
use sim::wire::story::claims;
use sim::wire::{CONFIG, Http, PASSWORD, Reply, SECRET, USER, http, text};

use crate::contract::server;

/// What is told to whoever asks, and to a file.
const TELLS: &str = "[revocation_feed]\nreaders = \"public\"\n[events]\njson_lines = \"events.jsonl\"\n";
const OWN: &str = "revocations_file = \"revocations\"\nadmin_socket = \"admin.sock\"\n";

/// Two homes of nodes of one database. Only the first one serves: the other one's journal knows nothing of what is revoked there.
struct Place {
    homes: [Home; 2],
    database: Database,
    _scratch: Scratch,
}

impl Place {
    fn make() -> Self {
        let scratch = Scratch::new("put-back");
        let database = server().database();
        let home = |number: usize| {
            let home = Home::make_with(&scratch.path().join(format!("node{number}")), &format!("{CONFIG}\n{TELLS}"));
            home.store_at(&database.options().address);
            home.set(OWN);
            home
        };
        let homes = [home(0), home(1)];
        std::fs::copy(homes[0].root_key_file(), homes[1].root_key_file()).expect("one root key for all");
        homes[0].add_user();
        Self { homes, database, _scratch: scratch }
    }

    /// Nobody is connected while this is done, and everybody again behind it.
    fn alone(&self, statements: &[String]) {
        let name = &self.database.name;
        server().sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        server().hang_up(name);
        for statement in statements {
            server().sql("postgres", statement);
        }
        server().sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    }

    fn copy(&self) {
        let name = &self.database.name;
        self.alone(&[format!("CREATE DATABASE {name}_copy TEMPLATE {name}")]);
    }

    fn put_back(&self) {
        let name = &self.database.name;
        self.alone(&[format!("DROP DATABASE {name}"), format!("ALTER DATABASE {name}_copy RENAME TO {name}")]);
    }

    fn run(&self, node: usize, arguments: &[&str]) -> Output {
        self.homes[node].command(arguments).stdin(Stdio::null()).output().expect("regrant runs")
    }

    fn newest_event(&self) -> u64 {
        let newest = server().sql(&self.database.name, "SELECT max(id) FROM events");
        newest.parse().expect("a position")
    }

    /// The last event in the file.
    fn newest_line(&self) -> u64 {
        let file: PathBuf = self.homes[0].directory().join("events.jsonl");
        let lines = std::fs::read_to_string(file).unwrap_or_default();
        let last: Value = lines.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        last["id"].as_u64().unwrap_or(0)
    }
}

/// Asks until it is answered like this: a node that was just cut off answers 503 for a moment.
async fn until<T>(what: &str, mut asked: impl AsyncFnMut() -> Option<T>) -> T {
    // A duty that was let go while nothing could be written is taken again with the next turn of 20 seconds.
    for _ in 0..2_000 {
        if let Some(found) = asked().await {
            return found;
        }
        pause(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn post(http: &Http, path: &str, parameters: &[(&str, &str)]) -> Reply {
    let parameters = [parameters, &[("client_id", "phone")]].concat();
    until(path, async || Some(http.post(path, &parameters, &[]).await).filter(|reply| reply.status != 503)).await
}

async fn log_in(http: &Http) -> (String, String) {
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("scope", "openid read")];
    let reply = post(http, "/oauth2/token", &asked).await.expect_status(200).json();
    (text(&reply, "refresh_token"), text(&reply, "access_token"))
}

async fn revoke(http: &Http, token: &str) {
    let _ = post(http, "/oauth2/revoke", &[("token", token)]).await.expect_status(200);
}

/// How many lines the feed has, in which era.
async fn feed(http: &Http) -> Option<(usize, String)> {
    let reply = http.get("/oauth2/revocations", &[]).await;
    let page = (reply.status == 200).then(|| claims(&reply.text()))?;
    let (era, _) = page["cursor"].as_str()?.split_once('.')?;
    Some((page["revocations"].as_array()?.len(), era.to_owned()))
}

/// Law L9: until an operator has decided nothing is vouched for, at whichever endpoint; and from then on everything new is told, though its
/// positions are ones that this node has seen before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_on_vouches_for_nothing_and_then_tells_everything_that_is_new() {
    if !pg::is_there() {
        return;
    }
    let place = Place::make();
    let node = Server::start(&place.homes[0]);
    let (_, access) = log_in(&node.http()).await;
    place.copy();
    for _ in 0..8 {
        let (token, _) = log_in(&node.http()).await;
        revoke(&node.http(), &token).await;
    }
    until("eight lines", async || feed(&node.http()).await.filter(|(lines, _)| *lines == 8)).await;
    until("all events", async || (place.newest_line() == place.newest_event()).then_some(())).await;

    place.put_back();
    let ready = async |status: u16| (node.http().get("/readyz", &[]).await.status == status).then_some(());
    until("it goes out of service", async || ready(503).await).await;
    let asked = [("token", access.as_str())];
    let api = http::basic("api", SECRET);
    let http = node.http();
    let introspected = http.post("/oauth2/introspect", &asked, &[("authorization", &api)]).await;
    introspected.expect_error(503, "temporarily_unavailable");
    let bearer = format!("Bearer {access}");
    http.get("/oauth2/userinfo", &[("authorization", &bearer)]).await.expect_error(503, "temporarily_unavailable");
    http.get("/oauth2/revocations", &[]).await.expect_error(503, "temporarily_unavailable");
    let daemon = http::basic("daemon", SECRET);
    let machine =
        http.post("/oauth2/token", &[("grant_type", "client_credentials")], &[("authorization", &daemon)]).await;
    machine.expect_error(503, "temporarily_unavailable");

    let recovered = place.run(1, &["recover", "--yes", "--unproven", "accept"]);
    assert!(recovered.status.success(), "{recovered:?}");
    until("it goes on", async || ready(200).await).await;
    let (lines, _) = until("the feed of the new era", async || feed(&http).await.filter(|(_, era)| era == "1")).await;
    let (token, _) = log_in(&node.http()).await;
    revoke(&node.http(), &token).await;
    until("one more line", async || feed(&node.http()).await.filter(|(more, _)| *more == lines + 1)).await;
    until("all events", async || (place.newest_line() == place.newest_event()).then_some(())).await;
    node.stop();
}

/// Check T36: nobody was there to notice, but the journal has seen more than the database: nothing is served from it, and `doctor` says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_put_back_under_stopped_nodes_is_refused() {
    if !pg::is_there() {
        return;
    }
    let place = Place::make();
    let node = Server::start(&place.homes[0]);
    let (token, _) = log_in(&node.http()).await;
    place.copy();
    revoke(&node.http(), &token).await;
    node.stop();
    place.put_back();

    let Refused { code, said } =
        Server::try_start(place.homes[0].command(&["serve"]), &place.homes[0].log()).expect_err("it went back");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("went back") && said.contains("regrant recover --without-anchor"), "{said}");
    let doctor = place.run(0, &["doctor"]);
    let says = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.code() == Some(1) && says.contains("went back"), "{says}");

    let recovered = place.run(0, &["recover", "--without-anchor", "--yes", "--unproven", "accept"]);
    assert!(recovered.status.success(), "{recovered:?}");
    let node = Server::start(&place.homes[0]);
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    post(&node.http(), "/oauth2/token", &asked).await.expect_error(400, "invalid_grant");
    node.stop();
}
