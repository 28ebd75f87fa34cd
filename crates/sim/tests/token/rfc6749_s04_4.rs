//! RFC 6749 sections 4.2 and 4.4, the flows without a refresh token:
//!
//! - 4.2.2: "The authorization server MUST NOT issue a refresh token."
//! - 4.4: "The client credentials grant type MUST only be used by confidential clients."
//! - 4.4.3: "A refresh token SHOULD NOT be included."

use sim::wire::browser::parameter;
use sim::wire::{Browser, USER, authorization, text};

use super::support::{claims, is_active, refused, secs, userinfo, with_client, world, world_with};

const DAEMONS: &str = "\"client_credentials\"]\nscopes = [\"read\"";

/// Check T38, law L7: client credentials never yield a refresh token, not even to a client that has the `refresh_token` grant type.
#[tokio::test]
async fn client_credentials_never_yield_a_refresh_token() {
    let world = world_with(&with_client(
        "daemon",
        DAEMONS,
        "\"client_credentials\", \"password\", \"refresh_token\"]\nscopes = [\"read\"",
    ))
    .await;
    let _ = world.first("daemon").await;
    for more in
        [vec![], vec![("scope", "read")], vec![("scope", "write read")], vec![("resource", "https://api.example/")]]
    {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(more);
        for _ in 0..16 {
            let answer = world.token("daemon", &form).await.expect_status(200).json();
            let known = ["access_token", "token_type", "expires_in", "scope"];
            assert!(
                answer.as_object().expect("an object").keys().all(|name| known.contains(&name.as_str())),
                "{answer}"
            );
        }
    }
    assert_eq!(world.grants().await, 1, "there is nothing to refresh but what the password grant made");
    // Where there is no other flow, the configuration says that the grant type is of no use.
    let alone = with_client("daemon", DAEMONS, "\"client_credentials\", \"refresh_token\"]\nscopes = [\"read\"");
    let alone = alone.replace("HASH", &format!("sha256:{}", "0".repeat(64)));
    let errors = regrant_server::Config::parse(&alone, "test.toml", std::path::Path::new(".")).expect_err("refused");
    assert!(errors.to_string().contains("needs a flow that yields refresh tokens"), "{errors}");
}

/// Check T38, law L7: the implicit flow never yields a refresh token, nor a grant.
#[tokio::test]
async fn implicit_never_yields_a_refresh_token() {
    let world = world().await;
    let others = [("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")];
    for _ in 0..4 {
        let location = Browser::new(&world.base).authorize_as(&authorization("spa-old", &others), USER).await;
        assert!(location.contains('#') && parameter(&location, "refresh_token").is_none(), "{location}");
        let access = parameter(&location, "access_token").expect("an access token");
        assert!(is_active(&world, &access).await);
        assert!(!location.contains("rgr_") && !location.contains("rgk_"));
    }
    assert_eq!(world.grants().await, 0);
}

/// "The client credentials grant type MUST only be used by confidential clients", and by those that have it.
#[tokio::test]
async fn client_credentials_are_for_clients_that_have_them() {
    let world = world().await;
    for client in ["phone", "once", "web", "web-single"] {
        let reply = world.token(client, &[("grant_type", "client_credentials")]).await;
        refused(&reply, 400, "unauthorized_client", "grant_type_not_allowed");
    }
}

/// Check F9: the token of a client has the client as its subject, cannot pass for a user's, and tells no user.
#[tokio::test]
async fn a_clients_own_token_is_not_a_users() {
    let world = world().await;
    let answer = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json();
    let access = text(&answer, "access_token");
    let claims = claims(&access);
    assert_eq!((claims["sub"].as_str(), claims["client_id"].as_str()), (Some("daemon"), Some("daemon")));
    assert!(claims.get("auth_time").is_none());
    userinfo(&world, &access).await.expect_error(403, "insufficient_scope");
    let users = world.introspect(&text(&world.grant("phone").await, "access_token")).await;
    assert!(text(&users, "sub").starts_with("usr_"), "a user's subject and a client's id never meet");
}

/// Check F6: it lives as long as it says, and no longer.
#[tokio::test]
async fn a_clients_own_token_ends() {
    let world = world().await;
    let answer = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json();
    let (access, lifetime) = (text(&answer, "access_token"), answer["expires_in"].as_u64().expect("a number"));
    world.advance(secs(lifetime - 1));
    assert!(is_active(&world, &access).await);
    world.advance(secs(1));
    assert!(!is_active(&world, &access).await);
}

/// Wider scopes and foreign resources are refused.
#[tokio::test]
async fn a_client_asks_for_no_more_than_it_may_have() {
    let world = world().await;
    for (name, value, error, reason) in [
        ("scope", "read openid", "invalid_scope", "scope_not_allowed"),
        ("scope", "read\tx", "invalid_scope", "malformed_scope"),
        ("resource", "https://files.example/", "invalid_target", "target_not_allowed"),
        ("resource", "https://api.example", "invalid_target", "target_not_allowed"),
        ("resource", "https://api.example/#x", "invalid_target", "malformed_target"),
        ("resource", "api", "invalid_target", "malformed_target"),
    ] {
        let reply = world.token("daemon", &[("grant_type", "client_credentials"), (name, value)]).await;
        refused(&reply, 400, error, reason);
    }
}
