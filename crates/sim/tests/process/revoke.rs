//! The blacklist from the command line: the real program, with and without a running server.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server};
use sim::wire::{PASSWORD, USER, text};

fn run(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("regrant runs");
    // Some commands read nothing.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("regrant ends")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

async fn first(server: &Server) -> String {
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    text(&server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token")
}

async fn refresh(server: &Server, token: &str) -> u16 {
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    server.http().post("/oauth2/token", &asked, &[]).await.status.as_u16()
}

/// Checks O7, T33: counted, asked about, done, listed, and taken back; on the running server, and on its store when it is gone.
#[tokio::test]
async fn a_bulk_revocation_is_counted_done_and_taken_back() {
    let scratch = Scratch::new("revoke-bulk");
    let home = Home::make(&scratch.path().join("home"));
    let server = Server::start(&home);
    home.add_user();
    let token = first(&server).await;
    let revoke = |more: &[&str]| run(home.command(&[&["revoke", "--client", "phone"], more].concat()), "");
    let would = json(&revoke(&["--dry-run", "--json"]));
    assert_eq!((would["grants"].as_u64(), &would["id"]), (Some(1), &Value::Null));
    let asks = revoke(&[]);
    let said = String::from_utf8_lossy(&asks.stderr);
    assert_eq!(asks.status.code(), Some(2), "{said}");
    assert!(said.contains("1 live grant of 1 user at 1 client") && said.contains("--yes"), "{said}");
    let done = json(&revoke(&["--yes", "--reason", "its database leaked", "--json"]));
    assert_eq!((done["id"].as_u64(), done["reason"].as_str()), (Some(1), Some("client_revoked")));
    assert_eq!(refresh(&server, &token).await, 400);
    let listed = json(&run(home.command(&["revoke", "list", "--json"]), ""));
    assert_eq!(
        (listed[0]["detail"].as_str(), listed[0]["state"].as_str()),
        (Some("its database leaked"), Some("live"))
    );
    server.stop();
    let undone = json(&run(home.command(&["revoke", "--undo", "1", "--json"]), ""));
    assert_eq!(undone["state"], "undone");
    let again = run(home.command(&["revoke", "--undo", "1"]), "");
    assert_eq!(again.status.code(), Some(65), "{}", String::from_utf8_lossy(&again.stderr));
    let server = Server::start(&home);
    assert_eq!(refresh(&server, &token).await, 200);
    server.stop();
}

/// A list of leaked tokens: comments and empty lines are passed over, junk is counted, nothing of it is printed.
#[tokio::test]
async fn a_list_of_leaked_tokens_is_revoked_from_a_file() {
    let scratch = Scratch::new("revoke-list");
    let home = Home::make(&scratch.path().join("home"));
    let server = Server::start(&home);
    home.add_user();
    let (one, two, three) = (first(&server).await, first(&server).await, first(&server).await);
    let list = scratch.path().join("leaked.txt");
    std::fs::write(&list, format!("# found on a disk\n{one}\r\n\n  {two}  \njunk\n{one}")).expect("written");
    let file = list.to_str().expect("a path");
    let output = run(home.command(&["revoke", "--from-file", file, "--json"]), "");
    let told = json(&output);
    assert_eq!(told["tokens"], 4);
    assert_eq!(told["outcomes"], serde_json::json!({"revoked": 2, "ended_before": 1, "not_ours": 1}));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("rgr_"));
    for (token, status) in [(&one, 400), (&two, 400), (&three, 200)] {
        assert_eq!(refresh(&server, token).await, status);
    }
    let last = first(&server).await;
    let told = json(&run(home.command(&["revoke", "-", "--json"]), &format!("{last}\n")));
    assert_eq!(told["outcome"], "revoked");
    assert_eq!(refresh(&server, &last).await, 400);
    let unknown = run(home.command(&["revoke", "rgr_junk"]), "");
    assert_eq!(unknown.status.code(), Some(1), "{}", String::from_utf8_lossy(&unknown.stderr));
    server.stop();
}

/// Law L9: a token of no grant knows of a revocation by its second. One that is asked for when the revocation was answered lives, though it is
/// the same second; the one before it does not.
#[tokio::test]
async fn a_machine_that_asks_again_at_once_has_a_token_that_lives() {
    let scratch = Scratch::new("revoke-machine");
    let home = Home::make(&scratch.path().join("home"));
    let server = Server::start(&home);
    let basic = |client: &str| sim::wire::http::basic(client, sim::wire::SECRET);
    let machine = async || {
        let form = [("grant_type", "client_credentials")];
        let reply = server.http().post("/oauth2/token", &form, &[("authorization", &basic("daemon"))]).await;
        text(&reply.expect_status(200).json(), "access_token")
    };
    let lives = async |token: &str| {
        let (http, api) = (server.http(), basic("api"));
        let reply = http.post("/oauth2/introspect", &[("token", token)], &[("authorization", &api)]).await;
        reply.expect_status(200).json()["active"] == true
    };
    for _ in 0..3 {
        let before = machine().await;
        assert!(lives(&before).await);
        let _ = json(&run(home.command(&["revoke", "--client", "daemon", "--yes", "--json"]), ""));
        let after = machine().await;
        assert_eq!((lives(&before).await, lives(&after).await), (false, true));
    }
}
