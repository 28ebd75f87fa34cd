//! RFC 6749 section 5.2, the error response:
//!
//! - "The authorization server responds with an HTTP 400 (Bad Request) status code (unless specified otherwise)".
//! - `invalid_client`: "If the client attempted to authenticate via the "Authorization" request header field, the authorization server
//!   MUST respond with an HTTP 401 (Unauthorized) status code and include the "WWW-Authenticate" response header field".
//! - "Values for the "error" parameter MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E", and neither those
//!   of "error_description".

use sim::wire::Reply;

use super::support::{basic, chain, next, refused, secs, world};

/// The codes of the section, each by the request that earns it.
#[tokio::test]
async fn each_error_has_its_code() {
    let world = world().await;
    let first = world.first("phone").await;
    for (client, form, status, error, reason) in [
        ("phone", vec![("grant_type", "refresh_token")], 400, "invalid_request", "malformed: Missing"),
        (
            "nobody",
            vec![("grant_type", "refresh_token"), ("refresh_token", "x")],
            401,
            "invalid_client",
            "unknown_client",
        ),
        ("phone", vec![("grant_type", "refresh_token"), ("refresh_token", "x")], 400, "invalid_grant", "not_ours"),
        ("phone", vec![("grant_type", "client_credentials")], 400, "unauthorized_client", "grant_type_not_allowed"),
        (
            "phone",
            vec![("grant_type", "urn:ietf:params:oauth:grant-type:saml2-bearer")],
            400,
            "unsupported_grant_type",
            "unsupported_grant_type",
        ),
        ("phone", vec![("grant_type", "implicit")], 400, "unsupported_grant_type", "unsupported_grant_type"),
        (
            "phone",
            vec![("grant_type", "Refresh_Token"), ("refresh_token", &first)],
            400,
            "unsupported_grant_type",
            "unsupported_grant_type",
        ),
        (
            "phone",
            vec![("grant_type", "refresh_token"), ("refresh_token", &first), ("scope", "files")],
            400,
            "invalid_scope",
            "scope_exceeded",
        ),
        (
            "phone",
            vec![("grant_type", "refresh_token"), ("refresh_token", &first), ("resource", "https://api.example/")],
            400,
            "invalid_target",
            "target_exceeded",
        ),
    ] {
        refused(&world.token(client, &form).await, status, error, reason);
    }
    let _ = next(world.refresh("phone", &first).await);
}

/// The precedence of answers: a malformed request before `invalid_client` before what is wrong with the token.
#[tokio::test]
async fn malformed_comes_before_invalid_client_before_the_token() {
    let world = world().await;
    let first = world.first("web-single").await;
    let wrong = basic("web-single", "wrong");
    let with =
        async |form: &[(&str, &str)], headers: &[(&str, &str)]| world.http().post("/oauth2/token", form, headers).await;
    let wrong = [("authorization", wrong.as_str())];
    let own = super::support::own_basic("web-single");
    let own = [("authorization", own.as_str())];
    let token = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    // All three are wrong, then two, then one, then none.
    refused(
        &with(&[("grant_type", "refresh_token"), ("scope", "\u{7f}")], &wrong).await,
        400,
        "invalid_request",
        "malformed: Missing",
    );
    refused(&with(&token("forged"), &wrong).await, 401, "invalid_client", "wrong_client_secret");
    refused(
        &with(&[token("forged").as_slice(), &[("scope", "\u{7f}")]].concat(), &wrong).await,
        401,
        "invalid_client",
        "wrong_client_secret",
    );
    refused(
        &with(&[token("forged").as_slice(), &[("scope", "\u{7f}")]].concat(), &own).await,
        400,
        "invalid_scope",
        "malformed_scope",
    );
    refused(&with(&token("forged"), &own).await, 400, "invalid_grant", "not_ours");
    let _ = next(with(&token(&first), &own).await);
}

/// A forged token with a wrong secret is 401, and reads no grant; nor does a forged token with the right one.
#[tokio::test]
async fn a_forged_token_reads_no_grant() {
    let world = world().await;
    let first = world.first("web-single").await;
    let mut forged = first.clone();
    forged.replace_range(20..21, if &first[20..21] == "a" { "b" } else { "a" });
    let reads = world.watch.grant_reads();
    let wrong = basic("web-single", "wrong");
    let form = [("grant_type", "refresh_token"), ("refresh_token", forged.as_str())];
    let reply = world.http().post("/oauth2/token", &form, &[("authorization", &wrong)]).await;
    refused(&reply, 401, "invalid_client", "wrong_client_secret");
    refused(&world.refresh("web-single", &forged).await, 400, "invalid_grant", "not_ours");
    assert_eq!(world.watch.grant_reads(), reads);
    let _ = next(world.refresh("web-single", &first).await);
}

/// Law L12: distinct reasons inside, one answer outside: every `invalid_grant` is the same to the byte but for its correlation id.
#[tokio::test]
async fn every_invalid_grant_sounds_alike() {
    let world = world().await;
    let mut heard: Vec<(String, Reply)> = Vec::new();
    let mut hear = |reason: &str, reply: Reply| {
        refused(&reply, 400, "invalid_grant", reason);
        heard.push((reason.to_owned(), reply));
    };
    let tokens = chain(&world, "phone", 4).await;
    world.advance(secs(60));
    hear("not_ours", world.refresh("phone", "rgr_x").await);
    hear("other_client", world.refresh("web", &tokens[4]).await);
    hear("unknown_grant", world.refresh("phone", &world.forge(&tokens[4], |token| token.grant.random ^= 1)).await);
    hear("unissued", world.refresh("phone", &world.forge(&tokens[4], |token| token.generation += 1)).await);
    hear("era_ahead", world.refresh("phone", &world.forge(&tokens[4], |token| token.era += 1)).await);
    hear("impossible_generation", world.refresh("phone", &world.forge(&tokens[4], |token| token.generation = 0)).await);
    hear("replayed", world.refresh("phone", &tokens[0]).await);
    hear("refresh_replayed", world.refresh("phone", &tokens[4]).await);
    let idle = world.first("phone").await;
    world.advance(secs(31 * 86_400));
    hear("idle_expired", world.refresh("phone", &idle).await);
    world.advance(secs(366 * 86_400));
    hear("absolute_expired", world.refresh("phone", &idle).await);
    let outside = |reply: &Reply| {
        let id = reply.header("x-correlation-id");
        let headers: Vec<_> = reply
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value:?}"))
            .filter(|line| !line.starts_with("date"))
            .collect();
        format!("{headers:?} {}", reply.text()).replace(&id, "")
    };
    for (reason, reply) in &heard {
        assert_eq!(outside(reply), outside(&heard[0].1), "{reason} can be told from {}", heard[0].0);
    }
}

/// The characters of `error` and `error_description` are those of the section, and nothing that was sent comes back.
#[tokio::test]
async fn errors_repeat_nothing_that_was_sent() {
    let world = world().await;
    let marked = "\"marked\\<script>\r\n\u{1b}[31m";
    for (name, value) in [
        ("grant_type", marked),
        ("client_id", marked),
        ("scope", marked),
        ("resource", marked),
        ("refresh_token", marked),
        ("username", marked),
        (marked, "x"),
    ] {
        for grant_type in ["refresh_token", "authorization_code", "password", "client_credentials"] {
            let mut form =
                vec![("grant_type", grant_type), ("refresh_token", "x"), ("code", "x"), ("client_id", "daemon")];
            form.retain(|(known, _)| *known != name);
            form.push((name, value));
            let reply = world.http().post("/oauth2/token", &form, &[]).await;
            assert!(
                (400..500).contains(&reply.status.as_u16()) && !reply.text().contains("marked"),
                "{}",
                reply.text()
            );
            for member in ["error", "error_description"] {
                let text = sim::wire::text(&reply.json(), member);
                assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
            }
            for (header, value) in &reply.headers {
                assert!(!String::from_utf8_lossy(value.as_bytes()).contains("marked"), "{header}");
            }
        }
    }
}
