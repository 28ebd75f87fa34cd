//! Values of others on our pages: RFC 6749 section 10.14.
//!
//! - "The authorization server and client MUST sanitize (and validate when possible) any value received -- in particular, the value of the
//!   "state" and "redirect_uri" parameters."
//!
//! The templates are tried with 10,000 payloads where they are written (`pages.rs`); here some hundred go the real way, by HTTP.

use sim::wire::browser::parameter;
use sim::wire::{CONFIG, USER, World, authorization};

use super::support::{Chance, is_consent, is_login, logged_in};

const PIECES: [&str; 26] = [
    "\"",
    "'",
    "`",
    ">",
    "\">",
    "'>",
    "</title>",
    "</form>",
    "</main>",
    "<script>alert(1)</script>",
    "<ScRiPt/x>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<base href=//evil.example>",
    "<form action=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<!--",
    "-->",
    " onfocus=alert(1) autofocus x=",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "\u{2028}",
    "＜script＞",
];

fn payload(chance: &mut Chance) -> String {
    (0..=chance.below(5)).map(|_| chance.pick(&PIECES)).collect()
}

/// The tags of a page, each with the names of its attributes: what a payload must not change. Reads HTML as a browser does, and panics
/// where a browser would have to guess.
fn skeleton(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut tag = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            let (at, char) = chars.next().unwrap_or_else(|| panic!("a tag without end: {rest:.60}"));
            match char {
                '>' => break at,
                '"' => {
                    tag.push_str("\"\"");
                    chars.find(|(_, char)| *char == '"').expect("a closing quote");
                }
                '<' | '\'' | '`' => panic!("a {char} within a tag: {rest:.60}"),
                _ => tag.push(char),
            }
        };
        tags.push(tag);
        rest = &rest[end + 1..];
    }
    tags
}

fn assert_unchanged(page: &str, harmless: &[String], payload: &str) {
    assert_eq!(skeleton(page), harmless, "{payload:?}");
    assert!(!page.contains("<script") && !page.contains("onerror=alert(1)>"), "{payload:?}");
}

/// Check W15: `state` on the login and the consent page, and back at the client as it was.
#[tokio::test]
async fn a_hostile_state_stays_text() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let path = |state: &str| authorization("web", &[("state", state)]);
    let login = skeleton(&world.browser().get(&path("x")).await.text());
    let consent = skeleton(&browser.get(&path("x")).await.text());
    let mut chance = Chance::of(15);
    for _ in 0..120 {
        let payload = payload(&mut chance);
        let page = world.browser().get(&path(&payload)).await;
        assert!(is_login(&page));
        assert_unchanged(&page.text(), &login, &payload);
        let page = browser.get(&path(&payload)).await;
        assert!(is_consent(&page));
        assert_unchanged(&page.text(), &consent, &payload);
        let answer = browser.submit(&page, &[("decision", "deny")]).await;
        assert_eq!(parameter(&answer.header("location"), "state").as_deref(), Some(payload.as_str()));
    }
}

/// Check W15: the request need not be decoded to be dangerous: the page carries it as it was sent, raw quotes and all.
#[tokio::test]
async fn a_raw_query_stays_text() {
    let world = World::new().await;
    let harmless = skeleton(&world.browser().get(&authorization("web", &[])).await.text());
    for raw in [
        "\"><script>alert(1)</script>",
        "'><svg/onload=alert(1)>",
        "\"onfocus=alert(1)autofocus=\"",
        "</form>",
        "`${7}`",
    ] {
        let target = format!("{}&x={raw}", authorization("web", &[]));
        let answer = super::support::raw_get(&world, target.as_bytes(), "").await;
        if let Some((head, body)) = answer.split_once("\r\n\r\n")
            && head.starts_with("HTTP/1.1 200")
        {
            // Behind the chunk's length, if any.
            let body = &body[body.find('<').unwrap_or(0)..];
            assert_unchanged(body, &harmless, raw);
        } else {
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
    }
}

/// Check W15: what was typed as a username, on the page that says that it was wrong.
#[tokio::test]
async fn a_hostile_username_stays_text() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let harmless = browser.submit(&page, &[("username", "x"), ("password", "x")]).await;
    let harmless = skeleton(&harmless.text());
    let mut chance = Chance::of(16);
    for _ in 0..60 {
        let payload: String = payload(&mut chance).chars().take(80).collect();
        let reply = browser.submit(&page, &[("username", &payload), ("password", "x")]).await;
        assert_eq!(reply.status, 401);
        assert_unchanged(&reply.text(), &harmless, &payload);
    }
}

/// Check W15: error pages show nothing of what was sent: not the client, not the URI, not the path, not a header.
#[tokio::test]
async fn an_error_page_reflects_nothing() {
    let world = World::new().await;
    let http = world.http();
    let harmless = skeleton(&http.get("/oauth2/authorize", &[]).await.text());
    let mut chance = Chance::of(17);
    for _ in 0..120 {
        let payload = payload(&mut chance);
        let encoded = regrant_server::form::encode(&payload);
        for path in [
            authorization("web", &[("client_id", &payload)]),
            authorization("web", &[("redirect_uri", &payload)]),
            format!("/oauth2/authorize?{encoded}"),
            format!("/{encoded}"),
            format!("/assets/{encoded}?{encoded}"),
        ] {
            let reply = http.get(&path, &[("user-agent", "\"><script>"), ("referer", "<script>")]).await;
            assert!(reply.status.is_client_error(), "{path}");
            assert_unchanged(&reply.text(), &harmless, &payload);
            let text = reply.text();
            assert!(!text.contains("alert(1)") && !text.contains("evil.example"), "{payload}");
        }
        let reply =
            http.post("/consent", &[("csrf", &payload), ("decision", &payload), ("request", &payload)], &[]).await;
        assert!(!reply.text().contains("alert(1)"), "{payload}");
    }
}

/// Check W15: a scope or a resource that is not ours comes back in no page and in no description.
#[tokio::test]
async fn a_hostile_scope_comes_back_nowhere() {
    let world = World::new().await;
    let mut chance = Chance::of(18);
    for _ in 0..60 {
        let payload = payload(&mut chance);
        for name in
            ["scope", "resource", "prompt", "response_type", "code_challenge", "code_challenge_method", "response_mode"]
        {
            let reply = super::support::ask(&world, &authorization("web", &[(name, &payload)])).await;
            let place = reply.header("location") + &reply.text();
            let known = name == "prompt" && is_login(&reply);
            assert!(known || !place.contains("alert"), "{name}: {place}");
        }
    }
}

/// Check W15: names that the operator chose: of a client and of what a scope means. They too are text.
#[tokio::test]
async fn a_hostile_name_stays_text() {
    let name = "<script>alert(1)</script>\\\"'><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}";
    let config = CONFIG.replacen("name = \"Web App\"", &format!("name = \"{name}\""), 1);
    let config = config.replacen("description = \"Read your things\"", &format!("description = \"{name}\""), 1);
    let (harmless, hostile) = (World::new().await, World::with(&config).await);
    let mut pages = Vec::new();
    for world in [&harmless, &hostile] {
        let mut browser = world.browser();
        let login = browser.get(&authorization("web", &[])).await;
        let consent = browser.log_in(&login, USER).await;
        assert!(is_login(&login) && is_consent(&consent));
        pages.push([skeleton(&login.text()), skeleton(&consent.text())]);
        assert!(!consent.text().contains("<img src=x"));
        assert!(world.base == harmless.base || consent.text().contains("{{ 7 * 7 }}"), "it is shown as it was written");
    }
    assert_eq!(pages[0], pages[1]);
}
