//! `regrant --server`: every command on a server elsewhere, with the real binary.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server, regrant};
use sim::wire::{CONFIG, PASSWORD, SECRET, USER};

use super::support::OPS;

/// A server, and a place elsewhere with nothing but a secret.
struct Elsewhere {
    scratch: Scratch,
    home: Home,
    server: Server,
}

impl Elsewhere {
    fn new(name: &str, listen: &str) -> Self {
        let scratch = Scratch::new(name);
        let home =
            Home::make_with(&scratch.path().join("home"), &format!("{CONFIG}{}", OPS.replace("\"main\"", listen)));
        home.add_user();
        let server = Server::start(&home);
        std::fs::create_dir_all(scratch.path().join("elsewhere")).expect("a directory");
        std::fs::write(scratch.path().join("elsewhere/secret"), SECRET).expect("written");
        Self { scratch, home, server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(regrant());
        command.current_dir(self.scratch.path().join("elsewhere")).args(arguments).stdin(Stdio::null());
        command.args(["--server", self.server.admin().unwrap_or(self.server.base())]);
        command
    }

    fn as_client(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.args(["--client-id", "ops", "--client-secret-file", "secret", "--token-issuer", self.server.base()]);
        command.output().expect("regrant runs")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.as_client(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }
}

/// What is said over the network and over the socket is the same, and the events tell who it was.
#[tokio::test]
async fn every_command_works_on_a_server_elsewhere() {
    for listen in ["\"main\"", "\"127.0.0.1:0\""] {
        let there = Elsewhere::new("remote-commands", listen);
        let added =
            there.json(&["client", "add", "new", "--redirect-uri", "https://new.example/cb", "--scope", "read"]);
        assert!(added["client_secret"].as_str().is_some_and(|secret| secret.starts_with("rgs_")), "{added}");
        for arguments in [
            &["client", "show", "new"][..],
            &["client", "rotate-secret", "new"],
            &["client", "remove", "new"],
            &["user", "list"],
            &["user", "show", USER],
            &["user", "set", USER, "nickname=al", "--add", "groups=staff"],
            &["user", "disable", USER],
            &["user", "enable", USER],
            &["keys", "rotate", "sealing"],
            &["reload"],
        ] {
            let _ = there.json(arguments);
        }
        let form = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
        let _ = there.server.http().post("/oauth2/token", &form, &[]).await.expect_status(200);
        let grants = there.json(&["grants", "list"]);
        let id = grants[0]["id"].as_str().expect("an id").to_owned();
        let _ = there.json(&["grants", "show", &id]);
        assert_eq!(there.json(&["grants", "revoke", &id])["was_live"], true);
        for command in [&["client", "list"][..], &["keys", "list"], &["user", "list"]] {
            let mut here = there.home.command(command);
            let here = here.arg("--json").output().expect("regrant runs").stdout;
            assert_eq!(there.json(command), serde_json::from_slice::<Value>(&here).expect("JSON"), "{command:?}");
        }
        let events = there.json(&["events", "--limit", "100"]);
        let told = |detail: &str| events.as_array().expect("events").iter().any(|event| event["detail"] == detail);
        assert!(told("client new added; by client ops on the admin API"), "{events}");
        assert!(told("user alice added; by the command line"), "{events}");
        assert!(!there.scratch.path().join("elsewhere/regrant-data").exists(), "nothing is made elsewhere");
        there.server.stop();
    }
}

/// Who proves nothing changes nothing, and hears what to do.
#[tokio::test]
async fn without_a_token_nothing_is_done_elsewhere() {
    let there = Elsewhere::new("remote-refused", "\"main\"");
    let run = |command: &mut Command| {
        let output = command.env_remove("REGRANT_TOKEN").output().expect("regrant runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&mut there.command(&["user", "list"]));
    assert!(code == Some(2) && said.contains("REGRANT_TOKEN"), "{said}");
    std::fs::write(there.scratch.path().join("elsewhere/token"), "nonsense\n").expect("written");
    let (code, said) = run(&mut there.command(&["user", "list", "--token-file", "token"]));
    assert!(code == Some(77) && said.contains("token"), "{said}");
    let (code, said) =
        run(there.command(&["user", "list", "--client-id", "ops", "--client-secret-file", "token"]).env("X", "x"));
    assert!(code == Some(77) && said.contains("gives no token"), "{said}");
    let (code, said) = run(&mut there.command(&["doctor"]));
    assert!(code == Some(2) && said.contains("leave --server out"), "{said}");
    let mut plain = Command::new(regrant());
    let (code, said) = run(plain.args(["user", "list", "--server", "http://auth.example.com", "--token-file", "x"]));
    assert!(code == Some(2) && said.contains("would show the token"), "{said}");
    // What the server refuses has its words and its exit code.
    let refused = there.as_client(&["user", "show", "nobody"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no user nobody"));
    there.server.stop();
}

/// A configuration that the command line names goes before the variable of a server, and what is left aside is said; the tokens' issuer has a
/// variable, too.
#[tokio::test]
async fn a_variable_names_a_server_unless_the_command_line_names_a_configuration() {
    let there = Elsewhere::new("remote-variables", "\"127.0.0.1:0\"");
    let run = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).output().expect("regrant runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let away = "https://nowhere.invalid";
    let (code, told, said) = run(there.home.command(&["user", "list"]).env("REGRANT_SERVER", away));
    assert!(code == Some(0) && told.contains(USER) && said.contains("REGRANT_SERVER is left aside"), "{said}");
    let (code, told, said) = run(there.home.command(&["user", "list", "--json"]).env("REGRANT_SERVER", away));
    assert!(code == Some(0) && told.contains(USER) && said.is_empty(), "standard error is for programs, too: {said}");
    let (code, _, said) = run(there.home.command(&["config", "check"]).env("REGRANT_SERVER", away));
    assert!(code == Some(0) && said.contains("works on the machine it runs on"), "{said}");
    let mut command = Command::new(regrant());
    command.current_dir(there.scratch.path().join("elsewhere")).args(["user", "list"]);
    command.env("REGRANT_SERVER", there.server.admin().expect("an address of its own"));
    command.env("REGRANT_TOKEN_ISSUER", there.server.base());
    command.env("REGRANT_CLIENT_ID", "ops").env("REGRANT_CLIENT_SECRET_FILE", "secret");
    let (code, told, said) = run(&mut command);
    assert!(code == Some(0) && told.contains(USER) && said.is_empty(), "{said}");
    there.server.stop();
}
