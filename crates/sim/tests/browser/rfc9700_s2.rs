//! RFC 9700 section 2, best practices, of the authorization endpoint:
//!
//! - 2.1: "authorization servers MUST utilize exact string matching except for port numbers in localhost redirection URIs of native apps".
//! - 2.1: "Clients and authorization servers MUST NOT expose URLs that forward the user's browser to arbitrary URIs obtained from a query
//!   parameter (open redirectors)".
//! - 2.1.1: "Authorization servers MUST support PKCE", "Public clients MUST use PKCE".
//! - 2.1.2: "clients SHOULD NOT use the implicit grant".
//! - 2.6: "Authorization servers […] MUST NOT support CORS at the authorization endpoint".

use sim::wire::{CALLBACK, USER, World, authorization};

use super::support::{ask, assert_stopped, logged_in};

/// Check R13: no parameter of any of our pages forwards the browser: not `next`, not a language, not an error's.
#[tokio::test]
async fn no_page_forwards_the_browser_elsewhere() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let evil = "https%3A%2F%2Fevil.example%2F";
    for name in [
        "next",
        "return_to",
        "returnTo",
        "redirect",
        "redirect_url",
        "redirect_uri",
        "url",
        "continue",
        "goto",
        "target",
        "post_logout_redirect_uri",
        "ui_locales",
        "login_hint",
        "error_uri",
        "request",
        "RelayState",
    ] {
        for path in ["/", "/logout", "/login", "/consent", "/nowhere", "/oauth2/authorize"] {
            let reply = browser.get(&format!("{path}?{name}={evil}")).await;
            assert_eq!(reply.header("location"), "", "{path}?{name}");
            assert!(!reply.text().contains("href=\"https:&#x2f;&#x2f;evil"), "{path}?{name}");
        }
        let page = browser.get("/logout").await;
        let hidden = sim::wire::browser::form(&page.text()).hidden;
        let mut parameters: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        parameters.push((name, "https://evil.example/"));
        let reply = browser.post("/logout", &parameters).await;
        // The page has a field of that name, and none may be there twice.
        let expected = if name == "request" { 400 } else { 200 };
        assert_eq!((reply.status.as_u16(), reply.header("location")), (expected, String::new()), "{name}");
    }
}

/// Check R13: paths that other parsers take for a host are not found, and not normalised by a redirect.
#[tokio::test]
async fn no_path_is_normalised_by_a_redirect() {
    let world = World::at_path("/op").await;
    for target in [
        "//evil.example/",
        "//evil.example/..",
        "/\\evil.example",
        "/%2f%2fevil.example",
        "/op//evil.example/",
        "/op/..//evil.example",
        "/;@evil.example",
        "/op",
    ] {
        let answer = super::support::raw_get(&world, target.as_bytes(), "").await;
        assert_eq!(super::support::raw_header(&answer, "location"), None, "{target}: {answer}");
    }
}

/// Check R13: what the login leads to is the request of the page that was shown, and nothing that a form brings along.
#[tokio::test]
async fn the_login_leads_back_to_its_own_request() {
    let world = World::new().await;
    for request in [
        "//evil.example",
        "https://evil.example/",
        "\r\nLocation: https://evil.example",
        "@evil.example",
        "/../..//evil.example",
        ".evil.example",
        "#x",
    ] {
        let mut browser = world.browser();
        let page = browser.get(&authorization("web", &[])).await;
        let form = sim::wire::browser::form(&page.text());
        let csrf =
            form.hidden.iter().find(|(name, _)| name == "csrf").map(|(_, value)| value.clone()).expect("a token");
        let parameters =
            [("request", request), ("csrf", csrf.as_str()), ("username", USER), ("password", sim::wire::PASSWORD)];
        let reply = browser.post("/login", &parameters).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, String::new()), "{request}");
    }
}

/// An attacker's own registered client gets no more than its own redirect URI: a mix of two clients' values is a page.
#[tokio::test]
async fn one_clients_redirect_uri_is_not_anothers() {
    let world = World::with(&super::support::config_with(
        "id = \"other\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://other.example/cb\"]\ngrant_types = [\"authorization_code\"]",
    ))
    .await;
    assert_stopped(&ask(&world, &super::support::request_to("web", "https://other.example/cb")).await, "another's");
    assert_stopped(&ask(&world, &super::support::request_to("other", CALLBACK)).await, "another's");
}
