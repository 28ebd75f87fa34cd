//! A world whose login, consent, logout and errors are an application's, and that application as a test holds it.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sim::wire::browser::parameter;
use sim::wire::{Browser, CONFIG, Reply, World, text};

/// Where browsers are sent. Nobody listens there: the tests read the address.
pub(crate) const APPLICATION: &str = "http://127.0.0.1:1";
/// How strong a login of the application can be.
pub(crate) const STRONG: &str = "urn:example:acr:strong";

/// The settings, with the pages at `at`.
pub(crate) fn settings(at: &str) -> String {
    format!(
        r#"{CONFIG}
[interactions]
login = "{at}/login"
consent = "{at}/consent?theme=dark"
logout = "{at}/logout"
error = "{at}/error"
acr_values = ["{STRONG}"]

[admin_api]
listen = "main"

[[client]]
id = "login-app"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["regrant.interactions"]
resources = ["urn:regrant:admin"]

[[client]]
id = "ops"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["regrant.admin", "regrant.admin.read"]
resources = ["urn:regrant:admin"]
"#
    )
}

pub(crate) async fn world() -> World {
    World::with(&settings(APPLICATION)).await
}

/// A request below `/admin/v1/interactions`, by this client with this scope.
pub(crate) async fn as_client(world: &World, who: (&str, &str), path: &str, body: &Value) -> Reply {
    let (client, scope) = who;
    let asked = [("grant_type", "client_credentials"), ("scope", scope), ("resource", "urn:regrant:admin")];
    let token = text(&world.token(client, &asked).await.expect_status(200).json(), "access_token");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.http().send(Method::POST, &format!("/admin/v1{path}"), &headers, Body::from(body.to_string())).await
}

pub(crate) async fn ask(world: &World, operation: &str, body: &Value) -> Reply {
    as_client(world, ("login-app", "regrant.interactions"), &format!("/interactions/{operation}"), body).await
}

/// The challenge with which a browser is sent to the page of this name.
pub(crate) fn challenge(reply: &Reply, page: &str) -> String {
    let location = reply.header("location");
    assert_eq!(reply.status, 303, "{}", reply.text());
    assert!(location.starts_with(&format!("{APPLICATION}/{page}")), "{location}");
    parameter(&location, "challenge").unwrap_or_else(|| panic!("no challenge in {location}"))
}

/// What is asked.
pub(crate) async fn read(world: &World, challenge: &str) -> Value {
    ask(world, "read", &json!({ "challenge": challenge })).await.expect_status(200).json()
}

/// Where an answer sends the browser, without the server's own address.
pub(crate) async fn accept(world: &World, challenge: &str, more: Value) -> String {
    let mut body = json!({ "challenge": challenge });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let told = ask(world, "accept", &body).await.expect_status(200).json();
    text(&told, "redirect_to").strip_prefix(&world.base).expect("this server's").to_owned()
}

/// A browser that has come as far as the consent of this request, and the challenge of that.
pub(crate) async fn at_consent(world: &World, request: &str, login: Value) -> (Browser, String) {
    let mut browser = world.browser();
    let asked = challenge(&browser.get(request).await, "login");
    let back = accept(world, &asked, login).await;
    let reply = browser.get(&back).await;
    let reply = browser.follow(reply).await;
    let asked = challenge(&reply, "consent");
    (browser, asked)
}

/// Asserts that a browser was sent to the application's error page, and why.
pub(crate) fn assert_told(reply: &Reply, error: &str) {
    let location = reply.header("location");
    assert!(location.starts_with(&format!("{APPLICATION}/error?")), "{} {location}", reply.status);
    assert_eq!(parameter(&location, "error").as_deref(), Some(error), "{location}");
    assert!(parameter(&location, "correlation_id").is_some_and(|id| !id.is_empty()), "{location}");
}

/// The claims of the ID token that a code is worth.
pub(crate) async fn id_token(world: &World, location: &str) -> Value {
    let code = parameter(location, "code").unwrap_or_else(|| panic!("no code in {location}"));
    let told = world.redeem("web", &code).await.expect_status(200).json();
    claims(&text(&told, "id_token"))
}

/// What a JWT says.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&regrant_jose::base64url::decode(part).expect("base64url")).expect("JSON")
}
