//! RFC 6749 section 4.1.2, the authorization response, and 4.1.2.1, the error response:
//!
//! - "code REQUIRED. […] The authorization code MUST expire shortly after it is issued". "The client MUST NOT use the authorization code
//!   more than once." "The authorization code is bound to the client identifier and redirection URI."
//! - "state REQUIRED if the "state" parameter was present in the client authorization request. The exact value".
//! - 4.1.2.1: "If the request fails due to a missing, invalid, or mismatching redirection URI, or if the client identifier is missing or
//!   invalid, the authorization server SHOULD inform the resource owner of the error and MUST NOT automatically redirect".
//! - 4.1.2.1: "error REQUIRED. A single ASCII error code". "Values for the "error_description" parameter MUST NOT include characters outside
//!   the set %x20-21 / %x23-5B / %x5D-7E."

use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, USER, World, authorization};

use super::support::{STATE, ask, assert_denied, config_with, is_consent, raw_get, raw_header};

#[tokio::test]
async fn an_answer_holds_code_state_and_issuer() {
    let world = World::new().await;
    let location = world.browser().authorize_as(&authorization("web", &[]), USER).await;
    let (uri, query) = location.split_once('?').expect("a query");
    let names: Vec<&str> = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert_eq!((uri, names), (CALLBACK, vec!["code", "session_state", "state", "iss"]));
}

/// Checks F10, F11: each error of 4.1.2.1 and of the sections that add some: told at the redirect URI, with `state` byte by byte and `iss`.
#[tokio::test]
async fn every_error_is_told_to_the_client_with_its_state_and_our_name() {
    let world = World::new().await;
    let request = ("request", "eyJhbGciOiJub25lIn0..");
    for (client, changed, error) in [
        ("web", vec![("response_type", "")], "invalid_request"),
        ("web", vec![("code_challenge", "")], "invalid_request"),
        ("web", vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
        ("web", vec![("code_challenge_method", "plain")], "invalid_request"),
        ("web", vec![("code_challenge", "short")], "invalid_request"),
        ("web", vec![("response_mode", "query.jwt")], "invalid_request"),
        ("web", vec![("response_mode", "web_message")], "invalid_request"),
        ("web", vec![("prompt", "none login")], "invalid_request"),
        ("web", vec![("prompt", "consent none")], "invalid_request"),
        ("web", vec![("response_type", "token")], "unauthorized_client"),
        ("web", vec![("response_type", "code id_token")], "unauthorized_client"),
        ("web", vec![("response_type", "code none")], "unsupported_response_type"),
        ("web", vec![("scope", "admin")], "invalid_scope"),
        ("web", vec![("scope", "read \u{e4}")], "invalid_scope"),
        ("web", vec![("scope", "read\"")], "invalid_scope"),
        ("once", vec![("scope", "read write")], "invalid_scope"),
        ("web", vec![("resource", "https://other.example/")], "invalid_target"),
        ("web", vec![("resource", "not a uri")], "invalid_target"),
        ("web", vec![("prompt", "none")], "login_required"),
        ("web", vec![request], "invalid_request_object"),
        ("web", vec![("request_uri", "https://app.example/request")], "invalid_request_uri"),
    ] {
        let reply = ask(&world, &authorization(client, &changed)).await;
        let location = assert_denied(&reply, error);
        assert_eq!(parameter(&location, "state").as_deref(), Some(STATE), "{changed:?}");
        assert_eq!(parameter(&location, "iss").as_deref(), Some(world.base.as_str()), "{changed:?}");
        let description = parameter(&location, "error_description").expect("a description");
        assert!(description.bytes().all(|byte| (0x20..=0x7E).contains(&byte) && byte != b'"' && byte != b'\\'));
    }
}

/// "access_denied: The resource owner or authorization server denied the request."
#[tokio::test]
async fn a_user_who_denies_is_believed() {
    let world = World::new().await;
    let mut browser = world.browser();
    for decision in ["deny", "", "ALLOW", "allow ", "yes"] {
        let page = browser.get(&authorization("web", &[])).await;
        let page = if is_consent(&page) { page } else { browser.log_in(&page, USER).await };
        let reply = browser.submit(&page, &[("decision", decision)]).await;
        let location = assert_denied(&reply, "access_denied");
        assert_eq!(parameter(&location, "state").as_deref(), Some(STATE));
        assert_eq!(parameter(&location, "iss").as_deref(), Some(world.base.as_str()));
    }
    assert!(is_consent(&browser.get(&authorization("web", &[])).await), "a denial is not remembered as consent");
}

/// A request that went wrong leaves nothing behind: nobody was logged in, no code was made.
#[tokio::test]
async fn an_error_comes_before_the_login() {
    let world = World::new().await;
    let reply = ask(&world, &authorization("web", &[("scope", "admin")])).await;
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 0);
    assert_denied(&reply, "invalid_scope");
    let grants = world.app.admin().grants(&regrant_server::admin::GrantFilter::default(), 0, 10).await;
    assert!(grants.is_ok_and(|(grants, _)| grants.is_empty()));
}

/// Check R16: what is sent in raw bytes comes back percent-encoded: a `Location` holds visible ASCII and nothing else.
#[tokio::test]
async fn a_location_is_visible_ascii() {
    let world = World::with(&config_with(
        "id = \"seen\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://app.example/cb\"]\ngrant_types = [\"authorization_code\"]\nskip_consent = true",
    ))
    .await;
    let mut browser = super::support::logged_in(&world, USER).await;
    let cookie: String = browser.cookies().iter().map(|(name, value)| format!("{name}={value}; ")).collect();
    for state in [
        "\u{e4}",
        "\u{2028}",
        "%0d%0aSet-Cookie:%20a=b",
        "%0D",
        "%0A",
        "%00",
        "%C2%85",
        "%E2%80%A8",
        "<>\"^`{|}",
        "%7F",
    ] {
        let target = format!("{}&state={state}", super::support::request_to("seen", CALLBACK).replace("&state=s", ""));
        for headers in [format!("cookie: {cookie}\r\n"), String::new()] {
            let answer = raw_get(&world, target.as_bytes(), &headers).await;
            assert!(raw_header(&answer, "set-cookie").is_none_or(|cookie| !cookie.contains("a=b")), "{answer}");
            if let Some(location) = raw_header(&answer, "location") {
                assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
                assert!(location.starts_with(&format!("{CALLBACK}?")), "{location}");
            }
        }
    }
    // The same through the login page, whose redirect leads back here.
    let path = authorization("seen", &[("state", "\u{e4} \u{2028}"), ("prompt", "login")]);
    let page = browser.get(&path).await;
    let reply = browser.submit(&page, &[("username", USER), ("password", sim::wire::PASSWORD)]).await;
    assert!(reply.header("location").bytes().all(|byte| byte.is_ascii_graphic()), "{}", reply.header("location"));
}

/// Check R16: raw bytes in the query of a request that goes through the login page.
#[tokio::test]
async fn a_raw_request_does_not_come_back_raw_from_the_login() {
    let world = World::new().await;
    let target = format!("{}&state=\u{e4}", authorization("web", &[("state", "")]));
    let answer = raw_get(&world, target.as_bytes(), "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let cookie = raw_header(&answer, "set-cookie").expect("the browser's cookie");
    let cookie = cookie.split(';').next().unwrap_or_default();
    let form = sim::wire::browser::form(&answer);
    let mut parameters: Vec<(&str, &str)> =
        form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parameters.extend([("username", USER), ("password", sim::wire::PASSWORD)]);
    let reply = world.http().post(&form.action, &parameters, &[("cookie", cookie)]).await;
    let location = reply.headers.get("location").map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    assert!(location.iter().all(u8::is_ascii_graphic), "{}", String::from_utf8_lossy(&location));
    let location = String::from_utf8_lossy(&location).into_owned();
    assert!(location.contains("&state=%C3%A4&regrant_came="), "and it is the same request: {location}");
}
