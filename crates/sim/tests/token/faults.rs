//! A store that fails: what was answered 200 is durable, and what failed consumed nothing (law L1). Between the two lies the commit whose
//! outcome nobody knows.

use std::sync::Arc;

use regrant_store::Cause;
use sim::process::Inside;
use sim::wire::{PASSWORD, USER, text};

use super::support::{REFRESHING, ROTATING, chain, is_active, next, refused, secs, tokens, world};

const CAUSES: [Cause; 5] = [Cause::Full, Cause::ReadOnly, Cause::Locked, Cause::Io, Cause::Damaged];

/// Check T6, law L1: a commit that fails for any cause is 503 with `Retry-After`; row, generation and token are what they were.
#[tokio::test]
async fn a_failed_commit_consumes_no_refresh_token() {
    let world = world().await;
    for client in REFRESHING {
        let first = world.first(client).await;
        for cause in CAUSES {
            let before = world.row(&first).await;
            world.watch.refuse(cause, u64::MAX);
            for _ in 0..3 {
                world.refresh(client, &first).await.expect_error(503, "temporarily_unavailable");
            }
            world.watch.heal();
            assert_eq!(world.row(&first).await, before, "{cause:?}");
        }
        let second = next(world.refresh(client, &first).await);
        assert_eq!(world.open(&second).generation, if client == "web" { 1 } else { 2 });
    }
}

/// Check T6, law L1: nor does it consume a code, or make a grant.
#[tokio::test]
async fn a_failed_commit_consumes_no_code_and_makes_no_grant() {
    let world = world().await;
    let code = world.code("phone").await;
    let before = world.row(&code).await;
    world.watch.refuse(Cause::Io, u64::MAX);
    world.redeem("phone", &code).await.expect_error(503, "temporarily_unavailable");
    let form = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
    world.token("phone", &form).await.expect_error(503, "temporarily_unavailable");
    world.watch.heal();
    assert_eq!((world.row(&code).await, world.grants().await), (before, 1));
    let _ = next(world.redeem("phone", &code).await);
}

/// Check T6: a counted retry that cannot be counted is no answer, and costs none of the three.
#[tokio::test]
async fn a_retry_that_cannot_be_counted_is_not_answered() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    world.advance(secs(10));
    world.watch.refuse(Cause::Full, u64::MAX);
    for _ in 0..5 {
        world.refresh("phone", &first).await.expect_error(503, "temporarily_unavailable");
    }
    world.watch.heal();
    assert_eq!(next(world.refresh("phone", &first).await), second);
    assert_eq!(world.row(&first).await.retries, 1);
}

/// Law L9: a replay whose revocation is not durable is not called a replay: 503, and the next one ends the grant.
#[tokio::test]
async fn a_replay_that_cannot_be_written_is_found_again() {
    let world = world().await;
    let chain = chain(&world, "phone", 2).await;
    world.advance(secs(60));
    world.watch.refuse(Cause::ReadOnly, u64::MAX);
    world.refresh("phone", &chain[0]).await.expect_error(503, "temporarily_unavailable");
    world.watch.heal();
    assert_eq!(world.seen(&chain[2]).await.0.state, "live");
    refused(&world.refresh("phone", &chain[0]).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone", &chain[2]).await, 400, "invalid_grant", "refresh_replayed");
}

/// Check T7, law L3: the answer to COMMIT was lost. Whether the rows are there or not, the engine reads them and answers what is true: one
/// step, no retry spent, and the client hears of nothing. Without a retry window, too.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_settled_by_reading_the_row() {
    for client in REFRESHING {
        for is_written in [true, false] {
            let world = world().await;
            let first = world.first(client).await;
            let before = world.row(&first).await.generation;
            if is_written {
                world.watch.lose_the_answer();
            } else {
                world.watch.lose_the_question();
            }
            let second = next(world.refresh(client, &first).await);
            let row = world.row(&second).await;
            let step = u32::from(client != "web");
            assert_eq!((row.generation, row.retries), (before + step, 0), "{client} {is_written}");
            let _ = next(world.refresh(client, &second).await);
        }
    }
}

/// Check T7, A8: the same for a code, which is redeemed once; and for a revocation, which holds.
#[tokio::test]
async fn a_lost_answer_to_a_redemption_or_a_revocation_is_settled() {
    for is_written in [true, false] {
        let world = world().await;
        let lose = || if is_written { world.watch.lose_the_answer() } else { world.watch.lose_the_question() };
        let code = world.code("phone").await;
        lose();
        let token = next(world.redeem("phone", &code).await);
        refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_spent");
        assert_eq!(world.grants().await, 1);
        lose();
        let _ = world.post("/oauth2/revoke", "phone", &[("token", &token)], &[]).await.expect_status(200);
        refused(&world.refresh("phone", &token).await, 400, "invalid_grant", "revoked_by_client");
    }
}

/// Check Z4: the device fails under COMMIT: 503 for that batch and for whatever vouches, reading included; liveness and readiness say so, and
/// serving ends. The next start knows what was written, and the client's retry gets the one successor there is.
#[tokio::test]
async fn a_failed_device_ends_the_server_and_the_next_start_goes_on() {
    for client in REFRESHING {
        let mut world = world().await;
        let first = world.first(client).await;
        let access = text(&world.grant("phone").await, "access_token");
        world.watch.fail_the_device();
        world.refresh(client, &first).await.expect_error(503, "temporarily_unavailable");
        let trouble = world.app.failed().await;
        assert_eq!(trouble.cause, Cause::Device);
        // The listener may be closed already: asked of the server itself.
        let inside = Inside { app: Arc::clone(&world.app), clock: world.clock.clone() };
        inside.refresh(client, &first).await.expect_error(503, "temporarily_unavailable");
        let daemon = inside.post("/oauth2/token", "daemon", &[("grant_type", "client_credentials")]).await;
        daemon.expect_error(503, "temporarily_unavailable");
        for (path, client) in [("/oauth2/introspect", "api"), ("/oauth2/revoke", "phone")] {
            inside.post(path, client, &[("token", &access)]).await.expect_error(503, "temporarily_unavailable");
        }
        for (path, status) in [("/healthz", 503), ("/readyz", 503), ("/oauth2/jwks", 200)] {
            assert_eq!(inside.get(path).await.status.as_u16(), status, "{path}");
        }
        drop(inside);
        world = world.restart().await;
        let generation = world.row(&first).await.generation;
        if client == "phone-strict" {
            // No window, no repeat: the price of `retry_window = "0s"`, which `config check` names; it was written.
            refused(&world.refresh(client, &first).await, 503, "temporarily_unavailable", "straggler");
            continue;
        }
        let second = next(world.refresh(client, &first).await);
        assert_eq!(world.open(&second).generation, generation, "one step, however often it is asked for");
        let _ = next(world.refresh(client, &second).await);
        assert!(is_active(&world, &access).await);
    }
}

/// Check A8: a code whose redemption was persisted and never answered is spent: it is refused, never two grants; presented again later it
/// ends the one it made, which nobody holds a token of.
#[tokio::test]
async fn a_redemption_that_was_persisted_and_never_answered_spends_the_code() {
    let mut world = world().await;
    let code = world.code("phone").await;
    world.watch.fail_the_device();
    world.redeem("phone", &code).await.expect_error(503, "temporarily_unavailable");
    world = world.restart().await;
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_spent");
    world.advance(secs(1));
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_replayed_now");
    assert_eq!((world.grants().await, world.seen(&code).await.0.reason.as_deref()), (1, Some("code_replayed")));
}

/// Check T21: reading goes on while nothing can be written: introspection answers.
#[tokio::test]
async fn reading_goes_on_while_nothing_can_be_written() {
    let world = world().await;
    let first = world.first("web").await;
    let (access, _) = tokens(world.refresh("web", &first).await);
    world.watch.refuse(Cause::Full, u64::MAX);
    assert!(is_active(&world, &access).await);
    let _ = world.http().get("/readyz", &[]).await.expect_status(200);
    let _ = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200);
    world.watch.heal();
    for client in ROTATING {
        let _ = world.first(client).await;
    }
}
