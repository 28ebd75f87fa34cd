//! What the stories share: clients that hear of logouts, devices, and ID tokens of this very server.

use regrant_jose::Algorithm;
use serde_json::{Value, json};
use sim::wire::browser::parameter;
pub(crate) use sim::wire::device::{DEVICE_CODE, DEVICES, Device, browser_of, devices};
use sim::wire::story::claims;
use sim::wire::{Browser, CONFIG, Hook, START, USER, World, authorization, text};

/// Two applications that are told of logouts at these places.
pub(crate) fn told_at(one: &str, other: &str) -> String {
    format!(
        r#"{CONFIG}
[[client]]
id = "shop"
name = "The Shop"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb", "https://shop.example/cb"]
post_logout_redirect_uris = ["https://app.example/bye", "https://app.example/bye?from=op"]
scopes = ["openid", "read", "offline_access"]
skip_consent = true
{one}

[[client]]
id = "mail"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb", "https://mail.example/cb"]
post_logout_redirect_uris = ["https://mail.example/bye"]
scopes = ["openid", "read"]
skip_consent = true
{other}
"#
    )
}

/// Two applications that are told by a POST.
pub(crate) async fn back_channels() -> (World, Hook, Hook) {
    let (one, other) = (Hook::start().await, Hook::start().await);
    let at = |hook: &Hook| format!("backchannel_logout_uri = \"{}\"", hook.url());
    (World::with(&told_at(&at(&one), &at(&other))).await, one, other)
}

/// Logs in to an application, and returns what the redirect says.
pub(crate) async fn log_in_to(browser: &mut Browser, client: &str) -> String {
    let location = browser.authorize_as(&authorization(client, &[("scope", "openid read")]), USER).await;
    assert!(parameter(&location, "code").is_some(), "{location}");
    location
}

/// The claims of a logout token, whose signature holds.
pub(crate) fn logout_token(world: &World, body: &[u8]) -> (Value, Value) {
    let form = regrant_server::form::Form::parse(body).expect("a form");
    let token = form.credential("logout_token").expect("a logout token");
    let verified = regrant_jose::verify(token, "logout+jwt", &world.app.signing().verifying).expect("a good signature");
    (Value::Object(verified.header.members), Value::Object(verified.claims))
}

/// An ID token as this server signs them.
pub(crate) fn id_token(world: &World, client: &str, subject: &str, sid: Option<&str>) -> String {
    let seconds = START / 1000;
    let mut claims = json!({
        "iss": world.app.issuer(), "sub": subject, "aud": client, "iat": seconds, "exp": seconds + 300,
    });
    if let Some(sid) = sid {
        claims["sid"] = json!(sid);
    }
    let signing = world.app.signing();
    let key = signing.current.get(&Algorithm::Es256).or_else(|| signing.current.values().next()).expect("a key");
    key.sign("JWT", &claims).expect("a signed token")
}

/// `sub` of [`USER`].
pub(crate) async fn subject(world: &World) -> String {
    world.app.admin().user_detail(USER).await.expect("the user").subject
}

/// `sid` of the session that the browser is in, as an ID token says it.
pub(crate) async fn sid(browser: &mut Browser, world: &World) -> String {
    let code = browser.log_in_for_code(&authorization("shop", &[("scope", "openid")])).await;
    let token = text(&world.redeem("shop", &code).await.expect_status(200).json(), "id_token");
    text(&claims(&token), "sid")
}
