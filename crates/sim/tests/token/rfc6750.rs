//! RFC 6750 and OpenID Connect Core section 5.3, the userinfo endpoint, our own protected resource:
//!
//! - Section 2: "Clients MUST NOT use more than one method to transmit the token in each request."
//! - Section 3: "If the protected resource request does not include authentication credentials or does not contain an access token that
//!   enables access to the protected resource, the resource server MUST include the HTTP "WWW-Authenticate" response header field".
//! - Section 3.1: without any credentials "the resource server SHOULD NOT include an error code".

use axum::body::Body;
use axum::http::Method;
use sim::wire::{Reply, USER, World, text};

use super::support::{REFRESHING, refused, secs, userinfo, world};

async fn post(world: &World, body: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    world.http().post("/oauth2/userinfo", body, headers).await
}

/// A living token of a user tells `sub`, by either method of the section, for either format of token.
#[tokio::test]
async fn a_users_token_tells_its_subject() {
    let world = world().await;
    for client in REFRESHING {
        let access = text(&world.grant(client).await, "access_token");
        let reply = userinfo(&world, &access).await.expect_status(200);
        let subject = text(&reply.json(), "sub");
        assert!(subject.starts_with("usr_"));
        assert_eq!(reply.header("cache-control"), "no-store");
        let in_body = post(&world, &[("access_token", &access)], &[]).await.expect_status(200).json();
        assert_eq!(text(&in_body, "sub"), subject);
        let bearer = format!("bearer {access}");
        let _ = world
            .http()
            .send(Method::POST, "/oauth2/userinfo", &[("authorization", &bearer)], Body::empty())
            .await
            .expect_status(200);
    }
}

/// "Clients MUST NOT use more than one method": the header and the body at once, and two headers, are refused; the query is not a way.
#[tokio::test]
async fn a_token_is_sent_in_one_way() {
    let world = world().await;
    let access = text(&world.grant("phone").await, "access_token");
    let bearer = format!("Bearer {access}");
    let header = ("authorization", bearer.as_str());
    refused(&post(&world, &[("access_token", &access)], &[header]).await, 400, "invalid_request", "bearer: Malformed");
    refused(
        &world.http().get("/oauth2/userinfo", &[header, header]).await,
        400,
        "invalid_request",
        "bearer: Malformed",
    );
    let in_query = world.http().get(&format!("/oauth2/userinfo?access_token={access}"), &[]).await;
    assert_eq!(in_query.status.as_u16(), 401, "RFC 9700 section 4.3.2: not in the query");
}

/// "SHOULD NOT include an error code" where nothing was sent; "MUST include the HTTP "WWW-Authenticate"" always.
#[tokio::test]
async fn without_a_token_there_is_a_challenge_and_no_error_code() {
    let world = world().await;
    for headers in [
        vec![],
        vec![("authorization", "Basic eDp5")],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Bearer  ")],
    ] {
        let reply = world.http().get("/oauth2/userinfo", &headers).await.expect_status(401);
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"") && !challenge.contains("error"), "{challenge}");
        assert!(reply.json().get("error").is_none());
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for bad in ["x", "a.b.c", "rga_x", &"a".repeat(20_000), "..", "e30.e30."] {
        let reply = userinfo(&world, bad).await;
        refused(&reply, 401, "invalid_token", "bearer: InvalidToken");
        assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""));
    }
}

/// Law L9: from the moment of its revocation, its end, or its user's, nothing is told for a token any more.
#[tokio::test]
async fn what_has_ended_tells_nothing() {
    for (reason, client) in
        [("revoked", "phone"), ("operator", "web"), ("disabled", "opaque"), ("expired", "phone"), ("expired", "opaque")]
    {
        let world = world().await;
        let grant = world.grant(client).await;
        let (access, refresh) = (text(&grant, "access_token"), text(&grant, "refresh_token"));
        let _ = userinfo(&world, &access).await.expect_status(200);
        match reason {
            "revoked" => {
                drop(world.post("/oauth2/revoke", client, &[("token", &refresh)], &[]).await.expect_status(200));
            }
            "operator" => {
                let id = world.seen(&refresh).await.0.id;
                assert!(world.app.admin().revoke_grant(&id, "lost phone").await.expect("the grant is there"));
            }
            "disabled" => world.app.admin().set_user_disabled(USER, true).await.expect("the user is there"),
            _ => world.advance(secs(3600)),
        }
        refused(&userinfo(&world, &access).await, 401, "invalid_token", "bearer: InvalidToken");
        assert!(!super::support::is_active(&world, &access).await);
    }
}
