//! OpenID Connect Session Management 1.0.
//!
//! - 2: `session_state`, "JSON [RFC7159] string that represents the End-User's login state at the OP. It MUST NOT contain the space (" ")
//!   character."
//! - 3.2: the OP iframe "MUST … recalculate it from the previously obtained Client ID, the source origin URL (from the postMessage), and the
//!   current OP User Agent state".
//! - 3.3: `check_session_iframe`.

use regrant_core::secret::Hash;
use sim::wire::browser::parameter;
use sim::wire::{Browser, USER, World, authorization, text};

use super::support::{browser_of, told_at};

async fn world() -> World {
    World::with(&told_at("", "")).await
}

async fn session_state(browser: &mut Browser) -> String {
    let location = browser.authorize_as(&authorization("shop", &[("scope", "openid read")]), USER).await;
    parameter(&location, "session_state").expect("session_state")
}

/// What the page compares: section 3.2.
fn is_right(browser: &Browser, session_state: &str) -> bool {
    let state = browser.cookies().iter().find(|(name, _)| name.contains("-state-")).map_or("", |(_, value)| value);
    let (hash, salt) = session_state.split_once('.').expect("a hash and a salt");
    let own = Hash::of(format!("shop https://app.example {state} {salt}").as_bytes());
    own.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == hash
}

/// Section 2: the answer to an OpenID request says the state, and the page finds it unchanged until the user logs out.
#[tokio::test]
async fn the_state_of_an_answer_is_right_until_the_user_logs_out() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let (first, second) = (session_state(&mut browser).await, session_state(&mut browser).await);
    assert_ne!(first, second, "salted");
    assert!(!first.contains(' '));
    assert!(is_right(&browser, &first) && is_right(&browser, &second));
    let page = browser.get("/logout").await;
    assert_eq!(browser.submit(&page, &[]).await.status, 200);
    assert!(!is_right(&browser, &first), "changed");
}

/// The user ends all of it on his own page.
#[tokio::test]
async fn the_state_ends_with_all_that_the_user_ends() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let state = session_state(&mut browser).await;
    let page = browser.get("/account").await;
    let csrf =
        page.text().split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    let form = [("csrf", csrf.expect("a form")), ("action", "end_all".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let left = browser.post("/account", &form).await.expect_status(200);
    assert!(!is_right(&browser, &state), "{}", left.text());
}

/// Another user at the same browser is another state, before any application has asked again.
#[tokio::test]
async fn another_user_is_another_state() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = browser_of(&world, USER).await;
    let state = session_state(&mut browser).await;
    let page = browser.get("/oauth2/authorize?prompt=login").await;
    assert_eq!(page.status, 400);
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    browser.log_in(&page, "bob").await;
    assert!(!is_right(&browser, &state));
}

/// No session, no state: plain OAuth clients get neither parameter nor cookie.
#[tokio::test]
async fn an_answer_without_openid_says_nothing_of_the_session() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let location = browser.authorize_as(&authorization("shop", &[("scope", "read")]), USER).await;
    assert_eq!(parameter(&location, "session_state"), None);
    assert!(!browser.cookies().keys().any(|name| name.contains("-state-")));
}

/// Section 3.3: the one page that may be framed, and whose one script is our own file. It holds nothing of a user.
#[tokio::test]
async fn the_page_that_is_framed_has_one_script_and_no_more() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        let metadata = world.http().get(&format!("{base}/.well-known/openid-configuration"), &[]).await.json();
        let iframe = text(&metadata, "check_session_iframe");
        let page = world.http().get(iframe.strip_prefix(&world.base).expect("its own"), &[]).await.expect_status(200);
        let policy = page.header("content-security-policy");
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *"
        );
        assert_eq!(page.header("x-frame-options"), "", "it would forbid the frame");
        let html = page.text();
        let (_, rest) = html.split_once("<script src=\"").expect("a script");
        let (script, rest) = rest.split_once('"').expect("its end");
        assert!(rest.starts_with("></script>") && html.matches("<script").count() == 1, "nothing is inline");
        let script = world.http().get(script, &[]).await.expect_status(200);
        assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    }
}

/// Over https the cookie reaches frames of other sites, which needs both; and no script of another host reads it.
#[tokio::test]
async fn the_cookie_of_the_state_reaches_frames_over_https() {
    let config = format!("issuer = \"https://id.example\"\n{}", told_at("", ""));
    let world = World::with(&config).await;
    let mut browser = browser_of(&world, USER).await;
    let reply = browser.get(&authorization("shop", &[("scope", "openid")])).await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-regrant-state-"), "{cookie}");
    assert!(cookie.contains("; Path=/; SameSite=None; Secure") && !cookie.contains("HttpOnly"), "{cookie}");
}

/// The same user who logs in again is in the same session, and no application is alarmed.
#[tokio::test]
async fn the_same_user_who_logs_in_again_is_the_same_state() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let state = session_state(&mut browser).await;
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    browser.log_in(&page, USER).await;
    assert!(is_right(&browser, &state));
}
