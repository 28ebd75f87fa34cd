//! Whose an interaction is, how often it is good, and for how long (checks G1, W11, W14, W16, B5).

use std::time::Duration;

use serde_json::json;
use sim::wire::browser::parameter;
use sim::wire::{CONFIG, USER, World, authorization};

use super::support::{accept, ask, assert_told, at_consent, challenge, settings, world};

/// Nobody can hand somebody else a login of his own, nor make him finish his: a verifier is of the browser that began.
#[tokio::test]
async fn a_verifier_is_good_in_the_browser_that_began_and_in_no_other() {
    let world = world().await;
    let (mut mine, mut other) = (world.browser(), world.browser());
    let asked = challenge(&mine.get(&authorization("web", &[])).await, "login");
    challenge(&other.get(&authorization("web", &[])).await, "login");
    let back = accept(&world, &asked, json!({"user": USER})).await;
    for stranger in [&mut other, &mut world.browser()] {
        let reply = stranger.get(&back).await;
        assert_told(&reply, "foreign_interaction");
        assert!(reply.headers.get_all("set-cookie").iter().next().is_none(), "nobody is logged in by it");
    }
    // Nothing was used up by them.
    let reply = mine.get(&back).await;
    let reply = mine.follow(reply).await;
    challenge(&reply, "consent");
}

/// A consent is of the session that was asked: another user of the same browser decides nothing.
#[tokio::test]
async fn a_consent_is_of_its_session() {
    let world = world().await;
    world.add_user("bob").await;
    let (mut browser, consent) = at_consent(&world, &authorization("web", &[]), json!({"user": USER})).await;
    let back = accept(&world, &consent, json!({})).await;
    let asked = challenge(&browser.get(&authorization("web", &[("prompt", "login")])).await, "login");
    browser.get(&accept(&world, &asked, json!({"user": "bob"})).await).await;
    assert_told(&browser.get(&back).await, "foreign_interaction");
}

#[tokio::test]
async fn an_interaction_is_good_once() {
    let world = world().await;
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("opaque", &[])).await, "login");
    let (first, second) =
        (accept(&world, &asked, json!({"user": USER})).await, accept(&world, &asked, json!({"user": USER})).await);
    assert_ne!(first, second);
    assert_eq!(browser.get(&first).await.status, 303);
    for again in [&first, &second] {
        assert_told(&browser.get(again).await, "verifier_used");
    }
}

/// After a restart as well: that it was used is in the store.
#[tokio::test]
async fn an_interaction_is_good_once_whatever_happens_to_the_server() {
    let dir = std::env::temp_dir().join(format!("regrant-interactions-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let text = format!("issuer = \"https://id.example\"\n{}", settings(super::support::APPLICATION));
    let world = World::on_sqlite_with(&text, &dir.join("once.db")).await;
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("opaque", &[])).await, "login");
    let told = ask(&world, "accept", &json!({"challenge": asked, "user": USER})).await.expect_status(200).json();
    let back = sim::wire::text(&told, "redirect_to");
    let back = back.strip_prefix("https://id.example").expect("the issuer's").to_owned();
    assert_eq!(browser.get(&back).await.status, 303);
    let world = world.restart().await;
    assert_told(&browser.get(&back).await, "verifier_used");
    world.stop().await;
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[tokio::test]
async fn an_interaction_ends() {
    let world = world().await;
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("web", &[])).await, "login");
    world.advance(Duration::from_secs(599));
    let back = accept(&world, &asked, json!({"user": USER})).await;
    world.advance(Duration::from_secs(1));
    for operation in ["read", "accept", "reject"] {
        let body =
            if operation == "accept" { json!({"challenge": asked, "user": USER}) } else { json!({"challenge": asked}) };
        assert_eq!(ask(&world, operation, &body).await.status, 404, "{operation}");
    }
    // It was answered in time, and the browser has two minutes to come back.
    world.advance(Duration::from_secs(118));
    let late = back.clone();
    let mut other = browser.clone();
    assert_eq!(browser.get(&back).await.status, 303);
    world.advance(Duration::from_secs(1));
    assert_told(&other.get(&late).await, "verifier_expired");
}

/// Sealed: whatever else is sent is nothing, in the browser and at the admin API.
#[tokio::test]
async fn what_was_not_sealed_here_is_nothing() {
    let world = world().await;
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("web", &[])).await, "login");
    let back = accept(&world, &asked, json!({"user": USER})).await;
    let verifier = parameter(&back, "verifier").expect("a verifier");
    for bad in ["", "x", "rgv_", &asked, &verifier[..verifier.len() - 2], &format!("{verifier}AA"), &"A".repeat(9000)] {
        assert_told(&browser.get(&format!("/interaction?verifier={bad}")).await, "bad_verifier");
    }
    assert_told(&browser.get("/interaction").await, "bad_verifier");
    assert_told(&browser.get(&format!("/interaction?verifier={verifier}&verifier={verifier}")).await, "bad_verifier");
    for bad in ["", "rgq_", &verifier, &asked[..asked.len() - 2]] {
        assert_eq!(ask(&world, "read", &json!({ "challenge": bad })).await.status, 404, "{bad:.20}");
    }
    // Another server's key opens nothing of this one's, and the browser is still good for its own.
    assert_eq!(browser.get(&back).await.status, 303);
}

/// A user who was switched off between the answer and the browser's return is not logged in.
#[tokio::test]
async fn a_user_who_is_switched_off_meanwhile_is_not_logged_in() {
    let world = world().await;
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("web", &[])).await, "login");
    let back = accept(&world, &asked, json!({"user": USER})).await;
    world.app.admin().set_user_disabled(USER, true).await.expect("switched off");
    assert_told(&browser.get(&back).await, "user_disabled");
}

/// Nothing is stored for a question: a flood of them leaves nothing behind. What is stored is that one was answered.
#[tokio::test]
async fn a_question_costs_the_store_nothing() {
    let world = world().await;
    let commits = || world.watch.commits();
    let before = commits();
    for _ in 0..50 {
        challenge(&world.browser().get(&authorization("web", &[])).await, "login");
    }
    assert_eq!(commits(), before);
}

/// The longest request that is read fits there and back.
#[tokio::test]
async fn the_longest_request_comes_there_and_back() {
    let world = World::with(&settings(super::support::APPLICATION)).await;
    let mut browser = world.browser();
    let short = authorization("web", &[("scope", "openid")]);
    let long = format!("{short}&pad={}", "x".repeat(8 * 1024 - short.len() - 5 + "/oauth2/authorize?".len()));
    let asked = challenge(&browser.get(&long).await, "login");
    let claims = json!({"note": "y".repeat(2000)});
    let back = accept(&world, &asked, json!({"user": USER, "claims": claims})).await;
    let reply = browser.get(&back).await;
    let reply = browser.follow(reply).await;
    challenge(&reply, "consent");
    assert!(!CONFIG.contains("[interactions]"), "the pages are built in unless set");
}
