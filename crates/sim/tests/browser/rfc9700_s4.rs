//! RFC 9700 section 4, attacks and mitigations, of the authorization endpoint (4.1 stands in `redirects`, 4.14 among the tokens):
//!
//! - 4.2.4: "the page rendered as a result of the authorization response […] SHOULD NOT include third-party resources or links to external
//!   sites". "Suppress the Referer header by applying an appropriate Referrer Policy".
//! - 4.3.2: "Clients MUST NOT pass access tokens in a URI query parameter".
//! - 4.11.2: the server "MUST take precautions to prevent" open redirection: "MUST always authenticate the user first" or warn.
//! - 4.12: "the authorization server MUST NOT use the HTTP 307 redirect code. If an HTTP redirection […] is used, the authorization server
//!   MUST use HTTP status code 303 "See Other"."
//! - 4.16: "Authorization servers MUST prevent clickjacking attacks." "authorization servers SHOULD use Content Security Policy […] and
//!   X-Frame-Options".

use sim::wire::browser::parameter;
use sim::wire::{PASSWORD, USER, World, authorization, text};

use super::support::{ask, is_consent, is_login};

/// Check W7: section 4.12: every redirect is a 303: after a POST with a password no browser sends the password on.
#[tokio::test]
async fn every_redirect_is_a_303() {
    let world = World::new().await;
    let mut browser = world.browser();
    let mut redirects = Vec::new();
    redirects.push(ask(&world, &authorization("web", &[("prompt", "none")])).await);
    let query = authorization("web", &[]).replace("/oauth2/authorize?", "");
    redirects.push(world.http().post_raw("/oauth2/authorize", &query, "application/x-www-form-urlencoded", &[]).await);
    let page = browser.get(&authorization("web", &[])).await;
    let after_login = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
    let page = browser.follow(after_login.clone()).await;
    redirects.push(after_login);
    redirects.push(browser.submit(&page, &[("decision", "deny")]).await);
    redirects.push(browser.submit(&page, &[("decision", "allow")]).await);
    redirects.push(browser.get(&authorization("web", &[])).await);
    redirects.push(browser.get(&authorization("opaque", &[("scope", "nonsense")])).await);
    for reply in &redirects {
        assert_eq!(reply.status, 303);
        assert!(reply.body.is_empty() && !reply.header("location").is_empty());
        assert_eq!(
            (reply.header("cache-control"), reply.header("referrer-policy")),
            ("no-store".into(), "no-referrer".into())
        );
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert!(!reply.header("location").contains("battery"), "no password in a URL");
    }
    assert_eq!(redirects.len(), 7);
}

/// Check W5: no page sends its URL on, loads anything from elsewhere, or links to another site; no script could read the fragment.
#[tokio::test]
async fn no_page_tells_its_address_to_others() {
    let world = World::new().await;
    let mut browser = world.browser();
    let login = browser.get(&authorization("web", &[])).await;
    let consent = browser.log_in(&login, USER).await;
    assert!(is_login(&login) && is_consent(&consent));
    let error = ask(&world, "/oauth2/authorize?client_id=nobody").await;
    for page in [login, consent, error, browser.get("/").await, browser.get("/logout").await] {
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for place in page.text().replace("&#x2f;", "/").split(attribute).skip(1) {
                assert!(place.starts_with('/') && !place.starts_with("//"), "{attribute}{place:.60}");
            }
        }
        assert!(!page.text().contains("<script"));
    }
}

/// Check W5: a token or a password in a URL is not taken: section 4.3.2.
#[tokio::test]
async fn no_secret_is_taken_from_a_url() {
    let world = World::new().await;
    let tokens = world.grant("web").await;
    let token = text(&tokens, "access_token");
    assert_eq!(ask(&world, &format!("/oauth2/userinfo?access_token={token}")).await.status, 401);
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let form = sim::wire::browser::form(&page.text());
    let query = format!("/login?username={USER}&password=correct+horse+battery");
    let hidden: Vec<(&str, &str)> = form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(browser.post(&query, &hidden).await.status, 401, "the password belongs into the body");
    let secret = authorization("web", &[("client_secret", sim::wire::SECRET)]);
    assert!(!browser.get(&secret).await.header("location").contains("rgs_"));
}

/// Check W6: no answer that holds a code or a token may be kept.
#[tokio::test]
async fn no_answer_with_a_code_or_token_is_stored() {
    let world = World::new().await;
    for (client, response_type, name) in [("opaque", "code", "code"), ("spa-old", "token", "access_token")] {
        let mut browser = super::support::logged_in(&world, USER).await;
        let reply = browser.get(&authorization(client, &[("response_type", response_type)])).await;
        let reply = if is_consent(&reply) { browser.submit(&reply, &[("decision", "allow")]).await } else { reply };
        assert!(parameter(&reply.header("location"), name).is_some());
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let code = world.code("web").await;
    assert_eq!(world.redeem("web", &code).await.header("cache-control"), "no-store");
}

/// Section 4.16: a page that is shown in a frame anyway is of no use: what it sends without our cookie decides nothing.
#[tokio::test]
async fn a_framed_page_has_no_session() {
    let world = World::new().await;
    let mut browser = super::support::logged_in(&world, USER).await;
    let page = browser.get(&authorization("web", &[])).await;
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    // SameSite=Lax: a browser sends no cookie with a POST from a frame of another site.
    let mut framed = world.browser();
    let reply = framed.submit(&page, &[("decision", "allow")]).await;
    assert!(is_login(&reply), "nobody is logged in there: {}", reply.status);
}
