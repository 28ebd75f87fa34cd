//! Tokens that an operator holds in his hand: any kind, any age (check T22), one by one or in a list.

use regrant_server::admin::blacklist::TokenRevoked;
use regrant_server::admin::{KeyTurn, Password};
use sim::wire::{World, text};

use super::support::{active, alive, dead, held, next, secs, world};

async fn revoke(world: &World, tokens: &[&str]) -> Vec<TokenRevoked> {
    let tokens = tokens.iter().map(|token| Password::new((*token).to_owned().into())).collect();
    world.app.admin().revoke_tokens(tokens, "found on a disk").await.expect("the store answers")
}

async fn outcome(world: &World, token: &str) -> String {
    revoke(world, &[token]).await.remove(0).outcome
}

/// Check T22: any generation ends the grant, also long after it expired; the reason is the operator's.
#[tokio::test]
async fn any_generation_of_a_refresh_token_ends_its_grant() {
    let world = world().await;
    let mut chain = vec![world.first("phone").await];
    for _ in 0..3 {
        world.advance(secs(3600));
        chain.push(next(world.refresh("phone", chain.last().expect("a first")).await));
    }
    let told = revoke(&world, &[&chain[0]]).await.remove(0);
    let (seen, events) = world.seen(&chain[3]).await;
    assert_eq!((told.outcome.as_str(), told.grant.as_deref()), ("revoked", Some(seen.id.as_str())));
    assert!(events.iter().any(|event| event.detail == "found on a disk"), "{events:?}");
    dead(&world.refresh("phone", &chain[3]).await, "revoked_by_operator");
    assert_eq!(outcome(&world, &chain[3]).await, "ended_before");
    let idle = world.first("phone").await;
    world.advance(secs(31 * 86_400));
    assert_eq!(outcome(&world, &idle).await, "revoked", "expired ones, too");
}

/// An access token dies alone, JWT or opaque; a code ends the grant that it is.
#[tokio::test]
async fn an_access_token_dies_alone_and_a_code_with_its_grant() {
    let world = world().await;
    for client in ["web", "opaque"] {
        let mut before = held(&world, client).await;
        assert_eq!(outcome(&world, &before.access).await, "access_token_revoked");
        assert!(!active(&world, "api", &before.access).await);
        let answer = world.token(client, &[("grant_type", "refresh_token"), ("refresh_token", &before.refresh)]).await;
        let answer = answer.expect_status(200).json();
        (before.access, before.refresh) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
        assert_eq!(before.ask(&world).await, alive());
        world.advance(secs(3600));
        assert_eq!(outcome(&world, &before.access).await, "expired");
    }
    let code = world.code("web").await;
    assert_eq!(outcome(&world, &code).await, "revoked");
    dead(&world.redeem("web", &code).await, "revoked_by_operator");
}

/// What proves nothing ends nothing: strangers' words, tokens of the future, old ones under a key that others know.
#[tokio::test]
async fn what_proves_nothing_ends_nothing() {
    let world = world().await;
    let first = world.first("phone").await;
    let live = next(world.refresh("phone", &first).await);
    let future = world.forge(&live, |token| token.generation += 5);
    let gone = world.forge(&live, |token| token.grant.random ^= 1);
    world.app.admin().rotate_key("tag", None, KeyTurn::AtOnce).await.expect("replaced");
    world.app.admin().compromise_key("tag", "1").await.expect("said");
    let before = world.row(&live).await;
    let told = revoke(&world, &["", "x", "rgr_x", "a.b.c", &future, &gone, &first]).await;
    let outcomes: Vec<&str> = told.iter().map(|told| told.outcome.as_str()).collect();
    assert_eq!(
        outcomes,
        ["not_ours", "not_ours", "not_ours", "not_ours", "unissued", "unknown_grant", "proves_nothing"]
    );
    assert_eq!(world.row(&live).await, before);
    assert_eq!(outcome(&world, &live).await, "revoked", "the live one proves itself under any key");
}

/// A list of leaked tokens goes through in few commits, and each has its outcome in its place.
#[tokio::test]
async fn a_list_of_leaked_tokens_is_revoked_in_few_commits() {
    let world = world().await;
    let mut tokens = Vec::new();
    for _ in 0..100 {
        tokens.push(world.first("phone").await);
    }
    let listed: Vec<&str> = tokens.iter().flat_map(|token| [token.as_str(), "rgr_junk"]).collect();
    let commits = world.watch.commits();
    world.watch.hold();
    let asked = async {
        // Until each of them has asked: a turn of this runtime is a turn of every task.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.watch.release();
    };
    let (told, ()) = tokio::join!(revoke(&world, &listed), asked);
    assert!(world.watch.commits() - commits < 10, "{} commits", world.watch.commits() - commits);
    for pair in told.chunks(2) {
        assert_eq!((pair[0].outcome.as_str(), pair[1].outcome.as_str()), ("revoked", "not_ours"));
    }
    for token in tokens.iter().step_by(9) {
        dead(&world.refresh("phone", token).await, "revoked_by_operator");
    }
}
