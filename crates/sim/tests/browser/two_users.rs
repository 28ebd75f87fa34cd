//! Two users in one browser, two tabs, the back button. Of CVE-2025-12390: a session taken over must never give one user's tokens to
//! another.
//!
//! - RFC 6749 section 4.1: "The authorization server authenticates the resource owner […] and establishes whether the resource owner grants
//!   or denies the client's access request": the same resource owner.

use sim::wire::browser::parameter;
use sim::wire::{Browser, PASSWORD, Reply, USER, World, authorization, text};

use super::support::{is_consent, is_login, logged_in};

async fn world_of_two() -> World {
    let world = World::new().await;
    world.add_user("bob").await;
    world
}

/// The `sub` behind the code of an answer.
async fn subject(world: &World, answer: &Reply) -> String {
    let code = parameter(&answer.header("location"), "code")
        .unwrap_or_else(|| panic!("no code: {}", answer.header("location")));
    let tokens = world.redeem("web", &code).await.expect_status(200).json();
    text(&world.introspect(&text(&tokens, "access_token")).await, "sub")
}

async fn subject_of(world: &World, name: &str) -> String {
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[("prompt", "consent")])).await;
    let page = browser.log_in(&page, name).await;
    let answer = browser.submit(&page, &[("decision", "allow")]).await;
    subject(world, &answer).await
}

async fn change_user(browser: &mut Browser, name: &str) -> Reply {
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    assert!(is_login(&page));
    browser.log_in(&page, name).await
}

/// Check W16: a consent page that was shown to one user is worth nothing once another is logged in, neither yes nor no.
#[tokio::test]
async fn a_consent_of_one_user_is_never_anothers() {
    let world = world_of_two().await;
    let mut browser = logged_in(&world, USER).await;
    let alices = browser.get(&authorization("web", &[])).await;
    let bobs = change_user(&mut browser, "bob").await;
    for decision in ["allow", "deny"] {
        let reply = browser.submit(&alices, &[("decision", decision)]).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, String::new()));
        assert!(reply.text().contains("Your login has changed since this page was opened."));
    }
    let answer = browser.submit(&bobs, &[("decision", "allow")]).await;
    let (alice, bob) = (subject_of(&world, USER).await, subject_of(&world, "bob").await);
    assert_eq!(subject(&world, &answer).await, bob);
    assert_ne!(alice, bob);
}

/// Check W16: after a logout and another's login the first user's page leads nowhere.
#[tokio::test]
async fn a_page_from_before_a_logout_is_of_no_use_after_it() {
    let world = world_of_two().await;
    let mut browser = logged_in(&world, USER).await;
    let alices = browser.get(&authorization("web", &[])).await;
    let logout = browser.get("/logout").await;
    assert_eq!(browser.submit(&logout, &[]).await.status, 200);
    let reply = browser.submit(&alices, &[("decision", "allow")]).await;
    assert!(is_login(&reply), "nobody is logged in: log in first");
    let page = browser.log_in(&reply, "bob").await;
    assert!(is_consent(&page) && page.text().contains("bob"));
    assert_eq!(browser.submit(&alices, &[("decision", "allow")]).await.status, 403);
}

/// Check W16: an old login page in another tab logs in whoever types a password there, and the pages of the one before are void.
#[tokio::test]
async fn the_last_login_of_a_browser_is_the_one_that_counts() {
    let world = world_of_two().await;
    let mut browser = world.browser();
    let first_tab = browser.get(&authorization("web", &[])).await;
    let second_tab = browser.get(&authorization("web", &[("state", "second")])).await;
    let alices = browser.log_in(&first_tab, USER).await;
    let bobs = browser.log_in(&second_tab, "bob").await;
    assert!(alices.text().contains(USER) && bobs.text().contains("bob"));
    assert_eq!(browser.submit(&alices, &[("decision", "allow")]).await.status, 403);
    let answer = browser.submit(&bobs, &[("decision", "allow")]).await;
    assert_eq!(parameter(&answer.header("location"), "state").as_deref(), Some("second"));
    assert_eq!(subject(&world, &answer).await, subject_of(&world, "bob").await);
}

/// Check W16: two tabs of one user: each gets the answer of its own request.
#[tokio::test]
async fn two_tabs_of_one_user_do_not_mix() {
    let world = world_of_two().await;
    let mut browser = logged_in(&world, USER).await;
    let one = browser.get(&authorization("web", &[("state", "one"), ("scope", "read")])).await;
    let two = browser.get(&authorization("web", &[("state", "two"), ("scope", "write")])).await;
    let second = browser.submit(&two, &[("decision", "allow")]).await;
    let first = browser.submit(&one, &[("decision", "allow")]).await;
    for (answer, state, scope) in [(first, "one", "read"), (second, "two", "write")] {
        assert_eq!(parameter(&answer.header("location"), "state").as_deref(), Some(state));
        let code = parameter(&answer.header("location"), "code").expect("a code");
        let tokens = world.redeem("web", &code).await.expect_status(200).json();
        assert_eq!(text(&tokens, "scope"), scope);
    }
}

/// Check W16: the back button: a page sent twice gives a second code of the same user, and the login page behind it asks for a password.
#[tokio::test]
async fn the_back_button_is_harmless() {
    let world = world_of_two().await;
    let mut browser = world.browser();
    let login = browser.get(&authorization("web", &[])).await;
    let consent = browser.log_in(&login, USER).await;
    let first = browser.submit(&consent, &[("decision", "allow")]).await;
    let again = browser.submit(&consent, &[("decision", "allow")]).await;
    let codes = [&first, &again].map(|answer| parameter(&answer.header("location"), "code").expect("a code"));
    assert_ne!(codes[0], codes[1]);
    assert_eq!(subject(&world, &first).await, subject(&world, &again).await);
    let wrong = browser.submit(&login, &[("username", "bob"), ("password", "wrong")]).await;
    assert_eq!(wrong.status, 401);
    let page = browser.submit(&login, &[("username", "bob"), ("password", PASSWORD)]).await;
    let page = browser.follow(page).await;
    assert!(is_consent(&page) && page.text().contains("bob"), "bob is asked for himself");
}
