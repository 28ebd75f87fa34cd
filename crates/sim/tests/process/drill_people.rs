//! The worst day for people and clients: who was disabled, removed, logged out or given another password in the lost span, and what was
//! removed, replaced or withdrawn there, is so again after `regrant recover` (checks Z15, T23, T24, T26, T28).

use std::io::Write as _;
use std::process::Stdio;

use sim::process::{Home, Scratch, Server};
use sim::wire::{Browser, CALLBACK, Http, PASSWORD, authorization, http, text};

use super::drill::done;

const NEW_PASSWORD: &str = "another horse battery";

fn set_password(home: &Home, name: &str) {
    let mut child = home
        .command(&["user", "set-password", name, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("regrant starts");
    child.stdin.take().expect("piped").write_all(NEW_PASSWORD.as_bytes()).expect("the password is read");
    assert!(child.wait().expect("regrant ends").success());
}

/// The same address after a restart, for the cookies of browsers are of it.
fn keep_the_port(home: &Home) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let written = std::fs::read_to_string(home.config_file()).expect("a configuration");
    std::fs::write(home.config_file(), written.replace("127.0.0.1:0", &free.to_string())).expect("written");
}

/// The status of a log-in by password.
async fn log_in(http: &Http, name: &str, password: &str) -> u16 {
    let asked = [("grant_type", "password"), ("client_id", "phone"), ("username", name), ("password", password)];
    http.post("/oauth2/token", &asked, &[]).await.status.as_u16()
}

/// The status of a client's own request.
async fn ask(http: &Http, client: &str, secret: &str) -> u16 {
    let basic = http::basic(client, secret);
    let asked = [("grant_type", "client_credentials")];
    http.post("/oauth2/token", &asked, &[("authorization", &basic)]).await.status.as_u16()
}

fn add_client(home: &Home, id: &str) -> String {
    text(
        &done(home, &["client", "add", id, "--grant-type", "client_credentials", "--scope", "read", "--json"]),
        "client_secret",
    )
}

/// A browser in which a user has logged in and allowed the client `web`.
async fn browser(base: &str, name: &str) -> Browser {
    let mut browser = Browser::new(base);
    let location = browser.authorize_as(&authorization("web", &[]), name).await;
    assert!(location.starts_with(CALLBACK) && location.contains("code="), "{location}");
    browser
}

/// What the browser gets without a page: `code`, or the error.
async fn silently(browser: &mut Browser) -> String {
    let location = browser.get(&authorization("web", &[("prompt", "none")])).await.header("location");
    sim::wire::browser::parameter(&location, "error").unwrap_or_else(|| "code".to_owned())
}

/// Everything that restricts, in the lost span, with the real commands.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_what_was_restricted_is_restricted_again() {
    story("drill-people", false).await;
}

/// The process ended between the commits and the journal: the next start finds in the store what the journal did not get.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_kept_from_the_journal_is_kept_by_the_next_start() {
    story("drill-missed", true).await;
}

async fn story(name: &str, is_missed: bool) {
    let scratch = Scratch::new(name);
    let home = Home::make(&scratch.path().join("home"));
    keep_the_port(&home);
    let names = ["disabled", "removed", "changed", "withdrawn", "left", "untouched"];
    names.iter().for_each(|name| home.add_user_named(name));
    let server = Server::start(&home);
    let (http, base) = (server.http(), server.base().to_owned());
    let secrets = ["gone", "rotated", "kept"].map(|id| add_client(&home, id));
    let mut browsers = Vec::new();
    for name in names {
        browsers.push(browser(&base, name).await);
    }
    let backup = scratch.path().join("backup.db");
    done(&home, &["backup", "--json", &backup.display().to_string()]);
    let journal = regrant_server::revocations::beside(&home.store());
    let before = std::fs::read(&journal).expect("the journal");

    done(&home, &["user", "disable", "disabled", "--json"]);
    done(&home, &["user", "remove", "removed", "--json"]);
    set_password(&home, "changed");
    done(&home, &["user", "withdraw-consent", "withdrawn", "web", "--json"]);
    let page = browsers[4].get("/logout").await;
    let _ = browsers[4].submit(&page, &[]).await.expect_status(200);
    done(&home, &["client", "remove", "gone", "--json"]);
    let rotated =
        text(&done(&home, &["client", "rotate-secret", "rotated", "--overlap", "0", "--json"]), "client_secret");
    assert_eq!(ask(&http, "rotated", &secrets[1]).await, 401, "before the loss");
    server.kill();
    if is_missed {
        std::fs::write(&journal, &before).expect("written");
        let log = Server::start(&home).stop();
        assert!(log.contains("did not have all that the store has revoked"), "{log}");
        let kept = std::fs::read(&journal).expect("the journal");
        Server::start(&home).stop();
        assert!(kept.len() > before.len() && std::fs::read(&journal).expect("the journal") == kept, "once");
    }

    done(&home, &["restore", "--json", &backup.display().to_string()]);
    let rehearsed = done(&home, &["recover", "--dry-run", "--json"]);
    let report = done(&home, &["recover", "--yes", "--json"]);
    assert_eq!(report["revocations"], rehearsed["revocations"]);
    let counted = |name: &str| report["revocations"][name].as_u64();
    assert_eq!((counted("users"), counted("clients"), counted("consents")), (Some(3), Some(2), Some(1)), "{report}");
    assert!(counted("sessions") >= Some(3), "{report}");
    assert_eq!((counted("unknown"), counted("damaged")), (Some(0), Some(0)));

    let server = Server::start(&home);
    let http = server.http();
    assert_eq!(server.base(), base, "cookies are of one issuer");
    for (name, password, status) in [
        ("disabled", PASSWORD, 400),
        ("removed", PASSWORD, 400),
        ("changed", PASSWORD, 400),
        ("changed", NEW_PASSWORD, 200),
        ("withdrawn", PASSWORD, 200),
        ("untouched", PASSWORD, 200),
    ] {
        assert_eq!(log_in(&http, name, password).await, status, "{name}");
    }
    let [gone, old, kept] = secrets;
    for (client, secret, status) in
        [("gone", &gone, 401), ("rotated", &old, 401), ("rotated", &rotated, 200), ("kept", &kept, 200)]
    {
        assert_eq!(ask(&http, client, secret).await, status, "{client}");
    }
    let mut heard = Vec::new();
    for browser in &mut browsers {
        heard.push(silently(browser).await);
    }
    let login = "login_required";
    assert_eq!(heard, [login, login, login, "consent_required", login, "code"]);
    server.stop();
}
