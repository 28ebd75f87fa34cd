//! The revocation feed: what is revoked is refused seconds later; nothing else is; and what happens when the feed cannot be read is what
//! was chosen.

use std::time::Duration;

use aws_lc_rs::digest;
use regrant_jose::base64url;
use regrant_resource::WhenOld;
use serde_json::{Value, json};

use crate::authority::{AUDIENCE, Authority, status};

fn hash(text: &str) -> String {
    base64url::encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn place(authority: &Authority, index: u64) -> Value {
    json!({"status_list": {"idx": index, "uri": format!("{}/lists/abc", authority.base)}})
}

/// A grant, a token, and all that fit: each line means its tokens and no other.
#[tokio::test]
async fn each_line_means_its_own_tokens() {
    let own = json!({"sub": "app", "status": null});
    for (line, token, is_meant) in [
        (json!({"list": "abc", "idx": 7}), json!({}), true),
        (json!({"list": "abc", "idx": 7}), json!({"jti": "j2", "scope": "x"}), true),
        (json!({"list": "abc", "idx": 8}), json!({}), false),
        (json!({"list": "abd", "idx": 7}), json!({}), false),
        (json!({"list": "abc", "idx": 7}), own.clone(), false),
        (json!({"jti_hash": hash("j1")}), json!({}), true),
        (json!({"jti_hash": hash("j1")}), own.clone(), true),
        (json!({"jti_hash": hash("j2")}), json!({}), false),
        (json!({"all": {"sub_hash": hash("usr_1")}}), json!({}), true),
        (json!({"all": {"sub_hash": hash("usr_2")}}), json!({}), false),
        (json!({"all": {"client_id": "app"}}), own.clone(), true),
        (json!({"all": {"client_id": "app"}}), json!({"client_id": "ap"}), false),
        (json!({"all": {"client_id": "app", "scope": "notes:write"}}), json!({}), true),
        (json!({"all": {"client_id": "app", "scope": "notes"}}), json!({}), false),
        (json!({"all": {"aud": AUDIENCE}}), json!({"aud": [AUDIENCE]}), true),
        (json!({"all": {"aud": "https://other.example/"}}), json!({}), false),
        (json!({"all": {}}), json!({}), true),
    ] {
        let authority = Authority::start().await;
        let server = authority.follower().build().expect("good settings");
        authority.revoke(line.clone());
        let meant = status(&server, &authority.token(&token)).await;
        assert_eq!(meant, if is_meant { 401 } else { 200 }, "{line} {token}");
    }
}

/// What is issued behind a revocation of many is not meant by it.
#[tokio::test]
async fn a_later_token_is_not_meant() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    let before = authority.token(&json!({}));
    authority.revoke(json!({"all": {"client_id": "app"}}));
    authority.clock.advance(1);
    let after = authority.token(&json!({}));
    assert_eq!((status(&server, &before).await, status(&server, &after).await), (401, 200));
}

/// A revocation is heard of at the next look, and the feed is not asked for each token.
#[tokio::test]
async fn a_revocation_is_heard_of_within_the_interval() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    let token = authority.token(&json!({}));
    for _ in 0..20 {
        assert_eq!(status(&server, &token).await, 200);
    }
    assert_eq!(authority.asked("/feed"), 1);
    authority.revoke(json!({"list": "abc", "idx": 7}));
    authority.clock.advance(4);
    assert_eq!(status(&server, &token).await, 200, "not yet");
    authority.clock.advance(1);
    assert_eq!(status(&server, &token).await, 401);
    assert_eq!((authority.asked("/feed"), authority.asked("/introspect")), (2, 0));
}

/// However many pages there are, all of them are read at the first look, and only what is new afterwards.
#[tokio::test]
async fn all_pages_are_read() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    for index in 100..107 {
        authority.revoke(json!({"list": "abc", "idx": index}));
    }
    for index in [100, 106] {
        assert_eq!(status(&server, &authority.token(&json!({"status": place(&authority, index)}))).await, 401);
    }
    assert_eq!((status(&server, &authority.token(&json!({}))).await, authority.asked("/feed")), (200, 4));
    authority.clock.advance(5);
    assert_eq!((status(&server, &authority.token(&json!({}))).await, authority.asked("/feed")), (200, 5));
    // Asked again with the same cursor, "not modified" is as good as an answer.
    authority.clock.advance(5);
    assert_eq!((status(&server, &authority.token(&json!({}))).await, authority.asked("/feed")), (200, 6));
    authority.revoke(json!({"list": "abc", "idx": 7}));
    authority.clock.advance(5);
    assert_eq!(status(&server, &authority.token(&json!({}))).await, 401);
}

/// A feed that is silent is believed for a minute; then each policy does what it says. What was heard stays heard.
#[tokio::test]
async fn an_old_feed_is_what_was_chosen() {
    let hour = Duration::from_secs(3600);
    for (policy, at_60, at_61, at_3601) in [
        (WhenOld::FailClosed, 200, 503, 503),
        (WhenOld::Introspect, 200, 200, 200),
        (WhenOld::AcceptUntil(hour), 200, 200, 503),
    ] {
        let authority = Authority::start().await;
        let server = authority.follower().when_old(policy).build().expect("good settings");
        let token = authority.token(&json!({"exp": crate::authority::NOW + 100_000}));
        let revoked = authority.token(&json!({"status": place(&authority, 9), "exp": crate::authority::NOW + 100_000}));
        let mut known = authority.claims(&json!({"exp": crate::authority::NOW + 100_000}));
        known["active"] = json!(true);
        authority.inside().known.insert(token.clone(), known);
        authority.revoke(json!({"list": "abc", "idx": 9}));
        assert_eq!((status(&server, &token).await, status(&server, &revoked).await), (200, 401));
        authority.inside().broken = vec!["/feed"];
        for (by, expected) in [(60, at_60), (1, at_61), (3540, at_3601)] {
            authority.clock.advance(by);
            assert_eq!((status(&server, &token).await, status(&server, &revoked).await), (expected, 401), "{policy:?}");
        }
        assert_eq!(authority.asked("/introspect") > 0, policy == WhenOld::Introspect);
        authority.inside().broken = Vec::new();
        authority.clock.advance(5);
        assert_eq!(status(&server, &token).await, 200, "{policy:?}: it can be read again");
    }
}

/// A feed that nobody signed, of another type or issuer, out of date, or that cannot be understood, confirms nothing.
#[tokio::test]
async fn a_feed_that_cannot_be_believed_is_none() {
    for line in [
        json!({"all": {"session": "x"}}),
        json!({"all": {"client_id": 7}}),
        json!({"all": "everything"}),
        json!({"jti_hash": "short"}),
        json!({"idx": 7}),
        json!({"list": "abc"}),
    ] {
        let authority = Authority::start().await;
        let server = authority.follower().when_old(WhenOld::FailClosed).build().expect("good settings");
        authority.revoke(line.clone());
        assert_eq!(status(&server, &authority.token(&json!({}))).await, 503, "{line}");
    }
    let authority = Authority::start().await;
    let server = authority.follower().when_old(WhenOld::FailClosed).build().expect("good settings");
    authority.inside().metadata = json!({"revocation_feed_endpoint": format!("{}/jwks", authority.base)});
    assert_eq!(status(&server, &authority.token(&json!({}))).await, 503, "no signature");
}

/// A user's token that names no grant is never in the feed: it is asked about, and refused where nobody can be asked.
#[tokio::test]
async fn a_token_that_names_no_grant_is_asked_about() {
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    let token = authority.token(&json!({"status": null}));
    assert_eq!((status(&server, &token).await, authority.asked("/introspect")), (401, 1));
    let own = authority.token(&json!({"status": null, "sub": "app"}));
    assert_eq!((status(&server, &own).await, authority.asked("/introspect")), (200, 1), "a client's own has none");
    let server = authority.server().follow_revocations().build().expect("good settings");
    assert_eq!(status(&server, &token).await, 503);
}

/// Many places in one line, and nothing beside them.
#[tokio::test]
async fn many_places_in_one_line_are_each_meant() {
    // 3, 7, 135 and 65535, by their distances.
    let places = base64url::encode(&[3, 4, 0x80, 0x01, 0xf8, 0xfe, 0x03]);
    let authority = Authority::start().await;
    let server = authority.follower().build().expect("good settings");
    authority.revoke(json!({"list": "abc", "idxs": places}));
    for (index, expected) in [(3, 401), (7, 401), (135, 401), (65_535, 401), (0, 200), (4, 200), (8, 200), (128, 200)] {
        let token = authority.token(&json!({"status": place(&authority, index)}));
        assert_eq!(status(&server, &token).await, expected, "{index}");
    }
    for bad in [vec![0x80], vec![0xff, 0xff, 0xff, 1], vec![0xff, 0xff, 0x03, 1]] {
        let authority = Authority::start().await;
        let server = authority.follower().when_old(WhenOld::FailClosed).build().expect("good settings");
        authority.revoke(json!({"list": "abc", "idxs": base64url::encode(&bad)}));
        assert_eq!(status(&server, &authority.token(&json!({}))).await, 503, "{bad:?}");
    }
}

/// What was taken back is good again, whatever it was, also if its line comes once more; what has no `id` or another one stays.
#[tokio::test]
async fn what_was_taken_back_is_good_again_and_nothing_else() {
    for line in
        [json!({"list": "abc", "idx": 7}), json!({"list": "abc", "idxs": "Bw"}), json!({"all": {"client_id": "app"}})]
    {
        let with = |id: u64| {
            let mut line = line.clone();
            line["id"] = json!(id);
            line
        };
        let authority = Authority::start().await;
        let server = authority.follower().build().expect("good settings");
        let token = authority.token(&json!({}));
        let looked = async |line: Option<Value>, taken_back: Option<u64>| {
            if let Some(line) = line {
                authority.revoke(line);
            }
            if let Some(id) = taken_back {
                authority.inside().taken_back.push(json!({"id": id, "expires_at": crate::authority::NOW + 3600}));
            }
            authority.clock.advance(5);
            status(&server, &token).await
        };
        assert_eq!(looked(Some(with(1)), None).await, 401, "{line}");
        assert_eq!(looked(Some(with(2)), Some(1)).await, 401, "{line}: by the other one");
        assert_eq!(looked(None, Some(2)).await, 200, "{line}");
        assert_eq!(looked(Some(with(1)), None).await, 200, "{line}: it comes again");
        assert_eq!(looked(Some(line.clone()), None).await, 401, "{line}: this cannot be taken back");
    }
}
