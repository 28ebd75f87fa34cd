//! Bad input at the back-channel endpoints: the RFC's error and status, a distinct reason inside, nothing consumed, and never a 5xx.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Method;
use hyper::body::Frame;
use sim::wire::{Reply, SECRET, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{next, own_basic, refused, world};

const FORM: &str = "application/x-www-form-urlencoded";
const ENDPOINTS: [&str; 3] = ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"];

async fn raw(world: &World, path: &str, body: &str) -> Reply {
    world.http().post_raw(path, body, FORM, &[("authorization", &own_basic("web-single"))]).await
}

/// Check I8: credentials and parameters in the query are refused at every endpoint, even if the body is complete; nothing is consumed.
#[tokio::test]
async fn credentials_in_the_query_are_refused() {
    let world = world().await;
    let first = world.first("web-single").await;
    let before = world.row(&first).await;
    let body = format!("grant_type=refresh_token&refresh_token={first}&token={first}");
    for path in ENDPOINTS {
        for query in [
            format!("client_id=web-single&client_secret={SECRET}"),
            format!("client_secret={SECRET}"),
            format!("refresh_token={first}"),
            format!("token={first}"),
            "client_secret=".to_owned(),
            "grant_type=refresh_token".to_owned(),
            "client%5Fsecret=x".to_owned(),
            "a=%zz".to_owned(),
        ] {
            let reply = raw(&world, &format!("{path}?{query}"), &body).await;
            refused(&reply, 400, "invalid_request", "malformed: InQuery");
        }
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(raw(&world, "/oauth2/token?utm_source=x", &body).await);
}

/// Check I6: only a form is a form, said once, in UTF-8: JSON, multipart, other character sets and no type at all are refused.
#[tokio::test]
async fn only_a_form_is_read() {
    let world = world().await;
    let first = world.first("web-single").await;
    let before = world.row(&first).await;
    let own = own_basic("web-single");
    let body = format!("grant_type=refresh_token&refresh_token={first}&token={first}");
    for path in ENDPOINTS {
        for types in [
            vec!["application/json"],
            vec!["text/plain"],
            vec!["multipart/form-data; boundary=x"],
            vec!["application/x-www-form-urlencoded; charset=utf-7"],
            vec!["application/x-www-form-urlencoded; charset=iso-8859-1"],
            vec!["application/x-www-form-urlencoded; charset=utf-8; x=y"],
            vec!["application/x-www-form-urlencoded; charset=utf-8; charset=utf-8"],
            vec!["application/x-www-form-urlencodedx"],
            vec![""],
            vec![],
            vec![FORM, FORM],
            vec![FORM, "application/json"],
        ] {
            let mut headers: Vec<_> = types.iter().map(|media_type| ("content-type", *media_type)).collect();
            headers.push(("authorization", &own));
            let reply = world.http().send(Method::POST, path, &headers, Body::from(body.clone())).await;
            refused(&reply, 400, "invalid_request", "malformed: ContentType");
        }
        let json = format!("{{\"grant_type\":\"refresh_token\",\"refresh_token\":\"{first}\",\"token\":1e400}}");
        let reply = world.http().post_raw(path, &json, "application/json", &[("authorization", &own)]).await;
        refused(&reply, 400, "invalid_request", "malformed: ContentType");
    }
    assert_eq!(world.row(&first).await, before);
    for media_type in [
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "application/x-www-form-urlencoded ; charset=\"utf-8\"",
        // RFC 9110 section 5.6.6: a parameter may be empty.
        "application/x-www-form-urlencoded;",
        "application/x-www-form-urlencoded; ; charset=utf-8 ;",
    ] {
        let _ = next(world.http().post_raw("/oauth2/token", &body, media_type, &[("authorization", &own)]).await);
    }
}

/// Check I5: characters that a parameter cannot hold: control characters, NUL, overlong and broken UTF-8, surrogates. The exact code
/// depends on the parameter; a 200 or a 5xx it never is, and nothing is consumed.
#[tokio::test]
async fn characters_that_cannot_be_there_are_refused() {
    let world = world().await;
    let first = world.first("phone").await;
    let before = world.row(&first).await;
    let bad = [
        "%00",
        "%0A",
        "%7F",
        "%80",
        "%FF",
        "%C0%80",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%C3%A4",
        "%E2%80%8B",
        "%F0%9F%A6%80",
    ];
    for bad in bad {
        for (name, status, error, reason) in [
            ("grant_type", 400, "invalid_request", "malformed: Characters(\"grant_type\")"),
            ("client_id", 400, "invalid_request", "malformed: Characters(\"client_id\")"),
            ("refresh_token", 400, "invalid_grant", "not_ours"),
            ("scope", 400, "invalid_scope", "malformed_scope"),
            ("resource", 400, "invalid_target", "malformed_target"),
        ] {
            let mut parts = vec![
                ("grant_type", "refresh_token".to_owned()),
                ("refresh_token", first.clone()),
                ("client_id", "phone".to_owned()),
            ];
            match parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, value)) => value.push_str(bad),
                None => parts.push((name, format!("a:read{bad}"))),
            }
            let body = parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
            let reply = world.http().post_raw("/oauth2/token", &body, FORM, &[]).await;
            refused(&reply, status, error, reason);
        }
    }
    for username in ["%00alice", "alice%0A", "%FF", "al%C0%80ice", "%ED%A0%80"] {
        let body = format!("grant_type=password&client_id=phone&username={username}&password=x");
        let reply = world.http().post_raw("/oauth2/token", &body, FORM, &[]).await;
        refused(&reply, 400, "invalid_request", "malformed: Characters(\"username\")");
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(world.refresh("phone", &first).await);
}

/// Percent-encoding that is none, at any endpoint.
#[tokio::test]
async fn broken_percent_encoding_is_refused() {
    let world = world().await;
    for path in ENDPOINTS {
        for body in
            ["%", "a=%", "a=%4", "a=%zz", "grant_type=refresh_token&refresh_token=%4g&token=x", "a=%u0041", "%=x"]
        {
            refused(&raw(&world, path, body).await, 400, "invalid_request", "malformed: Encoding");
        }
    }
}

/// Overlong parameters, each with its own code; the longest that may be, may be.
#[tokio::test]
async fn overlong_parameters_are_refused() {
    let world = world().await;
    let first = world.first("phone").await;
    let before = world.row(&first).await;
    let long = |count: usize| "a".repeat(count);
    let whole = |more: Vec<(&'static str, String)>| {
        let mut form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", first.clone()),
            ("client_id", "phone".to_owned()),
        ];
        form.retain(|(known, _)| more.iter().all(|(name, _)| name != known));
        form.extend(more);
        form
    };
    for (form, status, error, reason) in [
        (whole(vec![("grant_type", long(129))]), 400, "invalid_request", "malformed: Characters(\"grant_type\")"),
        (whole(vec![("grant_type", long(128))]), 400, "unsupported_grant_type", "unsupported_grant_type"),
        (whole(vec![("client_id", long(256))]), 400, "invalid_request", "malformed: Characters(\"client_id\")"),
        (whole(vec![("client_id", long(255))]), 401, "invalid_client", "unknown_client"),
        (whole(vec![("client_secret", long(60_000))]), 401, "invalid_client", "other_auth_method"),
        (whole(vec![("refresh_token", long(60_000))]), 400, "invalid_grant", "not_ours"),
        (whole(vec![("scope", long(4097))]), 400, "invalid_scope", "malformed_scope"),
        (whole(vec![("scope", "a ".repeat(2000))]), 400, "invalid_scope", "malformed_scope"),
        (
            whole(vec![("scope", (0..129).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" "))]),
            400,
            "invalid_scope",
            "malformed_scope",
        ),
        (whole(vec![("resource", format!("https://a/{}", long(503)))]), 400, "invalid_target", "malformed_target"),
    ] {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        refused(&world.http().post("/oauth2/token", &form, &[]).await, status, error, reason);
    }
    let form = [("grant_type", "password"), ("client_id", "phone"), ("username", "alice"), ("password", &long(1025))];
    let reply = world.http().post("/oauth2/token", &form, &[]).await;
    refused(&reply, 400, "invalid_request", "malformed: Characters(\"password\")");
    assert_eq!(world.row(&first).await, before);
}

/// Check I7: ten thousand parameters are too many, and so are 65.
#[tokio::test]
async fn too_many_parameters_are_refused() {
    let world = world().await;
    let first = world.first("web-single").await;
    let with = |count: usize| {
        let others: String = (0..count).map(|number| format!("&p{number}=")).collect();
        format!("grant_type=refresh_token&refresh_token={first}{others}")
    };
    for body in
        [with(63), with(5_000), "&a".repeat(10_000), "=".repeat(10_000) + &"&".repeat(10_000) + &"=&".repeat(10_000)]
    {
        let reply = raw(&world, "/oauth2/token", &body).await;
        refused(&reply, 400, "invalid_request", "malformed: TooMany");
    }
    let _ = next(raw(&world, "/oauth2/token", &with(62)).await);
}

/// Check I10: numbers that break parsers, where a number could be read or a text is wanted: refused as what they are.
#[tokio::test]
async fn strange_numbers_break_nothing() {
    let world = world().await;
    let first = world.first("phone").await;
    for number in [
        "9007199254740993",
        "-0",
        "1e400",
        "NaN",
        "-9223372036854775809",
        "18446744073709551616",
        "0x10",
        "1_000",
        "\u{661}",
    ] {
        for (name, error) in [
            ("refresh_token", "invalid_grant"),
            ("client_id", ""),
            ("scope", "invalid_scope"),
            ("resource", "invalid_target"),
            ("grant_type", ""),
        ] {
            let mut form =
                vec![("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("client_id", "phone")];
            form.retain(|(known, _)| *known != name);
            form.push((name, number));
            form.extend([("expires_in", number), ("max_age", number)]);
            let reply = world.http().post("/oauth2/token", &form, &[]).await;
            assert!(reply.status.is_client_error(), "{name}={number}: {}", reply.text());
            assert!(error.is_empty() || reply.json()["error"] == error, "{name}={number}: {}", reply.text());
        }
        let length = world
            .http()
            .send(Method::POST, "/oauth2/token", &[("content-type", FORM), ("idempotency-key", number)], Body::empty())
            .await;
        assert!(length.status.is_client_error());
    }
    let _ = next(world.refresh("phone", &first).await);
}

/// A body of 64 KiB is read, one byte more is 413, said before or found out.
#[tokio::test]
async fn a_body_has_a_limit() {
    let world = world().await;
    let first = world.first("web-single").await;
    let before = world.row(&first).await;
    let body = |length: usize| {
        let start = format!("grant_type=refresh_token&refresh_token={first}&token=x&p=");
        let fill = "a".repeat(length - start.len());
        start + &fill
    };
    let own = own_basic("web-single");
    for path in ENDPOINTS {
        let reply = raw(&world, path, &body(65_537)).await;
        refused(&reply, 413, "invalid_request", "malformed: TooLarge");
        // Without a length, in chunks.
        let text = body(65_537);
        let stream = Body::new(Chunks(text.as_bytes().chunks(1000).map(Bytes::copy_from_slice).collect()));
        let headers = [("content-type", FORM), ("authorization", own.as_str())];
        let reply = world.http().send(Method::POST, path, &headers, stream).await;
        refused(&reply, 413, "invalid_request", "malformed: TooLarge");
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(raw(&world, "/oauth2/token", &body(65_536)).await);
}

/// A body that comes in pieces, of unknown length.
struct Chunks(VecDeque<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// Check I9: a body of 100 MB is cut off at the limit without buffering: the answer comes while the body is still being sent, whether its
/// length was said or not, and what the server took in the meantime is what the sockets hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_are_cut_off() {
    let world = world().await;
    const WHOLE: usize = 100 * 1024 * 1024;
    for path in ENDPOINTS.into_iter().chain(["/oauth2/userinfo"]) {
        for head in [format!("content-length: {WHOLE}\r\n"), "transfer-encoding: chunked\r\n".to_owned()] {
            let address = world.base.trim_start_matches("http://");
            let mut socket = TcpStream::connect(address).await.expect("a connection");
            let (mut from, mut to) = socket.split();
            let start = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {FORM}\r\n{head}\r\n");
            let chunked = head.contains("chunked");
            let mut sent = 0;
            let sending = async {
                to.write_all(start.as_bytes()).await?;
                let data = [b'a'; 32 * 1024];
                while sent < WHOLE {
                    if chunked {
                        to.write_all(b"8000\r\n").await?;
                    }
                    to.write_all(&data).await?;
                    if chunked {
                        to.write_all(b"\r\n").await?;
                    }
                    sent += data.len();
                }
                Ok::<(), std::io::Error>(())
            };
            let mut answer = Vec::new();
            let reading = async {
                let mut piece = [0; 4096];
                while !String::from_utf8_lossy(&answer).contains("correlation_id") {
                    match from.read(&mut piece).await {
                        Ok(0) | Err(_) => break,
                        Ok(count) => answer.extend_from_slice(&piece[..count]),
                    }
                }
            };
            tokio::select! {
                // A connection that is closed under the sender is as good: the answer was sent before.
                broken = sending => assert!(broken.is_err(), "{path}: all was taken"),
                () = reading => {}
            }
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
            assert!(sent < 16 * 1024 * 1024, "{path}: {sent} bytes were taken");
        }
    }
    let _ = world.first("phone").await;
}

/// A client that sends half a request and goes consumes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_consumes_nothing() {
    let world = world().await;
    let first = world.first("phone").await;
    let before = world.row(&first).await;
    let address = world.base.trim_start_matches("http://");
    let body = format!("grant_type=refresh_token&client_id=phone&refresh_token={first}");
    for cut in [0, 20, body.len() - 1] {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: {address}\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        socket.write_all(&body.as_bytes()[..cut]).await.expect("sent");
        socket.shutdown().await.expect("closed");
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        assert!(!answer.contains(" 200 ") && !answer.contains(" 500 "), "{answer}");
    }
    assert_eq!(world.row(&first).await, before);
    let _ = next(world.refresh("phone", &first).await);
}

/// Law L11: reading and judging come before the write: a request that is wrong in its last parameter has changed nothing by its first.
#[tokio::test]
async fn what_is_wrong_last_undoes_nothing_because_nothing_was_done() {
    let world = world().await;
    let first = world.first("phone").await;
    let (before, commits) = (world.row(&first).await, world.watch.commits());
    for (name, value) in
        [("scope", "openid admin"), ("resource", "https://evil.example/"), ("scope", "\u{7f}"), ("client_secret", "x")]
    {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("client_id", "phone"), (name, value)];
        let reply = world.http().post("/oauth2/token", &form, &[]).await;
        assert!(reply.status.is_client_error(), "{}", reply.text());
    }
    assert_eq!(world.row(&first).await, before);
    assert_eq!(world.watch.commits(), commits + 2, "an event for each of the first two");
    let _ = next(world.refresh("phone", &first).await);
}
