//! Every time that a connection may take over something has an end, and the honest connection beside it notices nothing.

use std::time::Duration;

use sim::process::Scratch;
use tokio::io::AsyncWriteExt as _;

use crate::edge::support::{HEALTH, connect, one, raw, rest, status, tls_top, world, write_pair};

/// Sends one byte after the other for as long as the server takes them, and tells what it said before it closed.
async fn drip(base: &str, start: &str, byte: &[u8]) -> String {
    let mut stream = connect(base).await;
    stream.write_all(start.as_bytes()).await.expect("sent");
    let (mut from, mut to) = stream.split();
    let dripping = async {
        while to.write_all(byte).await.is_ok() {
            sim::process::pause(Duration::from_millis(50)).await;
        }
        std::future::pending::<String>().await
    };
    tokio::select! {
        said = rest(&mut from) => said,
        said = dripping => said,
    }
}

/// Check X1: a head that comes a byte at a time is cut off, the first one and any later one.
#[tokio::test]
async fn a_dripping_head_is_cut_off() {
    let world = world("[http]\nheader_timeout = \"1s\"").await;
    for start in ["", "G", "GET /healthz HTTP/1.1\r\nhost: x\r\nx: "] {
        assert_eq!(drip(&world.base, start, b"a").await, "", "{start:?}");
    }
    let later = drip(&world.base, &format!("{HEALTH}GET /healthz HTTP/1.1\r\nx: "), b"a").await;
    assert_eq!(later.matches("HTTP/1.1").count(), 1, "{later}");
    // Nothing at all is a head that does not come.
    assert_eq!(rest(&mut connect(&world.base).await).await, "");
}

/// Check X1: a body that comes a byte at a time is answered 408, and its token is as good as before.
#[tokio::test]
async fn a_dripping_body_ends_in_408() {
    let world = world("[http]\nbody_timeout = \"1s\"").await;
    let token = world.first("phone").await;
    for length in ["content-length: 4000", "transfer-encoding: chunked"] {
        let start = format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n{length}\r\n\r\n"
        );
        let byte: &[u8] = if length.contains("chunked") { b"1\r\na\r\n" } else { b"a" };
        let said = drip(&world.base, &start, byte).await;
        assert_eq!(status(&said), 408, "{said}");
        assert!(said.contains("connection: close") && said.contains("cache-control: no-store"), "{said}");
    }
    let _ = world.refresh("phone", &token).await.expect_status(200);
}

/// A connection without a request is closed, one that is used is kept.
#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let world = world("[http]\nidle_timeout = \"1s\"\nheader_timeout = \"30s\"").await;
    let mut stream = connect(&world.base).await;
    for _ in 0..5 {
        stream.write_all(HEALTH.as_bytes()).await.expect("open");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
    }
    assert_eq!(rest(&mut stream).await, "", "closed without a word");
}

/// A time that was over for what a connection did before is not over for what it does now: one that is used now and then lives as
/// long as `idle_timeout` lets it, whatever the head of its first request was allowed to take.
#[tokio::test]
async fn an_idle_connection_outlives_the_time_of_its_first_head() {
    let world = world("[http]\nidle_timeout = \"30s\"\nheader_timeout = \"1s\"").await;
    let mut stream = connect(&world.base).await;
    for _ in 0..3 {
        stream.write_all(HEALTH.as_bytes()).await.expect("open");
        assert_eq!(status(&one(&mut stream).await.expect("an answer")), 200);
        sim::process::pause(Duration::from_millis(1_200)).await;
    }
}

/// A client that never shakes hands is closed, also where it sends bytes that lead nowhere.
#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let scratch = Scratch::new("handshake");
    let [certificate, key] = ["c.pem", "k.pem"].map(|name| scratch.path().join(name));
    write_pair(&certificate, &key);
    let text = format!("{}[http]\nhandshake_timeout = \"1s\"\n{}", tls_top(&certificate, &key), sim::wire::CONFIG);
    let server = super::tls::plain_server(&text).await;
    assert_eq!(rest(&mut connect(server.base()).await).await, "");
    // The beginning of a ClientHello of 16 KiB that never comes.
    let mut stream = connect(server.base()).await;
    stream.write_all(&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01]).await.expect("sent");
    let _ = rest(&mut stream).await;
    // Plain HTTP is no handshake: it ends at once, without an answer in plain.
    assert!(!raw(server.base(), HEALTH).await.contains("HTTP/1.1 2"));
}

/// A request that is not answered in time is given up without an answer: an answer would say what was done, and nobody knows yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_too_long_gets_no_answer() {
    let world = world("[http]\nrequest_timeout = \"1s\"\nbody_timeout = \"30s\"").await;
    let start = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
        content-length: 4000\r\n\r\n";
    assert_eq!(drip(&world.base, start, b"a").await, "");
    let _ = world.first("phone").await;
}
