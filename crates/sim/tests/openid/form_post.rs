//! OAuth 2.0 Form Post Response Mode 1.0:
//!
//! - 2: "Authorization Response parameters are encoded as HTML form values that are auto-submitted in the User Agent, and thus are transmitted
//!   via the HTTP POST method to the Client". "The action attribute of the form MUST be the Client's Redirection URI. The method of the form
//!   attribute MUST be POST." "Because the Authorization Response is intended to be used only once, the Authorization Server MUST instruct the
//!   User Agent (and any intermediaries) not to store or reuse the content of the response."
//! - "Any technique supported by the User Agent MAY be used to cause the submission of the form, and any form content necessary to support this
//!   MAY be included, such as submit controls and client-side scripting commands."

use super::support::{STATE, ask, ask_with, at_home, heard, redeem, request, world};

const POST: (&str, &str) = ("response_mode", "form_post");

#[tokio::test]
async fn an_answer_is_a_form_that_goes_to_the_client() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let reply = browser.get(&request("code", &[POST])).await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control").as_str()), (200, "no-store"));
    let page = reply.text();
    assert!(page.contains("method=\"post\" action=\"https:&#x2f;&#x2f;app.example&#x2f;cb\""), "{page}");
    assert!(page.contains("id=\"form-post-submit\" type=\"submit\""), "a button, for browsers without scripts");
    let answer = heard(&reply);
    assert_eq!((answer.of("state"), answer.of("iss")), (STATE, world.base.as_str()));
    let _ = redeem(&world, "rp", answer.of("code")).await;
}

/// The one page with a script: a file of ours, and the policy lets it post to the client and to nothing without TLS.
#[tokio::test]
async fn the_policy_of_the_page_lets_it_post_and_nothing_else() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let reply = browser.get(&request("code", &[POST])).await;
    let policy = reply.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "form-action https:;", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = reply.text();
    let source = page.split("<script src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let script = world.http().get(&source.replace("&#x2f;", "/"), &[]).await.expect_status(200);
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert!(script.text().contains("submit()"));
}

#[tokio::test]
async fn an_error_comes_the_same_way() {
    let world = world().await;
    for (kind, more, error) in [
        ("code", ("prompt", "none"), "login_required"),
        ("id_token", ("nonce", ""), "invalid_request"),
        ("code foo", ("x", "y"), "unsupported_response_type"),
        ("code", ("request", "x"), "invalid_request_object"),
    ] {
        let answer = heard(&world.browser().get(&request(kind, &[POST, more])).await);
        assert_eq!((answer.mode, answer.error(), answer.of("state")), ("form_post", error, STATE), "{kind}");
    }
    let mut browser = world.browser();
    let page = browser.get(&request("code id_token", &[POST])).await;
    let page = browser.log_in(&page, sim::wire::USER).await;
    let denied = heard(&browser.submit(&page, &[("decision", "deny")]).await);
    assert_eq!((denied.mode, denied.error()), ("form_post", "access_denied"));
}

/// Whatever a client sends as `state` stays a value of the form.
#[tokio::test]
async fn nothing_leaves_its_field() {
    let world = world().await;
    let mut browser = at_home(&world, "openid").await;
    let state = "\"><script>alert(1)</script><input name=\"x\" value=\"";
    let reply = browser.get(&request("code", &[POST, ("state", state)])).await;
    assert!(!reply.text().contains("<script>"), "{}", reply.text());
    assert_eq!(heard(&reply).of("state"), state);
}

#[tokio::test]
async fn every_response_type_can_be_posted() {
    let world = world().await;
    for kind in super::support::RESPONSE_TYPES {
        let answer = ask(&world, &request(kind, &[POST])).await;
        assert_eq!((answer.mode, answer.has("error")), ("form_post", false), "{kind}");
    }
    let mut browser = world.browser();
    assert_eq!(ask_with(&mut browser, &request("code", &[POST])).await.mode, "form_post");
}
