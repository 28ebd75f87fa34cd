//! Refresh tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrant_store::{Cause, Memory};
use sim::wire::story::{is_active, next, refused, secs, world, world_with};
use sim::wire::{CONFIG, Reply, World, text};

async fn spent(world: &World) -> [String; 3] {
    let first = world.first("phone").await;
    world.advance(secs(120));
    let second = next(world.refresh("phone", &first).await);
    world.advance(secs(120));
    let third = next(world.refresh("phone", &second).await);
    world.advance(secs(120));
    [first, second, third]
}

/// Incident CVE-2026-1035 (Keycloak; likewise CVE-2026-50631 of CXF and CVE-2026-53517 of Better Auth): rotation that reads, then writes: parallel
/// refreshes of one token each got a successor. Here there is one, whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_1035_parallel_refreshes_get_one_successor() {
    let memory = Memory::new();
    let world = Arc::new(World::on_memory(&memory).await);
    world.add_user(sim::wire::USER).await;
    let other = Arc::new(World::node(CONFIG, &memory).await);
    let token = world.first("web-single").await;
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let (node, token) = (if number % 2 == 0 { &world } else { &other }.clone(), token.clone());
            tokio::spawn(async move { node.refresh("web-single", &token).await })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for task in tasks {
        successors.insert(next(task.await.expect("no panic")));
    }
    assert_eq!((successors.len(), world.row(&token).await.generation), (1, 2));
}

/// Incident fastmcp #5037: the mirror image: the loser of a harmless race was logged out. Here both go on.
#[tokio::test]
async fn fastmcp_5037_the_loser_of_a_race_stays_logged_in() {
    let world = world().await;
    let first = world.first("phone").await;
    let (one, other) = (world.refresh("phone", &first).await, world.refresh("phone", &first).await);
    let (one, other) = (next(one), next(other));
    assert_eq!(one, other);
    let _ = next(world.refresh("phone", &other).await);
}

/// Incident CVE-2026-9802 (Keycloak): a restart reset the time by which spent tokens were known, and they worked again.
#[tokio::test]
async fn cve_2026_9802_a_restart_revives_no_spent_token() {
    let world = world().await;
    let [first, _, third] = spent(&world).await;
    let world = world.restart().await;
    refused(&world.refresh("phone", &first).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone", &third).await, 400, "invalid_grant", "refresh_replayed");
}

/// Incident Keycloak #49213: a count in memory was not taken back with its transaction: minutes of failover ended sessions for ever.
#[tokio::test]
async fn keycloak_49213_a_failed_commit_leaves_nothing_in_memory() {
    let world = world().await;
    let first = world.first("phone").await;
    world.watch.refuse(Cause::Io, u64::MAX);
    for _ in 0..10 {
        world.refresh("phone", &first).await.expect_error(503, "temporarily_unavailable");
    }
    world.watch.heal();
    let second = next(world.refresh("phone", &first).await);
    let _ = next(world.refresh("phone", &second).await);
}

/// Incident CVE-2026-55672 (Zitadel; likewise rodauth-oauth 0.10.4): a refresh token, a code or a device code was not bound to its client.
#[tokio::test]
async fn cve_2026_55672_a_token_is_its_own_clients_alone() {
    let world = world().await;
    for owner in ["web", "web-single", "phone", "opaque"] {
        let token = world.first(owner).await;
        for other in ["web", "web-single", "phone", "opaque"].into_iter().filter(|other| *other != owner) {
            refused(&world.refresh(other, &token).await, 400, "invalid_grant", "other_client");
        }
        let _ = next(world.refresh(owner, &token).await);
    }
}

/// Incident CVE-2026-68481 (CXF): self-contained tokens: revocation removed a row that nobody asked.
#[tokio::test]
async fn cve_2026_68481_a_revocation_is_obeyed_at_once() {
    let memory = Memory::new();
    let world = World::on_memory(&memory).await;
    world.add_user(sim::wire::USER).await;
    let other = World::node(CONFIG, &memory).await;
    let tokens = world.grant("phone").await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    assert!(is_active(&world, &access).await);
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    for node in [&world, &other] {
        node.refresh("phone", &refresh).await.expect_error(400, "invalid_grant");
        assert!(!is_active(node, &refresh).await);
    }
    assert!(!is_active(&world, &access).await);
}

/// Incident get-engram #446, django-oauth-toolkit #1617, Hydra's graceful mode: a grace window in which one token had several successors,
/// or reached several generations back.
#[tokio::test]
async fn django_oauth_toolkit_1617_a_retry_window_forks_nothing() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    for _ in 0..3 {
        world.advance(secs(8));
        assert_eq!(next(world.refresh("phone", &first).await), second);
    }
    let _third = next(world.refresh("phone", &second).await);
    refused(&world.refresh("phone", &first).await, 503, "temporarily_unavailable", "straggler");
}

/// Incident Hydra's pruning of used tokens: after half an hour a used token's row was gone, and its replay was "not found" and ended nothing.
#[tokio::test]
async fn hydra_pruning_a_replay_is_a_replay_after_a_month() {
    let world = world().await;
    let [first, _, third] = spent(&world).await;
    world.advance(secs(29 * 86_400));
    let _ = regrant_server::sweep::pass(&world.app, std::time::Duration::ZERO).await.expect("a pass");
    refused(&world.refresh("phone", &first).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone", &third).await, 400, "invalid_grant", "refresh_replayed");
}

/// Incident reuse without a consequence (MAS, Dex and Rauthy as their sources were read): a replay was an error, and the session went on.
#[tokio::test]
async fn reuse_without_consequence_here_ends_the_grant() {
    let world = world().await;
    let access = text(&world.grant("phone").await, "access_token");
    assert!(is_active(&world, &access).await);
    let [first, _, third] = spent(&world).await;
    refused(&world.refresh("phone", &first).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone", &third).await, 400, "invalid_grant", "refresh_replayed");
    assert_eq!(world.events(&third, "grant_ended").await, 1);
}

/// Incident Kanidm's `iat` in whole seconds: two refreshes within one second, or a clock that stepped back, could not be told apart.
#[tokio::test]
async fn kanidm_iat_order_comes_from_generations() {
    let world = world().await;
    let first = world.first("web-single").await;
    let second = next(world.refresh("web-single", &first).await);
    world.clock.set(regrant_core::Timestamp::from_millis(sim::wire::START - 3_600_000));
    let third = next(world.refresh("web-single", &second).await);
    let fourth = next(world.refresh("web-single", &third).await);
    world.advance(secs(7200));
    refused(&world.refresh("web-single", &second).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("web-single", &fourth).await, 400, "invalid_grant", "refresh_replayed");
}

/// Incident Hydra's strict mode: who lost a harmless race heard "please retry", retried, and was a replay.
#[tokio::test]
async fn hydra_strict_a_retry_that_was_asked_for_is_no_replay() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    let third = next(world.refresh("phone", &second).await);
    for _ in 0..5 {
        let late = world.refresh("phone", &first).await;
        refused(&late, 503, "temporarily_unavailable", "straggler");
    }
    let _ = next(world.refresh("phone", &third).await);
}

/// Incident GHSA-895x-rfqp-jh5c, #50926, #26532 and #27275 (Keycloak), CVE-2025-64521 (authentik): switching a user off, a new password or
/// a revocation did not reach offline tokens, or a user switched on again had them back.
#[tokio::test]
async fn ghsa_895x_a_user_switched_off_and_on_has_nothing_back() {
    let world = world().await;
    let tokens = world.grant("phone").await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    world.app.admin().set_user_disabled("alice", true).await.expect("switched off");
    world.refresh("phone", &refresh).await.expect_error(400, "invalid_grant");
    assert!(!is_active(&world, &access).await);
    world.app.admin().set_user_disabled("alice", false).await.expect("switched on");
    world.refresh("phone", &refresh).await.expect_error(400, "invalid_grant");
    assert!(!is_active(&world, &access).await);
    let _ = world.grant("phone").await;
}

/// Incident Keycloak #39021 and #11990: `expires_in` was negative, and `exp` in 1974.
#[tokio::test]
async fn keycloak_39021_expires_in_is_within_its_setting() {
    let config = CONFIG.replacen(
        "id = \"phone\" ",
        "id = \"phone\"\nidle_lifetime = \"90s\"\naccess_token_lifetime = \"60s\"\n#",
        1,
    );
    let world = world_with(&config).await;
    let mut token = world.first("phone").await;
    for step in [0, 30, 89, 1, 60] {
        world.advance(secs(step));
        let json = world.refresh("phone", &token).await.expect_status(200).json();
        let expires_in = json["expires_in"].as_i64().expect("a number");
        assert!((1..=60).contains(&expires_in), "{expires_in}");
        token = text(&json, "refresh_token");
    }
}

/// Incident Better Auth 1.6: a refresh without `resource` lost the audience.
#[tokio::test]
async fn better_auth_a_refresh_keeps_its_audience() {
    let world = world().await;
    let form = [
        ("grant_type", "password"),
        ("username", sim::wire::USER),
        ("password", sim::wire::PASSWORD),
        ("scope", "read"),
        ("resource", "https://api.example/"),
    ];
    let tokens = world.token("web", &form).await.expect_status(200).json();
    let audience = |reply: &Reply| sim::wire::story::claims(&text(&reply.json(), "access_token"))["aud"].clone();
    let again = world.refresh("web", &text(&tokens, "refresh_token")).await;
    assert_eq!(audience(&again), "https://api.example/");
}
