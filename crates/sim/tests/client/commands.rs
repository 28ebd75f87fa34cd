//! `regrant login`, `token`, `whoami`, `logout`, `profiles`, `exec` and `proxy`, as a user types them, at the real server.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;
use sim::process::pause;
use sim::wire::device::browser_of_base;
use sim::wire::{Http, USER, text};

use super::support::{Desk, Running, ran};

/// From nothing to a token, and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_logs_in_once_and_has_tokens_until_the_logout() {
    let desk = Desk::new();
    let (code, says) = desk.fails(&["token", "work"]).await;
    assert!(code == 1 && says.contains("remedy: regrant login work --issuer"), "{code}: {says}");
    desk.log_in("work").await;
    let token = desk.says(&["token", "work"]).await;
    assert_eq!(token, desk.says(&["token", "work"]).await, "a fresh token is used again");
    let bearer = format!("Bearer {}", token.trim());
    let answer = desk.server.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await;
    let subject = text(&answer.expect_status(200).json(), "sub");
    let who: Value = serde_json::from_str(&desk.says(&["whoami", "work", "--json"]).await).expect("JSON");
    assert_eq!(who["subject"], subject);
    assert!(who["access_token_expires_in"].as_u64().is_some_and(|left| left > 60), "{who}");
    assert!(desk.says(&["whoami", "work"]).await.contains(&subject));
    let list: Value = serde_json::from_str(&desk.says(&["profiles", "--json"]).await).expect("JSON");
    assert_eq!((&list[0]["profile"], &list[0]["state"]), (&"work".into(), &"live".into()));
    // An API refused it: another one.
    let other = desk.says(&["token", "work", "--refused", token.trim()]).await;
    assert_ne!(other, token);
    let told: Value = serde_json::from_str(&desk.says(&["logout", "work", "--json"]).await).expect("JSON");
    assert_eq!(told["revoked"], true);
    let (code, says) = desk.fails(&["token", "work"]).await;
    assert!(code == 1 && says.contains("remedy: regrant login work"), "{code}: {says}");
    let (code, says) = desk.fails(&["token", "../work"]).await;
    assert!(code == 2 && says.contains("no name of a profile"), "{code}: {says}");
}

/// Every format as its asker calls for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_for_whoever_asks() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let token = desk.says(&["token", "work"]).await.trim().to_owned();
    let json = |said: String| serde_json::from_str::<Value>(&said).expect("JSON");
    let kubernetes = json(desk.says(&["token", "work", "--format", "kubernetes"]).await);
    assert_eq!(
        (&kubernetes["kind"], &kubernetes["status"]["token"]),
        (&"ExecCredential".into(), &token.clone().into())
    );
    assert_eq!(json(desk.says(&["token", "work", "--json"]).await)["access_token"], token);
    let docker = json(desk.says(&["token", "work", "--format", "docker", "get"]).await);
    assert_eq!((&docker["Username"], &docker["Secret"]), (&"oauth2".into(), &token.clone().into()));
    // git itself asks.
    let mut git = Command::new("git");
    git.args(["-c", "credential.helper=", "-c", "credential.helper=!regrant token work --format git"]);
    git.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
    desk.at_home(&mut git);
    let input = desk.file("git-asks");
    std::fs::write(&input, "protocol=https\nhost=git.example\n\n").expect("a file");
    git.stdin(Stdio::from(std::fs::File::open(input).expect("a file")));
    let filled = String::from_utf8(ran(git).await.stdout).expect("text");
    assert!(filled.contains("username=oauth2\n") && filled.contains(&format!("password={token}\n")), "{filled}");
    // A step of a workflow.
    let output = desk.file("github-output");
    let mut step = desk.regrant(&["token", "work", "--format", "github"]);
    step.env("GITHUB_OUTPUT", &output);
    assert_eq!(String::from_utf8(ran(step).await.stdout).expect("text"), format!("::add-mask::{token}\n"));
    assert_eq!(std::fs::read_to_string(output).expect("a file"), format!("token={token}\n"));
}

/// As the client itself, with its secret in a file; and with a refresh token that comes from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_robot_and_a_found_token_need_no_browser() {
    let desk = Desk::new();
    let base = desk.server.base().to_owned();
    let secret = desk.file("secret");
    let robot = ["login", "robot", "--issuer", &base, "--client-id", "daemon", "--client-secret-file", &secret];
    desk.says(&[&robot[..], &["--client-credentials", "--scope", "read"]].concat()).await;
    assert!(desk.says(&["token", "robot"]).await.len() > 20);
    let form =
        [("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD), ("client_id", "phone")];
    let found = desk.server.http().post("/oauth2/token", &form, &[]).await.expect_status(200).json();
    let file = desk.file("found");
    std::fs::write(&file, text(&found, "refresh_token")).expect("a file");
    let arguments = ["login", "found", "--issuer", &base, "--client-id", "phone", "--refresh-token-stdin"];
    let mut login = desk.regrant(&arguments);
    login.stdin(Stdio::from(std::fs::File::open(file).expect("a file")));
    let output = ran(login).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(desk.says(&["token", "found"]).await.len() > 20);
    let (code, says) = desk.fails(&["login", "x", "--issuer", "http://as.example", "--client-id", "y"]).await;
    assert!(code == 2 && says.contains("https"), "{code}: {says}");
    let (code, says) = desk.fails(&["login", "x"]).await;
    assert!(code == 2 && says.contains("remedy:"), "{code}: {says}");
}

/// A profile of the client itself is not logged out of, for it needs no login: it is removed, or set up anew as something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_robots_profile_ends_when_it_is_removed() {
    let desk = Desk::new();
    let (base, secret) = (desk.server.base().to_owned(), desk.file("secret"));
    let robot = ["login", "robot", "--issuer", &base, "--client-id", "daemon", "--client-secret-file", &secret];
    desk.says(&[&robot[..], &["--client-credentials", "--scope", "read"]].concat()).await;
    let said = desk.says(&["logout", "robot"]).await;
    assert!(!said.contains("logged out") && said.contains("another is asked for"), "{said}");
    let told: Value = serde_json::from_str(&desk.says(&["logout", "robot", "--json"]).await).expect("JSON");
    assert_eq!((&told["revoked"], &told["live"]), (&false.into(), &true.into()), "{told}");
    assert!(desk.says(&["token", "robot"]).await.len() > 20, "it is live");
    // A variable for the admin API is none of its business.
    let mut again = desk.regrant(&["login", "robot"]);
    again.env("REGRANT_CLIENT_ID", "phone");
    let again = ran(again).await;
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let told: Value = serde_json::from_str(&desk.says(&["profiles", "remove", "robot", "--json"]).await).expect("JSON");
    assert_eq!(told["removed"], true);
    let (code, says) = desk.fails(&["token", "robot"]).await;
    assert!(code == 1 && says.contains("there is no profile robot"), "{code}: {says}");
    let (code, says) = desk.fails(&["profiles", "remove", "robot"]).await;
    assert!(code == 1 && says.contains("there is no profile robot"), "{code}: {says}");
    // Under the same name a user logs in, and nothing of the robot is left.
    desk.says(&[&robot[..], &["--client-credentials", "--scope", "read"]].concat()).await;
    desk.log_in("robot").await;
    let told: Value = serde_json::from_str(&desk.says(&["logout", "robot", "--json"]).await).expect("JSON");
    assert_eq!(told["revoked"], true, "it was a user's session: {told}");
    assert_eq!(desk.fails(&["token", "robot"]).await.0, 1);
    // A profile whose secret is gone can be removed all the same.
    desk.says(&[&robot[..], &["--client-credentials", "--scope", "read"]].concat()).await;
    std::fs::remove_file(&secret).expect("gone");
    let told: Value = serde_json::from_str(&desk.says(&["profiles", "remove", "robot", "--json"]).await).expect("JSON");
    assert_eq!((&told["removed"], &told["revoked"]), (&true.into(), &false.into()), "{told}");
    assert_eq!(desk.says(&["profiles", "--json"]).await.trim(), "[]");
}

/// RFC 8628, with real seconds: the code is told, the user answers, the device is logged in.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_logged_in_from_the_command_line() {
    let desk = Desk::new();
    let base = desk.server.base().to_owned();
    let arguments = ["login", "tv", "--issuer", &base, "--client-id", "tv", "--device", "--scope", "read", "--json"];
    let (mut login, told) = desk.start(&arguments);
    let mut browser = browser_of_base(&base, USER).await;
    let page = browser.get(&format!("/device?user_code={}", text(&told, "user_code"))).await;
    browser.submit(&page, &[("decision", "allow")]).await;
    let status = tokio::task::spawn_blocking(move || login.child.wait()).await.expect("it ends").expect("a status");
    assert!(status.success());
    assert!(desk.says(&["token", "tv"]).await.len() > 20);
}

/// A token in the environment, or in a file that goes when the program ends; and the program's own end is ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_runs_with_a_token() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let token = desk.says(&["token", "work"]).await;
    let printed = desk.says(&["exec", "work", "--", "sh", "-c", "printf '%s\\n' \"$REGRANT_TOKEN\""]).await;
    assert_eq!(printed, token);
    let script = "cat \"$REGRANT_TOKEN_FILE\"; echo; stat -c %a \"$REGRANT_TOKEN_FILE\"; echo \"$REGRANT_TOKEN_FILE\"";
    let printed = desk.says(&["exec", "work", "--file", "--", "sh", "-c", script]).await;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines[1]), (token.trim(), "600"));
    assert!(!std::path::Path::new(lines[2]).exists(), "the file is left behind");
    assert_eq!(desk.fails(&["exec", "work", "--file", "--", "sh", "-c", "exit 7"]).await.0, 7);
    assert_eq!(desk.fails(&["exec", "work", "--", "sh", "-c", "exit 7"]).await.0, 7);
    let (code, says) = desk.fails(&["exec", "work", "--", "no-such-program"]).await;
    assert!(code == 127 && says.contains("no-such-program cannot be run"), "{code}: {says}");
}

/// The API behind the proxy: it tells what it was sent, and refuses the tokens that it is told to.
async fn api(refused: Arc<std::sync::Mutex<String>>) -> String {
    async fn tell(
        State(refused): State<Arc<std::sync::Mutex<String>>>,
        headers: HeaderMap,
        body: String,
    ) -> axum::response::Response {
        use axum::response::IntoResponse as _;
        let said = headers.get("authorization").map(|value| value.to_str().unwrap_or_default().to_owned());
        if said.as_ref() == Some(&*refused.lock().expect("a lock")) {
            return (axum::http::StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer error=\"invalid_token\"")])
                .into_response();
        }
        let told = serde_json::json!({"authorization": said, "body": body, "hop": headers.contains_key("x-hop")});
        told.to_string().into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().fallback(tell).with_state(refused);
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// Each request gets a fresh token, whatever came with it; pages get nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_adds_a_token_to_each_request() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let token = desk.says(&["token", "work"]).await.trim().to_owned();
    let refused = Arc::new(std::sync::Mutex::new(String::new()));
    let api = api(refused.clone()).await;
    let (_proxy, told) = desk.start(&["proxy", "work", "--to", &format!("{api}/v2"), "--listen", "127.0.0.1:0"]);
    let http = Http::new(&format!("http://{}", text(&told, "listen")));
    let headers = [("authorization", "Basic eDp5"), ("connection", "x-hop"), ("x-hop", "1")];
    let answer = http.post("/thing", &[("a", "1")], &headers).await.expect_status(200).json();
    assert_eq!(answer, serde_json::json!({"authorization": format!("Bearer {token}"), "body": "a=1", "hop": false}));
    // Refused as invalid: once more, with another.
    *refused.lock().expect("a lock") = format!("Bearer {token}");
    let answer = http.post("/thing", &[("a", "1")], &[]).await.expect_status(200).json();
    assert!(answer["body"] == "a=1" && answer["authorization"] != format!("Bearer {token}"), "{answer}");
    for headers in
        [[("origin", "https://evil.example")], [("host", "evil.example")], [("sec-fetch-site", "cross-site")]]
    {
        assert_eq!(http.get("/thing", &headers).await.status, 403, "{headers:?}");
    }
    let (code, says) = desk.fails(&["proxy", "work", "--to", &api, "--listen", "0.0.0.0:0"]).await;
    assert!(code == 2 && says.contains("open to others"), "{code}: {says}");
}

/// A file of a token is renewed under a running program.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_token_is_kept_fresh() {
    let desk = Desk::new();
    desk.log_in("work").await;
    let script = "echo \"$REGRANT_TOKEN_FILE\"; cat \"$REGRANT_TOKEN_FILE\"; echo; read -r line";
    let mut command = desk.regrant(&["exec", "work", "--file", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let (file, before) = (running.line(), running.line());
    // Somebody else renews it.
    let other = desk.says(&["token", "work", "--refused", before.trim()]).await;
    assert_ne!(other, before);
    for _ in 0..200 {
        if std::fs::read_to_string(file.trim()).is_ok_and(|text| text == other.trim()) {
            return;
        }
        pause(Duration::from_millis(50)).await;
    }
    panic!("the file still has the old token");
}

/// A passphrase that a command prints, as a keychain does: no key lies beside the sessions, and without it they say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_prints_the_passphrase_and_no_key_is_kept() {
    let desk = Desk::new();
    let (base, secret) = (desk.server.base().to_owned(), desk.file("secret"));
    let under = |passphrase: &str, arguments: &[&str]| {
        let mut command = desk.regrant(arguments);
        command.env("REGRANT_PASSPHRASE_COMMAND", passphrase);
        ran(command)
    };
    let right = "printf 'a sentence that only the keychain knows\\nand a second line\\n'";
    let login = ["login", "robot", "--issuer", &base, "--client-id", "daemon", "--client-secret-file", &secret];
    let login = [&login[..], &["--client-credentials", "--scope", "read"]].concat();
    let output = under(right, &login).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = under(right, &["token", "robot"]).await.stdout;
    assert!(token.len() > 20);
    assert_eq!(under(right, &["token", "robot"]).await.stdout, token, "it was kept, and opens again");
    assert!(!std::path::Path::new(&desk.file("home/key")).exists(), "there is a key beside the sessions");
    // Another one, or none.
    let output = under("echo another sentence", &["token", "robot"]).await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && says.contains("another key or passphrase"), "{says}");
    assert_eq!(output.stdout, b"");
    for silent in ["true", "echo; echo second", "echo locked; exit 3"] {
        let output = under(silent, &["token", "robot"]).await;
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(78) && says.contains("printed no passphrase"), "{silent}: {says}");
        assert!(!says.contains("locked"), "what it printed is told to nobody: {says}");
    }
    assert_eq!(under(right, &["token", "robot"]).await.stdout, token);
}
