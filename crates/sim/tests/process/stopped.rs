//! What an operator asks of a store whose server does not run; and events on standard output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server};
use sim::wire::{Http, PASSWORD, Reply, USER, text};

use super::drill::done;

async fn post(http: &Http, more: &[(&str, &str)]) -> Reply {
    http.post("/oauth2/token", &[&[("client_id", "phone")], more].concat(), &[]).await
}

async fn log_in(http: &Http) -> String {
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
    text(&post(http, &asked).await.expect_status(200).json(), "refresh_token")
}

async fn refresh(http: &Http, token: &str) -> Reply {
    post(http, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

/// `regrant explain -`, with the token on standard input.
fn explained(home: &Home, token: &str) -> Value {
    let mut child = home
        .command(&["explain", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("regrant starts");
    child.stdin.take().expect("piped").write_all(token.as_bytes()).expect("the token is read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Law L12: what explain tells of a stopped store is what it told while the server ran: of a spent token, of the live one, and of the
/// answer's correlation id.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_store_is_explained_as_a_running_one() {
    let scratch = Scratch::new("explain-stopped");
    let home = Home::make(scratch.path());
    home.add_user();
    let server = Server::start(&home);
    let http = server.http();
    let first = log_in(&http).await;
    let second = text(&refresh(&http, &first).await.expect_status(200).json(), "refresh_token");
    let asked = [("token", second.as_str()), ("client_id", "phone")];
    let _ = http.post("/oauth2/revoke", &asked, &[]).await.expect_status(200);
    let refused = refresh(&http, &second).await.expect_status(400);
    let correlation = refused.header("x-correlation-id");
    let running = [explained(&home, &first), explained(&home, &second)];
    let by_answer = done(&home, &["explain", &correlation, "--json"]);
    server.stop();
    assert_eq!([explained(&home, &first), explained(&home, &second)], running);
    assert_eq!(done(&home, &["explain", &correlation, "--json"]), by_answer);
    for told in [&running[0], &running[1], &by_answer] {
        assert!(told.to_string().contains("revoked_by_client"), "{told}");
    }
    // And it starts again: looking changed nothing.
    let server = Server::start(&home);
    assert_eq!(refresh(&server.http(), &first).await.status.as_u16(), 400);
    server.stop();
}

/// Check O3: with `json_lines = "stdout"` each event is a line of standard output, behind the line that says where the server listens;
/// and the webhooks are listed, also while the server does not run.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_lines_of_standard_output() {
    let scratch = Scratch::new("lines-stdout");
    let home = Home::make(scratch.path());
    let secret = scratch.path().join("hook.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("a secret");
    let written = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let events = format!(
        "\n[events]\njson_lines = \"stdout\"\n[[webhook]]\nname = \"alerts\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = \"{}\"\n\
         kinds = [\"alarm\"]\n",
        secret.display()
    );
    std::fs::write(home.config_file(), written + &events).expect("written");
    home.add_user();
    let log = std::fs::File::create(home.log()).expect("a log");
    let mut child =
        home.command(&["serve"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("UTF-8")).expect("a line of JSON") };
    let http = Http::new(&format!("http://{}", text(&next(), "listen")));
    let _ = log_in(&http).await;
    let made = loop {
        let event = next();
        assert!(event["link"].is_string() && event["id"].is_u64(), "{event}");
        if event["kind"] == "grant_created" {
            break event;
        }
    };
    assert_eq!(made["client"], "phone");
    let running = done(&home, &["webhooks", "list", "--json"]);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().is_ok_and(|sent| sent.success()));
    assert!(child.wait().expect("it ends").success());
    let stopped = done(&home, &["webhooks", "list", "--json"]);
    for listed in [running, stopped] {
        let alerts = listed.as_array().and_then(|all| all.iter().find(|one| one["name"] == "alerts")).cloned();
        let alerts = alerts.unwrap_or_else(|| panic!("{listed}"));
        assert_eq!(alerts["dead_letters"], serde_json::json!([]), "{alerts}");
    }
}
