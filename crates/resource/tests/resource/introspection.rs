//! RFC 7662: tokens that are no JWTs are asked about, each time, and only with credentials.

use regrant_resource::{Credentials, Refusal};
use serde_json::{Value, json};

use crate::authority::{Authority, NOW, status};

#[tokio::test]
async fn an_opaque_token_is_asked_about_each_time() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    let mut known = authority.claims(&json!({"status": null}));
    known["active"] = json!(true);
    authority.inside().known.insert("rga_abc".to_owned(), known);
    let token = server.judge("rga_abc").await.expect("an active token");
    assert_eq!((token.subject(), token.expires_at(), token.has_scope("notes:write")), ("usr_1", NOW + 3600, true));
    assert_eq!(server.judge("rga_other").await, Err(Refusal::Inactive));
    authority.inside().known.clear();
    assert_eq!(server.judge("rga_abc").await, Err(Refusal::Inactive), "nothing of it was kept");
    assert_eq!((authority.asked("/introspect"), authority.asked("/jwks")), (3, 0));
}

/// An answer for somebody else, without an audience, or about something else, is none for us.
#[tokio::test]
async fn an_active_token_for_elsewhere_is_refused() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    for (name, value, expected) in [
        ("aud", json!("https://other.example/"), Refusal::OtherClaims),
        ("aud", Value::Null, Refusal::OtherClaims),
        ("iss", json!("https://other.example"), Refusal::OtherClaims),
        ("exp", json!(NOW - 60), Refusal::OtherClaims),
        ("exp", Value::Null, Refusal::OtherClaims),
        ("token_use", json!("refresh_token"), Refusal::Inactive),
    ] {
        let mut known = authority.claims(&json!({name: value}));
        known["active"] = json!(true);
        authority.inside().known.insert("t".to_owned(), known);
        assert_eq!(server.judge("t").await, Err(expected), "{name}");
    }
    let cause = "introspection does not say whether the token is active".to_owned();
    for active in [json!("true"), json!(1), Value::Null] {
        let known = json!({"active": active, "aud": crate::authority::AUDIENCE});
        authority.inside().known.insert("t".to_owned(), known);
        assert_eq!(server.judge("t").await, Err(Refusal::Unknown(cause.clone())), "{active}");
    }
}

/// Whoever cannot prove himself to the authority, or does not hear from it, cannot know: 503, and not 401.
#[tokio::test]
async fn an_answer_that_does_not_come_is_503() {
    let authority = Authority::start().await;
    let server = authority.server().credentials(Credentials::new("notes-api", "wrong")).build().expect("good settings");
    assert_eq!(status(&server, "rga_abc").await, 503);
    authority.inside().broken = vec!["/introspect"];
    let server = authority.follower().build().expect("good settings");
    assert_eq!(status(&server, "rga_abc").await, 503);
    let server = authority.server().build().expect("good settings");
    assert_eq!(status(&server, "rga_abc").await, 401, "without credentials only JWTs are taken");
}
