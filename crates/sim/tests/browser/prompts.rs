//! `prompt`: OpenID Connect Core section 3.1.2.1.
//!
//! - "none: The Authorization Server MUST NOT display any authentication or consent user interface pages."
//! - "login: The Authorization Server SHOULD prompt the End-User for reauthentication."
//! - "consent: The Authorization Server SHOULD prompt the End-User for consent before returning information to the Client."
//! - "If this parameter contains none with any other value, an error is returned."

use sim::wire::browser::parameter;
use sim::wire::{USER, World, authorization};

use super::support::{ask, assert_denied, is_consent, is_login, logged_in};

const NONE: (&str, &str) = ("prompt", "none");

#[tokio::test]
async fn none_shows_no_page() {
    let world = World::new().await;
    assert_denied(&ask(&world, &authorization("web", &[NONE])).await, "login_required");
    let mut browser = logged_in(&world, USER).await;
    assert_denied(&browser.get(&authorization("web", &[NONE])).await, "consent_required");
    browser.authorize_as(&authorization("web", &[]), USER).await;
    let reply = browser.get(&authorization("web", &[NONE])).await;
    assert!(parameter(&reply.header("location"), "code").is_some(), "all was allowed before");
    let more = browser.get(&authorization("web", &[NONE, ("resource", "https://api.example/")])).await;
    assert!(parameter(&more.header("location"), "code").is_some(), "less than was allowed");
}

#[tokio::test]
async fn login_asks_again_and_once() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    browser.authorize_as(&authorization("web", &[]), USER).await;
    for prompt in ["login", "login select_account"] {
        let page = browser.get(&authorization("web", &[("prompt", prompt)])).await;
        assert!(is_login(&page), "{prompt}");
        let reply = browser.log_in(&page, USER).await;
        assert!(parameter(&reply.header("location"), "code").is_some(), "{prompt}: {}", reply.status);
    }
}

/// A name or value that is percent-encoded is the same name and value: the login page does not come for ever.
#[tokio::test]
async fn login_is_understood_in_any_encoding() {
    let world = World::new().await;
    for prompt in
        ["prompt=%6Cogin", "pr%6Fmpt=login", "prompt=login%20consent", "prompt=login+consent", "prompt=consent%20login"]
    {
        let mut browser = logged_in(&world, USER).await;
        let page = browser.get(&format!("{}&{prompt}", authorization("web", &[]))).await;
        assert!(is_login(&page), "{prompt}");
        assert!(is_consent(&browser.log_in(&page, USER).await), "{prompt}");
    }
}

#[tokio::test]
async fn consent_asks_again() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    browser.authorize_as(&authorization("web", &[]), USER).await;
    assert_eq!(browser.get(&authorization("web", &[])).await.status, 303);
    assert!(is_consent(&browser.get(&authorization("web", &[("prompt", "consent")])).await));
    assert!(
        is_consent(&browser.get(&authorization("opaque", &[("prompt", "consent")])).await),
        "also of a trusted client"
    );
}

/// What is asked for beside a login is asked for after it, too.
#[tokio::test]
async fn login_and_consent_ask_for_both() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    browser.authorize_as(&authorization("web", &[]), USER).await;
    let page = browser.get(&authorization("web", &[("prompt", "login consent")])).await;
    assert!(is_login(&page));
    let page = browser.log_in(&page, USER).await;
    assert!(is_consent(&page), "the consent was not forgotten over the login: {}", page.status);
    let reply = browser.submit(&page, &[("decision", "allow")]).await;
    assert!(parameter(&reply.header("location"), "code").is_some());
}

#[tokio::test]
async fn none_goes_with_nothing_else() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    for prompt in ["none login", "consent none", "none select_account"] {
        assert_denied(&browser.get(&authorization("web", &[("prompt", prompt)])).await, "invalid_request");
    }
}
