//! Key sets: fetched once, again when they are old, and for an unknown name at most once a minute, whatever strangers send.

use regrant_jose::Algorithm;
use serde_json::json;

use crate::authority::{Authority, new_key, status};

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let token = authority.token(&json!({}));
    let (one, other) = (server.clone(), server.clone());
    let together = tokio::join!(status(&server, &token), status(&one, &token), status(&other, &token));
    assert_eq!(together, (200, 200, 200));
    for _ in 0..20 {
        assert_eq!(status(&server, &token).await, 200);
    }
    assert_eq!((authority.asked("/metadata"), authority.asked("/jwks")), (1, 1));
    authority.clock.advance(300);
    assert_eq!((status(&server, &token).await, authority.asked("/jwks")), (200, 2));
}

/// A key that took over is found at the first token of it; every algorithm verifies.
#[tokio::test]
async fn a_new_key_is_asked_for_at_once() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    assert_eq!(status(&server, &authority.token(&json!({}))).await, 200);
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256] {
        authority.clock.advance(60);
        authority.inside().keys.insert(0, new_key(algorithm));
        assert_eq!(status(&server, &authority.token(&json!({}))).await, 200, "{algorithm}");
    }
    assert_eq!(authority.asked("/jwks"), 4);
}

/// 100 made-up names are one fetch, and do not keep a new key out for longer than a minute.
#[tokio::test]
async fn made_up_names_cost_one_fetch_a_minute() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let good = authority.token(&json!({}));
    assert_eq!(status(&server, &good).await, 200);
    for _ in 0..100 {
        let foreign = new_key(Algorithm::EdDsa).sign("at+jwt", &authority.claims(&json!({}))).expect("a token");
        assert_eq!(status(&server, &foreign).await, 401);
    }
    assert_eq!(authority.asked("/jwks"), 2);
    authority.inside().keys.insert(0, new_key(Algorithm::Es256));
    let next = authority.token(&json!({}));
    assert_eq!(status(&server, &next).await, 401);
    authority.clock.advance(60);
    assert_eq!((status(&server, &next).await, authority.asked("/jwks")), (200, 3));
}

/// A key that is published no more is good for five minutes at most; one that cannot be asked about, for an hour.
#[tokio::test]
async fn a_key_that_was_withdrawn_is_forgotten() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let token = authority.token(&json!({"exp": crate::authority::NOW + 100_000}));
    assert_eq!(status(&server, &token).await, 200);
    authority.inside().broken = vec!["/jwks", "/metadata"];
    authority.clock.advance(3599);
    assert_eq!(status(&server, &token).await, 200, "its server is away");
    authority.clock.advance(5);
    assert_eq!(status(&server, &token).await, 503);
    authority.inside().broken.clear();
    authority.inside().keys = vec![new_key(Algorithm::Es256)];
    authority.clock.advance(5);
    assert_eq!(status(&server, &token).await, 401);
}

/// RFC 8414 section 3.3: metadata of another issuer are none; and nobody is led to plain http.
#[tokio::test]
async fn metadata_of_another_issuer_are_refused() {
    for wrong in [
        json!({"issuer": "https://other.example"}),
        json!({"jwks_uri": "http://jwks.example/"}),
        json!({"jwks_uri": "ftp://127.0.0.1/"}),
        json!({"revocation_feed_endpoint": 7}),
    ] {
        let authority = Authority::start().await;
        let server = authority.server().build().expect("good settings");
        authority.inside().metadata = wrong.clone();
        assert_eq!(status(&server, &authority.token(&json!({}))).await, 503, "{wrong}");
        assert_eq!(status(&server, &authority.token(&json!({}))).await, 503, "{wrong}");
        assert_eq!((authority.asked("/metadata"), authority.asked("/jwks")), (1, 0), "and not again at once");
    }
}
