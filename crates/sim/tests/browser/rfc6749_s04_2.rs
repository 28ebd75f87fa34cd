//! RFC 6749 section 4.2, the implicit grant, for clients that were given it and for no others (RFC 9700 section 2.1.2 says SHOULD NOT):
//!
//! - 4.2.2: "the authorization server issues an access token and delivers it to the client by adding the following parameters to the
//!   fragment component of the redirection URI".
//! - 4.2.2: "The authorization server MUST NOT issue a refresh token."
//! - 4.2.2: "state REQUIRED if the "state" parameter was present".
//! - 4.2.2.1: errors go "to the fragment component of the redirection URI".

use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, USER, World, authorization};

use super::support::{STATE, ask, assert_denied, assert_stopped};

/// Checks T38, F6: the fragment holds an access token, its lifetime, scope, state and issuer, and no refresh token.
#[tokio::test]
async fn an_access_token_comes_in_the_fragment_and_never_a_refresh_token() {
    let world = World::new().await;
    let location = world.browser().authorize_as(&authorization("spa-old", &[("response_type", "token")]), USER).await;
    let (uri, fragment) = location.split_once('#').expect("a fragment");
    assert_eq!(uri, CALLBACK, "nothing stands in the query");
    let names: Vec<&str> = fragment.split('&').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert_eq!(names, ["access_token", "token_type", "expires_in", "scope", "state", "iss"]);
    assert_eq!(parameter(&location, "token_type").as_deref(), Some("Bearer"));
    assert_eq!(parameter(&location, "expires_in").as_deref(), Some("3600"));
    assert_eq!(parameter(&location, "scope").as_deref(), Some("read"));
    assert_eq!(parameter(&location, "state").as_deref(), Some(STATE));
    let token = parameter(&location, "access_token").expect("a token");
    let seen = world.introspect(&token).await;
    assert_eq!((seen["active"].as_bool(), seen["client_id"].as_str()), (Some(true), Some("spa-old")));
    assert!(!world.refresh("spa-old", &token).await.status.is_success(), "and it refreshes nothing");
}

/// Check F1: no client has the implicit grant that was not given it, whatever it asks for.
#[tokio::test]
async fn there_is_no_implicit_grant_unless_it_was_registered() {
    let world = World::new().await;
    for client in ["web", "web-single", "phone", "phone-strict", "once", "opaque"] {
        for response_type in ["token", "code token", "token code", "id_token token", "code id_token token"] {
            let reply = ask(&world, &authorization(client, &[("response_type", response_type)])).await;
            let location = reply.header("location");
            assert_eq!(reply.status, 303, "{client} {response_type}: {}", reply.text());
            assert!(parameter(&location, "error").is_some() && !location.contains("access_token="), "{location}");
        }
    }
}

/// Check F2: nor has a client the password grant unless it was given it.
#[tokio::test]
async fn there_is_no_password_grant_unless_it_was_registered() {
    let world = World::new().await;
    let parameters = [("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD)];
    for client in ["once", "spa-old", "daemon", "api"] {
        world.token(client, &parameters).await.expect_error(400, "unauthorized_client");
    }
}

/// Section 4.2.2.1.
#[tokio::test]
async fn errors_stand_in_the_fragment_too() {
    let world = World::new().await;
    for (changed, error) in [
        (vec![("scope", "write")], "invalid_scope"),
        (vec![("prompt", "none")], "login_required"),
        (vec![("response_mode", "query")], "invalid_request"),
        (vec![("resource", "https://api.example/")], "invalid_target"),
    ] {
        let mut changed = changed;
        changed.push(("response_type", "token"));
        let location = assert_denied(&ask(&world, &authorization("spa-old", &changed)).await, error);
        assert!(location.starts_with(&format!("{CALLBACK}#error=")), "{location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some(STATE));
        assert_eq!(parameter(&location, "iss").as_deref(), Some(world.base.as_str()));
    }
    let elsewhere = authorization("spa-old", &[("response_type", "token"), ("redirect_uri", "https://evil.example/")]);
    assert_stopped(&ask(&world, &elsewhere).await, "another redirect URI");
}

/// Check W12: the implicit grant asks the user like any other.
#[tokio::test]
async fn the_user_is_asked_before_a_token_is_given() {
    let world = World::new().await;
    let mut browser = super::support::logged_in(&world, USER).await;
    let path = authorization("spa-old", &[("response_type", "token")]);
    let page = browser.get(&path).await;
    assert!(super::support::is_consent(&page));
    assert!(page.text().contains("A short time. It cannot renew this by itself."), "the page says how long");
    let location = assert_denied(&browser.submit(&page, &[("decision", "deny")]).await, "access_denied");
    assert!(location.contains("#error="));
}
