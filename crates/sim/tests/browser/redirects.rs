//! RFC 9700 section 4.1, insufficient redirect URI validation, tried at length:
//!
//! - 4.1.3: "The complexity of implementing and managing pattern matching correctly obviously causes security issues. […] authorization
//!   servers MUST utilize exact string matching".

use std::collections::HashSet;

use sim::wire::World;

use super::support::{Chance, ask, assert_stopped, config_with, is_login, request_to};

const REGISTERED: [&str; 5] = [
    "https://app.example/cb",
    "https://app.example:8443/a/cb?x=1&y=%2F",
    "http://127.0.0.1/cb",
    "http://localhost:3000/cb",
    "com.example.app:/cb",
];

/// What attackers put before, behind and into a URI. Each has fooled somebody's parser.
const PIECES: [&str; 62] = [
    "@",
    "@@",
    "evil.example@",
    "@evil.example",
    "@evil.example/",
    "user:pass@",
    "%40evil.example",
    "\\",
    "\\\\",
    "\\@evil.example",
    "/\\evil.example",
    "%5C",
    "/",
    "//",
    "//evil.example/",
    "..",
    "/..",
    "/../",
    "/..;/",
    "..;/",
    "/./",
    "/%2e%2e/",
    "%2e",
    "%2E",
    "%2f",
    "%252f",
    "%252e%252e",
    "%00",
    "%0d%0a",
    "%09",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "+",
    "%20",
    "#",
    "#evil",
    "%23",
    "?",
    "?x=https://evil.example",
    "&",
    ";",
    ":",
    ":443",
    ":80",
    ":0",
    ":65536",
    ":+443",
    ":٤٤٣",
    ".",
    ".evil.example",
    "%E3%80%82",
    "。evil.example",
    "\u{2044}",
    "\u{ff0f}",
    "\u{ff20}evil.example",
    "\u{200b}",
    "\u{202e}",
    "*",
];

/// Whole URIs that are somebody else's, or nobody's.
const OTHERS: [&str; 44] = [
    "https://evil.example/cb",
    "https://app.example.evil.example/cb",
    "https://evilapp.example/cb",
    "https://app.example@evil.example/cb",
    "https://app.example:443@evil.example/cb",
    "https://a@b@app.example/cb",
    "https://app.example\\@evil.example/cb",
    "https:app.example/cb",
    "https:/app.example/cb",
    "https:///app.example/cb",
    "//app.example/cb",
    "/cb",
    "cb",
    "https://APP.example/cb",
    "https://app.example./cb",
    "https://app.example:443/cb",
    "https://app.example:/cb",
    "http://app.example/cb",
    "HTTPS://app.example/cb",
    "hTTps://app.example/cb",
    "https://xn--pp-6ia.example/cb",
    "https://\u{430}pp.example/cb",
    "https://app\u{3002}example/cb",
    "https://app.example/%63b",
    "https://[fe80::1%25eth0]/cb",
    "https://[::ffff:127.0.0.1]/cb",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://app.example/cb%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "DATA:text/html;base64,PHNjcmlwdD4=",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://app.example/x",
    "about:blank",
    "view-source:https://app.example/cb",
    "intent://app.example#Intent;end",
    "com.example.app:/cb/",
    "com.example.app://cb",
    "COM.example.app:/cb",
    "urn:ietf:wg:oauth:2.0:oob",
    "http://127.0.0.1",
    "null",
];

fn mutated(chance: &mut Chance) -> String {
    let mut uri: Vec<char> = chance.pick(&REGISTERED).chars().collect();
    for _ in 0..=chance.below(3) {
        let at = chance.below(uri.len() + 1);
        match chance.below(9) {
            0..=3 => {
                let piece = chance.pick(&PIECES).chars();
                uri.splice(at..at, piece);
            }
            4 => uri.extend(chance.pick(&PIECES).chars()),
            5 if at < uri.len() => {
                uri[at] = if uri[at].is_ascii_lowercase() { uri[at].to_ascii_uppercase() } else { '_' }
            }
            6 if at < uri.len() => {
                uri.remove(at);
            }
            7 if at < uri.len() => {
                // Percent-encoded once, or twice.
                let percent = if chance.below(2) == 0 { "%" } else { "%25" };
                let encoded = format!("{percent}{:02x}", u32::from(uri[at]) & 0xFF);
                uri.splice(at..=at, encoded.chars());
            }
            8 => uri.extend("a".repeat(chance.below(3000)).chars()),
            _ => uri.truncate(at),
        }
    }
    uri.into_iter().collect()
}

/// Whether RFC 8252 section 7.3 lets it pass, written down a second time and otherwise than in the server.
fn is_port_of_loopback(uri: &str) -> bool {
    let port = uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/cb"));
    port.is_some_and(|port| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && (1..=65_535).contains(&port.parse::<u32>().unwrap_or(0))
    })
}

async fn world() -> World {
    let uris = REGISTERED.map(|uri| format!("{uri:?}")).join(", ");
    World::with(&config_with(&format!(
        "id = \"target\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\"]\nredirect_uris = [{uris}]"
    )))
    .await
}

/// Check R1: 6,000 different mutations of registered URIs, and 44 whole ones: equal bytes, or an error page; never a redirect elsewhere.
#[tokio::test]
async fn a_redirect_uri_is_equal_byte_by_byte_or_nobody_is_redirected() {
    let world = world().await;
    let mut chance = Chance::of(0x5245_4752_414E_5401);
    let mut tried: HashSet<String> = OTHERS.iter().map(|&uri| uri.to_owned()).collect();
    while tried.len() < 6_000 + OTHERS.len() {
        tried.insert(mutated(&mut chance));
    }
    let (mut stopped, mut let_through) = (0, 0);
    for uri in &tried {
        let reply = ask(&world, &format!("{}&prompt=none", request_to("target", uri))).await;
        if REGISTERED.contains(&uri.as_str()) || is_port_of_loopback(uri) {
            assert_eq!(reply.status, 303, "{uri}");
            let separator = if uri.contains('?') { '&' } else { '?' };
            assert!(reply.header("location").starts_with(&format!("{uri}{separator}error=login_required")), "{uri}");
            let_through += 1;
        } else if uri.is_empty() {
            assert_stopped(&reply, "which of five?");
        } else if request_to("target", uri).len() > 8 * 1024 {
            assert!(reply.status.is_client_error() && reply.header("location").is_empty(), "{uri}");
            stopped += 1;
        } else {
            assert_stopped(&reply, uri);
            stopped += 1;
        }
    }
    assert!(stopped >= 5_000 && let_through > 0, "{stopped} stopped, {let_through} let through");
}

/// Check R1: the same bytes as registered, and in one spelling only of the query: what is decoded once is compared, never decoded twice.
#[tokio::test]
async fn a_registered_uri_is_taken_as_it_is() {
    let world = world().await;
    for uri in REGISTERED {
        assert!(is_login(&ask(&world, &request_to("target", uri)).await), "{uri}");
        let twice = regrant_server::form::encode(uri);
        assert_stopped(&ask(&world, &request_to("target", &twice)).await, &twice);
    }
}
