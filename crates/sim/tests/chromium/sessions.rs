//! Devices, logouts, and what an application's page hears of its session, in a browser.

use regrant_server::form::write;
use sim::wire::browser::parameter;
use sim::wire::{CONFIG, World, text};

use super::client::Client;
use super::pages::{fits_a_phone, log_in, start_with};
use super::tab::{DESK, PHONE, Tab};

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device, and an application that hears of logouts as `LOGOUT` says.
const CLIENTS: &str = r#"
[[client]]
id = "tv"
name = "Telly"
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scopes = ["openid", "read", "write"]

[[client]]
id = "spa"
name = "The Shop"
token_endpoint_auth_method = "none"
redirect_uris = ["http://127.0.0.1/cb"]
grant_types = ["authorization_code"]
scopes = ["openid", "read"]
skip_consent = true
LOGOUT
"#;

async fn world(logout: &str) -> World {
    World::with(&format!("{CONFIG}{}", CLIENTS.replace("LOGOUT", logout))).await
}

/// The device asks. Returns its code, the user's, and the address that its QR code leads to.
async fn asked(world: &World) -> (String, String, String) {
    let answer = world.post("/oauth2/device_authorization", "tv", &[("scope", "read write")], &[]).await;
    let answer = answer.expect_status(200).json();
    (text(&answer, "device_code"), text(&answer, "user_code"), text(&answer, "verification_uri_complete"))
}

async fn poll(world: &World, device_code: &str) -> sim::wire::Reply {
    world.token("tv", &[("grant_type", DEVICE_CODE), ("device_code", device_code)]).await
}

/// RFC 8628 section 3.3: by its QR code, on a phone and without scripts.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_confirmed_on_a_phone() {
    let Some(mut tab) = Tab::open("device", PHONE, false).await else { return };
    let world = world("").await;
    let (device_code, user_code, complete) = asked(&world).await;
    tab.go(&complete).await;
    tab.picture("1-login").await;
    log_in(&mut tab).await;
    tab.picture("2-confirm").await;
    let html = tab.html().await;
    assert!(html.contains("Telly") && html.contains(&user_code), "{html}");
    fits_a_phone(&mut tab, &["#device-allow", "#device-deny"]).await;
    tab.click("#device-allow").await;
    tab.picture("3-done").await;
    fits_a_phone(&mut tab, &[]).await;
    assert_eq!(poll(&world, &device_code).await.status, 200);
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// The same by hand, in small letters, after a typing error; and denied. In the dark.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_typed_and_denied() {
    let Some(mut tab) = Tab::open("device-typed", PHONE, true).await else { return };
    let world = world("").await;
    let (device_code, user_code, _) = asked(&world).await;
    tab.go(&format!("{}/device", world.base)).await;
    log_in(&mut tab).await;
    tab.picture("1-code").await;
    fits_a_phone(&mut tab, &["#user_code", "#device-submit"]).await;
    tab.fill("#user_code", "BCDF-GHJK").await;
    tab.click("#device-submit").await;
    tab.picture("2-wrong-code").await;
    assert!(tab.shows("[role=alert]").await, "{}", tab.html().await);
    fits_a_phone(&mut tab, &["#user_code", "#device-submit"]).await;
    tab.fill("#user_code", &user_code.to_lowercase()).await;
    tab.click("#device-submit").await;
    tab.picture("3-confirm").await;
    tab.click("#device-deny").await;
    tab.picture("4-denied").await;
    poll(&world, &device_code).await.expect_error(400, "access_denied");
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// RP-Initiated and Front-Channel Logout: confirmed on a phone without scripts; the application's frame is shown, is told `iss` and `sid`, and
/// the browser goes on to the application by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_confirmed_and_told_in_a_frame() {
    let Some(mut tab) = Tab::open("frames", PHONE, false).await else { return };
    let mut client = Client::start().await;
    let (front, bye) = (format!("{}/front", client.origin), format!("{}/bye", client.origin));
    let world = world(&format!(
        "frontchannel_logout_uri = {front:?}\nfrontchannel_logout_session_required = true\npost_logout_redirect_uris = [{bye:?}]"
    ))
    .await;
    tab.go(&start_with(&world, "spa", &client, &[("scope", "openid read")])).await;
    log_in(&mut tab).await;
    let _ = client.request("/cb").await;
    let asked = [("client_id", "spa"), ("post_logout_redirect_uri", bye.as_str()), ("state", "s t")];
    tab.go(&format!("{}/oauth2/logout?{}", world.base, write(&asked))).await;
    tab.picture("1-confirm").await;
    fits_a_phone(&mut tab, &["#logout-confirm"]).await;
    tab.click("#logout-confirm").await;
    tab.picture("2-logged-out").await;
    let (target, _) = client.request("/front").await;
    assert_eq!(parameter(&target, "iss").as_deref(), Some(world.base.as_str()));
    assert!(parameter(&target, "sid").is_some(), "{target}");
    let (target, _) = client.request("/bye").await;
    assert_eq!(parameter(&target, "state").as_deref(), Some("s t"));
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// Session Management section 3.1: the application's own page asks ours in a frame, as its specification says.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_hears_that_its_session_has_changed() {
    let Some(tab) = Tab::open("check-session", DESK, false).await else { return };
    let mut tab = tab.with_scripts().await;
    let world = world("").await;
    let page = r#"<!doctype html><link rel=icon href="data:,"><title>The Shop</title><h1>The Shop</h1>
<iframe id=op src="BASE/oauth2/check-session"></iframe>
<script>
const given = new URLSearchParams(location.search).get("session_state");
if (given) localStorage.setItem("state", given);
addEventListener("message", (event) => fetch(`/heard/${event.origin === "BASE" ? event.data : "another"}`));
const op = document.getElementById("op");
op.addEventListener("load", () => op.contentWindow.postMessage(`spa ${localStorage.getItem("state")}`, "BASE"));
</script>"#;
    let mut client = Client::showing(page.replace("BASE", &world.base), "").await;
    tab.go(&start_with(&world, "spa", &client, &[("scope", "openid read")])).await;
    log_in(&mut tab).await;
    assert_eq!(client.request("/heard/").await.0, "/heard/unchanged");
    tab.picture("1-framed").await;
    tab.go(&client.redirect_uri()).await;
    assert_eq!(client.request("/heard/").await.0, "/heard/unchanged", "however often it asks");
    tab.go(&format!("{}/logout", world.base)).await;
    tab.click("#logout-confirm").await;
    tab.go(&client.redirect_uri()).await;
    assert_eq!(client.request("/heard/").await.0, "/heard/changed");
    // That a script reads `document.cookie` is slow, says the browser; it is what this page is for.
    let complaints = tab.complaints().into_iter().filter(|complaint| !complaint.contains("\"DocumentCookie\""));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
}
