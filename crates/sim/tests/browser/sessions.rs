//! The login session and its cookies: RFC 6265 sections 4.1.2.5, 4.1.2.6 and 8.6, and the `__Host-` prefix of RFC 6265bis section 4.1.3.2.
//!
//! - 6265bis: "If a cookie's name begins with […] "__Host-", then the cookie will have been set with a Secure attribute, a Path attribute
//!   with a value of /, and no Domain attribute."

use std::sync::Arc;
use std::time::Duration;

use regrant_store::{Answer, Outcome, Question, Record, User};
use sim::wire::{CONFIG, PASSWORD, Reply, USER, World, authorization};
use tokio::task::JoinSet;

use super::support::{ask, is_consent, is_login, logged_in};

fn set_cookies(reply: &Reply) -> Vec<String> {
    reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().expect("printable").to_owned()).collect()
}

async fn all_cookies(world: &World) -> Vec<String> {
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let reply = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
    [set_cookies(&page), set_cookies(&reply)].concat()
}

/// Check W4: over plain http on loopback, where browsers refuse `__Host-`: host-only, HttpOnly, SameSite, by another name.
#[tokio::test]
async fn cookies_on_loopback_are_closed_to_scripts_and_other_sites() {
    let world = World::new().await;
    let cookies = all_cookies(&world).await;
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for cookie in cookies {
        for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain") && !cookie.contains("Secure"), "{cookie}");
        assert!(cookie.starts_with("regrant-"), "{cookie}");
    }
}

/// Check W4: over https: `__Host-`, Secure, no Domain.
#[tokio::test]
async fn cookies_over_https_are_bound_to_the_host() {
    let world = World::with(&format!("issuer = \"https://id.example/op\"\n{}", CONFIG)).await;
    let mut browser = world.browser();
    let page = browser.get(&format!("/op{}", authorization("web", &[]))).await;
    let reply = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
    let cookies = [set_cookies(&page), set_cookies(&reply)].concat();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for cookie in &cookies {
        assert!(cookie.starts_with("__Host-regrant-"), "{cookie}");
        for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert!(is_consent(&browser.follow(reply).await));
}

/// Two issuers on one host do not take each other's cookies: their names hold a hash of the issuer.
#[tokio::test]
async fn two_issuers_on_one_host_are_kept_apart() {
    let (one, other) = (World::at_path("/a").await, World::at_path("/b").await);
    let names = |browser: &sim::wire::Browser| browser.cookies().keys().cloned().collect::<Vec<_>>();
    let mut browsers = [one.browser(), other.browser()];
    browsers[0].get(&format!("/a{}", authorization("web", &[]))).await;
    browsers[1].get(&format!("/b{}", authorization("web", &[]))).await;
    assert!(names(&browsers[0]).iter().all(|name| !names(&browsers[1]).contains(name)));
}

/// Check G1: the session id is new at each login, and the one before is over; what an attacker planted is never adopted.
#[tokio::test]
async fn the_session_id_is_renewed_at_login() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let before = browser.clone();
    let name = session_cookie(&before);
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    assert!(is_login(&page));
    browser.log_in(&page, USER).await;
    assert_ne!(browser.cookies()[&name], before.cookies()[&name]);
    let mut old = before;
    assert!(is_login(&old.get(&authorization("web", &[])).await), "the old session is over");
    assert!(is_consent(&browser.get(&authorization("web", &[])).await));
}

/// Check G1: a session cookie that was there before the login (session fixation) is not the one after it.
#[tokio::test]
async fn a_planted_session_is_not_adopted() {
    let world = World::new().await;
    let attacker = logged_in(&world, USER).await;
    let name = session_cookie(&attacker);
    let planted = attacker.cookies()[&name].clone();
    let mut victim = world.browser();
    let page = victim.get(&authorization("web", &[])).await;
    let form = sim::wire::browser::form(&page.text());
    let mut parameters: Vec<(&str, &str)> =
        form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parameters.extend([("username", USER), ("password", PASSWORD)]);
    let own: String = victim.cookies().iter().map(|(name, value)| format!("{name}={value}; ")).collect();
    let reply = world.http().post("/login", &parameters, &[("cookie", &format!("{own}{name}={planted}"))]).await;
    assert_eq!(reply.status, 303);
    assert!(set_cookies(&reply).iter().all(|cookie| !cookie.contains(&planted)));
}

/// Check G1: logout ends the session on the server: the old cookie opens nothing any more.
#[tokio::test]
async fn a_session_ends_at_logout_for_every_copy_of_its_cookie() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    let mut thief = browser.clone();
    assert!(is_consent(&thief.get(&authorization("web", &[])).await));
    let page = browser.get("/logout").await;
    let reply = browser.submit(&page, &[]).await.expect_status(200);
    assert!(set_cookies(&reply).iter().any(|cookie| cookie.contains("Max-Age=0")), "the cookie is cleared");
    assert!(is_login(&thief.get(&authorization("web", &[])).await));
}

/// A login lasts 12 hours, to the second.
#[tokio::test]
async fn a_login_ends_after_twelve_hours() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    world.advance(Duration::from_secs(12 * 3600 - 1));
    assert!(is_consent(&browser.get(&authorization("web", &[])).await));
    world.advance(Duration::from_secs(1));
    assert!(is_login(&browser.get(&authorization("web", &[])).await));
}

/// A user who is switched off, or whose password is changed, is logged in nowhere from that moment on.
#[tokio::test]
async fn a_session_does_not_outlive_its_user() {
    let world = World::new().await;
    let mut browser = logged_in(&world, USER).await;
    world.app.admin().set_user_disabled(USER, true).await.expect("switched off");
    assert!(is_login(&browser.get(&authorization("web", &[])).await));
    world.app.admin().set_user_disabled(USER, false).await.expect("switched on");
    assert!(is_login(&browser.get(&authorization("web", &[])).await), "the session does not come back");
    let mut browser = logged_in(&world, USER).await;
    world.app.admin().set_password(USER, "another long password".to_owned().into()).await.expect("changed");
    assert!(is_login(&browser.get(&authorization("web", &[])).await));
}

/// No cookie but ours is one: changed, shortened, swapped with the other, or of another server.
#[tokio::test]
async fn a_changed_cookie_is_nobody() {
    let world = World::new().await;
    let browser = logged_in(&world, USER).await;
    let name = session_cookie(&browser);
    let value = browser.cookies()[&name].clone();
    let other_kind =
        browser.cookies().iter().find(|(other, _)| **other != name).map(|(_, value)| value.clone()).expect("two");
    let other_server = World::new().await;
    let foreign = logged_in(&other_server, USER).await.cookies().values().cloned().collect::<Vec<_>>();
    let mut wrong =
        vec![value[1..].to_owned(), format!("{value}0"), value.to_uppercase(), other_kind, String::new(), "\"".into()];
    wrong.extend(foreign);
    wrong.push(value.chars().rev().collect());
    for wrong in wrong {
        let reply = world.http().get(&authorization("web", &[]), &[("cookie", &format!("{name}={wrong}"))]).await;
        assert!(is_login(&reply), "{wrong}");
    }
    assert!(is_login(&ask(&world, &authorization("web", &[])).await));
}

fn session_cookie(browser: &sim::wire::Browser) -> String {
    browser.cookies().keys().find(|name| name.contains("-session-")).expect("a session").clone()
}

/// Check T24: a password that was right when it was sent, and was changed while it was compared: what the change has ended does not begin
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_under_way_while_the_password_is_changed_begins_no_session() {
    const AT_ONCE: u64 = 6;
    let world = Arc::new(World::new().await);
    world.add_user("bob").await;
    let user = async |name: &str| match world.app.engine.ask(Question::UserByName(name.to_owned())).await {
        Ok(Answer::User(Some(user))) => user,
        other => panic!("{other:?}"),
    };
    let (alice, bob) = (user(USER).await, user("bob").await);
    let mut logins = JoinSet::new();
    let mut pages = Vec::new();
    for number in 0..AT_ONCE {
        let mut browser = world.browser().moved_to(&format!("127.0.0.{}", number + 2));
        let page = browser.get(&authorization("web", &[])).await;
        pages.push((browser, page));
    }
    let asked = world.watch.reads();
    for (mut browser, page) in pages {
        logins.spawn(async move {
            let reply = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
            (browser, reply)
        });
    }
    // Each asks for its failures and for its user, and then waits for its turn.
    while world.watch.reads() < asked + 2 * AT_ONCE {
        tokio::task::yield_now().await;
    }
    let changed = User { password: bob.password.clone(), version: alice.version + 1, ..alice.clone() };
    let put = Record::PutUser { expected: alice.version, user: changed };
    let end = Record::EndSessionsOf { subject: alice.subject.clone(), but: None };
    let outcomes = world.app.engine.commit(vec![put, end]).await.expect("the store writes");
    assert_eq!(outcomes, [Outcome::Committed, Outcome::Committed]);
    let mut late = 0;
    while let Some(login) = logins.join_next().await {
        let (mut browser, reply) = login.expect("no panic");
        late += u32::from(reply.status.as_u16() == 401);
        let silently = browser.get(&authorization("web", &[("prompt", "none")])).await;
        let error = sim::wire::browser::parameter(&silently.header("location"), "error");
        assert_eq!(error.as_deref(), Some("login_required"), "{reply:?}");
    }
    assert!(late > 0, "all of them were done before");
}
