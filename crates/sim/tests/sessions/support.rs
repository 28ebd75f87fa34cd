//! What the stories share: clients that hear of logouts, devices, and ID tokens of this very server.

use regrant_jose::Algorithm;
use serde_json::{Value, json};
use sim::wire::browser::parameter;
use sim::wire::story::claims;
use sim::wire::{Browser, CONFIG, Hook, Reply, START, USER, World, authorization, text};

/// The grant type of RFC 8628 section 3.4.
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Devices, public and confidential.
pub(crate) const DEVICES: &str = r#"
[[client]]
id = "tv"
name = "Telly"
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scopes = ["openid", "read", "write"]

[[client]]
id = "box"
name = "Set-top Box"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
scopes = ["read"]
"#;

pub(crate) async fn devices() -> World {
    World::with(&format!("{CONFIG}{DEVICES}")).await
}

/// What a device got to show.
pub(crate) struct Device {
    pub(crate) client: &'static str,
    pub(crate) device_code: String,
    pub(crate) user_code: String,
}

impl Device {
    pub(crate) async fn ask(world: &World, client: &'static str) -> Self {
        let answer = world.post("/oauth2/device_authorization", client, &[("scope", "read")], &[]).await;
        let answer = answer.expect_status(200).json();
        Self { client, device_code: text(&answer, "device_code"), user_code: text(&answer, "user_code") }
    }

    pub(crate) async fn poll(&self, world: &World) -> Reply {
        self.poll_as(world, self.client).await
    }

    pub(crate) async fn poll_as(&self, world: &World, client: &str) -> Reply {
        world.token(client, &[("grant_type", DEVICE_CODE), ("device_code", &self.device_code)]).await
    }

    /// The page that asks about it.
    pub(crate) async fn page(&self, browser: &mut Browser) -> Reply {
        browser.get(&format!("/device?user_code={}", self.user_code)).await
    }

    /// Answers it.
    pub(crate) async fn answer(&self, browser: &mut Browser, decision: &str) -> Reply {
        let page = self.page(browser).await;
        assert!(page.text().contains("id=\"device-allow\""), "{}", page.text());
        browser.submit(&page, &[("decision", decision)]).await
    }
}

/// A browser in which somebody is logged in.
pub(crate) async fn browser_of(world: &World, name: &str) -> Browser {
    let mut browser = world.browser();
    let page = browser.get("/device").await;
    let page = browser.log_in(&page, name).await;
    assert!(page.text().contains("id=\"device-submit\""), "{}", page.text());
    browser
}

/// Two applications that are told of logouts at these places.
pub(crate) fn told_at(one: &str, other: &str) -> String {
    format!(
        r#"{CONFIG}
[[client]]
id = "shop"
name = "The Shop"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb"]
post_logout_redirect_uris = ["https://app.example/bye", "https://app.example/bye?from=op"]
scopes = ["openid", "read", "offline_access"]
skip_consent = true
{one}

[[client]]
id = "mail"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb"]
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
