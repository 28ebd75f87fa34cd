//! The stories: from an application to the server and back.

use sim::wire::browser::parameter;
use sim::wire::{CONFIG, PASSWORD, USER, VERIFIER, World, authorization};

use super::client::Client;
use super::tab::{DESK, PHONE, Tab};

/// A client that the operator trusts: its login leads straight to it, so that the login form's own redirect leaves the server.
const TRUSTED: &str = r#"
[[client]]
id = "trusted"
token_endpoint_auth_method = "none"
redirect_uris = ["http://127.0.0.1/cb"]
grant_types = ["authorization_code"]
scopes = ["read"]
skip_consent = true
"#;

pub(super) async fn world() -> World {
    World::with(&format!("{CONFIG}{TRUSTED}")).await
}

fn start(world: &World, client: &str, to: &Client) -> String {
    start_with(world, client, to, &[])
}

pub(super) fn start_with(world: &World, client: &str, to: &Client, more: &[(&str, &str)]) -> String {
    let redirect_uri = to.redirect_uri();
    let parameters = [&[("redirect_uri", redirect_uri.as_str()), ("state", "s t&=%+ä")], more].concat();
    format!("{}{}", world.base, authorization(client, &parameters))
}

pub(super) async fn log_in(tab: &mut Tab) {
    tab.fill("#username", USER).await;
    tab.fill("#password", PASSWORD).await;
    tab.click("#login-submit").await;
}

/// On a phone, without scripts: a wrong password, the right one, allowed, and back at the application with a code that is good.
///
/// Check W1: the policy lets the form's redirect reach the client, and nothing else is complained of.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_scripts_gets_from_the_application_to_a_code() {
    let Some(mut tab) = Tab::open("phone", PHONE, false).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    tab.picture("1-login").await;
    fits_a_phone(&mut tab, &["#username", "#password", "#login-submit"]).await;
    tab.fill("#username", USER).await;
    tab.fill("#password", "wrong").await;
    tab.click("#login-submit").await;
    assert!(tab.shows("[role=alert]").await, "a wrong password is told: {}", tab.html().await);
    assert!(tab.heard().await.iter().any(|(role, _)| role == "alert"));
    tab.picture("2-wrong-password").await;
    fits_a_phone(&mut tab, &["#username", "#password", "#login-submit"]).await;
    tab.fill("#password", PASSWORD).await;
    tab.click("#login-submit").await;
    tab.picture("3-consent").await;
    fits_a_phone(&mut tab, &["#consent-allow", "#consent-deny"]).await;
    tab.click("#consent-allow").await;
    tab.picture("4-back").await;
    let (target, head) = client.request("/cb").await;
    assert_eq!(parameter(&target, "state").as_deref(), Some("s t&=%+ä"));
    assert_eq!(parameter(&target, "iss").as_deref(), Some(world.base.as_str()));
    assert!(!head.to_lowercase().contains("\r\nreferer:"), "no referrer: {head}");
    let code = parameter(&target, "code").expect("a code");
    let redeemed = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &client.redirect_uri()),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(world.token("phone", &redeemed).await.status, 200);
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// WCAG 2.2 sections 1.4.10 and 2.5.8: no scrolling sideways, and targets for a finger.
pub(super) async fn fits_a_phone(tab: &mut Tab, targets: &[&str]) {
    assert!(tab.page_width().await <= f64::from(PHONE.0), "the page is wider than the phone");
    for target in targets {
        let [left, _, width, height] = tab.place(target).await;
        assert!(height >= 44.0, "{target} is {height} high");
        assert!(left >= 0.0 && left + width <= f64::from(PHONE.0), "{target} is off the page");
    }
}

/// A user's own page, on a phone and without scripts: an application is paused and goes on, and all of it is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_scripts_looks_after_its_account() {
    let Some(mut tab) = Tab::open("account", PHONE, false).await else { return };
    let world = world().await;
    let token = sim::wire::text(
        &world.redeem("phone", &world.code("phone").await).await.expect_status(200).json(),
        "refresh_token",
    );
    tab.go(&format!("{}/account", world.base)).await;
    log_in(&mut tab).await;
    tab.picture("1-account").await;
    let targets =
        ["button[value=end]", "#account-end-others", "button[value=pause]", "input[type=date]", "#account-password"];
    fits_a_phone(&mut tab, &targets).await;
    tab.click("button[value=pause]").await;
    tab.picture("2-paused").await;
    assert!(tab.shows("[role=status]").await && tab.shows("button[value=resume]").await, "{}", tab.html().await);
    assert_eq!(world.refresh("phone", &token).await.json()["error"], "access_denied");
    tab.click("button[value=resume]").await;
    assert_eq!(world.refresh("phone", &token).await.status, 200);
    tab.click("#account-end-all").await;
    assert!(tab.html().await.contains("Logged out"), "{}", tab.html().await);
    assert_eq!(world.refresh("phone", &token).await.json()["error"], "invalid_grant");
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// Denied, and the application hears it; the next time the user is asked again. In the dark.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_reaches_the_application() {
    let Some(mut tab) = Tab::open("dark", DESK, true).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    tab.picture("1-login").await;
    log_in(&mut tab).await;
    tab.picture("2-consent").await;
    tab.click("#consent-deny").await;
    let (target, _) = client.request("/cb").await;
    assert_eq!(parameter(&target, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&target, "state").as_deref(), Some("s t&=%+ä"));
    tab.go(&start(&world, "phone", &client)).await;
    assert!(tab.shows("#consent-allow").await);
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// Check W1: `form-action` is applied to the redirects that follow a form: here the login form itself leads to the client.
#[tokio::test(flavor = "multi_thread")]
async fn the_login_form_may_lead_straight_to_the_client() {
    let Some(mut tab) = Tab::open("trusted", DESK, false).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start(&world, "trusted", &client)).await;
    log_in(&mut tab).await;
    let (target, _) = client.request("/cb").await;
    assert!(parameter(&target, "code").is_some(), "{target}");
    assert!(tab.url().await.starts_with(&client.redirect_uri()));
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// Check W4: the browser keeps our cookies as they were meant, and forgets the session at logout.
#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_the_session_in_the_browser() {
    let Some(mut tab) = Tab::open("logout", DESK, false).await else { return };
    let (world, client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    log_in(&mut tab).await;
    tab.go(&format!("{}/", world.base)).await;
    tab.picture("1-home").await;
    let cookies = tab.cookies().await;
    assert_eq!(cookies.len(), 3, "the session, the form's own, and the one that knows the browser");
    assert!(cookies.iter().all(|cookie| cookie["httpOnly"] == true && cookie["sameSite"] == "Lax"), "{cookies:?}");
    tab.click("a[href$='logout']").await;
    tab.picture("2-logout").await;
    tab.click("#logout-confirm").await;
    tab.picture("3-logged-out").await;
    assert_eq!(tab.cookies().await.len(), 2, "the session's is gone");
    tab.go(&start(&world, "phone", &client)).await;
    assert!(tab.shows("#login-submit").await);
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

/// By keyboard alone: the first field has the focus, Enter sends the form; on the consent page no button has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_is_enough() {
    let Some(mut tab) = Tab::open("keyboard", DESK, false).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    tab.type_text(USER).await;
    tab.press("Tab", 9, "").await;
    tab.type_text(PASSWORD).await;
    tab.enter().await;
    assert!(tab.shows("#consent-allow").await, "{}", tab.html().await);
    assert!(!tab.shows("button:focus").await, "a stray key decides nothing");
    // The link to the logout, then Deny, then Allow.
    for _ in 0..3 {
        tab.press("Tab", 9, "").await;
    }
    assert!(tab.shows("#consent-allow:focus").await);
    tab.picture("1-consent-focus").await;
    tab.enter().await;
    assert!(parameter(&client.request("/cb").await.0, "code").is_some());
}

/// What a screen reader says: headings, fields with their names, buttons with theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_screen_reader_hears_what_there_is() {
    let Some(mut tab) = Tab::open("heard", DESK, false).await else { return };
    let (world, client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    let heard = tab.heard().await;
    for (role, name) in [("heading", "Log in"), ("textbox", "Username"), ("textbox", "Password"), ("button", "Log in")]
    {
        assert!(heard.contains(&(role.to_owned(), name.to_owned())), "{role} {name}: {heard:?}");
    }
    log_in(&mut tab).await;
    let heard = tab.heard().await;
    for (role, name) in
        [("heading", "Allow Phone App?"), ("list", "What it asks for"), ("button", "Deny"), ("button", "Allow")]
    {
        assert!(heard.contains(&(role.to_owned(), name.to_owned())), "{role} {name}: {heard:?}");
    }
    tab.go(&format!("{}/oauth2/authorize?client_id=nobody", world.base)).await;
    tab.picture("error").await;
    assert!(tab.heard().await.iter().any(|(role, _)| role == "alert"));
}

/// Check W16: back from the application to the consent page, and allowed once more: another code, and no error.
#[tokio::test(flavor = "multi_thread")]
async fn the_back_button_works() {
    let Some(mut tab) = Tab::open("back", DESK, false).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start(&world, "phone", &client)).await;
    log_in(&mut tab).await;
    tab.click("#consent-allow").await;
    let first = parameter(&client.request("/cb").await.0, "code");
    tab.back().await;
    assert!(tab.shows("#consent-allow").await, "{}", tab.html().await);
    tab.click("#consent-allow").await;
    let second = parameter(&client.request("/cb").await.0, "code");
    assert!(first.is_some() && second.is_some() && first != second);
}

/// Check W2: another site cannot show our pages in a frame; and what the browser says then is what [`Tab::complaints`] hears.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_shown_in_a_frame() {
    let Some(mut tab) = Tab::open("framed", DESK, false).await else { return };
    let world = world().await;
    let login = format!("{}{}", world.base, authorization("web", &[]));
    let page = format!("<!doctype html><title>evil</title><iframe src='{}'></iframe>", login.replace('&', "&amp;"));
    let evil = Client::showing(page, "").await;
    tab.go(&evil.redirect_uri()).await;
    let complaints = tab.complaints().concat();
    assert!(complaints.contains("frame-ancestors"), "{complaints}");
}

/// The ears work, and the trap is real: a form that is sent to its own site and from there to another is stopped by a policy that names
/// its own site only, and the browser says so. So the silence above means something.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_stops_a_redirect_is_heard() {
    let Some(mut tab) = Tab::open("ears", DESK, false).await else { return };
    let other = Client::start().await;
    let form = format!(
        "<form action=/go><input type=hidden name=to value='{}'><button>go</button></form>",
        other.redirect_uri()
    );
    let page = format!("<!doctype html><link rel=icon href='data:,'>{form}");
    let strict = Client::showing(page, "content-security-policy: form-action 'self'\r\n").await;
    tab.go(&strict.redirect_uri()).await;
    let complaint = tab.click_in_vain("button").await;
    assert!(complaint.contains("form-action"), "{complaint}");
    assert!(tab.url().await.starts_with(&strict.redirect_uri()), "nobody left the page");
}
