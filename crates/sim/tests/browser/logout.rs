//! Logout: a page that asks, and a session that ends. Nobody is logged out by a link or an image.
//!
//! RFC 9700 section 2.1 of its forms: "clients and authorization servers MUST prevent Cross-Site Request Forgery".

use sim::wire::{USER, World, authorization};

use super::support::{is_consent, is_login, logged_in};

#[tokio::test]
async fn logout_asks_and_then_ends_the_session() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        let mut browser = world.browser();
        let start = format!("{base}{}", authorization("web", &[]));
        let page = browser.get(&start).await;
        browser.log_in(&page, USER).await;
        let page = browser.get(&format!("{base}/logout")).await;
        assert!(page.text().contains("id=\"logout-confirm\"") && page.text().contains(USER));
        assert!(is_consent(&browser.get(&start).await), "asking alone ends nothing");
        let done = browser.submit(&page, &[]).await.expect_status(200);
        assert!(done.text().contains("You are logged out"));
        assert!(!browser.cookies().keys().any(|name| name.contains("-session-")));
        assert!(is_login(&browser.get(&start).await));
    }
}

/// Check W11: another site cannot log a user out: without the page's own token nothing happens.
#[tokio::test]
async fn a_foreign_form_logs_nobody_out() {
    let world = World::new().await;
    world.add_user("bob").await;
    let mut browser = logged_in(&world, USER).await;
    let mut bob = logged_in(&world, "bob").await;
    let theirs = sim::wire::browser::form(&bob.get("/logout").await.text()).hidden[0].1.clone();
    let consents = browser.get(&authorization("web", &[])).await;
    let consents = sim::wire::browser::form(&consents.text())
        .hidden
        .into_iter()
        .find(|(name, _)| name == "csrf")
        .expect("a token")
        .1;
    for csrf in ["", "x", &theirs, &consents] {
        assert_eq!(browser.post("/logout", &[("csrf", csrf)]).await.status, 403, "{csrf}");
    }
    assert!(is_consent(&browser.get(&authorization("web", &[])).await), "still logged in");
}

#[tokio::test]
async fn logout_without_a_session_says_so_and_does_no_harm() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get("/logout").await.expect_status(200);
    assert!(page.text().contains("if there is one"));
    assert!(browser.submit(&page, &[]).await.expect_status(200).text().contains("You are logged out"));
}

/// What an application holds is its own: a logout here ends no grant.
#[tokio::test]
async fn logout_ends_no_grant() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let code = browser.log_in_for_code(&authorization("web", &[])).await;
    let tokens = world.redeem("web", &code).await.expect_status(200).json();
    let page = browser.get("/logout").await;
    assert_eq!(browser.submit(&page, &[]).await.status, 200);
    assert_eq!(world.refresh("web", &sim::wire::text(&tokens, "refresh_token")).await.status, 200);
}
