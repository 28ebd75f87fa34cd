//! RFC 6749 section 5.1, the successful response:
//!
//! - `access_token` and `token_type` are REQUIRED, `expires_in` is RECOMMENDED, `scope` is REQUIRED where it differs.
//! - "The authorization server MUST include the HTTP "Cache-Control" response header field with a value of "no-store" in any response
//!   containing tokens, credentials, or other sensitive information, as well as the "Pragma" response header field with a value of
//!   "no-cache"."

use serde_json::Value;
use sim::wire::{Reply, World};

use super::support::{REFRESHING, next, secs, world};

/// Every kind of 200 that the token endpoint has.
async fn answers(world: &World) -> Vec<(&'static str, Reply)> {
    let mut answers = Vec::new();
    for client in REFRESHING {
        let code = world.code(client).await;
        let redeemed = world.redeem(client, &code).await;
        let first = next(redeemed.clone());
        let refreshed = world.refresh(client, &first).await;
        let again = (client != "phone-strict").then_some(world.refresh(client, &first).await);
        answers.extend([(client, redeemed), (client, refreshed)]);
        answers.extend(again.map(|again| (client, again)));
    }
    answers.push(("daemon", world.token("daemon", &[("grant_type", "client_credentials")]).await));
    answers
}

/// Check W6: every answer that bears a token is JSON that nobody may keep, and names its members as the RFC does.
#[tokio::test]
async fn every_answer_with_tokens_is_json_that_nobody_keeps() {
    let world = world().await;
    for (client, reply) in answers(&world).await {
        let reply = reply.expect_status(200);
        assert_eq!(reply.header("cache-control"), "no-store", "{client}");
        assert_eq!(reply.header("pragma"), "no-cache", "{client}");
        assert_eq!(reply.header("content-type"), "application/json", "{client}");
        assert!(!reply.header("x-correlation-id").is_empty(), "{client}");
        let answer = reply.json();
        // An ID token comes with what began in a browser (`openid/core_s03_1_3.rs`).
        let names = answer.as_object().expect("an object").keys().map(String::as_str);
        let names: Vec<&str> = names.filter(|name| *name != "id_token").collect();
        let mut expected = vec!["access_token", "expires_in", "scope", "token_type"];
        if client != "daemon" {
            expected.extend([
                "authorization_expires_in",
                "refresh_token",
                "refresh_token_expires_in",
                "refresh_token_timeout",
            ]);
        }
        expected.sort_unstable();
        assert_eq!(names, expected, "{client}");
        assert_eq!(answer["token_type"], "Bearer");
    }
}

/// Checks N5, F6: `expires_in` lies within (0, the setting], for plain public clients within its last fifth, drawn anew each time.
#[tokio::test]
async fn expires_in_is_within_its_setting() {
    let world = world().await;
    for client in REFRESHING {
        let mut drawn = Vec::new();
        let mut token = world.first(client).await;
        for _ in 0..20 {
            world.advance(secs(3600));
            let answer = world.refresh(client, &token).await.expect_status(200).json();
            let seconds = answer["expires_in"].as_u64().expect("a whole number");
            let least = if client.starts_with("phone") { 2880 } else { 3600 };
            assert!((least..=3600).contains(&seconds), "{client}: {seconds}");
            drawn.push(seconds);
            token = sim::wire::text(&answer, "refresh_token");
        }
        drawn.dedup();
        assert_eq!(drawn.len() > 1, client.starts_with("phone"), "{client}: {drawn:?}");
    }
}

/// The tokens of an answer are strings of the characters that section A.12 allows, and their prefixes tell what they are.
#[tokio::test]
async fn tokens_show_what_they_are() {
    let world = world().await;
    for (client, reply) in answers(&world).await {
        let answer = reply.json();
        let access = answer["access_token"].as_str().expect("a string");
        assert!(access.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        assert_eq!(access.starts_with("rga_"), client == "opaque", "{client}");
        if let Value::String(refresh) = &answer["refresh_token"] {
            assert!(
                refresh.starts_with("rgr_")
                    && refresh.len() == 113
                    && refresh[4..].bytes().all(|byte| byte.is_ascii_alphanumeric())
            );
        }
    }
}
