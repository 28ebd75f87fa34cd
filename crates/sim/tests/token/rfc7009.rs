//! RFC 7009, token revocation:
//!
//! - Section 2: "Implementations MUST support the revocation of refresh tokens and SHOULD support the revocation of access tokens".
//! - 2.1: the server "first validates the client credentials (in case of a confidential client) and then verifies whether the token was
//!   issued to the client making the revocation request. If this validation fails, the request is refused".
//! - 2.1: "If the particular token is a refresh token and the authorization server supports the revocation of access tokens, then the
//!   authorization server SHOULD also invalidate all access tokens based on the same authorization grant".
//! - 2.1: of the hint, "If the server is unable to locate the token using the given hint, it MUST extend its search across all of its
//!   supported token types."
//! - 2.2: "The authorization server responds with HTTP status code 200 if the token has been revoked successfully or if the client
//!   submitted an invalid token."
//! - 2.2.1: "If the server responds with HTTP status code 503, the client must assume the token still exists".

use sim::wire::{Reply, World, text};

use regrant_store::Cause;

use super::support::{REFRESHING, chain, is_active, next, own_basic, refused, secs, tokens, userinfo, world};

async fn revoke(world: &World, client: &str, token: &str) -> Reply {
    world.post("/oauth2/revoke", client, &[("token", token)], &[]).await
}

/// Check T22, law L9: a revoked refresh token is refused, all that its grant made is inactive at once, and it stays so.
#[tokio::test]
async fn a_revoked_grant_is_ended_at_once_and_for_ever() {
    for client in REFRESHING {
        let mut world = world().await;
        let grant = world.grant(client).await;
        let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
        let reply = revoke(&world, client, &refresh).await.expect_status(200);
        assert_eq!((reply.text().as_str(), reply.header("cache-control").as_str()), ("", "no-store"));
        refused(&world.refresh(client, &refresh).await, 400, "invalid_grant", "revoked_by_client");
        assert!(!is_active(&world, &access).await);
        assert_eq!(userinfo(&world, &access).await.status.as_u16(), 401);
        let (seen, events) = world.seen(&refresh).await;
        assert_eq!((seen.state.as_str(), seen.reason.as_deref()), ("revoked", Some("revoked_by_client")));
        assert_eq!(events.iter().filter(|event| event.kind == "grant_ended").count(), 1);
        world = world.restart().await;
        refused(&world.refresh(client, &refresh).await, 400, "invalid_grant", "revoked_by_client");
    }
}

/// Section 2.2: a token that is invalid or was revoked before is 200, again and again, and changes nothing.
#[tokio::test]
async fn what_is_not_there_is_revoked_already() {
    let world = world().await;
    let refresh = world.first("phone").await;
    let _ = revoke(&world, "phone", &refresh).await.expect_status(200);
    let before = world.row(&refresh).await;
    let unknown = world.forge(&refresh, |token| token.grant.random ^= 1);
    let code = world.code("phone").await;
    for token in [refresh.as_str(), "x", "rgr_x", "rga_x", "a.b.c", &unknown, &code, &"a".repeat(60_000), "\u{e9}"] {
        let _ = revoke(&world, "phone", token).await.expect_status(200);
    }
    assert_eq!(world.row(&refresh).await, before);
    assert_eq!(world.events(&refresh, "grant_ended").await, 1);
    let _ = next(world.redeem("phone", &code).await);
}

/// Any genuine generation of the client's own ends the grant, spent ones too: the tag proves that it was ours.
#[tokio::test]
async fn any_generation_ends_the_grant() {
    for generation in 0..4 {
        let world = world().await;
        let tokens = chain(&world, "phone", 3).await;
        let _ = revoke(&world, "phone", &tokens[generation]).await.expect_status(200);
        refused(&world.refresh("phone", &tokens[3]).await, 400, "invalid_grant", "revoked_by_client");
        assert_eq!(
            world.seen(&tokens[3]).await.0.reason.as_deref(),
            Some("revoked_by_client"),
            "revocation is no replay"
        );
    }
    // A generation that was never issued is no proof: an alarm, and the grant lives.
    let world = world().await;
    let live = chain(&world, "phone", 1).await.remove(1);
    let future = world.forge(&live, |token| token.generation += 1);
    let _ = revoke(&world, "phone", &future).await.expect_status(200);
    assert_eq!(world.events(&live, "alarm").await, 1);
    let _ = next(world.refresh("phone", &live).await);
}

/// A token whose grant has run out of time can still be revoked, and keeps that reason.
#[tokio::test]
async fn an_expired_grant_can_be_revoked() {
    let world = world().await;
    let token = world.first("phone").await;
    world.advance(secs(31 * 86_400));
    let _ = revoke(&world, "phone", &token).await.expect_status(200);
    assert_eq!(world.seen(&token).await.0.reason.as_deref(), Some("revoked_by_client"));
}

/// Check O4, law L11: nobody revokes another client's token, of any kind; the request is refused and nothing changes.
#[tokio::test]
async fn another_clients_token_is_not_revoked() {
    let world = world().await;
    for owner in ["phone", "web-single", "opaque"] {
        let grant = world.grant(owner).await;
        let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
        let before = world.row(&refresh).await;
        for stranger in ["web", "phone-strict", "api"] {
            for token in [&access, &refresh] {
                refused(&revoke(&world, stranger, token).await, 400, "invalid_grant", "other_client");
            }
        }
        assert_eq!(world.row(&refresh).await, before);
        assert!(is_active(&world, &access).await);
        let _ = next(world.refresh(owner, &refresh).await);
    }
}

/// "first validates the client credentials": a wrong secret is 401, a token without a client too.
#[tokio::test]
async fn the_client_is_authenticated_first() {
    let world = world().await;
    let refresh = world.first("web-single").await;
    let before = world.row(&refresh).await;
    let wrong = super::support::basic("web-single", "wrong");
    let form = [("token", refresh.as_str())];
    refused(
        &world.http().post("/oauth2/revoke", &form, &[("authorization", &wrong)]).await,
        401,
        "invalid_client",
        "wrong_client_secret",
    );
    refused(&world.http().post("/oauth2/revoke", &form, &[]).await, 401, "invalid_client", "no_client");
    let reply = world.http().post("/oauth2/revoke", &[], &[("authorization", &own_basic("web-single"))]).await;
    refused(&reply, 400, "invalid_request", "malformed: Missing(\"token\")");
    assert_eq!(world.row(&refresh).await, before);
}

/// An access token is refused from its revocation on, by itself: its grant and its siblings go on; a restart does not revive it.
#[tokio::test]
async fn an_access_token_is_revoked_by_itself() {
    for client in ["web", "phone", "opaque"] {
        let mut world = world().await;
        let (_, first) = tokens(
            world
                .token(client, &[("grant_type", "password"), ("username", "alice"), ("password", sim::wire::PASSWORD)])
                .await,
        );
        let (one, second) = tokens(world.refresh(client, &first).await);
        let (other, third) = tokens(world.refresh(client, &second).await);
        let _ = revoke(&world, client, &one).await.expect_status(200);
        for _ in 0..2 {
            assert!(!is_active(&world, &one).await, "{client}");
            assert_eq!(userinfo(&world, &one).await.status.as_u16(), 401);
            assert!(is_active(&world, &other).await);
            world = world.restart().await;
        }
        let _ = next(world.refresh(client, &third).await);
    }
    let world = world().await;
    let own = text(&world.token("daemon", &[("grant_type", "client_credentials")]).await.json(), "access_token");
    assert!(is_active(&world, &own).await);
    let _ = revoke(&world, "daemon", &own).await.expect_status(200);
    assert!(!is_active(&world, &own).await);
}

/// Check O5: a wrong `token_type_hint` costs nothing: "it MUST extend its search".
#[tokio::test]
async fn a_wrong_hint_costs_nothing() {
    let world = world().await;
    for hint in ["access_token", "refresh_token", "id_token", "", "\u{0}", "x"] {
        let grant = world.grant("phone").await;
        let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
        for endpoint in ["/oauth2/introspect"] {
            let form = [("token", access.as_str()), ("token_type_hint", hint)];
            assert_eq!(world.post(endpoint, "api", &form, &[]).await.json()["active"], true, "{hint:?}");
        }
        for token in [&access, &refresh] {
            let form = [("token", token.as_str()), ("token_type_hint", hint)];
            let _ = world.post("/oauth2/revoke", "phone", &form, &[]).await.expect_status(200);
        }
        assert!(!is_active(&world, &access).await, "{hint:?}");
        refused(&world.refresh("phone", &refresh).await, 400, "invalid_grant", "revoked_by_client");
    }
}

/// Check T21, law L1: 200 only if it is durable: a store that fails is 503, and the token still exists.
#[tokio::test]
async fn a_revocation_that_is_not_durable_is_not_answered_200() {
    let world = world().await;
    let grant = world.grant("phone").await;
    let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
    let before = world.row(&refresh).await;
    world.watch.refuse(Cause::Full, u64::MAX);
    for token in [&refresh, &access] {
        revoke(&world, "phone", token).await.expect_error(503, "temporarily_unavailable");
    }
    world.watch.heal();
    assert_eq!(world.row(&refresh).await, before);
    assert!(is_active(&world, &access).await);
    let _ = revoke(&world, "phone", &refresh).await.expect_status(200);
    assert!(!is_active(&world, &access).await);
}
