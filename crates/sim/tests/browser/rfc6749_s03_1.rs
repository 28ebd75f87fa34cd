//! RFC 6749 section 3.1, the authorization endpoint:
//!
//! - "The authorization server MUST support the use of the HTTP "GET" method […] for the authorization endpoint and MAY support the use
//!   of the "POST" method as well."
//! - "Parameters sent without a value MUST be treated as if they were omitted from the request. The authorization server MUST ignore
//!   unrecognized request parameters. Request and response parameters MUST NOT be included more than once."
//! - 3.1.1: "If an authorization request is missing the "response_type" parameter, or if the response type is not understood, the
//!   authorization server MUST return an error response".
//! - 3.1.2: "The endpoint URI MAY include an […] query component […], which MUST be retained when adding additional query parameters. The
//!   endpoint URI MUST NOT include a fragment component."
//! - 3.1.2.3: "If multiple redirection URIs have been registered, […] the client MUST include a redirection URI with the authorization
//!   request". "the authorization server MUST compare and match the value received against at least one of the registered".
//! - 3.1.2.4: the server "MUST NOT automatically redirect the user-agent to the invalid redirection URI".

use regrant_server::Config;
use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, CHALLENGE, CONFIG, USER, VERIFIER, World, authorization};

use super::support::{ask, assert_denied, assert_stopped, config_with, is_consent, is_login, raw_get, request};

#[tokio::test]
async fn a_request_may_come_by_get_or_by_post() {
    let world = World::new().await;
    assert!(is_login(&ask(&world, &authorization("web", &[])).await));
    let query = authorization("web", &[]);
    let (_, query) = query.split_once('?').expect("a query");
    let reply = world.http().post_raw("/oauth2/authorize", query, "application/x-www-form-urlencoded", &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, format!("/oauth2/authorize?{query}")));
    let mut browser = world.browser();
    let page = browser.follow(reply).await;
    let page = browser.log_in(&page, USER).await;
    assert!(is_consent(&page));
}

/// Check I6: another media type, a foreign charset, a body too large: an error page.
#[tokio::test]
async fn a_post_is_a_form_that_fits_a_url() {
    let world = World::new().await;
    let query = authorization("web", &[]).replace("/oauth2/authorize?", "");
    for media_type in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencodedx",
        "",
    ] {
        let reply = world.http().post_raw("/oauth2/authorize", &query, media_type, &[]).await;
        assert_stopped(&reply, media_type);
    }
    let long = format!("{query}&x={}", "x".repeat(8 * 1024));
    let reply = world.http().post_raw("/oauth2/authorize", &long, "application/x-www-form-urlencoded", &[]).await;
    assert_stopped(&reply, "more than 8 KiB");
    for body in ["client_id=web\r\nSet-Cookie: a=b", "client_id=web&state=\u{e4}", "client_id=web&state=a b"] {
        let reply = world.http().post_raw("/oauth2/authorize", body, "application/x-www-form-urlencoded", &[]).await;
        assert_stopped(&reply, body);
    }
}

/// Check H5: other methods are not understood, and change nothing.
#[tokio::test]
async fn other_methods_are_refused() {
    let world = World::new().await;
    for path in ["/oauth2/authorize", "/login", "/consent", "/logout"] {
        for method in ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"] {
            let method = axum::http::Method::from_bytes(method.as_bytes()).expect("a method");
            let reply = world.http().send(method.clone(), path, &[("cookie", "a=b")], axum::body::Body::empty()).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.body, b"", "nothing is reflected");
        }
    }
    for path in ["/login", "/consent"] {
        assert_eq!(ask(&world, path).await.status, 405, "{path} is for forms");
    }
}

/// Check I4: "Parameters sent without a value MUST be treated as if they were omitted", and so never skip a check.
#[tokio::test]
async fn an_empty_parameter_counts_as_left_out() {
    let world = World::new().await;
    let complete = [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", CALLBACK),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "read"),
        ("prompt", "none"),
        ("resource", "https://api.example/"),
    ];
    for (name, _) in complete {
        let empty = complete.map(|(known, value)| (known, if known == name { "" } else { value }));
        let omitted: Vec<_> = complete.into_iter().filter(|(known, _)| *known != name).collect();
        let (empty, omitted) = (ask(&world, &request(&empty)).await, ask(&world, &request(&omitted)).await);
        assert_eq!((empty.status, empty.header("location")), (omitted.status, omitted.header("location")), "{name}");
    }
    let reply = ask(&world, &authorization("web", &[]).replace(CHALLENGE, "").replace("=S256", "=")).await;
    assert_denied(&reply, "invalid_request");
}

#[tokio::test]
async fn unrecognized_parameters_are_ignored() {
    let world = World::new().await;
    let path = authorization("web", &[("claims", "{}"), ("x", "1"), ("display", "page"), ("ui_locales", "de")]);
    assert!(is_login(&ask(&world, &path).await));
    assert!(is_login(&ask(&world, &format!("{path}&x=2&%00=%00")).await), "a repeated one, too");
}

/// Check I3: "Request and response parameters MUST NOT be included more than once", not even with the same value or an empty one.
#[tokio::test]
async fn no_parameter_is_there_twice() {
    let world = World::new().await;
    let path =
        authorization("web", &[("scope", "read"), ("prompt", "login"), ("nonce", "n"), ("response_mode", "query")]);
    for name in ["client_id", "redirect_uri"] {
        for value in ["web", CALLBACK, "https://evil.example/", ""] {
            let again = format!("{path}&{name}={}", regrant_server::form::encode(value));
            assert_stopped(&ask(&world, &again).await, &again);
        }
    }
    for name in [
        "response_type",
        "state",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "nonce",
        "response_mode",
    ] {
        for value in ["code", "x", ""] {
            let location = assert_denied(&ask(&world, &format!("{path}&{name}={value}")).await, "invalid_request");
            let state = (name != "state").then_some(super::support::STATE);
            assert_eq!(parameter(&location, "state").as_deref(), state, "of two states none is the client's");
        }
    }
}

/// Checks I5, I7: what cannot be decoded, NUL, overlong UTF-8, lone surrogates, ten thousand parameters: an error, never a redirect
/// to somewhere else, and never a 5xx.
#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let world = World::new().await;
    for bad in ["%", "%1", "%zz", "%u0041"] {
        for name in ["client_id", "redirect_uri", "state", "scope", "x"] {
            let reply = ask(&world, &format!("{}&{name}={bad}", authorization("web", &[]))).await;
            assert_stopped(&reply, &format!("{name}={bad}"));
        }
    }
    for bad in ["%00", "%C0%80", "%ED%A0%80", "%FF", "%0D%0A", "%E2%80"] {
        for name in ["client_id", "redirect_uri"] {
            let path = authorization("web", &[(name, "")]);
            assert_stopped(&ask(&world, &format!("{path}&{name}={bad}")).await, bad);
        }
        for name in ["response_type", "state", "scope", "code_challenge", "code_challenge_method", "resource"] {
            let path = authorization("web", &[(name, "")]);
            let reply = ask(&world, &format!("{path}&{name}={bad}")).await;
            assert_eq!(reply.status, 303, "{name}={bad}: {}", reply.text());
            assert!(reply.header("location").starts_with(&format!("{CALLBACK}?error=")), "{name}={bad}");
        }
    }
    let many = format!("{}{}", authorization("web", &[]), "&x=1".repeat(10_000));
    assert!(ask(&world, &many).await.status.is_client_error());
    let some = format!("{}{}", authorization("web", &[]), "&x=1".repeat(100));
    assert_stopped(&ask(&world, &some).await, "a hundred parameters");
}

/// A `state` that cannot be given back byte by byte is not given back changed.
#[tokio::test]
async fn a_state_that_is_no_text_is_not_given_back_as_another() {
    let world = World::new().await;
    let path = format!("{}&state=a%FFb", authorization("web", &[("state", "")]));
    let location = assert_denied(&ask(&world, &path).await, "invalid_request");
    assert_eq!(parameter(&location, "state"), None, "{location}");
}

/// Section 3.1.1.
#[tokio::test]
async fn the_response_type_is_one_that_the_client_may_use() {
    let world = World::new().await;
    for (response_type, error) in [
        ("", "invalid_request"),
        ("code token", "unauthorized_client"),
        ("id_token", "unauthorized_client"),
        ("code token token", "unsupported_response_type"),
        ("none", "unsupported_response_type"),
        ("CODE", "unsupported_response_type"),
        ("code ", "unsupported_response_type"),
        ("token", "unauthorized_client"),
    ] {
        let reply = ask(&world, &authorization("web", &[("response_type", response_type)])).await;
        assert_denied(&reply, error);
    }
    let reply = ask(&world, &authorization("spa-old", &[])).await;
    assert_denied(&reply, "unauthorized_client");
    let reply = ask(&world, &authorization("daemon", &[])).await;
    assert_stopped(&reply, "a client that has no redirect URI");
}

/// Section 3.1.2: the query of a registered URI is kept, and the answer added to it.
#[tokio::test]
async fn the_query_of_a_redirect_uri_is_retained() {
    let uri = "https://app.example/cb?tenant=7&x=%2F";
    let config = config_with(&format!(
        "id = \"query\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"{uri}\"]\ngrant_types = [\"authorization_code\"]"
    ));
    let world = World::with(&config).await;
    let path = super::support::request_to("query", uri);
    let location = world.browser().authorize_as(&path, USER).await;
    assert!(location.starts_with(&format!("{uri}&code=")), "{location}");
    assert_eq!(location.matches('?').count(), 1);
}

/// Checks R4, R5, R3: a URI with a fragment, plain http elsewhere than on loopback, a script, a wildcard for a host cannot be registered.
#[test]
fn only_safe_uris_can_be_registered() {
    for bad in [
        "https://app.example/cb#fragment",
        "http://app.example/cb",
        "http://localhost.example/cb",
        "http://127.0.0.1.example/cb",
        "http://10.0.0.1/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "myapp:/cb",
        "//app.example/cb",
        "/cb",
        "https://user@app.example/cb",
        "https:///cb",
        "https://*.app.example/cb",
        "https://*/cb",
        "https://app.example:*/cb",
        "https://app.example/*",
        "https://app.example/.*",
        "https://{tenant}.example/cb",
    ] {
        let config = CONFIG.replacen(CALLBACK, bad, 1).replace("HASH", &format!("sha256:{}", "0".repeat(64)));
        let parsed = Config::parse(&config, "test.toml", std::path::Path::new("."));
        assert!(parsed.is_err(), "{bad} was registered");
    }
}

/// Check R3: what looks like a pattern of regular expressions is its own text, in a path and in a query.
#[tokio::test]
async fn no_registered_uri_is_a_pattern() {
    let config = config_with(
        "id = \"star\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\"]\n\
         redirect_uris = [\"https://app.example/a.b(c)?\", \"https://app.example/.+\", \"https://app.example/x?y=[0-9]+$\"]",
    );
    let world = World::with(&config).await;
    for itself in ["https://app.example/a.b(c)?", "https://app.example/.+", "https://app.example/x?y=[0-9]+$"] {
        assert!(is_login(&ask(&world, &super::support::request_to("star", itself)).await), "{itself}");
    }
    for other in [
        "https://app.example/",
        "https://app.example/x",
        "https://app.example/axbc",
        "https://app.example/a.b",
        "https://app.example/x?y=1",
    ] {
        assert_stopped(&ask(&world, &super::support::request_to("star", other)).await, other);
    }
}

/// Section 3.1.2.3: with one URI registered the parameter may be left out, here and at the token endpoint; with two it must be sent.
#[tokio::test]
async fn a_redirect_uri_may_be_left_out_where_one_is_registered() {
    let world = World::new().await;
    let location = world.browser().authorize_as(&authorization("once", &[("redirect_uri", "")]), USER).await;
    assert!(location.starts_with(&format!("{CALLBACK}?code=")));
    let code = parameter(&location, "code").expect("a code");
    let parameters = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    assert_eq!(world.token("once", &parameters).await.status, 200);
    assert_stopped(&ask(&world, &authorization("phone", &[("redirect_uri", "")])).await, "which of two?");
}

/// Check R6: section 3.1.2.4: with an unknown client or a URI that is not the client's the user sees a page and goes nowhere.
#[tokio::test]
async fn nobody_is_sent_to_an_invalid_redirect_uri() {
    let world = World::new().await;
    for client in ["", "nobody", "WEB", "web ", "web\u{0}", "usr_alice", "w\u{435}b", &"w".repeat(300)] {
        let reply = ask(&world, &authorization(client, &[("client_id", client)])).await;
        assert_stopped(&reply, &format!("client {client:?}"));
        assert!(!reply.text().contains(CALLBACK), "nor shown a link to it");
    }
    for uri in
        ["https://evil.example/", "https://app.example/", "https://app.example/cb/", "https://app.example/CB", "cb"]
    {
        for more in [vec![], vec![("prompt", "none")], vec![("response_type", "")], vec![("scope", "nonsense")]] {
            let mut more = more;
            more.push(("redirect_uri", uri));
            let reply = ask(&world, &authorization("web", &more)).await;
            assert_stopped(&reply, uri);
            assert!(!reply.text().contains("evil.example"), "nor shown where it would have led");
        }
    }
}

/// Check F9: a client cannot be named like a user's `sub`, so that neither passes for the other.
#[test]
fn no_client_is_named_like_a_subject() {
    let config =
        config_with("id = \"usr_1\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"https://a.example/\"]")
            .replace("HASH", &format!("sha256:{}", "0".repeat(64)));
    assert!(Config::parse(&config, "test.toml", std::path::Path::new(".")).is_err());
}

/// Check H1: host headers, doubled or forwarded, change neither where answers go nor where the pages lead.
#[tokio::test]
async fn the_host_header_changes_nothing() {
    let world = World::new().await;
    let path = authorization("web", &[("prompt", "none")]);
    for headers in [
        "x-forwarded-host: evil.example\r\n",
        "x-forwarded-proto: https\r\nx-forwarded-prefix: //evil.example\r\n",
        "forwarded: host=evil.example;proto=https\r\n",
        "x-original-url: //evil.example\r\nx-rewrite-url: //evil.example\r\n",
    ] {
        let answer = raw_get(&world, path.as_bytes(), headers).await;
        let location = super::support::raw_header(&answer, "location").expect("a redirect");
        assert!(location.starts_with(CALLBACK), "{location}");
        assert_eq!(parameter(&location, "iss").as_deref(), Some(world.base.as_str()));
        for target in ["/", "/logout", "/.well-known/openid-configuration", &authorization("web", &[])] {
            assert!(!raw_get(&world, target.as_bytes(), headers).await.contains("evil.example"), "{target}");
        }
    }
}
