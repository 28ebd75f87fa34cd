//! RFC 6749 section 4.1.1, the authorization request:
//!
//! - "response_type REQUIRED. Value MUST be set to "code"." "client_id REQUIRED." "redirect_uri OPTIONAL." "scope OPTIONAL."
//! - "state RECOMMENDED. An opaque value used by the client to maintain state between the request and callback."
//! - "The authorization server validates the request to ensure that all required parameters are present and valid. If the request is
//!   valid, the authorization server authenticates the resource owner and obtains an authorization decision".

use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, USER, World, authorization, text};

use super::support::{ask, assert_denied, is_consent, is_login};

#[tokio::test]
async fn a_valid_request_is_answered_after_login_and_consent() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("phone", &[("scope", "read")])).await;
    assert!(is_login(&page));
    let page = browser.log_in(&page, USER).await;
    assert!(is_consent(&page));
    let reply = browser.submit(&page, &[("decision", "allow")]).await;
    let location = reply.header("location");
    assert!(location.starts_with(&format!("{CALLBACK}?code=")), "{location}");
    let code = parameter(&location, "code").expect("a code");
    let tokens = world.redeem("phone", &code).await.expect_status(200).json();
    assert_eq!(text(&tokens, "scope"), "read");
}

/// Check F11: `state` comes back "exactly" as it was sent, whatever it holds, in a code, a denial and an error.
#[tokio::test]
async fn the_state_comes_back_byte_by_byte() {
    let world = World::new().await;
    let mut browser = super::support::logged_in(&world, USER).await;
    let long = "x".repeat(4000);
    for state in [
        "s",
        " ",
        "a b+c",
        "%20",
        "%2520",
        "a&b=c",
        "a=b&code=stolen&iss=evil",
        "#fragment",
        "?query",
        "ä🦀",
        "\u{202e}right",
        "<script>alert(1)</script>",
        "\"'`",
        "/../\\..",
        "+",
        "==",
        &long,
    ] {
        let location = browser.authorize_as(&authorization("opaque", &[("state", state)]), USER).await;
        assert_eq!(parameter(&location, "state").as_deref(), Some(state), "{location}");
        assert!(parameter(&location, "code").is_some_and(|code| code != "stolen"));
        let wrong = ask(&world, &authorization("opaque", &[("state", state), ("scope", "nonsense")])).await;
        let location = assert_denied(&wrong, "invalid_scope");
        assert_eq!(parameter(&location, "state").as_deref(), Some(state), "{location}");
    }
    let location = browser.authorize_as(&authorization("opaque", &[("state", "")]), USER).await;
    assert!(!location.contains("state="), "what was not sent is not returned: {location}");
}

/// A `state` that goes through the login page and the consent page is none the worse for it.
#[tokio::test]
async fn the_state_survives_the_pages() {
    let world = World::new().await;
    let state = "\"><i>&amp;%26+%2B é\u{2028}=";
    let location = world.browser().authorize_as(&authorization("web", &[("state", state)]), USER).await;
    assert_eq!(parameter(&location, "state").as_deref(), Some(state));
}

#[tokio::test]
async fn a_state_too_long_is_an_error() {
    let world = World::new().await;
    let reply = ask(&world, &authorization("web", &[("state", &"x".repeat(4097))])).await;
    assert_denied(&reply, "invalid_request");
}

/// Section 3.3: without `scope` a "pre-defined default value" is used: all that the client may have.
#[tokio::test]
async fn the_scope_is_what_was_asked_for_or_all() {
    let world = World::new().await;
    for (asked, granted) in [("", "files openid read write"), ("write", "write"), ("write read", "read write")] {
        let mut browser = world.browser();
        let code = browser.log_in_for_code(&authorization("web", &[("scope", asked)])).await;
        let tokens = world.redeem("web", &code).await.expect_status(200).json();
        let mut scope: Vec<String> = text(&tokens, "scope").split(' ').map(str::to_owned).collect();
        scope.sort_unstable();
        assert_eq!(scope.join(" "), granted);
    }
}

/// The code of one request carries that request's scope and nothing of another's.
#[tokio::test]
async fn two_requests_have_two_codes() {
    let world = World::new().await;
    let mut browser = world.browser();
    let first = browser.log_in_for_code(&authorization("phone", &[("scope", "read")])).await;
    let second = browser.log_in_for_code(&authorization("phone", &[("scope", "write"), ("prompt", "consent")])).await;
    assert_ne!(first, second);
    let tokens = world.redeem("phone", &second).await.expect_status(200).json();
    assert_eq!(text(&tokens, "scope"), "write");
    let tokens = world.redeem("phone", &first).await.expect_status(200).json();
    assert_eq!(text(&tokens, "scope"), "read");
}
