//! OpenID Connect Back-Channel Logout 1.0.
//!
//! - 2.4: the claims of a logout token, "iss REQUIRED … aud REQUIRED … iat REQUIRED … exp REQUIRED … jti REQUIRED … events REQUIRED", and "A
//!   Logout Token MUST contain either a sub or a sid Claim, and MAY contain both"; "The following Claim MUST NOT be used within the Logout
//!   Token: nonce".
//! - 2.5: "the OP … sends … an HTTP POST request … to the RP's back-channel logout URI … application/x-www-form-urlencoded … logout_token".
//! - 2.6: the OP's actions; 2.8: 200, 400.

use regrant_server::admin::events::EventsWanted;
use serde_json::{Value, json};
use sim::wire::{Act, Hook, USER, World, authorization};

use super::support::{back_channels, browser_of, log_in_to, logout_token, sid, subject};

async fn log_out(browser: &mut sim::wire::Browser) {
    let page = browser.get("/logout").await;
    assert_eq!(browser.submit(&page, &[]).await.status, 200);
}

fn told(world: &World, hook: &Hook) -> Vec<Value> {
    hook.heard().iter().map(|heard| logout_token(world, &heard.body).1).collect()
}

/// Waits until nobody is to be told of anything any more.
async fn all_told(world: &World) {
    loop {
        let question = regrant_store::Question::LogoutClients { after: String::new(), limit: 10 };
        match world.app.engine.ask(question).await.expect("an answer") {
            regrant_store::Answer::LogoutClients(clients) if clients.is_empty() => return,
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Sections 2.4 and 2.5, to every client that was logged in to in the session, and to no other.
#[tokio::test]
async fn every_client_of_the_session_is_sent_a_logout_token() {
    let (world, shop, mail) = back_channels().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let sid = sid(&mut browser, &world).await;
    let mut other = browser_of(&world, USER).await;
    log_in_to(&mut other, "mail").await;
    log_out(&mut browser).await;
    all_told(&world).await;
    assert!(mail.heard().is_empty(), "another session of the same user");
    let heard = shop.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].head.starts_with("post "), "{}", heard[0].head);
    assert_eq!(heard[0].header("content-type"), "application/x-www-form-urlencoded");
    let (header, claims) = logout_token(&world, &heard[0].body);
    assert_eq!(header["typ"], json!("logout+jwt"));
    assert_eq!(claims["iss"], json!(world.app.issuer()));
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("shop"), &json!(subject(&world).await)));
    assert_eq!(claims["sid"], json!(sid));
    assert_eq!(claims["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    let (iat, exp) = (claims["iat"].as_i64().expect("iat"), claims["exp"].as_i64().expect("exp"));
    assert!(exp - iat <= 120, "section 2.4: at most two minutes");
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16));
    assert!(claims.get("nonce").is_none(), "MUST NOT be used");
}

/// Section 2.8 says which status a client answers with, and nothing of a type: one that negotiates (Django REST Framework) is to find
/// nothing to refuse.
#[tokio::test]
async fn a_client_that_negotiates_hears_of_a_logout_the_first_time() {
    let (world, shop, _mail) = back_channels().await;
    shop.does(Act::Offers("application/json"));
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    log_out(&mut browser).await;
    all_told(&world).await;
    assert_eq!(shop.heard().iter().map(|heard| heard.header("accept")).collect::<Vec<_>>(), ["*/*"]);
}

/// Section 2.6, whoever ends the session: the user everywhere, an operator, another password, a user who is switched off.
#[tokio::test]
async fn a_session_that_anybody_ends_is_told() {
    let (world, shop, mail) = back_channels().await;
    let admin = || world.app.admin();
    for (round, how) in ["everywhere", "password", "disabled", "removed"].into_iter().enumerate() {
        let mut browser = browser_of(&world, USER).await;
        log_in_to(&mut browser, "shop").await;
        log_in_to(&mut browser, "mail").await;
        match how {
            "everywhere" => {
                let page = browser.get("/account").await;
                browser.submit(&page, &[("action", "end_all")]).await;
            }
            "password" => admin().set_password(USER, sim::wire::PASSWORD.to_owned().into()).await.expect("changed"),
            "disabled" => {
                admin().set_user_disabled(USER, true).await.expect("disabled");
                admin().set_user_disabled(USER, false).await.expect("enabled");
            }
            _ => admin().remove_user(USER).await.expect("removed"),
        }
        shop.has_heard(round + 1).await;
        mail.has_heard(round + 1).await;
        all_told(&world).await;
    }
    assert_eq!((shop.heard().len(), mail.heard().len()), (4, 4));
}

/// Another user who logs in at the same browser ends the session of the one before.
#[tokio::test]
async fn a_browser_that_changes_hands_logs_the_first_user_out() {
    let (world, shop, _mail) = back_channels().await;
    world.add_user("bob").await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let page = browser.get(&authorization("shop", &[("prompt", "login")])).await;
    browser.log_in(&page, "bob").await;
    shop.has_heard(1).await;
    assert_eq!(told(&world, &shop)[0]["sub"], json!(subject(&world).await));
}

/// The same user who logs in again is not logged out.
#[tokio::test]
async fn a_user_who_logs_in_again_is_not_logged_out() {
    let (world, shop, _mail) = back_channels().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let before = sid(&mut browser, &world).await;
    let page = browser.get(&authorization("shop", &[("prompt", "login")])).await;
    browser.log_in(&page, USER).await;
    all_told(&world).await;
    assert!(shop.heard().is_empty());
    log_out(&mut browser).await;
    shop.has_heard(1).await;
    assert_eq!(told(&world, &shop)[0]["sid"], json!(before), "under the name that the client knows");
}

/// Law L1: what was answered is told, after failures and after a restart; with a new token each time.
#[tokio::test]
async fn a_client_that_cannot_be_reached_is_told_later() {
    let (world, shop, mail) = back_channels().await;
    shop.does(Act::Answer(503, Vec::new(), String::new()));
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    log_in_to(&mut browser, "mail").await;
    log_out(&mut browser).await;
    mail.has_heard(1).await;
    shop.has_heard(2).await;
    let waits = world.app.admin().logouts().await.expect("listed").swap_remove(0);
    assert_eq!((waits.client.as_str(), waits.waiting, waits.given_up.len()), ("shop", 1, 0));
    assert!(waits.oldest_waiting_at.is_some());
    let world = world.restart().await;
    shop.does(Act::Answer(200, Vec::new(), String::new()));
    let before = shop.heard().len();
    shop.has_heard(before + 1).await;
    all_told(&world).await;
    let told = told(&world, &shop);
    let ids: std::collections::BTreeSet<String> = told.iter().map(|claims| claims["jti"].to_string()).collect();
    assert_eq!(ids.len(), told.len(), "each try is a token of its own");
    assert_eq!(mail.heard().len(), 1, "whoever has heard is not told again");
}

/// Section 2.8: a client that refuses is asked a few times; then an operator is told, and the next logout goes on.
#[tokio::test]
async fn a_client_that_refuses_for_good_is_given_up_and_said_so() {
    let (world, shop, _mail) = back_channels().await;
    shop.does(Act::Answer(503, Vec::new(), String::new()));
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    log_out(&mut browser).await;
    shop.has_heard(1).await;
    world.advance(std::time::Duration::from_secs(24 * 3600));
    all_told(&world).await;
    let events =
        world.app.admin().events(&EventsWanted { limit: 10, ..EventsWanted::default() }).await.expect("events");
    let given_up = events.iter().find(|event| event.kind == "logout_undelivered").expect("an event");
    assert_eq!(given_up.client.as_deref(), Some("shop"));
    let listed = world.app.admin().logouts().await.expect("listed");
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((one.client.as_str(), one.waiting, one.given_up.len()), ("shop", 0, 1));
    let lost = &one.given_up[0];
    assert_eq!((lost.event, lost.user.as_deref(), lost.failure.as_str()), (given_up.id, Some(USER), "status 503"));
    let metrics = world.app.metrics_text();
    assert!(metrics.contains("regrant_logouts_undelivered_total 1"), "{metrics}");
    assert!(metrics.contains("regrant_logout_deliveries_total{result=\"failed\"}"), "{metrics}");
}

/// A client that is told of nothing costs nothing; and whoever has no URI any more is not waited for.
#[tokio::test]
async fn a_client_without_a_uri_is_not_told() {
    let world = World::new().await;
    let mut browser = browser_of(&world, USER).await;
    browser.log_in_for_code(&authorization("web", &[])).await;
    log_out(&mut browser).await;
    all_told(&world).await;
}

/// What is announced works (section 2.1).
#[tokio::test]
async fn back_channel_logout_is_announced() {
    let metadata = World::new().await.http().get("/.well-known/openid-configuration", &[]).await.json();
    for name in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
        assert_eq!(metadata[name], json!(true), "{name}");
    }
}
