//! The running server and its operator: the admin socket, reloads, the environment. There are never two writers on one store.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sim::process::{Home, Scratch, Server};
use sim::wire::{PASSWORD, USER, text};

fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("regrant runs")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn home(name: &str) -> (Scratch, Home) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    (scratch, home)
}

/// What an operator does while the server runs acts at once, and the server is the only one that writes.
#[tokio::test]
async fn the_commands_work_through_the_running_server() {
    let (_scratch, home) = home("control-commands");
    let server = Server::start(&home);
    home.add_user();
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let token =
        text(&server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json(), "refresh_token");
    let grants = json(&output(home.command(&["grants", "list", "--json"])));
    let id = grants[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!((grants[0]["state"].as_str(), grants[0]["user"].as_str()), (Some("live"), Some(USER)));
    let done = json(&output(home.command(&["grants", "revoke", &id, "--reason", "laptop stolen", "--json"])));
    assert_eq!(done["was_live"], true);
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
    server.http().post("/oauth2/token", &asked, &[]).await.expect_error(400, "invalid_grant");
    // The same answer once the server is gone: the commands then work on the store itself.
    let seen = json(&output(home.command(&["grants", "show", &id, "--json"])));
    server.stop();
    assert_eq!(json(&output(home.command(&["grants", "show", &id, "--json"]))), seen);
}

/// The socket is the server's user's alone, is gone when the server is, and a killed server's is taken over.
#[test]
fn the_admin_socket_is_its_users_alone() {
    let (_scratch, home) = home("control-socket");
    let socket = home.data().join("regrant.db.sock");
    let server = Server::start(&home);
    let found = std::fs::symlink_metadata(&socket).expect("a socket");
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o777 == 0o600, "{found:?}");
    server.stop();
    assert!(!socket.exists());
    Server::start(&home).kill();
    assert!(socket.exists());
    let server = Server::start(&home);
    assert_eq!(json(&output(home.command(&["user", "list", "--json"]))), serde_json::json!([]));
    server.stop();
}

/// Without its socket a running server still has the store alone: the command is told what to do.
#[test]
fn there_are_never_two_writers() {
    let (_scratch, home) = home("control-two-writers");
    let server = Server::start(&home);
    std::fs::remove_file(home.data().join("regrant.db.sock")).expect("a socket");
    let refused = output(home.command(&["user", "list"]));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("regrant.db.sock") && said.contains("remedy"), "{said}");
    server.stop();
}

/// Who may not speak with the server hears whose it is, and not that a key is lost which is none of his business.
#[test]
fn another_users_server_is_named_as_such() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    let (scratch, home) = home("control-not-yours");
    let server = Server::start(&home);
    let nobody = 65_534;
    if std::fs::metadata(scratch.path()).expect("ours").uid() != 0 {
        // Only the superuser can be somebody else.
        server.stop();
        return;
    }
    let binary = scratch.path().join("regrant");
    std::fs::copy(sim::process::regrant(), &binary).expect("a binary that nobody may run");
    for path in [home.directory().to_owned(), home.config_file()] {
        chown(path, Some(nobody), Some(nobody)).expect("given away");
    }
    let mut command = Command::new(&binary);
    command.arg("--config").arg(home.config_file()).args(["--json", "user", "list"]).uid(nobody).gid(nobody);
    let refused = command.output().expect("the command");
    let said: Value = serde_json::from_slice(&refused.stderr).expect("JSON");
    assert_eq!(refused.status.code(), Some(77), "{said}");
    assert!(said["error"].as_str().is_some_and(|says| says.contains("belongs to another user")), "{said}");
    assert!(said["remedy"].as_str().is_some_and(|says| says.contains("sudo -u '#0'")), "{said}");
    server.stop();
}

/// A client of the store is changed by command: what is named, and nothing else; its secret stays.
#[test]
fn a_client_is_changed_and_switched_off_by_command() {
    let (_scratch, home) = home("control-client-set");
    let server = Server::start(&home);
    let run = |line: &[&str]| output(home.command(&[line, &["--json"]].concat()));
    let cb = "https://app.example/cb";
    let added = json(&run(&["client", "add", "wiki", "--redirect-uri", cb, "--skip-consent", "--name", "Notes"]));
    assert!(added["client_secret"].is_string(), "{added}");
    let set =
        json(&run(&["client", "set", "wiki", "--redirect-uri", "https://b.example/cb", "--unset", "skip_consent"]));
    assert_eq!(set["redirect_uris"], serde_json::json!(["https://b.example/cb"]));
    assert_eq!((&set["skip_consent"], &set["name"]), (&Value::Bool(false), &Value::from("Notes")));
    assert_eq!(set["token_endpoint_auth_method"], "client_secret_basic", "it has its secret yet: {set}");
    assert_eq!(json(&run(&["client", "disable", "wiki"]))["disabled"], true);
    assert_eq!(json(&run(&["client", "enable", "wiki"]))["disabled"], false);
    for (line, code) in [
        (&["client", "set", "wiki"][..], 2),
        (&["client", "set", "nobody", "--name", "X"], 1),
        (&["client", "set", "wiki", "--redirect-uri", "no URI"], 65),
        (&["client", "set"], 2),
    ] {
        let refused = run(line);
        let said: Value = serde_json::from_slice(&refused.stderr).expect("JSON, also of wrong usage");
        assert_eq!((refused.status.code(), &said["exit_code"]), (Some(code), &Value::from(code)), "{line:?}: {said}");
    }
    server.stop();
}

/// What is not a command, or too much, is refused in words that repeat nothing of it; the next one is answered.
#[test]
fn the_admin_socket_takes_commands_only() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let (_scratch, home) = home("control-garbage");
    let server = Server::start(&home);
    let stream = std::os::unix::net::UnixStream::connect(home.data().join("regrant.db.sock")).expect("a socket");
    let mut lines = BufReader::new(stream);
    for garbage in
        ["", "{}", "canary", "{\"command\":\"canary\"}", "[1]", "{\"command\":\"add_user\",\"name\":\"canary\"}"]
    {
        writeln!(lines.get_mut(), "{garbage}").expect("written");
        let mut line = String::new();
        lines.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert!(
            answer["error"].is_string() && answer["exit_code"] == 65 && !line.contains("canary"),
            "{garbage}: {line}"
        );
    }
    writeln!(lines.get_mut(), "{{\"command\":\"status\"}}").expect("written");
    let mut line = String::new();
    lines.read_line(&mut line).expect("an answer");
    let answer: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(answer["ok"]["pid"], server.pid());
    server.stop();
}

/// A reload takes the new configuration whole; a bad one changes nothing and says why, by command and by signal.
#[tokio::test]
async fn a_reload_is_whole_or_not_at_all() {
    let (_scratch, home) = home("control-reload");
    let server = Server::start(&home);
    home.add_user();
    let good = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let known = async |client: &str| {
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", client)];
        server.http().post("/oauth2/token", &asked, &[]).await.status.as_u16()
    };
    assert_eq!((known("phone").await, known("newcomer").await), (200, 401));
    std::fs::write(home.config_file(), format!("{good}\nnonsense = 1\n")).expect("written");
    let refused = output(home.command(&["reload"]));
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nonsense"), "{refused:?}");
    let more = good.replace("id = \"phone\" ", "id = \"newcomer\" ") + "\n[[scope]]\nname = \"extra\"\n";
    std::fs::write(home.config_file(), &more).expect("written");
    let done = json(&output(home.command(&["reload", "--json"])));
    assert_eq!(done["needs_restart"], serde_json::json!([]), "{done}");
    assert_eq!((known("phone").await, known("newcomer").await), (401, 200));
    // What cannot change while it runs is named, and stays.
    std::fs::write(home.config_file(), format!("issuer = \"https://other.example\"\n{good}")).expect("written");
    assert_eq!(json(&output(home.command(&["reload", "--json"])))["needs_restart"], serde_json::json!(["issuer"]));
    assert_eq!((known("phone").await, known("newcomer").await), (200, 401));
    // By signal: the log tells.
    std::fs::write(home.config_file(), "nonsense = 1").expect("written");
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill");
    assert!(sent.success());
    while !std::fs::read_to_string(home.log()).expect("a log").contains("was not reloaded") {
        tokio::task::yield_now().await;
    }
    assert_eq!(known("phone").await, 200, "a bad configuration changes nothing");
    std::fs::write(home.config_file(), &good).expect("written");
    let log = server.stop();
    assert!(log.contains("nonsense") && !log.contains("u{a}"), "one line, without a line's end in it: {log}");
}

/// A file is empty, or ends early, while it is written: a reload that meets it then ends nobody's session.
#[tokio::test]
async fn a_reload_that_meets_a_file_without_clients_is_refused() {
    let (_scratch, home) = home("control-cut");
    let server = Server::start(&home);
    home.add_user();
    let good = std::fs::read_to_string(home.config_file()).expect("a configuration");
    let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let first = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200).json();
    let (cut, _) = good.split_once("[[client]]").expect("clients");
    std::fs::write(home.config_file(), cut).expect("written");
    let refused = output(home.command(&["reload"]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("has no client any more"), "{refused:?}");
    std::fs::write(home.config_file(), "").expect("written");
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill");
    assert!(sent.success());
    let is_told = || std::fs::read_to_string(home.log()).expect("a log").contains("was not reloaded");
    while !is_told() {
        tokio::task::yield_now().await;
    }
    std::fs::write(home.config_file(), &good).expect("written");
    let done = json(&output(home.command(&["reload", "--json"])));
    assert_eq!(done["needs_restart"], serde_json::json!([]), "{done}");
    let token = sim::wire::text(&first, "refresh_token");
    let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
    let _ = server.http().post("/oauth2/token", &asked, &[]).await.expect_status(200);
    server.stop();
}

/// `regrant reload` without a server says that there is none.
#[test]
fn nothing_is_reloaded_where_nothing_runs() {
    let (_scratch, home) = home("control-nothing");
    let refused = output(home.command(&["reload"]));
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
}

/// The configuration may come from the environment alone, and the root key from a credential of the service manager.
#[test]
fn a_server_can_be_set_up_by_the_environment() {
    let (scratch, home) = home("control-environment");
    let credentials = scratch.path().join("credentials");
    std::fs::create_dir_all(&credentials).expect("a directory");
    std::fs::rename(home.root_key_file(), credentials.join("the-key")).expect("moved");
    let set_up = |arguments: &[&str]| {
        let mut command = Command::new(sim::process::regrant());
        command
            .args(arguments)
            .current_dir(scratch.path())
            .env("CREDENTIALS_DIRECTORY", &credentials)
            .env("REGRANT_ROOT_KEY_FILE", "credential:the-key")
            .env("REGRANT_STORE", format!("sqlite:{}", home.store().display()))
            .env("REGRANT_LISTEN", "127.0.0.1:0")
            .env("REGRANT_SCOPE", "[{name = \"read\"}]")
            .env("REGRANT_CLIENT", "[{id = \"app\", token_endpoint_auth_method = \"none\", redirect_uris = [\"com.x:/cb\"], scopes = [\"read\"]}]");
        command
    };
    std::fs::create_dir_all(scratch.path().join("regrant-data")).expect("a directory");
    let server = Server::try_start(set_up(&["serve"]), &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
    let clients = json(&output(set_up(&["client", "list", "--json"])));
    assert_eq!((clients[0]["id"].as_str(), clients[0]["scope"].as_str()), (Some("app"), Some("read")));
    server.stop();
}

/// The memory of the server is nobody else's: no core dump, and not dumpable, so that its files in /proc are root's even where
/// it runs as another user.
#[test]
fn the_memory_of_the_server_is_closed() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    let (scratch, home) = home("control-memory");
    // Root's own files are root's anyway: then the server runs as nobody.
    let nobody = 65_534;
    let is_root = std::fs::metadata(scratch.path()).expect("ours").uid() == 0;
    let binary = scratch.path().join("regrant");
    std::fs::copy(sim::process::regrant(), &binary).expect("a binary that nobody may run");
    let mut command = Command::new(&binary);
    command.arg("--config").arg(home.config_file()).arg("serve");
    if is_root {
        for path in [home.directory().to_owned(), home.data(), home.config_file(), home.root_key_file()] {
            chown(path, Some(nobody), Some(nobody)).expect("given away");
        }
        command.uid(nobody).gid(nobody);
    }
    let server = Server::try_start(command, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("its limits");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(cores.split_whitespace().filter(|word| *word == "0").count(), 2, "{cores}");
    let memory = std::fs::metadata(format!("/proc/{}/mem", server.pid())).expect("a running process");
    assert_eq!(memory.uid(), 0, "what is not dumpable belongs to root");
    server.stop();
}
