//! Cross-site request forgery: RFC 6749 section 10.12, RFC 9700 section 4.7.
//!
//! - 6749 10.12: "The authorization server MUST implement CSRF protection for its authorization endpoint and ensure that a malicious client
//!   cannot obtain authorization without the awareness and explicit consent of the resource owner."

use sim::wire::browser::{PageForm, form, parameter};
use sim::wire::{Browser, PASSWORD, Reply, USER, World, authorization};

use super::support::{assert_denied, is_consent, is_login, logged_in};

fn field(form: &PageForm, name: &str) -> String {
    form.hidden
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
        .unwrap_or_else(|| panic!("no {name}"))
}

async fn consent_form(browser: &mut Browser, path: &str) -> PageForm {
    let page = browser.get(path).await;
    assert!(is_consent(&page));
    form(&page.text())
}

async fn allow(browser: &mut Browser, request: &str, csrf: &str) -> Reply {
    browser.post("/consent", &[("request", request), ("csrf", csrf), ("decision", "allow")]).await
}

/// Check W11: a consent counts only with the token of this page, of this session, for this very request.
#[tokio::test]
async fn a_consent_counts_only_from_its_own_page() {
    let world = World::new().await;
    world.add_user("bob").await;
    let mut alice = logged_in(&world, USER).await;
    let mut bob = logged_in(&world, "bob").await;
    let mut same_user = logged_in(&world, USER).await;
    let path = authorization("web", &[("scope", "read")]);
    let mine = consent_form(&mut alice, &path).await;
    let (request, csrf) = (field(&mine, "request"), field(&mine, "csrf"));
    let other_request =
        field(&consent_form(&mut alice, &authorization("web", &[("scope", "read write")])).await, "csrf");
    let other_client = field(&consent_form(&mut alice, &authorization("phone", &[("scope", "read")])).await, "csrf");
    let bobs = field(&consent_form(&mut bob, &path).await, "csrf");
    let other_session = field(&consent_form(&mut same_user, &path).await, "csrf");
    let logouts = field(&form(&alice.get("/logout").await.text()), "csrf");
    let logins =
        field(&form(&alice.get(&authorization("web", &[("scope", "read"), ("prompt", "login")])).await.text()), "csrf");
    let upper = csrf.to_uppercase();
    for wrong in ["", "x", &csrf[1..], &upper, &other_request, &other_client, &bobs, &other_session, &logouts, &logins]
    {
        let reply = allow(&mut alice, &request, wrong).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, String::new()), "{wrong}");
    }
    let grown = request.replace("scope=read", "scope=read%20write");
    assert_ne!(grown, request);
    assert_eq!(allow(&mut alice, &grown, &csrf).await.status, 403, "the request was changed");
    assert_eq!(allow(&mut alice, &format!("{request}&x"), &csrf).await.status, 403);
    assert!(is_consent(&alice.get(&path).await), "nothing was remembered");
    let reply = allow(&mut alice, &request, &csrf).await;
    assert!(parameter(&reply.header("location"), "code").is_some(), "the right token does");
}

/// Check W11: a GET decides nothing: neither with the page's own fields in the query, nor with `decision` in the request.
#[tokio::test]
async fn a_link_decides_nothing() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let path = authorization("web", &[]);
    let form = consent_form(&mut browser, &path).await;
    let query = regrant_server::form::write(&[
        ("request", &field(&form, "request")),
        ("csrf", &field(&form, "csrf")),
        ("decision", "allow"),
    ]);
    assert_eq!(browser.get(&format!("/consent?{query}")).await.status, 405);
    assert_eq!(browser.post(&format!("/consent?{query}"), &[]).await.status, 403);
    for more in ["decision=allow", "consent=true", "csrf=x&decision=allow", "approval_prompt=auto"] {
        assert!(is_consent(&browser.get(&format!("{path}&{more}")).await), "{more}");
    }
    assert_denied(&browser.get(&format!("{path}&prompt=allow")).await, "invalid_request");
}

/// Check W14: a login page belongs to the browser that it was shown to, and to its request: nobody can be logged in by another's page.
#[tokio::test]
async fn a_login_counts_only_from_its_own_page() {
    let world = World::new().await;
    let (mut mine, mut theirs) = (world.browser(), world.browser());
    let path = authorization("web", &[]);
    let page = form(&mine.get(&path).await.text());
    let other = form(&theirs.get(&path).await.text());
    let other_request = form(&mine.get(&authorization("phone", &[])).await.text());
    let request = field(&page, "request");
    for csrf in ["", "x", &field(&other, "csrf"), &field(&other_request, "csrf")] {
        let parameters = [("request", request.as_str()), ("csrf", csrf), ("username", USER), ("password", PASSWORD)];
        let reply = mine.post("/login", &parameters).await;
        assert_eq!(reply.status, 403, "{csrf}");
        assert!(reply.text().contains("This page was open for too long. Please try again."));
        assert!(!mine.cookies().keys().any(|name| name.contains("-session-")), "nobody was logged in");
    }
    let mut without_cookies = world.browser();
    let parameters =
        [("request", request.as_str()), ("csrf", &field(&page, "csrf")), ("username", USER), ("password", PASSWORD)];
    assert_eq!(without_cookies.post("/login", &parameters).await.status, 403, "another browser");
    assert_eq!(mine.post("/login", &parameters).await.status, 303, "its own");
}

/// A page that was left open can be sent again: the answer to an outdated form is a fresh form that works.
#[tokio::test]
async fn an_outdated_login_page_is_replaced_by_one_that_works() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let mut later = world.browser();
    let fresh = later.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
    assert_eq!(fresh.status, 403);
    assert!(!is_login(&fresh) && fresh.text().contains("login-submit"));
    assert!(is_consent(&later.log_in(&fresh, USER).await));
}

/// A consent page without its session, after a restart of the browser say, leads to the login and back to the same request.
#[tokio::test]
async fn a_consent_page_without_a_session_leads_to_the_login() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let page = browser.get(&authorization("web", &[])).await;
    let mut restarted = world.browser();
    let login = restarted.submit(&page, &[("decision", "allow")]).await;
    assert!(is_login(&login));
    assert!(
        is_consent(&restarted.log_in(&login, USER).await),
        "and the user is asked, not taken at a word said elsewhere"
    );
}
