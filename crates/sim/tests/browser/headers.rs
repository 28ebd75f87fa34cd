//! The headers of every page, by walking all of them: RFC 9700 section 4.16 and what browsers are told besides.
//!
//! - RFC 9700 4.16: "Authorization servers MUST prevent clickjacking attacks."
//! - RFC 6749 10.13: "authorization servers SHOULD […] use the (non-standard) "x-frame-options" header".

use std::collections::BTreeMap;

use sim::wire::{PASSWORD, Reply, USER, World, authorization};

use super::support::{is_consent, is_login};

/// Paths as the router has them, with what they answer a browser. A new route has to be added here, and so to be thought about.
const ROUTES: [(&str, &str); 30] = [
    ("/reasons", "page"),
    ("/oauth2/authorize", "page"),
    ("/login", "page"),
    ("/consent", "page"),
    ("/select", "page"),
    ("/interaction", "page"),
    ("/logout", "page"),
    ("/account", "page"),
    ("/account/history", "page"),
    ("/device", "page"),
    ("/oauth2/logout", "page"),
    ("/", "page"),
    ("/oauth2/token", "json"),
    ("/oauth2/revoke", "json"),
    ("/oauth2/introspect", "json"),
    ("/oauth2/global-revoke", "json"),
    ("/oauth2/userinfo", "json"),
    ("/oauth2/register", "json"),
    ("/oauth2/register/{id}", "json"),
    ("/oauth2/jwks", "json"),
    ("/oauth2/device_authorization", "json"),
    // Its own test: `sessions/session_management.rs`.
    ("/oauth2/check-session", "frame"),
    ("/oauth2/revocations", "json"),
    ("/oauth2/status-lists/{name}", "json"),
    ("/.well-known/oauth-authorization-server", "json"),
    ("/.well-known/openid-configuration", "json"),
    ("/assets/{file}", "asset"),
    ("/healthz", "json"),
    ("/readyz", "json"),
    ("fallback", "page"),
];

#[test]
fn every_route_is_known_here() {
    let router = include_str!("../../../server/src/router.rs");
    let mut unknown = Vec::new();
    for route in router.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap_or_default();
        let by_name = route.starts_with("&base") || route.starts_with("&at(alias)");
        let inserted = path.strip_suffix("{base}").unwrap_or(path);
        if !by_name && !ROUTES.iter().any(|(known, _)| *known == inserted) {
            unknown.push(path);
        }
    }
    assert_eq!(unknown, Vec::<&str>::new(), "a route without a test of its headers");
    assert!(router.split(".route(").count() > 15, "the router is written as before");
}

/// Every page that a browser can be shown, each by the way that leads there.
async fn every_page(world: &World, base: &str) -> Vec<(&'static str, Reply)> {
    let at = |path: &str| format!("{base}{path}");
    let start = at(&authorization("web", &[]));
    let mut browser = world.browser();
    let mut pages = vec![
        ("an unknown client", browser.get(&at("/oauth2/authorize?client_id=nobody")).await),
        ("no parameters", browser.get(&at("/oauth2/authorize")).await),
        ("a POST that is no form", browser.post(&at("/oauth2/authorize"), &[("client_id", "nobody")]).await),
        ("nothing there", browser.get(&at("/nowhere")).await),
        ("a folder that is none", browser.get(&at("/assets/")).await),
        ("the reasons", browser.get(&at("/reasons")).await),
        ("home", browser.get(&at("/")).await),
        ("logout of nobody", browser.get(&at("/logout")).await),
        ("a device of nobody", browser.get(&at("/device")).await),
        ("a logout that is asked for", browser.get(&at("/oauth2/logout")).await),
        ("a wrong logout", browser.get(&at("/oauth2/logout?id_token_hint=x")).await),
        ("an interaction that is none", browser.get(&at("/interaction?verifier=x")).await),
        ("a logout by POST", browser.post(&at("/oauth2/logout"), &[("state", "x")]).await),
        ("a form without fields", browser.post(&at("/login"), &[]).await),
        ("a form that is none", world.http().post_raw(&at("/login"), "{}", "application/json", &[]).await),
        ("a consent that is none", world.http().post_raw(&at("/consent"), "{}", "application/json", &[]).await),
        ("a logout that is none", world.http().post_raw(&at("/logout"), "{}", "application/json", &[]).await),
    ];
    let login = browser.get(&start).await;
    assert!(is_login(&login));
    let wrong = browser.submit(&login, &[("username", USER), ("password", "wrong")]).await;
    assert_eq!(wrong.status, 401);
    let logged_in = browser.submit(&login, &[("username", USER), ("password", PASSWORD)]).await;
    let consent = browser.follow(logged_in.clone()).await;
    assert!(is_consent(&consent));
    pages.extend([("login", login), ("a wrong password", wrong), ("after the login", logged_in)]);
    pages.push(("a foreign consent", browser.post(&at("/consent"), &[("csrf", "x"), ("decision", "allow")]).await));
    pages.push(("denied", browser.submit(&consent, &[("decision", "deny")]).await));
    pages.push(("allowed", browser.submit(&consent, &[("decision", "allow")]).await));
    pages.push(("consent", consent));
    pages.push(("an account", browser.get(&format!("{start}&prompt=select_account")).await));
    pages.push(("a foreign choice", browser.post(&at("/select"), &[("account", "this")]).await));
    pages.push(("home of somebody", browser.get(&at("/")).await));
    pages.push(("a device", browser.get(&at("/device")).await));
    pages.push(("a wrong code", browser.get(&at("/device?user_code=x")).await));
    pages.push(("a foreign answer", browser.post(&at("/device"), &[("decision", "allow")]).await));
    pages.push(("a foreign logout", browser.post(&at("/logout"), &[]).await));
    let logout = browser.get(&at("/logout")).await;
    pages.push(("logged out", browser.submit(&logout, &[]).await));
    pages.push(("logout", logout));
    pages
}

fn directives(policy: &str) -> BTreeMap<&str, Vec<&str>> {
    policy
        .split(';')
        .filter_map(|directive| {
            let mut words = directive.split_whitespace();
            Some((words.next()?, words.collect()))
        })
        .collect()
}

/// Checks W1, W2, W3: no script (but on the page of `openid/form_post.rs`), nothing inline, nothing from elsewhere, no frame, no sniffing, no referrer, on every page and redirect,
/// whatever went wrong.
#[tokio::test]
async fn every_page_has_all_headers() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        for (name, page) in every_page(&world, base).await {
            let policies = page.headers.get_all("content-security-policy").iter().count();
            assert_eq!(policies, 1, "{name}");
            let policy = page.header("content-security-policy");
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{name}: {policy}");
            let directives = directives(&policy);
            assert_eq!(directives["default-src"], ["'none'"], "{name}");
            assert_eq!(directives["frame-ancestors"], ["'none'"], "{name}");
            assert_eq!(directives["base-uri"], ["'none'"], "{name}");
            assert_eq!(directives["style-src"], ["'self'"], "{name}");
            assert!(!directives.contains_key("script-src"), "default-src forbids it: {name}");
            assert_eq!(directives["form-action"][0], "'self'", "{name}");
            for (header, value) in [
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("content-type", "text/html; charset=utf-8"),
            ] {
                assert_eq!(page.header(header), value, "{name}: {header}");
            }
            assert_eq!(page.header("access-control-allow-origin"), "", "{name}");
        }
    }
}

/// Check W1: a form may lead here and to the one client that asks, and to nobody else.
#[tokio::test]
async fn a_form_leads_to_the_client_that_asks() {
    let world = World::with(&super::support::config_with(
        "id = \"native\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\"]\n\
         redirect_uris = [\"http://127.0.0.1/cb\", \"http://[::1]/cb\", \"com.example.app:/cb\", \"https.app://x;sandbox/cb\", \
         \"https://app.example:8443/cb?a;b\"]",
    ))
    .await;
    // Schemes: where the client leads the browser on from its callback is not ours to say, and browsers hold that to the policy, too.
    for (uri, sources) in [
        ("http://127.0.0.1:4711/cb", ["'self'", "http:", "https:"].as_slice()),
        ("http://[::1]:4711/cb", &["'self'", "http:", "https:"]),
        ("com.example.app:/cb", &["'self'", "com.example.app:"]),
        ("https.app://x;sandbox/cb", &["'self'", "https.app:"]),
        ("https://app.example:8443/cb?a;b", &["'self'", "https:"]),
    ] {
        let mut browser = world.browser();
        let login = browser.get(&super::support::request_to("native", uri)).await;
        let consent = browser.log_in(&login, USER).await;
        for page in [&login, &consent] {
            let policy = page.header("content-security-policy");
            assert_eq!(directives(&policy)["form-action"], sources, "{policy}");
        }
    }
}

/// No browser posts a form to an application of its machine: the client hears so by a redirect.
#[tokio::test]
async fn a_form_is_not_posted_to_a_private_use_scheme() {
    let world = World::with(&super::support::config_with(
        "id = \"native\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\"]\n\
         redirect_uris = [\"com.example.app:/cb\"]",
    ))
    .await;
    let request = super::support::request_to("native", "com.example.app:/cb");
    let reply = world.browser().get(&format!("{request}&response_mode=form_post")).await;
    let location = reply.header("location");
    assert!(reply.status == 303 && location.starts_with("com.example.app:/cb?error=invalid_request"), "{location}");
}

/// A host that holds a `;` would write directives of its own into the policy: it cannot be registered.
#[test]
fn no_registered_host_can_write_into_the_policy() {
    for host in ["app.example;script-src", "app.example,x", "app.example'", "*.example", "a$b", "app.example!"] {
        let config = super::support::config_with(&format!(
            "id = \"odd\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://{host}/cb\"]"
        ));
        let config = config.replace("HASH", &format!("sha256:{}", "0".repeat(64)));
        assert!(regrant_server::Config::parse(&config, "test.toml", std::path::Path::new(".")).is_err(), "{host}");
    }
}

/// The style sheet and the icon are the only things a page loads; both are there, and are what they say.
#[tokio::test]
async fn what_a_page_loads_is_there() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        let home = super::support::ask(&world, &format!("{base}/")).await.text().replace("&#x2f;", "/");
        let style = home
            .split("rel=\"stylesheet\" href=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a style sheet");
        for (path, media_type) in
            [(style, "text/css; charset=utf-8"), (&format!("{base}/assets/favicon.svg"), "image/svg+xml")]
        {
            let reply = super::support::ask(&world, path).await.expect_status(200);
            assert_eq!(reply.header("content-type"), media_type);
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            assert!(reply.header("content-security-policy").starts_with("default-src 'none'"));
        }
    }
}
