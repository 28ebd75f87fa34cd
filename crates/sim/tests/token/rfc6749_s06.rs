//! RFC 6749 section 6, refreshing an access token:
//!
//! - `scope`: "The requested scope MUST NOT include any scope not originally granted by the resource owner, and if omitted is treated
//!   as equal to the scope originally granted by the resource owner."
//! - "the refresh token is bound to the client to which it was issued": the server MUST "require client authentication for
//!   confidential clients", "authenticate the client if client authentication is included and ensure that the refresh token was issued
//!   to the authenticated client", and "validate the refresh token".
//! - "If a new refresh token is issued, the refresh token scope MUST be identical to that of the refresh token included by the client".

use sim::wire::{USER, World, text};

use super::support::{
    REFRESHING, ROTATING, chain, is_active, next, refused, refused_without_a_trace, secs, suspending_world, tokens,
    userinfo, with_client, with_setting, without_client, world,
};

async fn refresh_scoped(world: &World, client: &str, token: &str, scope: &str) -> sim::wire::Reply {
    world.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)]).await
}

/// The whole point: the old access token has ended, the refresh token brings a new one, for each class of client.
#[tokio::test]
async fn a_refresh_token_brings_a_new_access_token() {
    let world = world().await;
    for client in REFRESHING {
        let (old, first) = tokens(
            world
                .token(client, &[("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD)])
                .await,
        );
        world.advance(secs(3600));
        assert!(!is_active(&world, &old).await, "{client}");
        let (new, _) = tokens(world.refresh(client, &first).await);
        assert!(is_active(&world, &new).await, "{client}");
        assert_ne!(old, new);
        let _ = userinfo(&world, &new).await.expect_status(200);
    }
}

/// A reusable token stays the same, refresh after refresh; a single-use one is replaced each time.
#[tokio::test]
async fn a_reusable_token_stays_and_a_single_use_one_is_replaced() {
    let world = world().await;
    for client in REFRESHING {
        let mut seen = chain(&world, client, 5).await;
        seen.dedup();
        assert_eq!(seen.len(), if client == "web" { 1 } else { 6 }, "{client}");
        let grant = world.seen(&seen[0]).await.0;
        assert_eq!(grant.generation as usize, seen.len(), "{client}");
        assert_eq!(grant.rotation, if client == "web" { "reusable" } else { "single_use" });
    }
}

/// Check T20, law L8: an access token may be narrower; the grant, and the next refresh, are not.
#[tokio::test]
async fn narrowing_does_not_narrow_the_grant() {
    let world = world().await;
    for client in REFRESHING {
        let mut token = world.first(client).await;
        let granted = world.row(&token).await.terms.scope.to_string();
        for (asked, issued) in [("read", "read"), ("write read read", "read write"), ("", granted.as_str())] {
            world.advance(secs(3600));
            let answer = refresh_scoped(&world, client, &token, asked).await.expect_status(200).json();
            // A scope that belongs to a resource is told where that resource is in the audience.
            assert_eq!(text(&answer, "scope"), issued, "{client} asked for {asked:?}");
            assert_eq!(world.introspect(&text(&answer, "access_token")).await["scope"], issued);
            token = text(&answer, "refresh_token");
            assert_eq!(world.row(&token).await.terms.scope.to_string(), granted);
        }
    }
}

/// Check T20, law L8: a wider scope is refused in every state of the token alike, and without a write: a thief who polls with it learns
/// nothing of which state it is.
#[tokio::test]
async fn a_wider_scope_sounds_the_same_in_every_state() {
    let world = world().await;
    for client in ROTATING {
        let tokens = chain(&world, client, 4).await;
        // Spent, straggler or spent, just replaced or spent, live.
        for token in &tokens {
            for (scope, reason) in
                [("files", "scope_exceeded"), ("read admin", "scope_exceeded"), ("read  write", "malformed_scope")]
            {
                let before = world.row(token).await;
                refused(&refresh_scoped(&world, client, token, scope).await, 400, "invalid_scope", reason);
                assert_eq!(world.row(token).await, before);
            }
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.as_str()),
                ("resource", "https://evil.example/"),
            ];
            let before = world.row(token).await;
            refused(&world.token(client, &form).await, 400, "invalid_target", "target_exceeded");
            assert_eq!(world.row(token).await, before);
        }
        let _ = next(world.refresh(client, &tokens[4]).await);
    }
}

/// "the refresh token scope MUST be identical": refreshes with narrower scopes in a row never shrink what can be had.
#[tokio::test]
async fn the_successor_has_the_scope_of_its_predecessor() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(refresh_scoped(&world, "phone", &first, "read").await);
    world.advance(secs(3600));
    let answer = refresh_scoped(&world, "phone", &second, "write openid").await.expect_status(200).json();
    assert_eq!(text(&answer, "scope"), "openid write");
}

/// Check T14: "ensure that the refresh token was issued to the authenticated client": 25 clients, each with each one's token; only the
/// diagonal works, and what is off it changes nothing.
#[tokio::test]
async fn twenty_five_clients_each_refresh_only_their_own() {
    let mut config = sim::wire::CONFIG.to_owned();
    let names: Vec<String> = (0..25).map(|number| format!("c{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let method = ["none", "client_secret_basic", "client_secret_post"][number % 3];
        let secret = if method == "none" { "" } else { "secret_hash = \"HASH\"\n" };
        let rotation = if number % 6 == 1 {
            "rotation = \"reusable\"\n"
        } else if number % 3 == 0 {
            ""
        } else {
            "rotation = \"single_use\"\n"
        };
        config.push_str(&format!(
            "\n[[client]]\nid = \"{name}\"\n{secret}token_endpoint_auth_method = \"{method}\"\nredirect_uris = [\"https://app.example/cb\"]\n\
             grant_types = [\"authorization_code\", \"refresh_token\", \"password\"]\nscopes = [\"read\"]\n{rotation}"
        ));
    }
    let world = super::support::world_with(&config).await;
    let mut tokens = Vec::new();
    for name in &names {
        tokens.push(world.first(name).await);
    }
    for (holder, name) in names.iter().enumerate() {
        for (owner, token) in tokens.iter().enumerate() {
            if holder != owner {
                refused_without_a_trace(&world, name, token, "invalid_grant", "other_client").await;
            }
        }
    }
    for (name, token) in names.iter().zip(&tokens) {
        assert_eq!(world.events(token, "grant_ended").await, 0);
        let _ = next(world.refresh(name, token).await);
    }
}

/// User, client, grant type and scope are looked at again at each refresh; what was withdrawn works again when it is given back, for
/// nothing was consumed meanwhile.
#[tokio::test]
async fn what_was_withdrawn_since_is_noticed_at_each_refresh() {
    let mut world = suspending_world().await;
    let token = world.first("phone").await;
    let row = world.row(&token).await;
    let admin = world.app.admin();
    admin.set_user_disabled(USER, true).await.expect("the user is there");
    refused(&world.refresh("phone", &token).await, 400, "invalid_grant", "subject_disabled");
    admin.set_user_disabled(USER, false).await.expect("the user is there");
    let no_refresh =
        with_client("phone", "\"authorization_code\", \"refresh_token\", \"password\"", "\"authorization_code\"");
    let no_scope = with_client("phone", "scopes = [\"openid\", \"read\", \"write\"]", "scopes = [\"files\"]");
    for (config, status, error, reason) in [
        (no_refresh, 400, "unauthorized_client", "grant_type_not_allowed"),
        (no_scope, 400, "invalid_scope", "scope_not_allowed"),
        (without_client("phone"), 401, "invalid_client", "unknown_client"),
    ] {
        world = world.restart_with(Some(&config)).await;
        let reply = world
            .http()
            .post(
                "/oauth2/token",
                &[("grant_type", "refresh_token"), ("refresh_token", &token), ("client_id", "phone")],
                &[],
            )
            .await;
        refused(&reply, status, error, reason);
    }
    world = world.restart_with(Some(sim::wire::CONFIG)).await;
    assert_eq!(world.row(&token).await, row, "nothing was consumed meanwhile");
    let _ = next(world.refresh("phone", &token).await);
}

/// Law L8: a scope that the client has lost since is left out, silently to the grant; the others go on.
#[tokio::test]
async fn a_scope_that_the_client_lost_is_left_out() {
    let world = world().await;
    let token = world.first("phone").await;
    let world = world
        .restart_with(Some(&with_client("phone", "\"openid\", \"read\", \"write\"", "\"openid\", \"read\"")))
        .await;
    let answer = world.refresh("phone", &token).await.expect_status(200).json();
    assert_eq!(text(&answer, "scope"), "openid read");
    world.advance(secs(3600));
    let second = text(&answer, "refresh_token");
    refused(&refresh_scoped(&world, "phone", &second, "write").await, 400, "invalid_scope", "scope_not_allowed");
    let world = world.restart_with(Some(sim::wire::CONFIG)).await;
    let answer = world.refresh("phone", &second).await.expect_status(200).json();
    assert_eq!(text(&answer, "scope"), "openid read write");
}

/// Law L5: one row per grant, whatever the number of refreshes, and no event for an honest one.
#[tokio::test]
async fn a_thousand_refreshes_leave_one_row() {
    let world = world().await;
    let mut token = world.first("phone").await;
    for _ in 0..1000 {
        world.advance(secs(60));
        token = next(world.refresh("phone", &token).await);
    }
    assert_eq!(world.grants().await, 1);
    let (grant, events) = world.seen(&token).await;
    assert_eq!((grant.generation, events.len()), (1001, 1), "only the making of the grant is told");
}

/// RFC 6749 section 5.1, `expires_in`: a retry extends no clock, and announces no more than is left of it.
#[tokio::test]
async fn a_retry_announces_what_is_left_of_the_idle_clock() {
    let world =
        World::with(&with_setting("web-single", "idle_lifetime = \"20m\"\naccess_token_lifetime = \"20m\"")).await;
    let first = world.first("web-single").await;
    let rotated = world.refresh("web-single", &first).await.expect_status(200).json();
    assert_eq!(rotated["expires_in"], 1200);
    world.advance(secs(900));
    let retried = world.refresh("web-single", &first).await.expect_status(200).json();
    assert_eq!(retried["refresh_token"], rotated["refresh_token"], "the same successor");
    assert_eq!((&retried["expires_in"], &retried["refresh_token_expires_in"]), (&300.into(), &300.into()));
}
