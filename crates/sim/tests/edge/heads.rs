//! What heads may say: hosts, targets, lengths. Nothing of it changes who we are, and no byte is read as two things.

use sim::wire::{World, authorization};

use crate::edge::support::{raw, status};

/// `GET` of a target with these header lines.
async fn get(world: &World, target: &str, lines: &str) -> String {
    raw(&world.base, &format!("GET {target} HTTP/1.1\r\n{lines}connection: close\r\n\r\n")).await
}

/// Without the lines that differ from answer to answer.
fn lasting(answer: &str) -> String {
    let changes = ["date: ", "x-correlation-id: ", "set-cookie: "];
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let head: Vec<_> = head.lines().filter(|line| !changes.iter().any(|name| line.starts_with(name))).collect();
    // Form tokens are made anew for each page.
    let body: Vec<_> = body.lines().filter(|line| !line.contains("csrf") && !line.contains("name=\"token\"")).collect();
    format!("{}\n\n{}", head.join("\n"), body.join("\n"))
}

/// Check H1: no header that speaks of hosts, schemes, prefixes or certificates changes issuer, links or cookies.
#[tokio::test]
async fn no_header_changes_who_we_are() {
    let world = World::new().await;
    let targets = ["/.well-known/openid-configuration".to_owned(), "/oauth2/jwks".to_owned(), "/".to_owned()];
    for target in targets.into_iter().chain([authorization("web", &[])]) {
        let plain = get(&world, &target, "host: id.example\r\n").await;
        let cookie = |answer: &str| {
            let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
            Some((cookie.split('=').next()?.to_owned(), cookie.split_once(';')?.1.to_owned()))
        };
        for lines in [
            "host: evil.example\r\n",
            "host: id.example\r\nx-forwarded-host: evil.example\r\nx-forwarded-proto: https\r\nx-forwarded-port: 666\r\n",
            "host: id.example\r\nforwarded: for=6.6.6.6;host=evil.example;proto=https\r\n",
            "host: id.example\r\nx-forwarded-prefix: /evil.example\r\nx-original-url: /evil.example\r\nx-rewrite-url: /evil.example\r\n",
            "host: id.example\r\nx-host: evil.example\r\nx-forwarded-server: evil.example\r\nx-http-host-override: evil.example\r\n",
            "host: id.example\r\nx-forwarded-client-cert: evil.example\r\nx-ssl-client-cert: evil.example\r\nclient-cert: :evil:\r\n",
        ] {
            let answer = get(&world, &target, lines).await;
            assert!(!answer.contains("evil"), "{target} {lines}: {answer}");
            assert_eq!((status(&answer), lasting(&answer)), (status(&plain), lasting(&plain)), "{target} {lines}");
            assert_eq!(cookie(&answer), cookie(&plain), "{target} {lines}");
        }
    }
}

/// Check H3: a request has one host, and one that could be one.
#[tokio::test]
async fn a_request_has_one_host() {
    let world = World::new().await;
    for (lines, expected) in [
        ("host: id.example\r\n", 200),
        ("host: [::1]:8420\r\n", 200),
        ("", 400),
        ("host: id.example\r\nhost: id.example\r\n", 400),
        ("host: id.example\r\nhost: evil.example\r\n", 400),
        ("host: id.example, evil.example\r\n", 400),
        ("host: user@id.example\r\n", 400),
        ("host: id.example/path\r\n", 400),
        ("host: \"><script>\r\n", 400),
        ("host: id.example\r\n host: evil.example\r\n", 400),
        ("host : id.example\r\n", 400),
    ] {
        let answer = get(&world, "/healthz", lines).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
        assert!(!answer.contains("evil") && !answer.contains("script"), "{answer}");
    }
}

/// Check H3: a target in absolute form is its path and nothing else; its host changes nothing. Other forms are no targets.
#[tokio::test]
async fn the_absolute_form_is_its_path() {
    let world = World::new().await;
    let metadata = "/.well-known/openid-configuration";
    let plain = get(&world, metadata, "host: id.example\r\n").await;
    let absolute = get(&world, &format!("http://evil.example{metadata}"), "host: id.example\r\n").await;
    assert_eq!(lasting(&absolute), lasting(&plain));
    assert!(!absolute.contains("evil"), "{absolute}");
    for target in
        ["*", "//evil.example/healthz", "healthz", "/%2e%2e/healthz", "http:///healthz", "http://evil.example"]
    {
        let answer = get(&world, target, "host: id.example\r\n").await;
        let location = answer.lines().find(|line| line.to_lowercase().starts_with("location:"));
        assert!(
            status(&answer) != 500 && location.is_none_or(|location| !location.contains("evil")),
            "{target}: {answer}"
        );
    }
}

/// Check H3: whatever lengths a request claims to have (CL.TE, TE.CL, TE.TE, CL.CL), the bytes behind it are never taken for a
/// request: at most one answer, and then the connection ends.
#[tokio::test]
async fn no_byte_is_read_as_two_things() {
    let world = World::new().await;
    let smuggled = "GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\nx: y\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for lines in [
        format!("content-length: 5\r\n{chunked}"),
        format!("{chunked}content-length: 5\r\n"),
        format!("content-length: {}\r\n{chunked}", 5 + smuggled.len()),
        "content-length: 5\r\ntransfer-encoding: xchunked\r\n".to_owned(),
        "content-length: 5\r\ntransfer-encoding : chunked\r\n".to_owned(),
        "content-length: 5\r\ntransfer-encoding: chunked, identity\r\n".to_owned(),
        "content-length: 5\r\ntransfer-encoding:\x0bchunked\r\n".to_owned(),
        "content-length: 5\r\n transfer-encoding: chunked\r\n".to_owned(),
        format!("{chunked}transfer-encoding: identity\r\n"),
        format!("{chunked}transfer-encoding: chunked\r\n"),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: 5, 6\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: 0x5\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 99999999999999999999\r\n".to_owned(),
    ] {
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        let request = format!("POST /oauth2/token HTTP/1.1\r\nhost: x\r\n{form}{lines}\r\n0\r\n\r\n{smuggled}");
        let mut stream = crate::edge::support::connect(&world.base).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("sent");
        // The client stays: the server must be the one to close.
        let answer = crate::edge::support::rest(&mut stream).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.contains("\"keys\""), "{lines:?}: {answer}");
        assert!(!answer.contains("HTTP/1.1 5") && !answer.contains("HTTP/1.1 2"), "{lines:?}: {answer}");
    }
    // HTTP/1.0 knows no chunks (RFC 9112 section 6.1).
    let old = raw(&world.base, &format!("POST /oauth2/token HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n{smuggled}")).await;
    assert!(old.matches("HTTP/1.").count() <= 1, "{old}");
}

/// RFC 9112 section 6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond
/// with 501". A body that is unpacked by nobody is taken for no form, nor is one in chunks of chunks.
#[tokio::test]
async fn a_body_is_chunked_once_or_not_at_all() {
    let world = World::new().await;
    for (codings, expected) in [
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 501),
        ("transfer-encoding: identity, chunked", 501),
        ("transfer-encoding: chunked, chunked", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: Chunked", 400),
        ("transfer-encoding: Chunked", 401),
    ] {
        let form = "content-type: application/x-www-form-urlencoded";
        let body = "36\r\ngrant_type=refresh_token&refresh_token=x&client_id=web\r\n0\r\n\r\n";
        let request = format!("POST /oauth2/token HTTP/1.1\r\nhost: x\r\n{form}\r\n{codings}\r\n\r\n{body}");
        let answer = raw(&world.base, &request).await;
        assert_eq!(status(&answer), expected, "{codings}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{codings}: {answer}");
    }
}

/// RFC 9112 section 9.6: who closes says so. A client that waits for its body to be asked for (`Expect: 100-continue`) hears that it is too
/// large, and sends nothing on a connection that is about to be closed.
#[tokio::test]
async fn a_body_that_is_not_asked_for_ends_its_connection_in_so_many_words() {
    let world = World::new().await;
    for (length, expect) in [(70_000, "expect: 100-continue\r\n"), (700_000, "expect: 100-continue\r\n"), (700_000, "")]
    {
        let form = "content-type: application/x-www-form-urlencoded";
        let head =
            format!("POST /oauth2/token HTTP/1.1\r\nhost: x\r\n{form}\r\n{expect}content-length: {length}\r\n\r\n");
        let answer = raw(&world.base, &head).await;
        assert_eq!(status(&answer), 413, "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

/// Check H4: nothing of a refused request is given back: neither its target, nor its headers, nor its method.
#[tokio::test]
async fn nothing_of_a_refused_request_is_given_back() {
    let world = World::new().await;
    let canary = "canary7";
    for request in [
        format!("GET /{canary} HTTP/1.1\r\nhost: x\r\nx-{canary}: {canary}\r\nconnection: close\r\n\r\n"),
        format!("{canary} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: {canary}/\r\n\r\n"),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", canary.repeat(4000)),
        format!("POST /oauth2/token?{canary} HTTP/1.1\r\nhost: x\r\ncontent-encoding: {canary}\r\n\r\n"),
        format!("TRACE /{canary} HTTP/1.1\r\nhost: x\r\ncookie: {canary}\r\nconnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{canary}\r\n\r\n"),
    ] {
        let answer = raw(&world.base, &request).await;
        let shown: String = request.chars().take(60).collect();
        assert!((400..500).contains(&status(&answer)), "{shown}: {answer}");
        assert!(!answer.contains(canary), "{shown}: {answer}");
    }
}
