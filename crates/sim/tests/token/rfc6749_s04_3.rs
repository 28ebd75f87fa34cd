//! RFC 6749 section 4.3, the password grant, of which RFC 9700 section 2.4 says: "The resource owner password credentials grant MUST
//! NOT be used." Here it is off unless a client is given it, and then:
//!
//! - 4.3.2: the server MUST "require client authentication for confidential clients", "authenticate the client if client authentication
//!   is included", and "validate the resource owner password credentials".

use sim::wire::{PASSWORD, USER};

use super::support::{REFRESHING, refused, with_client, world, world_with};

fn form<'a>(username: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("grant_type", "password"), ("username", username), ("password", password)]
}

/// Checks F2, T38: off by default: a client whose grant types are not set has no password grant, whatever the password; that is said
/// before a password is looked at.
#[tokio::test]
async fn the_password_grant_is_off_by_default() {
    let grant_types = "grant_types = [\"authorization_code\", \"refresh_token\", \"password\"]\n";
    for client in REFRESHING {
        let world = world_with(&with_client(client, grant_types, "")).await;
        for password in [PASSWORD, "wrong"] {
            let reply = world.token(client, &form(USER, password)).await;
            refused(&reply, 400, "unauthorized_client", "grant_type_not_allowed");
        }
        assert_eq!(world.grants().await, 0);
    }
}

/// "validate the resource owner password credentials": unknown user and wrong password are one answer, and make no grant.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_sound_alike() {
    let world = world().await;
    let mut bodies = Vec::new();
    for (username, password) in
        [(USER, "wrong"), ("nobody", PASSWORD), (USER, "correct horse batterY"), ("alice\u{301}", PASSWORD)]
    {
        let reply = world.token("phone", &form(username, password)).await;
        refused(&reply, 400, "invalid_grant", "wrong_password");
        let mut body = reply.json();
        body["correlation_id"] = "".into();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!((bodies.len(), world.grants().await), (1, 0));
    let _ = world.token("phone", &form(USER, PASSWORD)).await.expect_status(200);
}

/// A disabled user gets nothing; enabled again, the same password works.
#[tokio::test]
async fn a_disabled_user_gets_nothing() {
    let world = world().await;
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    refused(&world.token("phone", &form(USER, PASSWORD)).await, 400, "invalid_grant", "subject_disabled");
    assert_eq!(world.grants().await, 0);
    world.app.admin().set_user_disabled(USER, false).await.expect("the user is there");
    let _ = world.token("phone", &form(USER, PASSWORD)).await.expect_status(200);
}

/// "require client authentication for confidential clients": the right password with a wrong client is 401, and makes no grant.
#[tokio::test]
async fn the_right_password_does_not_authenticate_the_client() {
    let world = world().await;
    let mut parameters = form(USER, PASSWORD).to_vec();
    parameters.push(("client_id", "web"));
    let reply = world.http().post("/oauth2/token", &parameters, &[]).await;
    refused(&reply, 401, "invalid_client", "other_auth_method");
    assert_eq!(world.grants().await, 0);
}
