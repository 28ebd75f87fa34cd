//! `regrant agent`: one session, many programs, and the kernel's word for who asks.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sim::process::pause;
use sim::wire::text;

use super::support::{Desk, Running, ran};

async fn ask(socket: &str, arguments: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--unix-socket", socket]).args(arguments);
    ran(curl).await
}

/// Status and body of what curl got.
async fn got(socket: &str, arguments: &[&str]) -> (String, String) {
    let answer = String::from_utf8(ask(socket, arguments).await.stdout).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

/// A token of the session, in any format; another one where it was refused; nothing after the logout.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_serves_tokens_over_its_socket() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let (_agent, told) = desk.start(&["agent"]);
    let socket = text(&told, "socket");
    let token = desk.says(&["token", "work"]).await;
    assert_eq!(got(&socket, &["http://agent/v1/token/work"]).await, ("200".to_owned(), token.clone()));
    let (_, kubernetes) = got(&socket, &["http://agent/v1/token/work?format=kubernetes"]).await;
    let kubernetes: Value = serde_json::from_str(&kubernetes).expect("JSON");
    assert_eq!(kubernetes["status"]["token"], token.trim());
    assert_eq!(got(&socket, &["http://agent/v1/profiles"]).await.1, "[\"work\"]\n");
    let (status, other) = got(&socket, &["--data-binary", token.trim(), "http://agent/v1/token/work"]).await;
    assert!(status == "200" && other != token, "{status}: {other}");
    assert_eq!(desk.says(&["token", "work"]).await, other, "commands and agent share one session");
    for (path, status) in
        [("token/none", "404"), ("token/work?format=x", "400"), ("x", "404"), ("token/..%2Fwork", "404")]
    {
        assert_eq!(got(&socket, &[&format!("http://agent/v1/{path}")]).await.0, status, "{path}");
    }
    desk.says(&["logout", "work"]).await;
    let (status, says) = got(&socket, &["http://agent/v1/token/work"]).await;
    assert!(status == "401" && says.contains("login_required"), "{status}: {says}");
    // And it sees the next login.
    desk.log_in("work").await;
    assert_eq!(got(&socket, &["http://agent/v1/token/work"]).await.0, "200");
}

/// What is not allowed is refused by who asks, whatever he says he is.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gives_to_those_alone_whom_its_rules_name() {
    let desk = Desk::new();
    desk.log_in("work").await;
    desk.log_in("other").await;
    let own = rustix::process::geteuid().as_raw();
    let rule = format!("uid:{own}=other");
    let socket = desk.file("shared.sock");
    let (_agent, _) = desk.start(&["agent", "--socket", &socket, "--allow", &rule, "--allow", "uid:65534=work"]);
    assert_eq!(got(&socket, &["http://agent/v1/token/other"]).await.0, "200");
    assert_eq!(got(&socket, &["http://agent/v1/token/work"]).await.0, "403");
    assert_eq!(got(&socket, &["http://agent/v1/profiles"]).await.1, "[\"other\"]\n");
    // Another user of the machine, where we can be one.
    if own == 0 {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let directory = std::path::Path::new(&socket).parent().expect("a directory").to_owned();
        std::fs::set_permissions(directory, open).expect("a mode");
        let mut curl = Command::new("setpriv");
        curl.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "--silent", "--unix-socket", &socket]);
        curl.args(["--write-out", "%{http_code}", "--output", "/dev/null"]);
        for (profile, status) in [("work", "200"), ("other", "403")] {
            let mut asked = Command::new(curl.get_program());
            asked.args(curl.get_args()).arg(format!("http://agent/v1/token/{profile}"));
            assert_eq!(String::from_utf8_lossy(&ran(asked).await.stdout), status, "{profile}");
        }
    }
    let (code, says) = desk.fails(&["agent", "--socket", &socket]).await;
    assert!(code == 75 && says.contains("an agent listens on"), "{code}: {says}");
}

/// A client secret that was rotated is used as soon as it is in its file, without a new start.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_a_secret_that_was_rotated() {
    let desk = Desk::new();
    let (secret, base) = (desk.file("secret"), desk.server.base().to_owned());
    let login = ["login", "robot", "--issuer", &base, "--client-id", "daemon", "--client-secret-file", &secret];
    desk.says(&[&login[..], &["--client-credentials", "--scope", "read"]].concat()).await;
    let (_agent, told) = desk.start(&["agent"]);
    let (socket, right) = (text(&told, "socket"), std::fs::read_to_string(&secret).expect("a secret"));
    let (_, token) = got(&socket, &["http://agent/v1/token/robot"]).await;
    // A moment of its own for each: what is looked at is when the file was written, and its size.
    for (content, status) in [("another-secret-of-thirty-two-characters", "500"), (right.as_str(), "200")] {
        std::fs::write(&secret, content).expect("written");
        let again = got(&socket, &["--data-binary", token.trim(), "http://agent/v1/token/robot"]).await;
        assert_eq!(again.0, status, "{}", again.1);
    }
}

/// A socket that systemd made is listened on; it was there before the agent, so whoever came early is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_passed_on_is_served() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let path = desk.file("passed.sock");
    let socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let early = tokio::spawn({
        let path = path.clone();
        async move { got(&path, &["http://agent/v1/profiles"]).await }
    });
    let inner = desk.regrant(&["agent"]);
    let mut command = Command::new("sh");
    // As systemd does it: descriptor 3, and LISTEN_PID is the service's own.
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" agent";
    command.args(["-c", script]).arg(inner.get_program());
    desk.at_home(&mut command);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
    let mut agent = Running::start(command);
    let told: Value = serde_json::from_str(&agent.line()).expect("JSON");
    assert_eq!(text(&told, "socket"), path);
    assert_eq!(early.await.expect("an answer").1, "[\"work\"]\n");
    drop(agent);
    assert!(std::path::Path::new(&path).exists(), "the socket is systemd's");
}

/// What an agent that was killed left behind is no hindrance, and one that ends leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_replaced() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let (agent, told) = desk.start(&["agent"]);
    drop(agent);
    let socket = text(&told, "socket");
    assert!(std::path::Path::new(&socket).exists());
    let (mut agent, _) = desk.start(&["agent"]);
    assert_eq!(got(&socket, &["http://agent/v1/token/work"]).await.0, "200");
    let pid = i32::try_from(agent.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    for _ in 0..200 {
        if agent.child.try_wait().expect("a status").is_some() {
            assert!(!std::path::Path::new(&socket).exists());
            return;
        }
        pause(Duration::from_millis(25)).await;
    }
    panic!("it does not end");
}
