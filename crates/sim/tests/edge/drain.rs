//! The end of the real server under load (check Z11): what it has accepted, it answers.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::process::{Home, Scratch, Server};
use sim::wire::{CONFIG, Http, PASSWORD, USER, text};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::edge::support::{HEALTH, connect, one, raw, rest, status};

fn home(scratch: &Scratch, delay: &str) -> Home {
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let text = text.replace("drain_delay = \"0\"", &format!("drain_delay = \"{delay}\"\ndrain_timeout = \"20s\""));
    std::fs::write(home.config_file(), text).expect("written");
    home.add_user();
    home
}

fn terminate(pid: u32) {
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill").success());
}

/// Refreshes on one connection that is kept, until the server asks to leave.
async fn refresh_until_asked_to_leave(base: String, mut token: String, done: Arc<AtomicU64>) -> Result<(), String> {
    let mut stream = connect(&base).await;
    loop {
        let body = format!("grant_type=refresh_token&client_id=phone&refresh_token={token}");
        let request = format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("sending: {error}"))?;
        let answer = one(&mut stream).await.map_err(|error| format!("reading: {error}"))?;
        if status(&answer) != 200 {
            return Err(answer);
        }
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        token = text(&serde_json::from_str(body).expect("JSON"), "refresh_token");
        done.fetch_add(1, Ordering::Relaxed);
        if head.contains("connection: close") {
            assert_eq!(rest(&mut stream).await, "");
            return Ok(());
        }
    }
}

/// Check Z11: SIGTERM under load on a hundred kept connections: every request that was sent is answered 200, each client is asked to
/// leave, load balancers hear no at once while new connections are still served, and the server ends well.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_fails_no_request() {
    let scratch = Scratch::new("drain");
    let home = home(&scratch, "2s");
    let server = Server::start(&home);
    let base = server.base().to_owned();
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let mut tokens = Vec::new();
    for _ in 0..50 {
        let reply = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
        tokens.push(text(&reply.json(), "refresh_token"));
    }
    let done = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for token in tokens {
        clients.spawn(refresh_until_asked_to_leave(base.clone(), token, Arc::clone(&done)));
    }
    // Kept connections that are idle when the signal comes, and ask once more afterwards.
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&base).await;
        stream.write_all(HEALTH.as_bytes()).await.expect("sent");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
        idle.push(stream);
    }
    while done.load(Ordering::Relaxed) < 200 {
        tokio::task::yield_now().await;
    }
    terminate(server.pid());
    // The load balancer hears it within a moment, on new connections, which are still taken.
    loop {
        let ready = raw(&base, "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if status(&ready) == 503 {
            assert!(ready.contains("stopping"), "{ready}");
            break;
        }
    }
    for stream in &mut idle {
        stream.write_all(HEALTH.as_bytes()).await.expect("still open");
        let answer = one(stream).await.expect("an answer");
        assert!(status(&answer) == 200 && answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(Http::new(&base).get("/healthz", &[]).await.status, 200, "new connections are still taken");
    while let Some(client) = clients.join_next().await {
        assert_eq!(client.expect("a client"), Ok(()));
    }
    let log = server.stopped();
    assert!(!log.contains("cut off") && log.contains("stopped"), "{log}");
}

/// Check Z11: a request that is under way when the listener closes is finished, and an HTTP/2 client is told to go in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_finished() {
    let scratch = Scratch::new("under-way");
    let home = home(&scratch, "0");
    let server = Server::start(&home);
    let base = server.base().to_owned();
    let reply = server
        .http()
        .post(
            "/oauth2/token",
            &[("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")],
            &[],
        )
        .await
        .expect_status(200);
    let body =
        format!("grant_type=refresh_token&client_id=phone&refresh_token={}", text(&reply.json(), "refresh_token"));
    let mut stream = connect(&base).await;
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, second) = body.split_at(10);
    stream.write_all(format!("{head}{first}").as_bytes()).await.expect("sent");
    // An answer on another connection shows that the server has read what came before.
    assert_eq!(server.http().get("/healthz", &[]).await.status, 200);
    terminate(server.pid());
    while tokio::net::TcpStream::connect(crate::edge::support::address(&base)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(second.as_bytes()).await.expect("still open");
    let answer = rest(&mut stream).await;
    assert!(status(&answer) == 200 && answer.contains("connection: close"), "{answer}");
    let log = server.stopped();
    assert!(!log.contains("cut off"), "{log}");
}
