//! The login page. RFC 6749 section 3.1: "The authorization server MUST first verify the identity of the resource owner."
//!
//! Section 10.10 of it wants that nobody guesses: what is wrong with a login is not told.

use sim::wire::{PASSWORD, Reply, USER, World, authorization};

use super::support::{is_consent, is_login};

async fn attempt(world: &World, username: &str, password: &str) -> Reply {
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    browser.submit(&page, &[("username", username), ("password", password)]).await
}

/// What a person reads of the page, without what differs by itself.
fn heard(reply: &Reply, username: &str) -> String {
    let text = reply.text();
    let csrf =
        sim::wire::browser::form(&text).hidden.into_iter().find(|(name, _)| name == "csrf").map(|(_, value)| value);
    text.replace(&csrf.unwrap_or_default(), "").replace(&format!("value=\"{username}\""), "")
}

/// An unknown user, a wrong password and a user who was switched off are told the same, byte by byte.
#[tokio::test]
async fn whatever_was_wrong_the_same_is_told() {
    let world = World::new().await;
    world.add_user("mallory").await;
    world.app.admin().set_user_disabled("mallory", true).await.expect("switched off");
    let mut told = Vec::new();
    for (username, password) in [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("mallory", PASSWORD),
        ("mallory", "wrong"),
        ("alice", ""),
        ("\u{0}", "x"),
    ] {
        let reply = attempt(&world, username, password).await;
        assert_eq!(reply.status, 401, "{username}");
        assert!(reply.text().contains("That username and password do not match."));
        assert!(reply.text().contains("role=\"alert\""), "a screen reader says it");
        assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 0, "no session");
        let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        names.sort();
        if username.len() > 1 {
            told.push((heard(&reply, username), names));
        }
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_wrong_password_can_be_corrected() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let page = browser.submit(&page, &[("username", USER), ("password", "wrong")]).await;
    assert!(page.text().contains(&format!("value=\"{USER}\"")), "the name stays");
    assert!(!page.text().contains("wrong"), "the password does not");
    assert!(is_consent(&browser.log_in(&page, USER).await));
}

/// Letter case and space around it make no other user of a name (what B1 will count by, once logins are counted).
#[tokio::test]
async fn a_user_has_one_name_however_it_is_typed() {
    let world = World::new().await;
    for name in ["alice", "Alice", "ALICE", " alice", "alice\u{a0}", "aLiCe "] {
        assert_eq!(attempt(&world, name, PASSWORD).await.status, 303, "{name:?}");
    }
    for other in ["al ice", "alice\u{200b}", "\u{430}lice", "alice%00", "a\u{300}lice"] {
        assert_eq!(attempt(&world, other, PASSWORD).await.status, 401, "{other:?}");
    }
    assert!(world.app.admin().add_user("ALICE", "x".repeat(20).into()).await.is_err(), "nor can there be a second one");
}

/// A password is compared as it was typed.
#[tokio::test]
async fn a_password_has_one_spelling() {
    let world = World::new().await;
    for wrong in [
        format!(" {PASSWORD}"),
        format!("{PASSWORD} "),
        PASSWORD.to_uppercase(),
        PASSWORD[1..].to_owned(),
        "x".repeat(1025),
    ] {
        assert_eq!(attempt(&world, USER, &wrong).await.status, 401, "{wrong}");
    }
    assert_eq!(attempt(&world, USER, PASSWORD).await.status, 303);
}

/// Checks I3, I6: a field twice, another media type, too much: nothing is looked at.
#[tokio::test]
async fn a_malformed_login_is_no_login() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let twice = browser.submit(&page, &[("username", USER), ("password", "wrong"), ("password", PASSWORD)]).await;
    assert_eq!(twice.status, 400);
    let long = browser.submit(&page, &[("username", USER), ("password", &"x".repeat(70_000))]).await;
    assert_eq!(long.status, 400);
    let form = format!("username={USER}&password=correct+horse+battery");
    for media_type in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let reply = world.http().post_raw("/login", &form, media_type, &[]).await;
        assert_eq!(reply.status, 400, "{media_type}");
    }
}

/// The page says who asks; without JavaScript, with a label for every field, for a password manager to fill.
#[tokio::test]
async fn the_page_says_who_asks_and_can_be_filled_by_a_password_manager() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[])).await;
    assert!(is_login(&page));
    for part in [
        "Web App",
        "asks you to log in",
        "name=\"username\"",
        "name=\"password\"",
        "type=\"password\"",
        "id=\"login-submit\"",
        "autocomplete=\"current-password\"",
        "autocomplete=\"username\"",
        "<label for=\"username\">",
        "<html lang=\"en\">",
        "name=\"viewport\"",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
}

/// Somebody who logs in without an application's asking stays here.
#[tokio::test]
async fn a_login_without_a_request_leads_home() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        let mut browser = world.browser();
        browser.get(&format!("{base}{}", authorization("web", &[]))).await;
        // The page of an expired form has a token for an empty request.
        let page = browser.post(&format!("{base}/login"), &[]).await.expect_status(403);
        let reply = browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, format!("{base}/")));
        assert!(browser.follow(reply).await.text().contains(&format!("logged in as <bdi class=\"name\">{USER}</bdi>")));
    }
}
