//! What the stories of revocation share: a grant with everything that can be asked of it, and what is heard then.

use regrant_server::admin::blacklist::{BulkRevoked, Selection};
use regrant_server::admin::import::Effect;
pub(crate) use sim::wire::story::{next, refused, reload, secs, with_client, with_setting, world, world_with};
use sim::wire::{Browser, CONFIG, Reply, USER, World, authorization, text};

/// A grant that a user gave in a browser.
pub(crate) struct Held {
    pub(crate) client: &'static str,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) browser: Browser,
    scope: Option<&'static str>,
}

/// What is heard when everything is asked of a grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    /// `ok`, or the true reason of the refusal.
    pub(crate) refresh: String,
    /// Whether introspection calls access token and refresh token active.
    pub(crate) introspect: (bool, bool),
    /// The status of userinfo.
    pub(crate) userinfo: u16,
    /// With `prompt=none`: `code`, or the error.
    pub(crate) silently: String,
}

/// All goes on.
pub(crate) fn alive() -> Heard {
    heard("ok", true, 200, "code")
}

/// It has ended, and the browser is (or is not) logged in.
pub(crate) fn ended(reason: &str, silently: &str) -> Heard {
    heard(reason, false, 401, silently)
}

pub(crate) fn heard(refresh: &str, is_active: bool, userinfo: u16, silently: &str) -> Heard {
    Heard { refresh: refresh.to_owned(), introspect: (is_active, is_active), userinfo, silently: silently.to_owned() }
}

/// A new grant of this client through the pages, in a browser of its own.
pub(crate) async fn held(world: &World, client: &'static str) -> Held {
    held_by(world, client, USER, None).await
}

pub(crate) async fn held_by(world: &World, client: &'static str, user: &str, scope: Option<&'static str>) -> Held {
    let mut browser = world.browser();
    let location = browser.authorize_as(&path(client, scope, ""), user).await;
    let code = sim::wire::browser::parameter(&location, "code").unwrap_or_else(|| panic!("no code in {location}"));
    let answer = world.redeem(client, &code).await.expect_status(200).json();
    let (access, refresh) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    Held { client, access, refresh, browser, scope }
}

fn path(client: &str, scope: Option<&'static str>, prompt: &'static str) -> String {
    authorization(client, &[("scope", scope.unwrap_or_default()), ("prompt", prompt)])
}

impl Held {
    /// Asks everything; the refresh last, for it may replace the token.
    pub(crate) async fn ask(&mut self, world: &World) -> Heard {
        let userinfo = world
            .http()
            .get("/oauth2/userinfo", &[("authorization", &format!("Bearer {}", self.access))])
            .await
            .status
            .as_u16();
        let access = active(world, "api", &self.access).await;
        // A refresh token is shown to its own client only.
        let refresh = match self.client {
            "opaque" => active(world, "opaque", &self.refresh).await,
            _ => access,
        };
        let silently = self.silently().await;
        let reply = world.refresh(self.client, &self.refresh).await;
        let heard = if reply.status.as_u16() == 200 {
            self.refresh = next(reply);
            "ok".to_owned()
        } else {
            sim::wire::log::reason(&reply)
        };
        Heard { refresh: heard, introspect: (access, refresh), userinfo, silently }
    }

    /// Whether the same browser gets a new code without a page.
    async fn silently(&mut self) -> String {
        let reply = self.browser.get(&path(self.client, self.scope, "none")).await;
        let location = reply.header("location");
        match sim::wire::browser::parameter(&location, "code") {
            Some(_) => "code".to_owned(),
            None => {
                sim::wire::browser::parameter(&location, "error").unwrap_or_else(|| format!("page {}", reply.status))
            }
        }
    }
}

pub(crate) async fn active(world: &World, caller: &str, token: &str) -> bool {
    let reply = world.post("/oauth2/introspect", caller, &[("token", token)], &[]).await;
    // A caller that is not there any more hears nothing of any token.
    reply.status.as_u16() == 200 && reply.json()["active"].as_bool().expect("active is there")
}

/// The usual world under these settings of `[revocation]`.
pub(crate) async fn world_where(settings: &str) -> World {
    world_with(&where_(settings, CONFIG)).await
}

pub(crate) fn where_(settings: &str, config: &str) -> String {
    format!("[revocation]\n{settings}\n{config}")
}

/// An operator revokes in bulk.
pub(crate) async fn revoke(world: &World, selection: Selection) -> BulkRevoked {
    world.app.admin().revoke_selected(&selection, Effect::Write, "because").await.expect("revoked")
}

/// What that would do.
pub(crate) async fn would(world: &World, selection: &Selection) -> BulkRevoked {
    world.app.admin().revoke_selected(selection, Effect::Check, "").await.expect("counted")
}

pub(crate) fn of_user(name: &str) -> Selection {
    Selection { user: Some(name.to_owned()), ..Selection::default() }
}

pub(crate) fn of_client(id: &str) -> Selection {
    Selection { client: Some(id.to_owned()), ..Selection::default() }
}

/// A refresh that is refused for good.
#[track_caller]
pub(crate) fn dead(reply: &Reply, reason: &str) {
    refused(reply, 400, "invalid_grant", reason);
}
