//! Consent. RFC 6749 sections 4.1 and 10.2, RFC 8252 section 8.6:
//!
//! - 6749 10.2: "The authorization server SHOULD NOT process repeated authorization requests automatically (without active resource owner
//!   interaction) without authenticating the client or relying on other measures to ensure that the repeated request comes from the
//!   original client and not an impersonator."
//! - 8252 8.6: "unless the identity of the client can be proven, the request SHOULD be processed as if no previous request had been
//!   approved. Measures such as claimed "https" scheme redirects MAY be accepted by authorization servers as identity proof."
//! - 6749 10.13, 9700 4.11: nobody decides for the user.

use regrant_server::config::ClientDefinition;
use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, CONFIG, SECRET, USER, World, authorization};

use super::support::{assert_denied, config_with, is_consent, is_login, logged_in, request_to};

/// Check W10: the page names the client, where the answer goes, what is asked for in words and by name, where, and for how long.
#[tokio::test]
async fn the_page_says_who_wants_what_where_and_for_how_long() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let page = browser.get(&authorization("web", &[])).await.text();
    for part in [
        "Web App",
        "app.example",
        USER,
        "Read your things",
        "Change your things",
        "See your files",
        "Know who you are",
        "<bdi>read</bdi>",
        "https:&#x2f;&#x2f;api.example&#x2f;",
        "https:&#x2f;&#x2f;files.example&#x2f;",
        "30 days without use, 365 days at most",
        "id=\"consent-allow\"",
        "id=\"consent-deny\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let places =
        ["Know who you are", "Read your things", "Change your things", "See your files"].map(|part| page.find(part));
    assert!(places.is_sorted(), "what is always there, then the order of the file: {places:?}");
    let page = browser.get(&authorization("once", &[])).await.text();
    assert!(page.contains("A short time. It cannot renew this by itself.") && !page.contains("Change your things"));
}

/// What a user allowed a client that was removed is not for another one of its name; that of a client which is changed stays.
#[tokio::test]
async fn another_client_of_the_name_asks_for_itself() {
    let world = World::new().await;
    let admin = world.app.admin();
    let of = |uri: &str| ClientDefinition {
        id: "shop".to_owned(),
        secret_hash: Some(regrant_server::config::hash_text(&regrant_core::one_time::client_secret_hash(SECRET))),
        redirect_uris: vec![uri.to_owned()],
        scopes: vec!["read".to_owned()],
        ..ClientDefinition::default()
    };
    let other = "https://other.example/cb";
    let ask = |uri: &str| authorization("shop", &[("scope", "read"), ("redirect_uri", uri)]);
    let _ = admin.add_client(of(CALLBACK)).await.expect("added");
    let mut browser = logged_in(&world, USER).await;
    browser.authorize_as(&ask(CALLBACK), USER).await;
    let _ = admin.put_client(of(other)).await.expect("changed");
    assert_eq!(browser.get(&ask(other)).await.status, 303, "it is the same client");
    world.advance(std::time::Duration::from_secs(1));
    admin.remove_client("shop").await.expect("removed");
    let _ = admin.add_client(of(other)).await.expect("added");
    assert!(is_consent(&browser.get(&ask(other)).await));
    browser.authorize_as(&ask(other), USER).await;
    assert_eq!(browser.get(&ask(other)).await.status, 303);
}

#[tokio::test]
async fn consent_is_remembered_for_the_client_and_the_scope() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let (read, both) = (authorization("web", &[("scope", "read")]), authorization("web", &[("scope", "read write")]));
    browser.authorize_as(&read, USER).await;
    assert_eq!(browser.get(&read).await.status, 303, "not asked twice");
    assert!(is_consent(&browser.get(&both).await), "asked again when the scope grows");
    assert!(
        is_consent(&browser.get(&authorization("web-single", &[("scope", "read")])).await),
        "another client asks for itself"
    );
    browser.authorize_as(&both, USER).await;
    assert_eq!(browser.get(&read).await.status, 303, "less than was allowed");
    let mut elsewhere = logged_in_without_asking(&world, USER, &both).await;
    assert_eq!(elsewhere.get(&both).await.status, 303, "remembered for the user, not for the browser");
    world.add_user("bob").await;
    let mut bob = logged_in(&world, "bob").await;
    assert!(is_consent(&bob.get(&read).await), "another user is asked");
}

async fn logged_in_without_asking(world: &World, name: &str, path: &str) -> sim::wire::Browser {
    let mut browser = world.browser();
    let page = browser.get(path).await;
    assert!(is_login(&page));
    browser.log_in(&page, name).await;
    browser
}

/// One who asks for this and then for that is not asked about this again: both were allowed.
#[tokio::test]
async fn what_was_allowed_stays_allowed_when_something_else_is() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let api = ("resource", "https://api.example/");
    let (read, write) =
        (authorization("web", &[("scope", "read"), api]), authorization("web", &[("scope", "write"), api]));
    browser.authorize_as(&read, USER).await;
    assert!(is_consent(&browser.get(&write).await));
    browser.authorize_as(&write, USER).await;
    assert_eq!(browser.get(&read).await.status, 303, "read was allowed, and nobody took it back");
    assert_eq!(browser.get(&authorization("web", &[("scope", "read write"), api])).await.status, 303);
}

/// Scopes allowed at one place are not allowed at another.
#[tokio::test]
async fn consent_for_one_resource_is_none_for_another() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let (api, files) = (("resource", "https://api.example/"), ("resource", "https://files.example/"));
    browser.authorize_as(&authorization("web", &[("scope", "openid read"), api]), USER).await;
    browser.authorize_as(&authorization("web", &[("scope", "openid files"), files]), USER).await;
    assert!(is_consent(&browser.get(&authorization("web", &[("scope", "openid read"), files])).await));
    // Where nothing of it means anything there, nobody is asked.
    let meaningless = browser.get(&authorization("web", &[("scope", "read"), files])).await;
    assert_eq!(parameter(&meaningless.header("location"), "error").as_deref(), Some("invalid_scope"));
    assert!(is_consent(&browser.get(&authorization("web", &[("scope", "read files"), api, files])).await));
}

#[tokio::test]
async fn a_denial_grants_nothing_and_is_not_remembered() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let page = browser.get(&authorization("web", &[])).await;
    assert_denied(&browser.submit(&page, &[("decision", "deny")]).await, "access_denied");
    assert!(is_consent(&browser.get(&authorization("web", &[])).await));
    let page = browser.get(&authorization("web", &[])).await;
    assert_denied(&browser.submit(&page, &[]).await, "access_denied");
}

/// Check W12: nobody is passed through without being asked, but by the operator's word: `skip_consent`.
#[tokio::test]
async fn only_a_client_that_the_operator_trusts_is_not_asked_for() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    for client in ["web", "web-single", "phone", "phone-strict", "once"] {
        assert!(is_consent(&browser.get(&authorization(client, &[])).await), "{client}");
    }
    assert!(parameter(&browser.get(&authorization("opaque", &[])).await.header("location"), "code").is_some());
}

/// Check W12: RFC 8252 section 8.6: any program on the device can call itself this client, so the user is asked each time; where only the
/// client's own site can receive the answer, once is enough.
#[tokio::test]
async fn a_client_that_anybody_could_be_is_asked_for_each_time() {
    let world = World::with(&config_with(
        "id = \"native\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\"]\n\
         redirect_uris = [\"http://127.0.0.1/cb\", \"http://localhost:3000/cb\", \"com.example.app:/cb\", \"https://app.example/cb\"]",
    ))
    .await;
    let mut browser = logged_in(&world, USER).await;
    for uri in ["http://127.0.0.1:4711/cb", "http://localhost:3000/cb", "com.example.app:/cb"] {
        browser.authorize_as(&request_to("native", uri), USER).await;
        assert!(is_consent(&browser.get(&request_to("native", uri)).await), "{uri}");
        let silent = browser.get(&format!("{}&prompt=none", request_to("native", uri))).await;
        assert_eq!(parameter(&silent.header("location"), "error").as_deref(), Some("consent_required"));
    }
    assert_eq!(browser.get(&request_to("native", CALLBACK)).await.status, 303);
}

/// Check M1: what a client may no longer have it does not get by a consent of yesterday.
#[tokio::test]
async fn consent_gives_no_more_than_the_client_may_have() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let path = authorization("web", &[("scope", "read write")]);
    browser.authorize_as(&path, USER).await;
    let page = browser.get(&authorization("web", &[("prompt", "consent"), ("scope", "read write")])).await;
    assert!(is_consent(&page));
    let config = CONFIG.replacen("scopes = [\"openid\", \"read\", \"write\", \"files\"]", "scopes = [\"read\"]", 1);
    let world = world.restart_with(Some(&config)).await;
    assert_denied(&browser.get(&path).await, "invalid_scope");
    assert_denied(&browser.submit(&page, &[("decision", "allow")]).await, "invalid_scope");
    assert_eq!(browser.get(&authorization("web", &[("scope", "read")])).await.status, 303);
    drop(world);
}
