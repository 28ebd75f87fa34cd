//! `regrant events --follow`, beside a running server.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server};
use sim::wire::{PASSWORD, USER};

async fn log_in(server: &Server, client: &str) -> String {
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", client)];
    server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).header("x-correlation-id")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_followed_line_by_line_until_ctrl_c() {
    let scratch = Scratch::new("events-follow");
    let home = Home::make(scratch.path());
    home.add_user();
    let refused = home.command(&["events", "--follow"]).stdin(Stdio::null()).output().expect("regrant runs");
    assert_eq!(refused.status.code(), Some(69), "a store that nobody serves is not held: {refused:?}");
    let server = Server::start(&home);
    let before = log_in(&server, "phone").await;
    let mut child = home
        .command(&["events", "--follow", "--json", "--kind", "grant_created", "--client", "phone"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("regrant starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || {
        let line = lines.next().expect("a line").expect("UTF-8");
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((event["kind"].as_str(), event["client"].as_str()), (Some("grant_created"), Some("phone")));
        event["correlation"].as_str().expect("a correlation id").to_owned()
    };
    assert_eq!(next(), before, "it begins with what was");
    // What does not fit is passed over, and nothing that fits is told twice or left out.
    let _ = log_in(&server, "phone-strict").await;
    let mut after = Vec::new();
    for _ in 0..3 {
        after.push(log_in(&server, "phone").await);
    }
    assert_eq!([next(), next(), next()], after[..]);
    let last = log_in(&server, "phone").await;
    assert_eq!(next(), last);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let ended = child.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    assert!(lines.next().is_none(), "nothing more");
    server.stop();
}
