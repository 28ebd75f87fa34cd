//! Devices without a browser (RFC 8628), and the people who answer them.

use super::{Browser, CONFIG, Reply, World, text};

/// The grant type of RFC 8628 section 3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Devices, public and confidential.
pub const DEVICES: &str = r#"
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

/// A world with them.
pub async fn devices() -> World {
    World::with(&format!("{CONFIG}{DEVICES}")).await
}

/// What a device got to show.
#[derive(Clone, Debug)]
pub struct Device {
    /// Of which client.
    pub client: &'static str,
    /// Its own.
    pub device_code: String,
    /// The one for people.
    pub user_code: String,
}

impl Device {
    /// Asks for it.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn ask(world: &World, client: &'static str) -> Self {
        Self::ask_for(world, client, "read").await
    }

    /// Asks for it with this scope.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn ask_for(world: &World, client: &'static str, scope: &str) -> Self {
        let answer = world.post("/oauth2/device_authorization", client, &[("scope", scope)], &[]).await;
        let answer = answer.expect_status(200).json();
        Self { client, device_code: text(&answer, "device_code"), user_code: text(&answer, "user_code") }
    }

    /// Asks whether somebody has answered.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn poll(&self, world: &World) -> Reply {
        self.poll_as(world, self.client).await
    }

    /// The same in the name of another client.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn poll_as(&self, world: &World, client: &str) -> Reply {
        world.token(client, &[("grant_type", DEVICE_CODE), ("device_code", &self.device_code)]).await
    }

    /// The page that asks about it.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn page(&self, browser: &mut Browser) -> Reply {
        browser.get(&format!("/device?user_code={}", self.user_code)).await
    }

    /// Answers it.
    ///
    /// # Panics
    /// If the answer is another one than is expected.
    pub async fn answer(&self, browser: &mut Browser, decision: &str) -> Reply {
        let page = self.page(browser).await;
        assert!(page.text().contains("id=\"device-allow\""), "{}", page.text());
        browser.submit(&page, &[("decision", decision)]).await
    }
}

/// A browser in which somebody is logged in.
///
/// # Panics
/// If that fails.
pub async fn browser_of(world: &World, name: &str) -> Browser {
    browser_of_base(&world.base, name).await
}

/// The same at the server of this address.
///
/// # Panics
/// If that fails.
pub async fn browser_of_base(base: &str, name: &str) -> Browser {
    let mut browser = Browser::new(base);
    let page = browser.get("/device").await;
    let page = browser.log_in(&page, name).await;
    assert!(page.text().contains("id=\"device-submit\""), "{}", page.text());
    browser
}
