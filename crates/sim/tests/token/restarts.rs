//! Restarts: what a new process finds is what the old one answered, on the embedded database as in memory (laws L1, L3, L4).

use std::path::PathBuf;

use regrant_core::keys::RootKey;
use regrant_server::{App, Clock};
use regrant_store::{Memory, Store as _};
use sim::process::Scratch;
use sim::wire::{CONFIG, ROOT, USER, World, config, log, text};

use super::support::{
    REFRESHING, ROTATING, chain, is_active, next, refused, secs, start_plus, tokens, userinfo, with_client, world,
};

/// The usual world on the embedded database.
async fn on(scratch: &Scratch) -> World {
    log::listen();
    World::on_sqlite(&store(scratch)).await
}

fn store(scratch: &Scratch) -> PathBuf {
    scratch.path().join("regrant.db")
}

/// Law L1: everything that was answered is there afterwards: live tokens, retries, codes, access tokens, revocations, events.
#[tokio::test]
async fn a_restart_keeps_everything() {
    let scratch = Scratch::new("token-keeps");
    let mut world = on(&scratch).await;
    let mut held = Vec::new();
    for client in REFRESHING {
        let first = world.first(client).await;
        let (access, second) = tokens(world.refresh(client, &first).await);
        held.push((client, access, first, second));
    }
    let code = world.code("phone").await;
    let revoked = world.first("web").await;
    let _ = world.post("/oauth2/revoke", "web", &[("token", &revoked)], &[]).await.expect_status(200);
    let (rows, seen) = (world.grants().await, world.seen(&held[3].2).await);
    for _ in 0..3 {
        world = world.restart().await;
        assert_eq!(world.grants().await, rows);
        let after = world.seen(&held[3].2).await;
        assert_eq!(format!("{after:?}"), format!("{seen:?}"));
        for (client, access, first, second) in &held {
            assert!(is_active(&world, access).await, "{client}");
            let _ = userinfo(&world, access).await.expect_status(200);
            if *client != "phone-strict" {
                assert_eq!(next(world.refresh(client, first).await), *second, "{client}: the retry after a restart");
            }
        }
        refused(&world.refresh("web", &revoked).await, 400, "invalid_grant", "revoked_by_client");
    }
    for (client, _, _, second) in &held {
        let _ = next(world.refresh(client, second).await);
    }
    let _ = next(world.redeem("phone", &code).await);
}

/// Check T5: rotated, restarted, replayed: a reuse, for each class that rotates, on the database and in memory.
#[tokio::test]
async fn a_replay_after_a_restart_is_a_replay() {
    let scratch = Scratch::new("token-replay");
    for mut world in [world().await, on(&scratch).await] {
        for client in ROTATING {
            let tokens = chain(&world, client, 2).await;
            world.advance(secs(60));
            world = world.restart().await;
            refused(&world.refresh(client, &tokens[0]).await, 400, "invalid_grant", "replayed");
            world = world.restart().await;
            refused(&world.refresh(client, &tokens[2]).await, 400, "invalid_grant", "refresh_replayed");
        }
    }
}

/// Check A8: a code that was redeemed before the restart is spent after it.
#[tokio::test]
async fn a_code_is_redeemed_once_across_restarts() {
    let scratch = Scratch::new("token-code");
    let world = on(&scratch).await;
    let code = world.code("phone").await;
    let world = world.restart().await;
    let token = next(world.redeem("phone", &code).await);
    let world = world.restart().await;
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_spent");
    let token = next(world.refresh("phone", &token).await);
    world.advance(secs(60));
    let world = world.restart().await;
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_replayed_now");
    refused(&world.refresh("phone", &token).await, 400, "invalid_grant", "code_replayed");
}

/// Check K6: another root key is refused at start, by name, with a remedy, and changes nothing: the right one works afterwards.
#[tokio::test]
async fn another_root_key_is_refused_and_changes_nothing() {
    log::listen();
    let memory = Memory::new();
    let world = World::on_memory(&memory).await;
    world.add_user(USER).await;
    let token = world.first("web").await;
    let row = world.row(&token).await;
    drop(world);
    let mut other = ROOT;
    other[31] ^= 1;
    let clock = Clock::manual(start_plus(5));
    let seen = memory.high_water();
    let refused =
        App::open_with(config(CONFIG), Box::new(memory.clone()), RootKey::new(other), clock).expect_err("another key");
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.to_string().contains("root key"), "{refused}");
    assert_eq!(memory.high_water(), seen, "nothing was written");
    // The issuer follows the port, which is another now: a refresh token is bound to the deployment, not to its name.
    let world = World::on_memory(&memory).await;
    assert_eq!(world.row(&token).await, row);
    let _ = next(world.refresh("web", &token).await);
}

/// Check K7: the keys of one deployment do not open another's tokens, though the root key is the same.
#[tokio::test]
async fn a_deployments_keys_are_its_own() {
    let (here, there) = (world().await, world().await);
    let id = here.app.engine.keys().deployment();
    assert_ne!(id, there.app.engine.keys().deployment());
    let foreign = there.grant("opaque").await;
    for name in ["access_token", "refresh_token"] {
        let token = text(&foreign, name);
        assert!(is_active(&there, &text(&foreign, "access_token")).await);
        assert!(!is_active(&here, &token).await);
        assert_eq!(userinfo(&here, &token).await.status.as_u16(), 401);
        let own = here.watch.commits();
        let _ = here.post("/oauth2/revoke", "opaque", &[("token", &token)], &[]).await.expect_status(200);
        assert_eq!(here.watch.commits(), own);
    }
}

/// A client that became public loses its reusable grants (design section 4.1), and has them again when it is confidential again.
#[tokio::test]
async fn a_client_that_became_public_loses_its_reusable_grants() {
    let world = world().await;
    let token = world.first("web").await;
    let row = world.row(&token).await;
    let public = with_client(
        "web",
        "secret_hash = \"HASH\"\ntoken_endpoint_auth_method = \"client_secret_post\"",
        "token_endpoint_auth_method = \"none\"",
    );
    let world = world.restart_with(Some(&public)).await;
    refused(&world.refresh("web", &token).await, 400, "invalid_grant", "reusable_for_public");
    assert_eq!(world.row(&token).await, row);
    let world = world.restart_with(Some(CONFIG)).await;
    let _ = next(world.refresh("web", &token).await);
}

/// The rotation mode is fixed when a grant is made: a changed setting is for new ones.
#[tokio::test]
async fn a_changed_rotation_is_for_new_grants() {
    let world = world().await;
    let old = world.first("web-single").await;
    let world = world
        .restart_with(Some(&with_client("web-single", "rotation = \"single_use\"", "rotation = \"reusable\"")))
        .await;
    let young = world.first("web-single").await;
    assert_ne!(next(world.refresh("web-single", &old).await), old);
    assert_eq!(next(world.refresh("web-single", &young).await), young);
}
