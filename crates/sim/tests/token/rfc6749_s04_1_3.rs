//! RFC 6749 sections 4.1.2 and 4.1.3, redeeming an authorization code:
//!
//! - "The authorization code MUST expire shortly after it is issued".
//! - "The client MUST NOT use the authorization code more than once. If an authorization code is used more than once, the
//!   authorization server MUST deny the request and SHOULD revoke (when possible) all tokens previously issued based on that
//!   authorization code."
//! - The server MUST "ensure that the authorization code was issued to the authenticated confidential client, or if the client is
//!   public, ensure that the code was issued to "client_id" in the request".
//! - The server MUST "verify that the authorization code is valid, and ensure that the "redirect_uri" parameter is present if the
//!   "redirect_uri" parameter was included in the initial authorization request […], and if included ensure that their values are
//!   identical".

use sim::wire::{Browser, CALLBACK, Reply, VERIFIER, World, authorization, text};

use super::support::{DAY, basic, is_active, millis, next, refused, secs, tokens, userinfo, world};

/// A redemption with other parameters; an empty value leaves one out.
async fn redeem_with(world: &World, client: &str, code: &str, others: &[(&str, &str)]) -> Reply {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in others {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    world.token(client, &form).await
}

/// A code becomes tokens, for each class of client.
#[tokio::test]
async fn a_code_becomes_tokens() {
    let world = world().await;
    for client in ["web", "web-single", "phone", "opaque"] {
        let code = world.code(client).await;
        let (access, refresh) = tokens(world.redeem(client, &code).await);
        assert!(is_active(&world, &access).await, "{client}");
        let _ = userinfo(&world, &access).await.expect_status(200);
        assert_eq!(world.seen(&refresh).await.0.client, client);
        let _ = next(world.refresh(client, &refresh).await);
    }
}

/// Law L7: the code of a client without the `refresh_token` grant type brings an access token alone, and its grant ends with it.
#[tokio::test]
async fn a_client_without_refresh_gets_none() {
    let world = world().await;
    let code = world.code("once").await;
    let answer = world.redeem("once", &code).await.expect_status(200).json();
    assert!(answer.get("refresh_token").is_none() && answer.get("refresh_token_expires_in").is_none());
    assert_eq!(world.row(&code).await.current, None, "there is no seed that a token could fit");
    let access = text(&answer, "access_token");
    assert!(is_active(&world, &access).await);
    world.advance(secs(3600));
    assert!(!is_active(&world, &access).await);
}

/// Check A2: a code lives 60 s: redeemed at 59 s, refused at its instant and a second later.
#[tokio::test]
async fn a_code_expires() {
    for (after, lives) in
        [(millis(59_000), true), (millis(59_999), true), (millis(60_000), false), (millis(61_000), false)]
    {
        let world = world().await;
        let code = world.code("phone").await;
        world.advance(after);
        let reply = world.redeem("phone", &code).await;
        if lives {
            let _ = next(reply);
        } else {
            refused(&reply, 400, "invalid_grant", "code_expired");
        }
    }
}

/// Check A3: within half a second of its redemption a code is refused only: a double click ends no session.
#[tokio::test]
async fn a_double_click_ends_nothing() {
    let world = world().await;
    let code = world.code("phone").await;
    let (access, refresh) = tokens(world.redeem("phone", &code).await);
    for after in [0, 499] {
        world.advance(millis(after));
        let before = world.row(&code).await;
        refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_spent");
        assert_eq!(world.row(&code).await, before);
    }
    assert!(is_active(&world, &access).await);
    let _ = next(world.refresh("phone", &refresh).await);
}

/// Check A3: later, an otherwise valid replay ends the grant that the code made, with everything minted from it, and leaves one event.
#[tokio::test]
async fn a_replayed_code_ends_the_grant_it_made() {
    for (client, after) in
        [("phone", millis(500)), ("web", secs(30)), ("web-single", secs(120)), ("opaque", secs(25 * DAY))]
    {
        let world = world().await;
        let code = world.code(client).await;
        let (access, refresh) = tokens(world.redeem(client, &code).await);
        world.advance(after);
        let reply = world.redeem(client, &code).await;
        refused(&reply, 400, "invalid_grant", "code_replayed_now");
        let (grant, events) = world.seen(&code).await;
        assert_eq!((grant.state.as_str(), grant.reason.as_deref()), ("revoked", Some("code_replayed")), "{client}");
        let told: Vec<_> = events.iter().filter(|event| event.kind == "grant_ended").collect();
        assert_eq!((told.len(), told[0].correlation.as_str()), (1, reply.header("x-correlation-id").as_str()));
        assert!(!is_active(&world, &access).await);
        userinfo(&world, &access).await.expect_error(401, "invalid_token");
        refused(&world.refresh(client, &refresh).await, 400, "invalid_grant", "code_replayed");
        // A third time changes nothing more.
        let before = world.row(&code).await;
        refused(&world.redeem(client, &code).await, 400, "invalid_grant", "code_replayed");
        assert_eq!(world.row(&code).await, before);
    }
}

/// Check A3: also after rotations: what a code made is ended however far it has come.
#[tokio::test]
async fn a_replayed_code_ends_a_grant_of_any_generation() {
    let world = world().await;
    let code = world.code("phone").await;
    let mut token = next(world.redeem("phone", &code).await);
    for _ in 0..3 {
        world.advance(secs(3600));
        token = next(world.refresh("phone", &token).await);
    }
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_replayed_now");
    refused(&world.refresh("phone", &token).await, 400, "invalid_grant", "code_replayed");
}

/// Check A4: "ensure that the authorization code was issued to the authenticated confidential client", or to the `client_id`; a
/// stranger's attempt consumes nothing.
#[tokio::test]
async fn a_code_is_bound_to_its_client() {
    let world = world().await;
    for client in ["web-single", "phone"] {
        let code = world.code(client).await;
        let before = world.row(&code).await;
        for stranger in
            ["web", "web-single", "phone", "phone-strict", "opaque"].into_iter().filter(|other| *other != client)
        {
            refused(&world.redeem(stranger, &code).await, 400, "invalid_grant", "other_client");
        }
        assert_eq!(world.row(&code).await, before);
        let _ = next(world.redeem(client, &code).await);
    }
}

/// Check A5: the `redirect_uri` must be there and identical, byte by byte; a mismatch consumes nothing.
#[tokio::test]
async fn a_code_is_bound_to_its_redirect_uri() {
    let world = world().await;
    let code = world.code("phone").await;
    let before = world.row(&code).await;
    for other in
        ["", "https://app.example/cb/", "https://app.example/CB", "https://app.example/cb?", "http://127.0.0.1/cb"]
    {
        let reply = redeem_with(&world, "phone", &code, &[("redirect_uri", other)]).await;
        refused(&reply, 400, "invalid_grant", "redirect_uri_mismatch");
    }
    assert_eq!(world.row(&code).await, before);
    let _ = next(world.redeem("phone", &code).await);
}

/// A `redirect_uri` that the authorization request did not carry may not appear here; left out in both, the code is redeemed.
#[tokio::test]
async fn a_redirect_uri_that_was_not_sent_is_not_sent_here_either() {
    let world = world().await;
    let path = authorization("web-single", &[("redirect_uri", "")]);
    let code = Browser::new(&world.base).log_in_for_code(&path).await;
    refused(&world.redeem("web-single", &code).await, 400, "invalid_grant", "redirect_uri_mismatch");
    let _ = next(redeem_with(&world, "web-single", &code, &[("redirect_uri", "")]).await);
}

/// RFC 7636 section 4.6: a wrong verifier is refused and consumes nothing: the right one works afterwards.
#[tokio::test]
async fn a_wrong_verifier_consumes_nothing() {
    let world = world().await;
    let code = world.code("phone").await;
    let before = world.row(&code).await;
    let other = VERIFIER.replace('d', "e");
    for (verifier, reason) in [
        ("", "verifier_missing"),
        ("short", "verifier_malformed"),
        (other.as_str(), "verifier_wrong"),
        (sim::wire::CHALLENGE, "verifier_wrong"),
    ] {
        refused(
            &redeem_with(&world, "phone", &code, &[("code_verifier", verifier)]).await,
            400,
            "invalid_grant",
            reason,
        );
    }
    assert_eq!(world.row(&code).await, before);
    let _ = next(world.redeem("phone", &code).await);
}

/// Check A6: a replay that is not otherwise valid ends nothing: whoever finds a code in a log cannot end the session it made.
#[tokio::test]
async fn a_replay_that_is_not_otherwise_valid_ends_nothing() {
    let world = world().await;
    let code = world.code("web-single").await;
    let (access, refresh) = tokens(world.redeem("web-single", &code).await);
    world.advance(secs(10));
    let before = world.row(&code).await;
    for (others, reason) in [
        (vec![("code_verifier", "")], "verifier_missing"),
        (vec![("code_verifier", sim::wire::CHALLENGE)], "verifier_wrong"),
        (vec![("redirect_uri", "https://evil.example/")], "redirect_uri_mismatch"),
    ] {
        refused(&redeem_with(&world, "web-single", &code, &others).await, 400, "invalid_grant", reason);
    }
    refused(&world.redeem("web", &code).await, 400, "invalid_grant", "other_client");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let wrong = basic("web-single", "wrong");
    let reply = world.http().post("/oauth2/token", &form, &[("authorization", &wrong)]).await;
    refused(&reply, 401, "invalid_client", "wrong_client_secret");
    assert_eq!(world.row(&code).await, before);
    assert!(is_active(&world, &access).await);
    let _ = next(world.refresh("web-single", &refresh).await);
}

/// A code with one character changed, or with a secret that is not the row's, is nobody's.
#[tokio::test]
async fn a_changed_code_is_not_ours() {
    let world = world().await;
    let code = world.code("phone").await;
    let before = world.row(&code).await;
    let reads = world.watch.grant_reads();
    for position in 0..code.len() {
        let mut bytes = code.clone().into_bytes();
        bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        refused(&world.redeem("phone", &changed).await, 400, "invalid_grant", "not_ours");
    }
    assert_eq!(world.watch.grant_reads(), reads, "a forged code reads no grant");
    let mut forged = regrant_core::token::Code::open(&code, &world.app.engine.keys()).expect("ours");
    forged.seed = regrant_core::secret::Seed::new([1; 32]);
    let forged = forged.text(&world.app.engine.keys()).expect("the key is there");
    refused(&world.redeem("phone", &forged).await, 400, "invalid_grant", "code_forged");
    assert_eq!(world.row(&code).await, before);
    let _ = next(world.redeem("phone", &code).await);
}
