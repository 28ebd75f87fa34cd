//! Each kind of credential at every slot: only its own is taken (check A9). A prefix, a key and a type of its own make one of the other
//! useless, and offering it consumes nothing.

use sim::wire::browser::form;
use sim::wire::{Browser, CALLBACK, Reply, SECRET, VERIFIER, World, authorization, text};

use super::support::{basic, is_active, next, userinfo, world};

const KINDS: [&str; 9] = [
    "code",
    "refresh token",
    "opaque access token",
    "JWT access token",
    "client secret",
    "session cookie",
    "browser cookie",
    "csrf token",
    "verifier",
];

/// One fresh credential of each kind, all of one user and, where a client has it, of the client `opaque`.
async fn credentials(world: &World) -> Vec<(&'static str, String)> {
    let mut browser = Browser::new(&world.base);
    let code = browser.log_in_for_code(&authorization("opaque", &[])).await;
    let consent = browser.get(&authorization("web", &[])).await;
    let consent = browser.follow(consent).await;
    let csrf = form(&consent.text())
        .hidden
        .iter()
        .map(|(_, value)| value.clone())
        .filter(|value| value.len() < 64)
        .max_by_key(String::len);
    let cookie =
        |name: &str| browser.cookies().iter().find(|(known, _)| known.contains(name)).expect("a cookie").1.clone();
    let grant = world.grant("opaque").await;
    let values = [
        code,
        text(&grant, "refresh_token"),
        text(&grant, "access_token"),
        text(&world.grant("web").await, "access_token"),
        SECRET.to_owned(),
        cookie("session"),
        cookie("browser"),
        csrf.expect("a form token"),
        VERIFIER.to_owned(),
    ];
    KINDS.into_iter().zip(values).collect()
}

async fn redeem(world: &World, code: &str) -> Reply {
    world.redeem("opaque", code).await
}

/// Checks A9, T16: at the token endpoint, a code is redeemed and a refresh token refreshed; all else is `invalid_grant` that is not ours.
#[tokio::test]
async fn the_token_endpoint_takes_each_for_what_it_is() {
    let world = world().await;
    for (kind, credential) in credentials(&world).await {
        let (reads, commits) = (world.watch.grant_reads(), world.watch.commits());
        let reply = world.refresh("opaque", &credential).await;
        if kind == "refresh token" {
            let _ = next(reply);
        } else {
            super::support::refused(&reply, 400, "invalid_grant", "not_ours");
            assert_eq!((world.watch.grant_reads(), world.watch.commits()), (reads, commits), "{kind}");
        }
    }
    for (kind, credential) in credentials(&world).await {
        let (reads, commits) = (world.watch.grant_reads(), world.watch.commits());
        let reply = redeem(&world, &credential).await;
        if kind == "code" {
            let _ = next(reply);
        } else {
            super::support::refused(&reply, 400, "invalid_grant", "not_ours");
            assert_eq!((world.watch.grant_reads(), world.watch.commits()), (reads, commits), "{kind}");
        }
    }
}

/// Check A9: at revocation, tokens are revoked and nothing else is: the answer is 200 alike, and no other credential is any the worse.
#[tokio::test]
async fn revocation_takes_tokens_only() {
    let world = world().await;
    let held = credentials(&world).await;
    for (kind, credential) in &held {
        let commits = world.watch.commits();
        let reply = world.post("/oauth2/revoke", "opaque", &[("token", credential)], &[]).await;
        match *kind {
            "refresh token" | "opaque access token" => drop(reply.expect_status(200)),
            // Another client's: the client `web` made it.
            "JWT access token" => super::support::refused(&reply, 400, "invalid_grant", "other_client"),
            _ => {
                let _ = reply.expect_status(200);
                assert_eq!(world.watch.commits(), commits, "{kind}");
            }
        }
    }
    let _ = next(redeem(&world, &held[0].1).await);
    super::support::refused(&world.refresh("opaque", &held[1].1).await, 400, "invalid_grant", "revoked_by_client");
    assert!(!is_active(&world, &held[2].1).await && is_active(&world, &held[3].1).await);
}

/// Check A9: at introspection, a client's own refresh token and access tokens are active, and nothing else is.
#[tokio::test]
async fn introspection_takes_tokens_only() {
    let world = world().await;
    for (kind, credential) in credentials(&world).await {
        let reply = world.post("/oauth2/introspect", "opaque", &[("token", &credential)], &[]).await.expect_status(200);
        let own = ["refresh token", "opaque access token", "JWT access token"].contains(&kind);
        assert_eq!(reply.json()["active"], own, "{kind}");
        assert!(own || reply.text() == "{\"active\":false}", "{kind}");
    }
}

/// Check A9: at a protected resource, access tokens are taken, and nothing else is.
#[tokio::test]
async fn a_resource_takes_access_tokens_only() {
    let world = world().await;
    for (kind, credential) in credentials(&world).await {
        let status = userinfo(&world, &credential).await.status.as_u16();
        let in_body =
            world.http().post("/oauth2/userinfo", &[("access_token", &credential)], &[]).await.status.as_u16();
        let expected = if kind.ends_with("access token") { 200 } else { 401 };
        assert_eq!((status, in_body), (expected, expected), "{kind}");
    }
}

/// Check A9: as a client secret, the client secret is taken, in either method, and nothing else is.
#[tokio::test]
async fn only_a_client_secret_is_one() {
    let world = world().await;
    for (kind, credential) in credentials(&world).await {
        let first = world.first("web-single").await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
        let header = basic("web-single", &credential);
        let by_header = world.http().post("/oauth2/token", &form, &[("authorization", &header)]).await;
        let first = world.first("opaque").await;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", first.as_str()),
            ("client_id", "opaque"),
            ("client_secret", &credential),
        ];
        let in_body = world.http().post("/oauth2/token", &form, &[]).await;
        for reply in [by_header, in_body] {
            if kind == "client secret" {
                let _ = next(reply);
            } else {
                super::support::refused(&reply, 401, "invalid_client", "wrong_client_secret");
            }
        }
    }
}

/// Check A9: as a session cookie, the session cookie is taken; with anything else one is asked to log in.
#[tokio::test]
async fn only_a_session_cookie_is_a_session() {
    let world = world().await;
    let mut browser = Browser::new(&world.base);
    let _ = browser.log_in_for_code(&authorization("opaque", &[])).await;
    let name = browser.cookies().keys().find(|name| name.contains("session")).expect("a session").clone();
    for (kind, credential) in credentials(&world).await {
        let cookie = format!("{name}={credential}");
        let reply = world.http().get(&authorization("opaque", &[]), &[("cookie", &cookie)]).await;
        let is_in = reply.header("location").starts_with(CALLBACK) && reply.header("location").contains("code=");
        assert_eq!(is_in, kind == "session cookie", "{kind}: {} {}", reply.status, reply.header("location"));
    }
}

/// Check A9: as a user's password or a PKCE verifier, no credential of ours is taken.
#[tokio::test]
async fn no_credential_of_ours_is_a_password_or_a_verifier() {
    let world = world().await;
    let code = world.code("phone").await;
    for (kind, credential) in credentials(&world).await {
        let form = [("grant_type", "password"), ("username", "alice"), ("password", &credential)];
        world
            .token("phone", &form)
            .await
            .expect_error(400, if credential.len() > 1024 { "invalid_request" } else { "invalid_grant" });
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &credential),
        ];
        let reply = world.token("phone", &form).await;
        if kind == "verifier" {
            let _ = next(reply);
        } else {
            reply.expect_error(400, "invalid_grant");
        }
    }
}
