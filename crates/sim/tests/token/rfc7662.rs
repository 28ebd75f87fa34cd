//! RFC 7662, token introspection:
//!
//! - 2.1: "To prevent token scanning attacks, the endpoint MUST also require some form of authorization to access this endpoint".
//! - 2.2: "If the introspection call is properly authorized but the token is not active, does not exist on this server, or the protected
//!   resource is not allowed to introspect this particular token, then the authorization server MUST return an introspection response
//!   with the "active" field set to "false". Note that to avoid disclosing too much of the authorization server's state to a third party,
//!   the authorization server SHOULD NOT include any additional information".
//! - 4: "The authorization server […] MUST determine whether or not the token has expired", was revoked, or was issued by it.

use serde_json::json;
use sim::wire::{CONFIG, USER, World, text};

use super::support::{
    basic, chain, is_active, next, own_basic, refused, secs, suspending_world, userinfo, with_setting, world,
    world_with,
};

async fn ask(world: &World, caller: &str, token: &str) -> serde_json::Value {
    let reply = world.post("/oauth2/introspect", caller, &[("token", token)], &[]).await.expect_status(200);
    assert_eq!(
        (reply.header("cache-control").as_str(), reply.header("content-type").as_str()),
        ("no-store", "application/json")
    );
    reply.json()
}

/// What is active is described as the section has it, in either format of token.
#[tokio::test]
async fn an_active_token_is_described() {
    let world = world().await;
    for client in ["phone", "opaque", "web"] {
        let grant = world.grant(client).await;
        let answer = world.introspect(&text(&grant, "access_token")).await;
        let now = sim::wire::START / 1000;
        assert_eq!(answer["active"], true);
        assert_eq!((answer["client_id"].as_str(), answer["token_type"].as_str()), (Some(client), Some("Bearer")));
        assert_eq!(answer["scope"], grant["scope"]);
        assert_eq!(answer["iss"].as_str(), Some(world.base.as_str()));
        assert_eq!(answer["iat"].as_i64(), Some(now));
        assert_eq!(answer["exp"].as_i64(), grant["expires_in"].as_i64().map(|lifetime| now + lifetime));
        assert_eq!(answer["auth_time"].as_i64(), Some(now));
        assert!(
            text(&answer, "sub").starts_with("usr_") && !text(&answer, "jti").is_empty() && !answer["aud"].is_null()
        );
    }
}

/// Check O1: who does not authenticate is 401, at this endpoint too, and learns nothing.
#[tokio::test]
async fn the_caller_authenticates() {
    let world = world().await;
    let access = text(&world.grant("phone").await, "access_token");
    let form = [("token", access.as_str())];
    let wrong = basic("api", "wrong");
    for (more, headers, reason) in [
        (vec![], vec![], "no_client"),
        (vec![], vec![("authorization", wrong.as_str())], "wrong_client_secret"),
        (vec![("client_id", "api")], vec![], "other_auth_method"),
        (vec![], vec![("authorization", "Bearer x")], "unknown_auth_scheme"),
    ] {
        let form = [form.as_slice(), &more].concat();
        refused(&world.http().post("/oauth2/introspect", &form, &headers).await, 401, "invalid_client", reason);
    }
    let reply = world.http().post("/oauth2/introspect", &[], &[("authorization", &own_basic("api"))]).await;
    refused(&reply, 400, "invalid_request", "malformed: Missing(\"token\")");
}

/// Checks O1, O2: a client that may not introspect hears exactly `{"active":false}`, of any token, its own too; a public one, which
/// proves nothing, likewise.
#[tokio::test]
async fn who_may_not_introspect_hears_inactive() {
    let world = world().await;
    let token = world.first("phone").await;
    let access = text(&world.grant("web").await, "access_token");
    for caller in ["web", "web-single", "phone", "once", "daemon"] {
        for token in [token.as_str(), &access, "x"] {
            let reply = world.post("/oauth2/introspect", caller, &[("token", token)], &[]).await.expect_status(200);
            assert_eq!(reply.text(), "{\"active\":false}", "{caller}");
        }
    }
}

/// Check O3: a refresh token is shown to its own client only, and only the live one is active.
#[tokio::test]
async fn a_refresh_token_is_shown_to_its_own_client_only() {
    let world = world().await;
    let tokens = chain(&world, "opaque", 2).await;
    let answer = ask(&world, "opaque", &tokens[2]).await;
    assert_eq!((answer["active"].as_bool(), answer["client_id"].as_str()), (Some(true), Some("opaque")));
    assert_eq!(answer["exp"].as_i64(), Some(world.row(&tokens[2]).await.ends_at().seconds()));
    for old in &tokens[..2] {
        assert_eq!(ask(&world, "opaque", old).await, json!({"active": false}));
    }
    assert_eq!(ask(&world, "api", &tokens[2]).await, json!({"active": false}));
    let others = world.first("phone").await;
    assert_eq!(ask(&world, "opaque", &others).await, json!({"active": false}));
    assert_eq!(
        ask(&world, "opaque", &world.forge(&tokens[2], |token| token.generation += 1)).await,
        json!({"active": false})
    );
}

/// Laws L2, L11: introspection reads, never writes: whatever is shown to it, the row stays, and a spent token shown here is no replay.
#[tokio::test]
async fn introspection_never_writes() {
    let world = world().await;
    let tokens = chain(&world, "opaque", 4).await;
    let (before, commits) = (world.row(&tokens[4]).await, world.watch.commits());
    for token in &tokens {
        let _ = ask(&world, "opaque", token).await;
        let _ = ask(&world, "api", token).await;
    }
    assert_eq!((world.row(&tokens[4]).await, world.watch.commits()), (before, commits));
    let _ = next(world.refresh("opaque", &tokens[4]).await);
}

/// Section 4: a resource server that names its resources is shown what is meant for it.
#[tokio::test]
async fn a_resource_server_is_shown_what_is_meant_for_it() {
    let world = world_with(&with_setting("api", "resources = [\"https://files.example/\"]")).await;
    let first = world.first("web").await;
    for (resource, shown) in [("https://files.example/", true), ("https://api.example/", false)] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("resource", resource)];
        let access = text(&world.token("web", &form).await.json(), "access_token");
        assert_eq!(is_active(&world, &access).await, shown, "{resource}");
    }
}

/// "MUST determine whether or not the token has expired", to the second; and each way in which what was active ends.
#[tokio::test]
async fn what_has_ended_is_inactive() {
    for client in ["phone", "opaque"] {
        let world = world().await;
        let grant = world.grant(client).await;
        let (access, lifetime) = (text(&grant, "access_token"), grant["expires_in"].as_u64().expect("a number"));
        world.advance(secs(lifetime - 1));
        assert!(is_active(&world, &access).await);
        world.advance(secs(1));
        assert!(!is_active(&world, &access).await);
    }
    // Where a user who is switched off is only suspended: tokens that have not ended speak for him again.
    let world = suspending_world().await;
    let access = text(&world.grant("phone").await, "access_token");
    let own = text(&world.token("daemon", &[("grant_type", "client_credentials")]).await.json(), "access_token");
    for disabled in [true, false] {
        world.app.admin().set_user_disabled(USER, disabled).await.expect("the user is there");
        assert_eq!(is_active(&world, &access).await, !disabled);
        assert!(is_active(&world, &own).await, "no user stands behind it");
    }
    // A client that is gone takes its tokens with it, until it returns.
    let world = world.restart_with(Some(&super::support::without_client("phone"))).await;
    assert!(!is_active(&world, &access).await);
    assert_eq!(userinfo(&world, &access).await.status.as_u16(), 401);
    let world = world.restart_with(Some(CONFIG)).await;
    assert!(is_active(&world, &access).await);
}
