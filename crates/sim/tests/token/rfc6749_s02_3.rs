//! RFC 6749 section 2.3, client authentication:
//!
//! - "The client MUST NOT use more than one authentication method in each request."
//! - 2.3.1: "The authorization server MUST support the HTTP Basic authentication scheme for authenticating clients that were issued
//!   a client password." Its two parts are encoded as forms.
//! - 2.3.1: the credentials "can only be transmitted in the request-body and MUST NOT be included in the request URI".
//! - 3.2.1: "Confidential clients or other clients issued client credentials MUST authenticate with the authorization server".

use regrant_core::one_time::client_secret_hash;
use sim::wire::{CONFIG, Reply, SECRET, World};

use super::support::{basic, next, own_basic, refused, world, world_with};

/// One refresh with any credentials: headers and parameters as they are.
async fn refresh(world: &World, token: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(parameters);
    world.http().post("/oauth2/token", &form, headers).await
}

/// Check C2: only the registered method is taken, and the other ones do not even say whether the secret was right.
#[tokio::test]
async fn only_the_registered_method_is_taken() {
    let world = world().await;
    for (client, own) in [("web", "post"), ("web-single", "basic"), ("phone", "none")] {
        let mut token = world.first(client).await;
        for method in ["post", "basic", "none"] {
            let header = own_basic(client);
            let (parameters, headers) = match method {
                "post" => (vec![("client_id", client), ("client_secret", SECRET)], vec![]),
                "basic" => (vec![], vec![("authorization", header.as_str())]),
                _ => (vec![("client_id", client)], vec![]),
            };
            let before = world.row(&token).await;
            let reply = refresh(&world, &token, &parameters, &headers).await;
            if method == own {
                token = next(reply);
            } else {
                refused(&reply, 401, "invalid_client", "other_auth_method");
                assert_eq!(world.row(&token).await, before);
            }
        }
    }
}

/// Check C1: two authentications at once are a malformed request, even where both are right.
#[tokio::test]
async fn two_authentications_at_once_are_refused() {
    let world = world().await;
    let token = world.first("web-single").await;
    let own = own_basic("web-single");
    for (parameters, headers) in [
        (vec![("client_secret", SECRET)], vec![("authorization", own.as_str())]),
        (vec![("client_id", "web-single"), ("client_secret", SECRET)], vec![("authorization", own.as_str())]),
        (vec![], vec![("authorization", own.as_str()), ("authorization", own.as_str())]),
    ] {
        let before = world.row(&token).await;
        let reply = refresh(&world, &token, &parameters, &headers).await;
        refused(&reply, 400, "invalid_request", "malformed: TwoAuthentications");
        assert_eq!(world.row(&token).await, before);
    }
    let _ = next(world.refresh("web-single", &token).await);
}

/// RFC 6749 section 3.2.1 lets an authenticated client name itself again; a name that differs is nobody's (check C10).
#[tokio::test]
async fn a_client_id_beside_basic_must_be_the_same() {
    let world = world().await;
    let token = world.first("web-single").await;
    let own = own_basic("web-single");
    let reply = refresh(&world, &token, &[("client_id", "web")], &[("authorization", &own)]).await;
    refused(&reply, 400, "invalid_request", "malformed: OtherClientId");
    let _ = next(refresh(&world, &token, &[("client_id", "web-single")], &[("authorization", &own)]).await);
}

/// Check C3: an empty secret is none, in either way of sending it, also for a client that has none.
#[tokio::test]
async fn an_empty_secret_fits_nothing() {
    let world = world().await;
    for (client, reason) in
        [("web-single", "wrong_client_secret"), ("web", "other_auth_method"), ("phone", "other_auth_method")]
    {
        let token = world.first(client).await;
        let before = world.row(&token).await;
        let header = basic(client, "");
        refused(&refresh(&world, &token, &[], &[("authorization", &header)]).await, 401, "invalid_client", reason);
        assert_eq!(world.row(&token).await, before);
        let _ = next(world.refresh(client, &token).await);
    }
    // Section 3.2: "Parameters sent without a value MUST be treated as if they were omitted".
    let token = world.first("web").await;
    let reply = refresh(&world, &token, &[("client_id", "web"), ("client_secret", "")], &[]).await;
    refused(&reply, 401, "invalid_client", "other_auth_method");
}

/// Check C11: neighbours of the secret are not the secret, and what the server keeps of it is a hash.
#[tokio::test]
async fn only_the_whole_secret_is_the_secret() {
    let world = world().await;
    let token = world.first("web-single").await;
    let before = world.row(&token).await;
    let longer = format!("{SECRET}0");
    let other = SECRET.replace('3', "4");
    let huge = "x".repeat(10_000);
    let lower = SECRET.to_lowercase();
    for wrong in [&SECRET[..SECRET.len() - 1], &SECRET[1..], &longer, &other, &lower, &huge, "x"] {
        let header = basic("web-single", wrong);
        let reply = refresh(&world, &token, &[], &[("authorization", &header)]).await;
        refused(&reply, 401, "invalid_client", "wrong_client_secret");
    }
    assert_eq!(world.row(&token).await, before);
    let kept = format!("{:?}", world.app.settings().clients);
    assert!(!kept.contains(SECRET) && !kept.contains(&SECRET[4..]), "the secret is kept in plain");
}

/// Section 5.2: "client authentication failed (e.g., unknown client, no client authentication included, or unsupported
/// authentication method)" is one answer, which tells nobody which client exists.
#[tokio::test]
async fn unknown_client_wrong_secret_and_other_method_sound_alike() {
    let world = world().await;
    let token = world.first("web-single").await;
    let mut bodies = Vec::new();
    let (wrong, unknown) = (basic("web-single", "wrong"), basic("nobody", SECRET));
    for (parameters, headers, reason) in [
        (vec![], vec![("authorization", wrong.as_str())], "wrong_client_secret"),
        (vec![], vec![("authorization", unknown.as_str())], "unknown_client"),
        (vec![("client_id", "web-single")], vec![], "other_auth_method"),
        (vec![("client_id", "nobody")], vec![], "unknown_client"),
        (vec![("client_id", "no body")], vec![], "unknown_client"),
        (vec![], vec![], "no_client"),
        (vec![("client_secret", SECRET)], vec![], "no_client"),
        (vec![], vec![("authorization", "Bearer x")], "unknown_auth_scheme"),
        (vec![("client_id", "web-single")], vec![("authorization", "Digest x")], "unknown_auth_scheme"),
    ] {
        let reply = refresh(&world, &token, &parameters, &headers).await;
        refused(&reply, 401, "invalid_client", reason);
        assert!(reply.header("www-authenticate").starts_with("Basic realm=\""));
        let mut body = reply.json();
        body["correlation_id"] = "".into();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the answers differ: {bodies:?}");
}

/// A header that cannot be read is malformed, not a wrong secret: 400, and the client need not ask its owner for another one.
#[tokio::test]
async fn an_unreadable_authorization_is_malformed() {
    let world = world().await;
    let token = world.first("web-single").await;
    let not_utf8 = "Basic //79/A==";
    for header in ["Basic", "Basic ", "Basic !!!", "Basic d2ViLXNpbmdsZQ==", not_utf8, "Basic d2ViOng=x"] {
        let reply = refresh(&world, &token, &[], &[("authorization", header)]).await;
        refused(&reply, 400, "invalid_request", "malformed: Authorization");
    }
    // RFC 7235 section 2.1: the scheme's name has no case.
    let header = own_basic("web-single").replace("Basic", "bASIC");
    let _ = next(refresh(&world, &token, &[], &[("authorization", &header)]).await);
}

/// Check C12: `+`, `%`, `:`, `&` and a space in a secret work as section 2.3.1 wants them (encoded as a form), and as most clients
/// send them (as they are).
#[tokio::test]
async fn a_secret_of_hard_characters_is_taken_in_both_readings() {
    let secrets = [
        "0123456789abcdef0123456789abcdef+plus",
        "0123456789abcdef0123456789abcdef%25percent",
        "0123456789abcdef0123456789abcdef%zz",
        "0123456789abcdef0123456789abcdef:colon:",
        "0123456789abcdef0123456789abcdef&amp=x",
    ];
    for secret in secrets {
        let hash: String = client_secret_hash(secret).0.iter().map(|byte| format!("{byte:02x}")).collect();
        let world = world_with(&CONFIG.replace("HASH", &format!("sha256:{hash}"))).await;
        let ask = async |header: String| {
            world
                .http()
                .post("/oauth2/token", &[("grant_type", "client_credentials")], &[("authorization", &header)])
                .await
        };
        let _ = ask(sim::wire::http::basic("daemon", secret)).await.expect_status(200);
        let _ = ask(basic("daemon", secret)).await.expect_status(200);
        let doubled = regrant_server::form::encode(&regrant_server::form::encode(secret));
        if doubled != secret {
            let reply = ask(basic("daemon", &regrant_server::form::encode(&doubled))).await;
            refused(&reply, 401, "invalid_client", "wrong_client_secret");
        }
    }
}

/// A client id may hold a colon, which Basic can only carry encoded.
#[tokio::test]
async fn a_client_id_with_a_colon_is_sent_encoded() {
    let world = world_with(&CONFIG.replace("id = \"daemon\"", "id = \"https://daemon.example:8443/@a~b\"")).await;
    let header = own_basic("https://daemon.example:8443/@a~b");
    let form = [("grant_type", "client_credentials")];
    let _ = world.http().post("/oauth2/token", &form, &[("authorization", &header)]).await.expect_status(200);
    let raw = basic("https://daemon.example:8443/@a~b", SECRET);
    refused(
        &world.http().post("/oauth2/token", &form, &[("authorization", &raw)]).await,
        401,
        "invalid_client",
        "unknown_client",
    );
}

/// Laws L11, L12: a client that fails to prove itself changes nothing, at none of the endpoints, and no grant is read for it.
#[tokio::test]
async fn nothing_is_read_for_who_is_not_authenticated() {
    let world = world().await;
    let token = world.first("web-single").await;
    let (before, reads, commits) = (world.row(&token).await, world.watch.grant_reads(), world.watch.commits());
    let wrong = basic("web-single", "wrong");
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("token", token.as_str())];
        refused(
            &world.http().post(path, &form, &[("authorization", &wrong)]).await,
            401,
            "invalid_client",
            "wrong_client_secret",
        );
    }
    assert_eq!((world.watch.grant_reads(), world.watch.commits()), (reads, commits));
    assert_eq!(world.row(&token).await, before);
}
