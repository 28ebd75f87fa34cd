//! What one node does, for the others: each has its own configuration, its own copies in memory and its own revocation journal.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::keys::RootKey;
use regrant_server::admin::KeyTurn::AtOnce;
use regrant_server::{App, Clock, sweep};
use serde_json::Value;
use sim::pg;
use sim::process::{Home, Scratch, Server, pause};
use sim::wire::{CONFIG, PASSWORD, ROOT, Reply, USER, config, text};

use crate::contract::server;

/// What each node has for itself, in its own directory.
const OWN: &str = "revocations_file = \"revocations\"\nadmin_socket = \"admin.sock\"\n";
/// What the second node alone knows: it was reloaded, and the first one was not yet.
const NEWER: &str = "[[scope]]\nname = \"new\"\ndescription = \"Something new\"\n";

/// Two nodes of one database.
struct Pair {
    homes: [Home; 2],
    nodes: Vec<Server>,
    _scratch: Scratch,
}

impl Pair {
    fn start() -> Self {
        let scratch = Scratch::new("nodes");
        let address = server().database().options().address;
        let home = |number: usize, more: &str| {
            let home = Home::make_with(&scratch.path().join(format!("node{number}")), &format!("{CONFIG}\n{more}"));
            home.store_at(&address);
            home.set(OWN);
            home
        };
        let homes = [home(0, ""), home(1, NEWER)];
        std::fs::copy(homes[0].root_key_file(), homes[1].root_key_file()).expect("one root key for all");
        homes[0].add_user();
        let nodes = homes.iter().map(Server::start).collect();
        Self { homes, nodes, _scratch: scratch }
    }

    fn run(&self, node: usize, arguments: &[&str]) -> Output {
        self.homes[node].command(arguments).stdin(Stdio::null()).output().expect("regrant runs")
    }

    fn done(&self, node: usize, arguments: &[&str]) -> Value {
        let output = self.run(node, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    async fn log_in(&self, node: usize, client: &str) -> Reply {
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", client)];
        self.nodes[node].http().post("/oauth2/token", &asked, &[]).await
    }

    async fn refresh(&self, node: usize, client: &str, token: &str) -> Reply {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)];
        self.nodes[node].http().post("/oauth2/token", &asked, &[]).await
    }

    /// Asks until a log-in is answered like this: what is a copy may be behind for half a second.
    async fn until(&self, node: usize, client: &str, status: u16) -> Reply {
        for _ in 0..500 {
            let reply = self.log_in(node, client).await;
            if reply.status.as_u16() == status {
                return reply;
            }
            pause(Duration::from_millis(20)).await;
        }
        panic!("{client} was never answered with {status}: {}", self.nodes[node].log_text());
    }

    fn stop(self) {
        self.nodes.into_iter().for_each(|node| drop(node.stop()));
    }
}

/// A client that anybody may log in at.
fn added<'a>(id: &'a str, scope: &'a str) -> [&'a str; 11] {
    let grants = ["--grant-type", "password", "--grant-type", "refresh_token"];
    ["client", "add", id, "--public", grants[0], grants[1], grants[2], grants[3], "--scope", scope, "--json"]
}

/// Law L9 ends what began before a revocation was answered, and nothing that began behind it: whichever node answered it.
#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_behind_a_revocation_of_another_node_stays_logged_in() {
    if !pg::is_there() {
        return;
    }
    let pair = Pair::start();
    for _ in 0..5 {
        let before = text(&pair.log_in(0, "phone").await.expect_status(200).json(), "refresh_token");
        let _ = pair.done(1, &["revoke", "--client", "phone", "--yes"]);
        let behind = text(&pair.log_in(0, "phone").await.expect_status(200).json(), "refresh_token");
        pair.refresh(0, "phone", &before).await.expect_error(400, "invalid_grant");
        let _ = pair.refresh(0, "phone", &behind).await.expect_status(200);
    }
    pair.stop();
}

/// A client that may have what this node's file does not declare goes without it here, and is told of; the others are followed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_fit_one_node_hinders_no_other() {
    if !pg::is_there() {
        return;
    }
    let pair = Pair::start();
    let _ = pair.done(1, &added("other", "read"));
    let _ = pair.done(1, &added("grows", "read"));
    let other = text(&pair.until(0, "other", 200).await.json(), "refresh_token");
    let _ = pair.until(0, "grows", 200).await;

    let _ = pair.done(1, &added("newer", "new"));
    let _ = pair.done(1, &["client", "set", "grows", "--scope", "read new"]);
    let _ = pair.done(1, &["client", "disable", "other"]);
    pair.until(0, "other", 400).await.expect_error(400, "unauthorized_client");
    pair.refresh(0, "other", &other).await.expect_error(400, "unauthorized_client");
    let scope = async |node| text(&pair.log_in(node, "grows").await.expect_status(200).json(), "scope");
    assert_eq!((scope(0).await, scope(1).await), ("read".to_owned(), "new read".to_owned()));
    for client in ["newer", "grows"] {
        assert_eq!(pair.done(0, &["client", "show", client, "--json"])["disabled"], false);
    }

    for client in ["newer", "grows"] {
        let _ = pair.done(0, &["client", "remove", client]);
    }
    let _ = pair.done(1, &["client", "enable", "other"]);
    let _ = pair.until(0, "other", 200).await;
    let log = pair.nodes[0].log_text();
    let said = |client: &str| log.matches(&format!("client {client} of the store goes without new")).count();
    assert_eq!((said("newer"), said("grows"), said("other")), (1, 1, 0), "{log}");
    pair.stop();
}

/// What a node has revoked is in its journal alone, and its time is the store's: it starts again whatever others do, and have.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_journals_of_their_own_start_again() {
    if !pg::is_there() {
        return;
    }
    let mut pair = Pair::start();
    for node in [0, 1, 1, 0] {
        let token = text(&pair.log_in(node, "phone").await.expect_status(200).json(), "refresh_token");
        let asked = [("token", token.as_str()), ("client_id", "phone")];
        let _ = pair.nodes[node].http().post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    }
    for node in [1, 0] {
        pair.nodes.remove(node).kill();
    }
    for home in pair.homes.iter().rev() {
        pair.nodes.push(Server::start(home));
    }
    pair.stop();
}

/// A node that stood still goes on under the seed key that it knows: a retry that needs it hears 503 of the others, and its answer again.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_key_stays_for_an_hour_where_nodes_share_a_store() {
    if !pg::is_there() {
        return;
    }
    let (store, clock) = (server().database().node(), Clock::manual(Timestamp::from_millis(1_900_000_000_000)));
    let app = App::open_with(config(CONFIG), Box::new(store), RootKey::new(ROOT), clock.clone()).expect("opens");
    let sweep = async |app: &Arc<App>| sweep::pass(app, Duration::ZERO).await.expect("a sweep").seed_keys;
    let _ = app.admin().rotate_key("seed", None, AtOnce).await.expect("rotated");
    assert_eq!(sweep(&app).await, 0);
    clock.advance(Duration::from_secs(3599));
    assert_eq!(sweep(&app).await, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(sweep(&app).await, 1);
    app.engine.stop().await;
}
