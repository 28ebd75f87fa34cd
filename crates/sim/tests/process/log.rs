//! The log of the real server: one line for each request, of bounded length, that nobody else writes into.

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use sim::process::{Home, Scratch, Server};
use sim::wire::{PASSWORD, Reply, USER, text};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server that logs as it does unless told otherwise.
fn start(scratch: &Scratch, arguments: &[&str]) -> (Home, Server) {
    let home = Home::make(scratch.path());
    home.add_user();
    let mut command = home.command(&["serve"]);
    command.args(arguments).env_remove("REGRANT_LOG");
    let server = Server::try_start(command, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
    (home, server)
}

/// The lines about requests, by correlation id.
fn lines(log: &str) -> Vec<Value> {
    let parsed =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    parsed.filter(|line| line["message"] == "request").collect()
}

fn line_of<'a>(lines: &'a [Value], reply: &Reply) -> &'a Value {
    let correlation = reply.header("x-correlation-id");
    let mut found = lines.iter().filter(|line| line["correlation"] == correlation.as_str());
    let line = found.next().unwrap_or_else(|| panic!("no line of {correlation}"));
    assert!(found.next().is_none(), "two lines of {correlation}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_line_that_tells_what_became_of_it() {
    let scratch = Scratch::new("log");
    let (_home, server) = start(&scratch, &[]);
    let http = server.http();
    let login = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let granted = http.post("/oauth2/token", &login, &[("traceparent", TRACE)]).await.expect_status(200);
    let token = text(&granted.json(), "refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
    let rotated = http.post("/oauth2/token", &refresh, &[("traceparent", "not one")]).await.expect_status(200);
    let stranger = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "nobody-we-know")];
    let unknown = http.post("/oauth2/token", &stranger, &[]).await.expect_status(401);
    let malformed = http.post("/oauth2/token", &[("grant_type", "")], &[]).await.expect_status(400);
    let nowhere = http.get("/some/path/of-a-stranger?x=1", &[]).await.expect_status(404);
    let page = http.get("/oauth2/jwks?secret=1", &[]).await.expect_status(200);
    let _ = http.get("/healthz", &[]).await.expect_status(200);
    let log = server.stop();
    let lines = lines(&log);
    assert_eq!(lines.len(), 6, "a probe that finds all well is no line: {log}");
    let told = |reply: &Reply| {
        let line = line_of(&lines, reply);
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["status"].as_u64(), Some(u64::from(reply.status.as_u16())));
        assert!(line["duration_us"].as_u64().is_some_and(|took| took > 0), "{line}");
        assert_eq!(text("peer"), "127.0.0.0/24");
        [text("endpoint"), text("method"), text("outcome"), text("client"), text("traceparent"), text("detail")]
    };
    assert_eq!(told(&granted), ["/oauth2/token", "POST", "granted_by_password", "phone", TRACE, ""]);
    assert_eq!(told(&rotated), ["/oauth2/token", "POST", "rotated", "phone", "", ""]);
    assert_eq!(told(&unknown), ["/oauth2/token", "POST", "unknown_client", "", "", ""]);
    assert_eq!(
        told(&malformed),
        ["/oauth2/token", "POST", "malformed", "", "", "Missing(\"grant_type\") (grant_type)"]
    );
    assert_eq!(told(&nowhere), ["", "GET", "not_found", "", "", ""]);
    assert_eq!(told(&page), ["/oauth2/jwks", "GET", "ok", "", "", ""]);
    let grants: Vec<_> = [&granted, &rotated].iter().map(|reply| line_of(&lines, reply)["grant"].clone()).collect();
    assert!(grants[0].as_str().is_some_and(|grant| grant.len() >= 8) && grants[0] == grants[1], "{grants:?}");
    assert!(!log.contains("nobody-we-know") && !log.contains("of-a-stranger"), "{log}");
}

/// Check X11: a request costs the log one line of bounded length, whatever it holds and however much.
/// Check O8: no name or value that was sent begins a line of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_long_and_strange_requests_is_one_short_line_each() {
    let scratch = Scratch::new("log-flood");
    let (_home, server) = start(&scratch, &[]);
    let http = server.http();
    let long = "x".repeat(6_000);
    let forged = "a\r\n{\"message\":\"request\",\"forged\":true}\u{1b}[2J";
    let trace = format!("{TRACE}-{long}").replacen("00-", "cc-", 1);
    let mut sent = 0;
    for round in 0..40 {
        let method = Method::from_bytes(format!("STRANGE{round}").as_bytes()).expect("a method");
        for path in
            ["/oauth2/token".to_owned(), format!("/{long}"), format!("/oauth2/authorize?client_id={long}&state=%0d%0a")]
        {
            let headers =
                [("traceparent", trace.as_str()), ("user-agent", long.as_str()), ("x-correlation-id", "chosen")];
            let _ = http.send(method.clone(), &path, &headers, Body::empty()).await;
            let _ = http.post(&path, &[("client_id", forged), ("grant_type", &long), (forged, forged)], &headers).await;
            let _ =
                http.post(&path, &[("client_id", &long), ("grant_type", forged), ("username", forged)], &headers).await;
            sent += 3;
        }
    }
    let log = server.stop();
    let lines = lines(&log);
    assert_eq!(lines.len(), sent, "one line each");
    assert!(log.lines().count() < sent + 20, "and few others: {}", log.lines().count());
    for line in log.lines() {
        assert!(line.len() < 700, "{} bytes: {line}", line.len());
        assert!(!line.contains("forged") && !line.contains("chosen") && !line.contains("STRANGE"), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_and_filter_of_the_log_can_be_chosen() {
    let scratch = Scratch::new("log-text");
    let (_home, server) = start(&scratch, &["--log-format", "text"]);
    let _ = server.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let log = server.stop();
    let line = log.lines().find(|line| line.contains(" request ")).unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains(" INFO ") && line.contains(" endpoint=/oauth2/jwks method=GET status=200 outcome=ok "),
        "{line}"
    );
    assert!(!line.contains("client="), "what is empty is left out: {line}");
    let home = Home::make_with(
        &scratch.path().join("quiet"),
        &format!("[log]\nfilter = \"warn\"\nformat = \"text\"\n{}", sim::wire::CONFIG),
    );
    let mut command = home.command(&["serve"]);
    command.env_remove("REGRANT_LOG");
    let server = Server::try_start(command, &home.log()).unwrap_or_else(|refused| panic!("{refused:?}"));
    let _ = server.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let log = server.stop();
    assert!(!log.contains("request"), "{log}");
}
