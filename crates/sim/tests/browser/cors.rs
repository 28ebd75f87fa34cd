//! Cross-origin requests: the Fetch standard section 3.2, RFC 9700 section 2.6.
//!
//! - RFC 9700 2.6: "The authorization endpoint, however, MUST NOT support CORS".

use axum::body::Body;
use axum::http::Method;
use sim::wire::{Reply, USER, World, authorization};

use super::support::logged_in;

/// The origin that `phone` lists, and no other client.
const LISTED: &str = "https://app.example";

async fn preflight(world: &World, path: &str, origin: &str) -> Reply {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    world.http().send(Method::OPTIONS, path, &headers, Body::empty()).await
}

fn allowed(reply: &Reply) -> String {
    assert_eq!(reply.header("access-control-allow-credentials"), "", "cookies never travel");
    reply.header("access-control-allow-origin")
}

/// Check W8: the token and the revocation endpoint answer a script of an origin that the client lists.
#[tokio::test]
async fn a_listed_origin_may_call_token_and_revocation_for_its_client() {
    let world = World::new().await;
    for path in ["/oauth2/token", "/oauth2/revoke"] {
        let reply = preflight(&world, path, LISTED).await;
        assert_eq!((reply.status.as_u16(), allowed(&reply).as_str()), (204, LISTED));
        assert!(reply.header("access-control-allow-headers").contains("idempotency-key"));
        assert_eq!(reply.header("vary"), "Origin");
        let reply =
            world.post(path, "phone", &[("grant_type", "refresh_token"), ("token", "x")], &[("origin", LISTED)]).await;
        assert_eq!(allowed(&reply), LISTED, "{path}: also of an error");
        assert!(reply.header("access-control-expose-headers").contains("x-correlation-id"));
    }
    let token = world.first("phone").await;
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let reply = world.post("/oauth2/token", "phone", &parameters, &[("origin", LISTED)]).await.expect_status(200);
    assert_eq!(allowed(&reply), LISTED);
}

/// Check W8: another client's origin, a near miss, `null`: nothing is allowed, and the origin is not reflected.
#[tokio::test]
async fn other_origins_are_not_allowed() {
    let world = World::new().await;
    for origin in [
        "https://evil.example",
        "null",
        "http://app.example",
        "https://APP.example",
        "https://app.example.",
        "https://app.example:443",
        "https://app.example.evil.example",
        "https://evilapp.example",
        "https://app.example/",
        "https://app.example@evil.example",
        "*",
        "",
    ] {
        for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"] {
            let reply = preflight(&world, path, origin).await;
            assert_eq!(allowed(&reply), "", "{origin} {path}");
            assert_eq!(reply.header("access-control-allow-methods"), "");
        }
        let token = world.first("phone").await;
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let reply = world.post("/oauth2/token", "phone", &parameters, &[("origin", origin)]).await;
        assert_eq!(allowed(&reply), "", "{origin}");
    }
    for client in ["phone-strict", "web", "web-single"] {
        let token = world.first(client).await;
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let reply = world.post("/oauth2/token", client, &parameters, &[("origin", LISTED)]).await.expect_status(200);
        assert_eq!(allowed(&reply), "", "{client} does not list it");
    }
}

/// What the userinfo endpoint tells of a user is for the scripts of the client that has the token, and not for those of another
/// client.
#[tokio::test]
async fn userinfo_is_read_by_the_tokens_own_client() {
    let world = World::new().await;
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        world.http().get("/oauth2/userinfo", &[("authorization", &bearer), ("origin", LISTED)]).await
    };
    for (client, expected) in [("phone", LISTED), ("web", "")] {
        let token = sim::wire::text(&world.grant(client).await, "access_token");
        let reply = ask(&token).await.expect_status(200);
        assert_eq!(allowed(&reply), expected, "{client}");
    }
    assert_eq!(allowed(&ask("x").await.expect_status(401)), LISTED, "whose it was is not known");
}

/// Check W8: RFC 9700 section 2.6: never at the authorization endpoint, nor at a page, nor at introspection.
#[tokio::test]
async fn no_origin_may_read_the_authorization_endpoint_or_a_page() {
    let world = World::new().await;
    let browser = logged_in(&world, USER).await;
    let cookie: String = browser.cookies().iter().map(|(name, value)| format!("{name}={value}; ")).collect();
    for origin in [LISTED, "https://evil.example", "null", &world.base] {
        for path in [
            &authorization("phone", &[]),
            &authorization("opaque", &[]),
            "/",
            "/logout",
            "/login",
            "/consent",
            "/nowhere",
            "/oauth2/introspect",
        ] {
            let reply = world.http().get(path, &[("origin", origin), ("cookie", &cookie)]).await;
            assert_eq!(allowed(&reply), "", "{path}");
            let reply = preflight(&world, path, origin).await;
            assert_eq!(allowed(&reply), "", "{path}");
        }
        let reply =
            world.http().post("/consent", &[("decision", "allow")], &[("origin", origin), ("cookie", &cookie)]).await;
        assert_eq!(allowed(&reply), "");
    }
}
