//! No files left (check X13): the real server, that may open few of them.

use std::process::Command;

use sim::process::{Home, Scratch, Server};
use sim::wire::{CONFIG, PASSWORD, USER};
use tokio::io::AsyncWriteExt as _;

use crate::edge::support::{HEALTH, connect, one, status};

/// Starts `regrant serve` where it may open this many files.
fn start(home: &Home, files: u32) -> Server {
    let inner = home.command(&["serve"]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""))
        .arg(inner.get_program())
        .args(inner.get_args());
    Server::try_start(command, &home.log()).expect("the server starts")
}

/// Check X13: with more connections than files the server goes on: who has one is served, it says so once and not again and
/// again, and when connections close it accepts again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn no_files_left_is_waited_out() {
    let scratch = Scratch::new("files");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    let text = std::fs::read_to_string(home.config_file()).expect("a configuration");
    // More than there are files for, so that it is the system that says no.
    let text = text.replace("drain_delay = \"0\"", "drain_delay = \"0\"\nmax_connections = 1000");
    std::fs::write(home.config_file(), text).expect("written");
    home.add_user();
    let server = start(&home, 64);
    let mut served = connect(server.base()).await;
    served.write_all(HEALTH.as_bytes()).await.expect("sent");
    assert_eq!(status(&one(&mut served).await.expect("an answer")), 200);
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(connect(server.base()).await);
    }
    while !std::fs::read_to_string(home.log()).is_ok_and(|log| log.contains("no connection can be accepted")) {
        tokio::task::yield_now().await;
    }
    let asked = "grant_type=password&client_id=phone&username=USER&password=PASSWORD";
    let asked = asked.replace("USER", USER).replace("PASSWORD", &PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{asked}",
        asked.len()
    );
    served.write_all(request.as_bytes()).await.expect("open");
    assert_eq!(status(&one(&mut served).await.expect("an answer")), 200, "who is connected is served");
    drop(others);
    assert_eq!(server.http().get("/readyz", &[]).await.status, 200, "and then everybody is");
    let log = server.stop();
    // Once, or once more each time a file was free for a moment; the stop may come before the last of them is over.
    let (refused, again) =
        (log.matches("no connection can be accepted").count(), log.matches("accepted again").count());
    assert!(
        (1..=5).contains(&refused)
            && (refused - 1..=refused).contains(&again)
            && again > 0
            && log.contains("LimitNOFILE"),
        "{refused}, {again}: {log}"
    );
}

/// Check X13: unless it is told otherwise, the server takes no more connections than it has files for: nothing fails, and the store
/// keeps the files that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn by_default_there_are_files_for_all_connections() {
    let scratch = Scratch::new("fewer");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.add_user();
    let server = start(&home, 80);
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(connect(server.base()).await);
    }
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let _ = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    drop(others);
    let log = server.stop();
    assert!(!log.contains("no connection can be accepted"), "{log}");
}
