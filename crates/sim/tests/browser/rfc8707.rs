//! RFC 8707, resource indicators, at the authorization endpoint:
//!
//! - 2: "Its value MUST be an absolute URI". "The URI MUST NOT include a fragment component." "Multiple "resource" parameters MAY be used".
//! - 2: "invalid_target: The requested resource is invalid, missing, unknown, or malformed."
//! - 2.1: the server "SHOULD audience-restrict issued access tokens to the resource(s) indicated".

use sim::wire::{USER, World, authorization, text};

use super::support::{ask, assert_denied, is_consent, is_login};

const API: (&str, &str) = ("resource", "https://api.example/");
const FILES: (&str, &str) = ("resource", "https://files.example/");

async fn audience(world: &World, path: &str) -> serde_json::Value {
    let code = world.browser().log_in_for_code(path).await;
    let tokens = world.redeem("web", &code).await.expect_status(200).json();
    world.introspect(&text(&tokens, "access_token")).await["aud"].clone()
}

/// Check F7: the token is for what the authorization request named: one, several, or all that the client has.
#[tokio::test]
async fn the_audience_is_what_was_asked_for() {
    let world = World::new().await;
    assert_eq!(audience(&world, &authorization("web", &[API])).await, "https://api.example/");
    let both = serde_json::json!(["https://api.example/", "https://files.example/"]);
    assert_eq!(audience(&world, &authorization("web", &[API, FILES])).await, both);
    assert_eq!(audience(&world, &authorization("web", &[])).await, both);
    let twice = authorization("web", &[API, API]);
    assert_eq!(audience(&world, &twice).await, "https://api.example/", "the same twice is once");
}

#[tokio::test]
async fn a_resource_is_one_of_the_clients_own() {
    let world = World::new().await;
    for bad in [
        "https://other.example/",
        "https://api.example",
        "https://API.example/",
        "https://api.example/x",
        "https://api.example/#f",
        "/relative",
        "api",
        "https://api.example/ ",
    ] {
        let location = assert_denied(&ask(&world, &authorization("web", &[("resource", bad)])).await, "invalid_target");
        assert!(!location.contains("other.example"), "nothing is reflected");
        assert_denied(&ask(&world, &authorization("web", &[API, ("resource", bad)])).await, "invalid_target");
    }
    assert_denied(&ask(&world, &authorization("phone", &[API])).await, "invalid_target");
    assert!(is_login(&ask(&world, &authorization("web", &[API])).await));
}

/// Check W10: the user sees where a token could be used, and is asked again when there is one place more.
#[tokio::test]
async fn the_user_consents_to_the_resources() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[API])).await;
    let page = browser.log_in(&page, USER).await;
    assert!(page.text().contains("https:&#x2f;&#x2f;api.example&#x2f;") && !page.text().contains("files.example"));
    assert_eq!(browser.submit(&page, &[("decision", "allow")]).await.status, 303);
    assert_eq!(browser.get(&authorization("web", &[API])).await.status, 303);
    assert!(is_consent(&browser.get(&authorization("web", &[API, FILES])).await));
}
