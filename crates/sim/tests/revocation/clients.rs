//! What happens to a client, and what ends or shrinks with it: the cells of `docs/revocation.md` that are about clients (checks T28, T29).

use regrant_server::config::ClientDefinition;
use sim::wire::{CONFIG, World, text};

use super::support::{
    Heard, active, alive, ended, heard, held, held_by, reload, where_, with_client, with_setting, world, world_where,
    world_with,
};

/// What a client that is not there, or may not ask, hears at the authorization endpoint.
const ERROR_PAGE: &str = "page 400 Bad Request";

fn without(client: &str) -> String {
    let its = format!("id = \"{client}\"");
    CONFIG.split("[[client]]").filter(|part| !part.contains(&its)).collect::<Vec<_>>().join("[[client]]")
}

/// Changes the client `opaque`, asks, changes it back, and asks again.
async fn there_and_back(settings: &str, changed: &str) -> (Heard, Heard) {
    let world = world_where(settings).await;
    let mut other = held(&world, "web").await;
    let mut before = held(&world, "opaque").await;
    reload(&world, &where_(settings, changed)).await;
    let meanwhile = before.ask(&world).await;
    reload(&world, &where_(settings, CONFIG)).await;
    let afterwards = before.ask(&world).await;
    assert_eq!(other.ask(&world).await, alive(), "another client is not concerned");
    (meanwhile, afterwards)
}

/// Check T28: a client that is switched off is refused everything; by default its grants come back with it, by policy they end.
#[tokio::test]
async fn a_client_that_is_switched_off_has_nothing() {
    let changed = with_setting("opaque", "disabled = true");
    let (meanwhile, afterwards) = there_and_back("", &changed).await;
    assert_eq!(meanwhile, ended("client_disabled", "unauthorized_client"));
    assert_eq!(afterwards, alive());
    let (meanwhile, afterwards) = there_and_back("on_client_disabled = \"end\"", &changed).await;
    assert_eq!(meanwhile, ended("client_switched_off", "unauthorized_client"));
    assert_eq!(afterwards, ended("client_switched_off", "code"));
}

/// Check T28: what was given to a client that was removed is not taken over by another one of its name, unless policy suspends it.
#[tokio::test]
async fn a_removed_client_takes_its_grants_with_it() {
    let (meanwhile, afterwards) = there_and_back("", &without("opaque")).await;
    assert_eq!((meanwhile.refresh.as_str(), meanwhile.userinfo), ("unknown_client", 401));
    assert_eq!((meanwhile.introspect.0, meanwhile.silently.as_str()), (false, ERROR_PAGE));
    assert_eq!(afterwards, ended("client_removed", "code"));
    let (meanwhile, afterwards) = there_and_back("on_client_removed = \"suspend\"", &without("opaque")).await;
    assert_eq!((meanwhile.refresh.as_str(), meanwhile.userinfo), ("unknown_client", 401));
    assert_eq!(afterwards, alive());
}

/// The same by command; and an operator who removed the wrong one adds it again and takes the revocation back.
#[tokio::test]
async fn a_client_removed_by_mistake_is_brought_back() {
    let world = world().await;
    let definition = ClientDefinition {
        id: "added".to_owned(),
        token_endpoint_auth_method: Some("none".to_owned()),
        redirect_uris: vec![sim::wire::CALLBACK.to_owned()],
        grant_types: Some(["authorization_code", "refresh_token", "password"].map(str::to_owned).to_vec()),
        scopes: vec!["read".to_owned()],
        ..ClientDefinition::default()
    };
    let admin = world.app.admin();
    admin.add_client(definition.clone()).await.expect("added");
    let token = world.first("added").await;
    admin.remove_client("added").await.expect("removed");
    super::support::refused(&world.refresh("added", &token).await, 401, "invalid_client", "unknown_client");
    admin.add_client(definition).await.expect("added again");
    super::support::dead(&world.refresh("added", &token).await, "client_removed");
    let listed = admin.revocations().await.expect("listed");
    admin.undo_revocation(listed[0].id).await.expect("taken back");
    let _ = super::support::next(world.refresh("added", &token).await);
}

/// Another secret ends nothing, for its holder is the same; by policy, for a secret that leaked, it ends what the old one could have got.
#[tokio::test]
async fn another_secret_ends_grants_by_policy_only() {
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let both = format!(
        "secret_hash = \"{other}\"\nprevious_secret_hash = \"HASH\"\nprevious_secret_expires_at = \"2026-02-01T00:00:00Z\""
    );
    let changed = with_client("opaque", "secret_hash = \"HASH\"", &both);
    for (settings, expected) in
        [("", alive()), ("on_client_secret_rotated = \"end\"", ended("client_secret_rotated", "code"))]
    {
        let world = world_where(settings).await;
        let mut before = held(&world, "opaque").await;
        reload(&world, &where_(settings, &changed)).await;
        assert_eq!(before.ask(&world).await, expected);
        // The same file again is no other secret.
        let mut again = held(&world, "opaque").await;
        reload(&world, &where_(settings, &changed)).await;
        assert_eq!(again.ask(&world).await, alive());
    }
}

/// The same by `regrant client rotate-secret`.
#[tokio::test]
async fn a_rotated_secret_of_the_store_has_the_same_consequence() {
    for (settings, reason) in [("", "ok"), ("on_client_secret_rotated = \"end\"", "client_secret_rotated")] {
        let world = world_where(settings).await;
        let hash = regrant_server::config::hash_text(&regrant_core::one_time::client_secret_hash(sim::wire::SECRET));
        let definition = ClientDefinition {
            id: "added".to_owned(),
            secret_hash: Some(hash.clone()),
            redirect_uris: vec![sim::wire::CALLBACK.to_owned()],
            grant_types: Some(["authorization_code", "refresh_token", "password"].map(str::to_owned).to_vec()),
            scopes: vec!["read".to_owned()],
            ..ClientDefinition::default()
        };
        let admin = world.app.admin();
        admin.add_client(definition).await.expect("added");
        let token = world.first("added").await;
        let overlap = std::time::Duration::from_secs(60);
        admin.rotate_client_secret("added", &hash, overlap).await.expect("rotated");
        let reply = world.refresh("added", &token).await;
        match reason {
            "ok" => drop(super::support::next(reply)),
            reason => super::support::dead(&reply, reason),
        }
    }
}

/// Check T28: a redirect URI that is taken away ends nothing, but by policy everything of its client.
#[tokio::test]
async fn a_lost_redirect_uri_ends_grants_by_policy_only() {
    let uris = "redirect_uris = [\"https://app.example/cb\"]";
    let two = with_client("opaque", uris, "redirect_uris = [\"https://app.example/cb\", \"https://old.example/cb\"]");
    for (settings, expected) in
        [("", alive()), ("on_redirect_uris_reduced = \"end\"", ended("redirect_uris_reduced", "code"))]
    {
        let world = world_with(&where_(settings, &two)).await;
        let mut before = held(&world, "opaque").await;
        reload(&world, &where_(settings, CONFIG)).await;
        assert_eq!(before.ask(&world).await, expected);
        let mut again = held(&world, "opaque").await;
        reload(&world, &where_(settings, &two)).await;
        assert_eq!(again.ask(&world).await, alive(), "one more takes nothing away");
    }
}

/// Check T29: a scope that the client lost is gone from live grants at once, in what is refreshed and in what is introspected; `offline_access`
/// is one of them. Where no scope is left, nothing is.
#[tokio::test]
async fn lost_scopes_shrink_live_grants_at_once() {
    let (had, offline) = ("scopes = [\"read\", \"write\"]", "scopes = [\"read\", \"write\", \"offline_access\"]");
    let config = with_client("opaque", had, offline);
    let world = world_with(&config).await;
    let mut before = held(&world, "opaque").await;
    let scope = async |world: &World, token: &str| {
        let answer = world.post("/oauth2/introspect", "opaque", &[("token", token)], &[]).await.json();
        text(&answer, "scope")
    };
    assert_eq!(scope(&world, &before.access).await, "offline_access read write");
    reload(&world, &with_client("opaque", had, "scopes = [\"read\"]")).await;
    assert_eq!(scope(&world, &before.access).await, "read");
    assert_eq!(scope(&world, &before.refresh).await, "read");
    assert_eq!(before.ask(&world).await, heard("ok", true, 200, "code"));
    reload(&world, &with_client("opaque", had, "scopes = [\"files\"]")).await;
    assert_eq!(before.ask(&world).await, ended("scope_not_allowed", "code"));
}

/// Check T29: the same for resources.
#[tokio::test]
async fn lost_resources_shrink_live_grants_at_once() {
    let world = world().await;
    let mut before = held_by(&world, "web", sim::wire::USER, Some("read files")).await;
    let audience = async |world: &World, token: &str| world.introspect(token).await["aud"].clone();
    assert_eq!(audience(&world, &before.access).await.as_array().map(Vec::len), Some(2));
    let had = "resources = [\"https://api.example/\", \"https://files.example/\"]";
    reload(&world, &with_client("web", had, "resources = [\"https://api.example/\"]")).await;
    assert_eq!(audience(&world, &before.access).await, "https://api.example/");
    assert_eq!(before.ask(&world).await.refresh, "ok");
    reload(&world, &with_client("web", had, "resources = []")).await;
    assert!(!active(&world, "api", &before.access).await);
    assert_eq!(before.ask(&world).await.refresh, "target_not_allowed");
}

/// Check T29: without the refresh grant type refresh tokens are no longer active; access tokens live out their hour.
#[tokio::test]
async fn a_lost_grant_type_ends_refreshing_at_once() {
    let world = world().await;
    let mut before = held(&world, "opaque").await;
    let had = "grant_types = [\"authorization_code\", \"refresh_token\", \"password\"]";
    reload(&world, &with_client("opaque", had, "grant_types = [\"authorization_code\"]")).await;
    let heard = before.ask(&world).await;
    assert_eq!(
        (heard.refresh.as_str(), heard.introspect, heard.userinfo),
        ("grant_type_not_allowed", (true, false), 200)
    );
    reload(&world, CONFIG).await;
    assert_eq!(before.ask(&world).await, alive(), "nothing was consumed meanwhile");
}

/// A slip of an editor: one of several clients is not in the file that is read. What has ended by it is told, with the way back; and again
/// when the client is back, for its sessions are not.
#[tokio::test]
async fn a_client_that_a_reload_misses_is_told_of_with_the_way_back() {
    let world = world().await;
    let mut before = held(&world, "opaque").await;
    let reloaded = async |text: &str| {
        let done = world.app.replace_config(sim::wire::config(text)).await.expect("a good configuration");
        (done.ended, done.can_return)
    };
    let (gone, nothing) = reloaded(&without("opaque")).await;
    let [gone] = &gone[..] else { panic!("{gone:?}") };
    let number = gone.revocation.expect("it has ended");
    assert_eq!((gone.client.as_str(), gone.reason.as_str()), ("opaque", "client_removed"));
    let says = gone.to_string();
    assert!(says.contains(&format!("`regrant revoke --undo {number}`")), "{says}");
    assert_eq!(nothing, []);
    let (nothing, back) = reloaded(CONFIG).await;
    assert_eq!((nothing, back), (Vec::new(), vec![gone.clone()]));
    assert_eq!(before.ask(&world).await.refresh, "client_removed");
    world.app.admin().undo_revocation(number).await.expect("taken back");
    assert_eq!(before.ask(&world).await, alive());
    let question = regrant_store::Question::Events { grant: None, limit: 50 };
    let answer = world.app.engine.ask(question).await.expect("an answer");
    let regrant_store::Answer::Events(events) = answer else { panic!("not events") };
    let told = "a reload ended the sessions of client opaque (client_removed)";
    assert!(events.iter().any(|event| event.detail == told), "{events:?}");
    assert_eq!(reloaded(CONFIG).await, (Vec::new(), Vec::new()), "it was there");
}
