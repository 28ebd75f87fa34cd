//! Authorization codes and PKCE.

use sim::wire::story::{next, refused, secs, world};
use sim::wire::{CALLBACK, CHALLENGE, VERIFIER, text};

/// Incident CVE-2026-16089 (Keycloak): a code could be edited to be another client's.
#[tokio::test]
async fn cve_2026_16089_a_code_is_nobody_elses_and_cannot_be_edited() {
    let world = world().await;
    let code = world.code("phone").await;
    for at in 4..code.len() {
        let mut edited = code.clone().into_bytes();
        edited[at] = if edited[at] == b'0' { b'1' } else { b'0' };
        let edited = String::from_utf8(edited).expect("ASCII");
        refused(&world.redeem("phone", &edited).await, 400, "invalid_grant", "not_ours");
    }
    refused(&world.redeem("phone-strict", &code).await, 400, "invalid_grant", "other_client");
    let _ = next(world.redeem("phone", &code).await);
}

/// Incident CVE-2026-4282 (Keycloak): one name space for everything that is good once: another kind of value was taken for a code. The
/// whole matrix is in `token/kinds.rs`.
#[tokio::test]
async fn cve_2026_4282_no_value_is_taken_for_another_kind() {
    let world = world().await;
    let tokens = world.grant("phone").await;
    let code = world.code("phone").await;
    for foreign in [text(&tokens, "refresh_token"), text(&tokens, "access_token"), sim::wire::SECRET.to_owned()] {
        refused(&world.redeem("phone", &foreign).await, 400, "invalid_grant", "not_ours");
    }
    let swapped = code.replacen("rgk_", "rgr_", 1);
    refused(&world.refresh("phone", &code).await, 400, "invalid_grant", "not_ours");
    refused(&world.refresh("phone", &swapped).await, 400, "invalid_grant", "not_ours");
}

/// Incident Supabase #2613, CVE-2026-68079 (CXF), node-oauth2-server #637: a code was redeemed twice.
#[tokio::test]
async fn supabase_2613_a_code_is_redeemed_once() {
    let world = world().await;
    let code = world.code("phone").await;
    let (one, other) = tokio::join!(world.redeem("phone", &code), world.redeem("phone", &code));
    let granted = [&one, &other].into_iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert_eq!((granted, world.grants().await), (1, 1));
}

/// Incident CVE-2026-73311 (XenForo), MITREid #986: a code was not bound to the redirect URI that it was asked with.
#[tokio::test]
async fn cve_2026_73311_a_code_is_bound_to_its_redirect_uri() {
    let world = world().await;
    let code = world.code("phone").await;
    for uri in ["http://127.0.0.1/cb", "https://app.example/cb/", "https://evil.example/cb", ""] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        world.token("phone", &form).await.expect_error(400, "invalid_grant");
    }
    let _ = next(world.redeem("phone", &code).await);
}

/// Incident CVE-2023-48228 (authentik): the verifier was looked at only if it was sent. CVE-2026-73309 (XenForo): an empty one skipped it.
#[tokio::test]
async fn cve_2023_48228_a_missing_or_empty_verifier_is_no_verifier() {
    let world = world().await;
    let code = world.code("phone").await;
    for verifier in [None, Some("")] {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        refused(&world.token("phone", &form).await, 400, "invalid_grant", "verifier_missing");
    }
    let _ = next(world.redeem("phone", &code).await);
}

/// Incident CVE-2025-4144 (Cloudflare's workers-oauth-provider): PKCE was left out on one side. Spring Authorization Server #770: a challenge without
/// a method, which means plain, was answered 500.
#[tokio::test]
async fn cve_2025_4144_pkce_cannot_be_left_out_or_weakened() {
    let world = world().await;
    for (challenge, method) in [("", ""), (CHALLENGE, ""), (CHALLENGE, "plain"), (CHALLENGE, "s256")] {
        let path =
            sim::wire::authorization("phone", &[("code_challenge", challenge), ("code_challenge_method", method)]);
        let reply = world.browser().get(&path).await.expect_status(303);
        let location = reply.header("location");
        assert!(location.starts_with(CALLBACK) && location.contains("error=invalid_request"), "{location}");
    }
}

/// Incident Keycloak's and others' codes that lived on after a crash: spent means spent. Law L1, check A8 at length in `token/faults.rs`.
#[tokio::test]
async fn a_code_is_spent_after_a_restart() {
    let world = world().await;
    let code = world.code("phone").await;
    let _ = next(world.redeem("phone", &code).await);
    let world = world.restart().await;
    world.advance(secs(1));
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_replayed_now");
}
