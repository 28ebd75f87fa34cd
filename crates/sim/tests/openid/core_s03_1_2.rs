//! OpenID Connect Core section 3.1.2, the authentication request:
//!
//! - 3.1.2.1: "Authorization Servers MUST support the use of the HTTP GET and POST methods". "max_age […] If the elapsed time is greater than
//!   this value, the OP MUST attempt to actively re-authenticate the End-User." "max_age=0 is equivalent to prompt=login".
//! - 3.1.2.1: "Any extension parameters that are not understood MUST be ignored."
//! - 3.1.2.2: "The Authorization Server MUST validate all the OAuth 2.0 parameters". "If the sub (subject) Claim is requested with a specific
//!   value for the ID Token, the Authorization Server MUST only send a positive response if the End-User identified by that sub value has an
//!   active session". "The Authorization Server MUST NOT reply with an ID Token or Access Token for a different user".
//! - 3.1.2.3: "prompt=login […] the Authorization Server MUST reauthenticate the End-User". "none […] MUST NOT interact with the End-User."
//! - 3.1.2.6: the error codes.

use serde_json::json;
use sim::wire::{CALLBACK, USER, text};

use super::support::{BEGIN, ask, at_home, heard, id_token, redeem, request, request_of, seconds, tokens, world};

fn is_login(reply: &sim::wire::Reply) -> bool {
    reply.status == 200 && reply.text().contains("id=\"login-submit\"")
}

#[tokio::test]
async fn get_and_post_mean_the_same() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let parameters = [
        ("response_type", "code"),
        ("client_id", "rp"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("nonce", "n"),
    ];
    let reply = browser.post("/oauth2/authorize", &parameters).await;
    let reply = browser.follow(reply).await;
    let claims = id_token(&world, &redeem(&world, "rp", heard(&reply).of("code")).await).await;
    assert_eq!(claims["nonce"], "n");
}

#[tokio::test]
async fn what_is_not_understood_is_ignored() {
    let world = world().await;
    let more = [
        ("display", "popup"),
        ("ui_locales", "fr de"),
        ("claims_locales", "fr"),
        ("acr_values", "urn:x 1"),
        ("audience", "x"),
        ("unheard_of", "%00<>"),
        ("code_verifier_method", "x"),
    ];
    assert!(ask(&world, &request("code", &more)).await.has("code"));
    for display in ["page", "touch", "wap", "hologram"] {
        assert!(ask(&world, &request("code", &[("display", display)])).await.has("code"), "{display}");
    }
}

#[tokio::test]
async fn a_login_that_is_older_than_max_age_is_done_again() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    world.advance(seconds(100));
    let answer = heard(&browser.get(&request("code", &[("max_age", "100")])).await);
    let claims = id_token(&world, &redeem(&world, "rp", answer.of("code")).await).await;
    assert_eq!(claims["auth_time"], json!(BEGIN), "a max_age makes auth_time required");
    let page = browser.get(&request("code", &[("max_age", "99")])).await;
    assert!(is_login(&page), "{}", page.text());
    assert_eq!(
        heard(&browser.get(&request("code", &[("max_age", "99"), ("prompt", "none")])).await).error(),
        "login_required"
    );
    let answer = heard(&browser.log_in(&page, USER).await);
    let claims = id_token(&world, &redeem(&world, "rp", answer.of("code")).await).await;
    assert_eq!(claims["auth_time"], json!(BEGIN + 100));
}

/// The consent page of a request that wants a login of this moment is good for a moment: who finds it open later has not logged in.
#[tokio::test]
async fn a_consent_page_that_was_left_open_asks_for_the_login_again() {
    let world = world().await;
    for (wish, goes_on) in [(("max_age", "99"), false), (("prompt", "login consent"), false), (("x", "y"), true)] {
        let mut browser = world.browser();
        let path = request("code", &[wish, ("scope", "openid read")]);
        let login = browser.get(&path).await;
        let consent = browser.log_in(&login, USER).await;
        assert!(consent.text().contains("decision"), "{}", consent.text());
        world.advance(seconds(601));
        let reply = browser.submit(&consent, &[("decision", "allow")]).await;
        assert_eq!((is_login(&reply), heard_code(&reply)), (!goes_on, goes_on), "{wish:?}");
    }
}

fn heard_code(reply: &sim::wire::Reply) -> bool {
    reply.status == 303 && reply.header("location").contains("code=")
}

#[tokio::test]
async fn a_max_age_of_zero_asks_for_the_password_once() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let path = request("code", &[("max_age", "0")]);
    for _ in 0..2 {
        let page = browser.get(&path).await;
        assert!(is_login(&page), "{}", page.text());
        assert!(heard(&browser.log_in(&page, USER).await).has("code"), "and not again");
    }
    for bad in ["-1", "x", "1.5", "+1", "1e3"] {
        assert_eq!(
            heard(&browser.get(&request("code", &[("max_age", bad)])).await).error(),
            "invalid_request",
            "{bad}"
        );
    }
    let huge = "9".repeat(40);
    assert!(heard(&browser.get(&request("code", &[("max_age", &huge)])).await).has("code"));
}

/// OpenID Connect Registration section 2: `default_max_age`.
#[tokio::test]
async fn a_client_has_a_max_age_of_its_own() {
    let world = super::support::with("default_max_age = \"1m\"").await;
    let mut browser = at_home(&world, "openid").await;
    world.advance(seconds(61));
    assert!(is_login(&browser.get(&request("code", &[])).await));
    assert!(heard(&browser.get(&request("code", &[("max_age", "61")])).await).has("code"), "the request wins");
}

/// Nobody can write by himself that he comes from the login page; nor does it count for another request, or for long.
#[tokio::test]
async fn that_somebody_has_logged_in_again_cannot_be_made_up() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let path = request("code", &[("prompt", "login")]);
    let page = browser.get(&path).await;
    let reply = browser.submit(&page, &[("username", USER), ("password", sim::wire::PASSWORD)]).await;
    let back = reply.header("location");
    let (asked, proof) = back.rsplit_once("&regrant_came=").expect("a proof");
    assert!(heard(&browser.get(&back).await).has("code"));
    let other = request("code", &[("prompt", "login"), ("scope", "openid email")]);
    for forged in [
        asked.to_owned(),
        format!("{asked}&regrant_came=x"),
        format!("{asked}&regrant_came={proof}&x=y"),
        format!("{other}&regrant_came={proof}"),
    ] {
        assert!(is_login(&browser.get(&forged).await), "{forged}");
    }
    world.advance(seconds(601));
    assert!(is_login(&browser.get(&back).await), "it is too long ago");
    assert!(is_login(&world.browser().get(&back).await), "in another browser");
}

#[tokio::test]
async fn the_hint_binds_the_answer_to_its_user() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = at_home(&world, "openid").await;
    let answer = heard(&browser.get(&request("code", &[])).await);
    let hint = text(&redeem(&world, "rp", answer.of("code")).await, "id_token");
    let none = [("id_token_hint", hint.as_str()), ("prompt", "none")];
    assert!(heard(&browser.get(&request("code", &none)).await).has("code"));
    world.advance(seconds(2 * 3600));
    assert!(heard(&browser.get(&request("code", &none)).await).has("code"), "also when it is expired");
    let mut other = world.browser();
    let page = other.get(&request("code", &[])).await;
    let page = other.log_in(&page, "bob").await;
    let _ = other.submit(&page, &[("decision", "allow")]).await;
    assert_eq!(heard(&other.get(&request("code", &none)).await).error(), "login_required");
    let page = other.get(&request("code", &none[..1])).await;
    assert!(is_login(&page), "he may log in as somebody else: {}", page.text());
    let reply = other.log_in(&page, "bob").await;
    assert_eq!(heard(&reply).error(), "login_required", "it is still not who was asked for");
    let page = other.get(&request("code", &none[..1])).await;
    assert!(heard(&other.log_in(&page, USER).await).has("code"));
}

#[tokio::test]
async fn a_hint_that_is_no_id_token_of_this_client_is_refused() {
    let world = world().await;
    let own = text(&tokens(&world, &[]).await, "id_token");
    let (signed, signature) = own.rsplit_once('.').expect("three parts");
    let flipped: String = signature.chars().rev().collect();
    let elsewhere = request_of(
        "web",
        "code",
        &[("id_token_hint", &own), ("code_challenge", sim::wire::CHALLENGE), ("code_challenge_method", "S256")],
    );
    for (what, path) in [
        ("no token", request("code", &[("id_token_hint", "x")])),
        ("another signature", request("code", &[("id_token_hint", &format!("{signed}.{flipped}"))])),
        ("another client's", elsewhere),
    ] {
        assert_eq!(heard(&world.browser().get(&path).await).error(), "invalid_request", "{what}");
    }
}

/// An ID token outlives the key that signed it: who was meant cannot be told any more. Without a page that is `login_required`; with one the
/// user is asked as without a hint.
#[tokio::test]
async fn a_hint_of_a_key_that_is_gone_is_no_error_of_the_client() {
    let world = world().await;
    let gone = text(&tokens(&world, &[]).await, "id_token");
    let kid = regrant_jose::Unverified::parse(&gone).expect("a token").header().kid.clone().expect("a kid");
    let _ = world.app.admin().compromise_key("signing", &kid).await.expect("compromised");
    let mut browser = at_home(&world, "openid").await;
    let none = [("id_token_hint", gone.as_str()), ("prompt", "none")];
    assert_eq!(heard(&browser.get(&request("code", &none)).await).error(), "login_required");
    assert!(heard(&browser.get(&request("code", &none[..1])).await).has("code"));
    assert!(heard(&browser.get(&request("code", &none[1..])).await).has("code"), "and his session is as it was");
}

/// Section 5.5.1: "sub": {"value": …}.
#[tokio::test]
async fn a_sub_with_a_value_binds_the_answer_to_that_user() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let answer = heard(&browser.get(&request("code", &[])).await);
    let sub = id_token(&world, &redeem(&world, "rp", answer.of("code")).await).await["sub"].clone();
    let asking = |sub: &str| format!("{{\"id_token\":{{\"sub\":{{\"value\":\"{sub}\"}}}}}}");
    let own = asking(sub.as_str().expect("a sub"));
    assert!(heard(&browser.get(&request("code", &[("claims", &own)])).await).has("code"));
    let other = asking("usr_somebodyelse");
    let path = request("code", &[("claims", &other), ("prompt", "none")]);
    assert_eq!(heard(&browser.get(&path).await).error(), "login_required");
    assert!(is_login(&browser.get(&request("code", &[("claims", &other)])).await));
}

#[tokio::test]
async fn the_login_hint_is_filled_in() {
    let world = world().await;
    let page = world.browser().get(&request("code", &[("login_hint", "a\"<b>@example.com")])).await;
    assert!(page.text().contains("value=\"a&quot;&lt;b&gt;@example.com\""), "{}", page.text());
    let page = world.browser().get(&request("code", &[("login_hint", &"x".repeat(300))])).await;
    assert!(is_login(&page) && !page.text().contains("value=\"xxx"), "what is no name is no hint");
}

#[tokio::test]
async fn an_account_is_chosen_or_changed() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = at_home(&world, "openid").await;
    let path = request("code", &[("prompt", "select_account")]);
    let page = browser.get(&path).await;
    assert!(page.text().contains("id=\"select-this\"") && page.text().contains(USER), "{}", page.text());
    let reply = browser.submit(&page, &[("account", "this")]).await;
    assert!(heard(&browser.follow(reply).await).has("code"));
    let page = browser.get(&path).await;
    let page = browser.submit(&page, &[("account", "other")]).await;
    assert!(is_login(&page));
    let page = browser.log_in(&page, "bob").await;
    assert!(page.text().contains("id=\"consent-allow\"") && page.text().contains("bob"), "{}", page.text());
    let foreign = browser.post("/select", &[("request", "x"), ("csrf", "y"), ("account", "this")]).await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test]
async fn errors_are_told_by_their_names() {
    let world = world().await;
    let browser = || world.browser();
    for (more, error) in [
        (("prompt", "none"), "login_required"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "create"), "invalid_request"),
        (("prompt", "login create"), "invalid_request"),
        (("request", "eyJ.x.y"), "invalid_request_object"),
        (("request_uri", "https://a.example/"), "invalid_request_uri"),
        (("registration", "{}"), "registration_not_supported"),
        (("response_type", "code foo"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("claims", "x"), "invalid_request"),
        (("claims", r#"{"id_token":{"acr":{"essential":true,"values":["x"]}}}"#), "unmet_authentication_requirements"),
        (("scope", "openid read regrant.admin"), "invalid_scope"),
        (("scope", "unheard"), "invalid_scope"),
    ] {
        let answer = heard(&browser().get(&request("code", &[more])).await);
        assert_eq!((answer.error(), answer.of("state")), (error, super::support::STATE), "{more:?}");
        assert_eq!(answer.of("iss"), world.base);
    }
    let mut browser = at_home(&world, "openid").await;
    let answer = heard(&browser.get(&request("code", &[("prompt", "none"), ("scope", "openid email")])).await);
    assert_eq!(answer.error(), "consent_required");
}

/// Section 3.1.2.1: "Scope values used that are not understood by an implementation SHOULD be ignored." RFC 6749 section 5.1: the answer
/// names what was granted.
#[tokio::test]
async fn scopes_that_nobody_knows_are_ignored_beside_openid() {
    let world = world().await;
    let code = ask(&world, &request("code", &[("scope", "unheard openid email urn:x:y")])).await.of("code").to_owned();
    let parameters = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let tokens = world.token("rp", &parameters).await.expect_status(200).json();
    let mut granted: Vec<&str> = tokens["scope"].as_str().expect("a scope").split(' ').collect();
    granted.sort_unstable();
    assert_eq!(granted, ["email", "openid"]);
    assert!(tokens["id_token"].is_string());
}

/// RFC 7636: PKCE is honoured whenever it is sent, also where it is not required.
#[tokio::test]
async fn a_challenge_that_was_sent_must_be_met() {
    let world = world().await;
    let pkce = [("code_challenge", sim::wire::CHALLENGE), ("code_challenge_method", "S256")];
    let code = ask(&world, &request("code", &pkce)).await.of("code").to_owned();
    let parameters = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    world.token("rp", &parameters).await.expect_error(400, "invalid_grant");
    assert_eq!(world.redeem("rp", &code).await.status, 200);
    let refused = ask(&world, &request_of("web", "code", &[])).await;
    assert_eq!(refused.error(), "invalid_request", "required unless the client is told otherwise");
}

/// Section 3.1.2.1: "redirect_uri REQUIRED." Also where only one is registered, which OAuth alone would take: the user is told, and sent
/// nowhere.
#[tokio::test]
async fn a_request_without_a_redirect_uri_is_refused_on_a_page() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    for scope in ["openid", "email openid"] {
        let reply = browser.get(&request("code", &[("redirect_uri", ""), ("scope", scope)])).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (400, String::new()), "{scope}");
        assert!(reply.text().contains("role=\"alert\""), "{}", reply.text());
    }
    let without = world.browser().get(&request("code", &[("redirect_uri", ""), ("scope", "email")])).await;
    assert!(without.text().contains("id=\"login-submit\""), "RFC 6749 section 3.1.2.3: {}", without.text());
}
