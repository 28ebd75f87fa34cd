//! Races: many who present one thing at once. One generation step, one successor, one redemption (laws L2, L3, L9), whatever the order.

use std::collections::BTreeSet;
use std::sync::Arc;

use sim::wire::{Reply, World, text};

use super::support::{HOUR, REFRESHING, is_active, next, refused, secs, tokens, world};

/// How many present one token at once.
const PRESENTERS: usize = 64;
/// How often.
const ROUNDS: usize = 12;

/// The same request from many tasks at once.
async fn at_once(
    world: &Arc<World>,
    count: usize,
    client: &'static str,
    form: &[(&'static str, String)],
) -> Vec<Reply> {
    let gate = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (world, gate, form) = (Arc::clone(world), Arc::clone(&gate), form.to_vec());
            tokio::spawn(async move {
                gate.wait().await;
                let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                world.token(client, &form).await
            })
        })
        .collect();
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(task.await.expect("no panic"));
    }
    replies
}

fn refresh_form(token: &str) -> [(&'static str, String); 2] {
    [("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())]
}

/// Checks T1, T2, law L2: 64 present one token at once, round after round, for each class and method of authentication: one generation
/// step, and every 200 carries the identical refresh token. Check T4: nobody is logged out; who gets no token is asked to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_presenters_of_one_token_make_one_step() {
    let world = Arc::new(world().await);
    for client in REFRESHING {
        let mut token = world.first(client).await;
        for round in 0..ROUNDS {
            let before = world.row(&token).await.generation;
            let replies = at_once(&world, PRESENTERS, client, &refresh_form(&token)).await;
            let (answered, waiting): (Vec<_>, Vec<_>) =
                replies.into_iter().partition(|reply| reply.status.as_u16() == 200);
            for reply in &waiting {
                refused(reply, 503, "temporarily_unavailable", "straggler");
            }
            let expected = if client == "phone-strict" { 1 } else { PRESENTERS };
            assert_eq!(answered.len(), expected, "{client}, round {round}");
            let access: BTreeSet<String> = answered.iter().map(|reply| text(&reply.json(), "access_token")).collect();
            assert_eq!(access.len(), answered.len(), "every access token is its own");
            let successors: BTreeSet<String> = answered.into_iter().map(next).collect();
            assert_eq!(successors.len(), 1, "{client}, round {round}: a fork");
            let step = u32::from(client != "web");
            assert_eq!(world.row(&token).await.generation, before + step, "{client}, round {round}");
            token = successors.into_iter().next().expect("one");
            world.advance(secs(HOUR));
        }
        assert_eq!((world.events(&token, "grant_ended").await, world.seen(&token).await.0.state.as_str()), (0, "live"));
    }
}

/// Two honest workers refresh at once, and both go on with the same token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_refreshes_at_once_go_on_together() {
    let world = Arc::new(world().await);
    for client in ["web", "web-single", "phone", "opaque"] {
        let mut token = world.first(client).await;
        for _ in 0..20 {
            let replies = at_once(&world, 2, client, &refresh_form(&token)).await;
            let both: BTreeSet<String> = replies.into_iter().map(next).collect();
            assert_eq!(both.len(), 1, "{client}");
            token = both.into_iter().next().expect("one");
            world.advance(secs(1));
        }
    }
}

/// Check A1: 64 redeem one code at once: exactly one gets tokens, the others are refused as a double click, and the grant lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_redeemers_of_one_code_make_one_grant() {
    let world = Arc::new(world().await);
    for client in ["phone", "web-single", "web"] {
        for _ in 0..4 {
            let (rows, code) = (world.grants().await, world.code(client).await);
            let form = [
                ("grant_type", "authorization_code".to_owned()),
                ("code", code.clone()),
                ("redirect_uri", sim::wire::CALLBACK.to_owned()),
                ("code_verifier", sim::wire::VERIFIER.to_owned()),
            ];
            let replies = at_once(&world, PRESENTERS, client, &form).await;
            let (mut answered, late): (Vec<_>, Vec<_>) =
                replies.into_iter().partition(|reply| reply.status.as_u16() == 200);
            assert_eq!(answered.len(), 1);
            for reply in &late {
                refused(reply, 400, "invalid_grant", "code_spent");
            }
            let (access, refresh) = tokens(answered.remove(0));
            assert!(is_active(&world, &access).await);
            let _ = next(world.refresh(client, &refresh).await);
            assert_eq!(world.grants().await, rows + 1);
        }
    }
}

/// Law L9: a revocation among refreshes: from its 200 on nothing is answered, whoever came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_behind_a_revocation() {
    let world = Arc::new(world().await);
    for round in 0..30 {
        let client = ["web", "web-single", "phone", "opaque"][round % 4];
        let token = world.first(client).await;
        let refreshing = {
            let (world, token) = (Arc::clone(&world), token.clone());
            tokio::spawn(async move { at_once(&world, 8, client, &refresh_form(&token)).await })
        };
        let _ = world.post("/oauth2/revoke", client, &[("token", &token)], &[]).await.expect_status(200);
        let after = world.refresh(client, &token).await;
        refused(&after, 400, "invalid_grant", "revoked_by_client");
        for reply in refreshing.await.expect("no panic") {
            match reply.status.as_u16() {
                // Decided before the revocation: what it brought is worth nothing behind it.
                200 => {
                    let (access, refresh) = tokens(reply);
                    assert!(!is_active(&world, &access).await);
                    refused(&world.refresh(client, &refresh).await, 400, "invalid_grant", "revoked_by_client");
                }
                _ => refused(&reply, 400, "invalid_grant", "revoked_by_client"),
            }
        }
        assert_eq!(world.seen(&token).await.0.reason.as_deref(), Some("revoked_by_client"));
    }
}

/// A replay among honest refreshes of other grants ends its own grant only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_grants_at_once_keep_apart() {
    let world = Arc::new(world().await);
    let mut firsts = Vec::new();
    for number in 0..24_usize {
        firsts.push((
            ["web", "web-single", "phone", "opaque"][number % 4],
            world.first(["web", "web-single", "phone", "opaque"][number % 4]).await,
        ));
    }
    let tasks: Vec<_> = firsts
        .into_iter()
        .map(|(client, first)| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut token = first.clone();
                for _ in 0..25 {
                    token = next(world.refresh(client, &token).await);
                }
                (client, first, token)
            })
        })
        .collect();
    for task in tasks {
        let (client, first, token) = task.await.expect("no panic");
        assert_eq!(world.grant_of(&first), world.grant_of(&token));
        assert_eq!(world.open(&token).generation, if client == "web" { 1 } else { 26 });
    }
    assert_eq!(world.grants().await, 24);
}
