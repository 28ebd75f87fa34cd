//! Check N4: a node that stands still in the middle of a request, past every deadline of its own, changes nothing that was decided
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use regrant_store::{Answer, Question, Store as _};
use rustix::process::{Pid, Signal, kill_process};
use sim::cluster::proxy::{Proxy, Wire};
use sim::pg::{self, Database};
use sim::process::{Home, Scratch, Server, pause};
use sim::wire::{CONFIG, Http, PASSWORD, USER, text};

use crate::contract::server;

/// Longer than the node waits for the database (5 s) and than `request_timeout`.
const FROZEN: Duration = Duration::from_secs(6);

/// The status and the token; 0 where the connection was given up without an answer.
async fn refresh(http: &Http, token: &str, key: &str) -> (u16, String) {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    let body = Body::from(regrant_server::form::write(&parameters));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("idempotency-key", key)];
    let reply = match http.try_send(Method::POST, "/oauth2/token", &headers, body).await {
        Ok(reply) => reply,
        Err(gone) => return (0, gone),
    };
    let status = reply.status.as_u16();
    (status, if status == 200 { text(&reply.json(), "refresh_token") } else { reply.text() })
}

/// The same request again, with the same key, as long as it is not answered, or told to come again. Nodes give requests up that wait for too long
/// (`request_timeout`), without a word: one that has just been thawed, and one whose row is locked by what the frozen node has begun, until
/// PostgreSQL ends that.
async fn answered(node: &Server, token: &str, key: &str) -> (u16, String) {
    let mut heard = (0, String::new());
    for _ in 0..20 {
        heard = refresh(&node.http(), token, key).await;
        if !matches!(heard.0, 0 | 503) {
            break;
        }
        pause(Duration::from_millis(100)).await;
    }
    heard
}

fn signal(node: &Server, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(node.pid()).expect("a process id")).expect("a process");
    kill_process(pid, signal).expect("it is signalled");
}

struct Pair {
    nodes: [Server; 2],
    proxy: Proxy,
    database: Database,
    _scratch: Scratch,
}

impl Pair {
    /// Two nodes; the wire of the first can be stopped.
    async fn start() -> Self {
        let scratch = Scratch::new("frozen");
        let database = server().database();
        let proxy = Proxy::start(Arc::new(AtomicU16::new(server().port)), false).await;
        let home = |number: usize, address: &str| {
            let home = Home::make_with(&scratch.path().join(format!("node{number}")), CONFIG);
            home.store_at(address);
            let written = std::fs::read_to_string(home.config_file()).expect("a configuration");
            let config = written.replace("[http]\n", "[http]\nrequest_timeout = \"5s\"\n");
            std::fs::write(home.config_file(), config).expect("written");
            home
        };
        let first = home(0, &database.at(&[proxy.port]).address);
        let second = home(1, &database.options().address);
        std::fs::copy(first.root_key_file(), second.root_key_file()).expect("one root key for all");
        first.add_user();
        let nodes = [Server::start(&first), Server::start(&second)];
        Self { nodes, proxy, database, _scratch: scratch }
    }

    async fn log_in(&self) -> String {
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
        let reply = self.nodes[0].http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
        text(&reply.json(), "refresh_token")
    }

    /// The first node decides about a token, sends its transaction, and stands still before anybody hears of that. The database hears of
    /// it when the other node has done what it does, and the node goes on when all its deadlines are over.
    async fn freeze<T>(&self, token: &str, meanwhile: impl Future<Output = T>) -> ((u16, String), T) {
        self.proxy.set(Wire::HoldsCommit);
        let (http, token) = (self.nodes[0].http(), token.to_owned());
        let late = tokio::spawn(async move { refresh(&http, &token, "late").await });
        self.proxy.held().await;
        signal(&self.nodes[0], Signal::STOP);
        let done = meanwhile.await;
        pause(FROZEN).await;
        self.proxy.set(Wire::Sound);
        // What is written late is written now, under a node that still stands.
        pause(Duration::from_millis(200)).await;
        signal(&self.nodes[0], Signal::CONT);
        let late = late.await.expect("it is answered");
        let http = self.nodes[0].http();
        for _ in 0..100 {
            if http.try_send(Method::GET, "/healthz", &[], Body::empty()).await.is_ok() {
                break;
            }
            pause(Duration::from_millis(10)).await;
        }
        (late, done)
    }

    /// Of the newest grant, and whether it lives.
    fn generation(&self) -> (u32, bool) {
        let all = Question::Grants { client: None, subject: None, after: 0, limit: 10 };
        let Ok(Answer::Grants(rows)) = self.database.node().ask(&all) else { panic!("the grants are told") };
        let grant = &rows.last().expect("a grant").grant;
        (grant.generation, grant.ended.is_none())
    }
}

/// Its late write loses: the client that went to another node keeps the session that it has there.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_frozen_mid_request_loses_to_what_was_decided_meanwhile() {
    if !pg::is_there() {
        return;
    }
    let pair = Pair::start().await;
    let first = pair.log_in().await;
    let other = &pair.nodes[1];
    let meanwhile = async {
        let (status, second) = answered(other, &first, "once").await;
        assert_eq!(status, 200, "{second}");
        let (status, third) = answered(other, &second, "twice").await;
        assert_eq!(status, 200, "{third}");
        third
    };
    let (late, third) = pair.freeze(&first, meanwhile).await;
    assert!(matches!(late.0, 0 | 503), "a straggler, or too late to be answered: no token, nothing revoked: {late:?}");
    assert_eq!(pair.generation(), (3, true), "the late write has changed nothing");
    for node in [0, 1, 0] {
        let (status, text) = answered(&pair.nodes[node], &third, "thrice").await;
        assert_eq!(status, 200, "{text}");
    }
    assert_eq!(pair.generation(), (4, true));
}

/// Where nobody was first, it is written once, and whoever asks again hears the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_node_has_written_late_is_answered_once_and_the_same() {
    if !pg::is_there() {
        return;
    }
    let pair = Pair::start().await;
    let first = pair.log_in().await;
    let (late, ()) = pair.freeze(&first, async {}).await;
    let (status, second) = answered(&pair.nodes[1], &first, "late").await;
    assert_eq!(status, 200, "{second}");
    assert!(matches!(late.0, 0 | 503) || late == (200, second.clone()), "{late:?} and {second}");
    assert_eq!(pair.generation(), (2, true));
    let (status, third) = answered(&pair.nodes[0], &second, "next").await;
    assert_eq!(status, 200, "{third}");
}
