//! OpenID Connect Front-Channel Logout 1.0.
//!
//! - 2: "the OP … renders … <iframe src="frontchannel_logout_uri"> … in a page"; "the issuer and session ID … iss … sid" where required.
//! - 3: "frontchannel_logout_session_required … the OP MUST include … iss and sid".

use regrant_server::form::write;
use serde_json::json;
use sim::wire::{Browser, Reply, USER, World};

use super::support::{browser_of, log_in_to, sid, told_at};

const ONE: &str =
    "frontchannel_logout_uri = \"https://shop.example/out?x=1\"\nfrontchannel_logout_session_required = true";
const OTHER: &str = "frontchannel_logout_uri = \"https://mail.example/out\"";

async fn world() -> World {
    World::with(&told_at(ONE, OTHER)).await
}

async fn log_out(browser: &mut Browser, parameters: &[(&str, &str)]) -> Reply {
    let page = browser.get(&format!("/oauth2/logout?{}", write(parameters))).await;
    browser.submit(&page, &[]).await
}

/// Section 2: a frame for each client of the session, with `iss` and `sid` where it wants them, and no other place may be framed.
#[tokio::test]
async fn each_client_of_the_session_is_framed_and_nothing_else_can_be() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let sid = sid(&mut browser, &world).await;
    let page = log_out(&mut browser, &[]).await.expect_status(200);
    let own = format!("https://shop.example/out?x=1&{}", write(&[("iss", world.app.issuer()), ("sid", &sid)]));
    let html = page.text().replace("&#x2f;", "/").replace("&amp;", "&");
    assert!(html.contains(&format!("src=\"{own}\"")), "{html}");
    assert!(!html.contains("mail.example"), "nobody was logged in there");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-src https://shop.example;") && policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"), "{policy}");
}

/// Without `frontchannel_logout_session_required` the URI is used as it was registered.
#[tokio::test]
async fn a_client_that_wants_no_session_is_framed_as_registered() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    for client in ["shop", "mail"] {
        log_in_to(&mut browser, client).await;
    }
    let page = log_out(&mut browser, &[]).await.expect_status(200);
    let html = page.text().replace("&#x2f;", "/");
    assert!(
        html.contains("src=\"https://mail.example/out\"") && html.contains("src=\"https://shop.example/out?"),
        "{html}"
    );
    assert!(page.header("content-security-policy").contains("frame-src https://mail.example https://shop.example;"));
}

/// The browser goes on by itself after the frames had their time, or by a link: no script is needed.
#[tokio::test]
async fn the_user_goes_on_behind_the_frames_without_a_script() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let parameters = [("client_id", "shop"), ("post_logout_redirect_uri", "https://app.example/bye"), ("state", "s")];
    let page = log_out(&mut browser, &parameters).await.expect_status(200);
    assert_eq!(page.header("refresh"), "3; url=https://app.example/bye?state=s");
    let html = page.text().replace("&#x2f;", "/");
    assert!(html.contains("id=\"logout-continue\" href=\"https://app.example/bye?state=s\""), "{html}");
    assert!(!html.contains("<script"));
}

/// What was in the session is told once.
#[tokio::test]
async fn another_session_frames_nobody() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    assert_eq!(log_out(&mut browser, &[]).await.status, 200);
    let mut other = browser_of(&world, USER).await;
    let page = log_out(&mut other, &[]).await.expect_status(200);
    assert!(!page.text().contains("<iframe") && !page.header("content-security-policy").contains("frame-src"));
}

/// What is announced works (section 3).
#[tokio::test]
async fn front_channel_logout_is_announced() {
    let metadata = world().await.http().get("/.well-known/openid-configuration", &[]).await.json();
    for name in ["frontchannel_logout_supported", "frontchannel_logout_session_supported"] {
        assert_eq!(metadata[name], json!(true), "{name}");
    }
}
