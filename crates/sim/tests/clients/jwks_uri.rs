//! Keys at a client's `jwks_uri`: OpenID Connect Core section 10.1.1 ("The verifier knows to go back to the jwks_uri location to
//! re-retrieve the keys when it sees an unfamiliar kid value"), RFC 7591 section 2, and checks S7, S8, S11.

use std::time::Duration;

use regrant_jose::{Algorithm, SigningKey};
use serde_json::json;
use sim::wire::assertion::{self, sign};
use sim::wire::{Act, Hook, World};

use super::support::{ask, claims, publishes, remote, site};

const MINUTE: Duration = Duration::from_secs(60);

async fn world() -> (World, Hook) {
    let (site, setting) = site().await;
    (World::with(&format!("{setting}{}", remote(site.url()))).await, site)
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).expect("a key")
}

async fn status(world: &World, key: &SigningKey) -> u16 {
    ask(&world.http(), &sign(key, &claims(world, "remote")), &[]).await.status.as_u16()
}

/// A key of every kind, in one set, with keys of kinds that nobody knows beside them.
#[tokio::test]
async fn every_algorithm_is_verified_by_the_key_it_fits() {
    let (world, site) = world().await;
    let keys = Algorithm::ALL.map(key);
    let mut set = assertion::set(&keys.each_ref());
    let all = set["keys"].as_array_mut().expect("an array");
    all.push(json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "p521"}));
    all.push(json!({"kty": "oct", "k": "c2VjcmV0"}));
    all.push(json!({"kty": "new", "kid": "future"}));
    all.push(json!(1));
    publishes(&site, &set);
    for key in &keys {
        assert_eq!(status(&world, key).await, 200, "{:?}", key.algorithm());
    }
    assert_eq!(site.heard().len(), 1, "and they were read once");
    let head = &site.heard()[0].head;
    assert!(
        head.starts_with("get ") && !head.contains("cookie") && !head.contains("authorization"),
        "check S9: {head}"
    );
}

/// A rotation of the client's own: the new key is taken when it is first seen, without a restart.
#[tokio::test]
async fn a_new_key_is_found_when_it_is_first_used() {
    let (world, site) = world().await;
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    publishes(&site, &assertion::set(&[&old]));
    assert_eq!(status(&world, &old).await, 200);
    publishes(&site, &assertion::set(&[&new]));
    assert_eq!(status(&world, &old).await, 200, "what was read is good for ten minutes");
    world.advance(Duration::from_secs(20));
    let early = ask(&world.http(), &sign(&new, &claims(&world, "remote")), &[]).await;
    assert_eq!(early.header("retry-after"), "40", "a minute must have gone by since the last question");
    early.expect_error(503, "temporarily_unavailable");
    assert_eq!(site.heard().len(), 1);
    world.advance(Duration::from_secs(40));
    assert_eq!(status(&world, &new).await, 200);
    assert_eq!(status(&world, &old).await, 401, "and the old one is gone with its set");
    assert_eq!(site.heard().len(), 2);
}

/// A deployment at the client's, a moment without its site: nothing was examined, so nothing is final, and what it sent is good as soon as
/// the site is back. Nobody waits for a minute.
#[tokio::test]
async fn keys_that_cannot_be_read_for_a_moment_end_nothing() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    site.does(Act::Answer(503, Vec::new(), String::new()));
    let signed = sign(&known, &claims(&world, "remote"));
    for (after, questions) in [("2", 1), ("1", 1), ("4", 2)] {
        let reply = ask(&world.http(), &signed, &[]).await;
        assert_eq!((reply.header("retry-after").as_str(), reply.header("www-authenticate").as_str()), (after, ""));
        reply.expect_error(503, "temporarily_unavailable");
        assert_eq!(site.heard().len(), questions);
        world.advance(Duration::from_secs(u64::from(questions == 2) * 2 + 1));
    }
    publishes(&site, &assertion::set(&[&known]));
    world.advance(Duration::from_secs(1));
    let _ = ask(&world.http(), &signed, &[]).await.expect_status(200);
}

/// What was examined stays final: a name that is known under a key that is not.
#[tokio::test]
async fn a_signature_of_another_key_is_refused_for_good() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    publishes(&site, &assertion::set(&[&known]));
    assert_eq!(status(&world, &known).await, 200);
    world.advance(Duration::from_secs(1));
    let mut forged = sign(&known, &claims(&world, "remote"));
    let at = forged.rfind('.').expect("a signature") + 1;
    let other = if forged.as_bytes()[at] == b'A' { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    ask(&world.http(), &forged, &[]).await.expect_error(401, "invalid_client");
}

/// Check S11: whatever comes, a URL is asked once a minute.
#[tokio::test]
async fn strangers_cannot_make_the_server_ask_again_and_again() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    publishes(&site, &assertion::set(&[&known]));
    for _ in 0..200 {
        let forged = key(Algorithm::EdDsa);
        assert_eq!(status(&world, &forged).await, 401);
    }
    assert_eq!(site.heard().len(), 1);
    assert_eq!(status(&world, &known).await, 200);
    world.advance(MINUTE);
    for _ in 0..50 {
        assert_eq!(status(&world, &key(Algorithm::EdDsa)).await, 401);
    }
    assert_eq!(site.heard().len(), 2);
}

/// Check S11: many at once are one question, and all of them hear its answer.
#[tokio::test]
async fn who_comes_at_once_asks_once() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    site.does(Act::Hold(assertion::set(&[&known]).to_string()));
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (http, signed) = (world.http(), sign(&known, &claims(&world, "remote")));
            tokio::spawn(async move { ask(&http, &signed, &[]).await.status.as_u16() })
        })
        .collect();
    site.has_heard(1).await;
    site.release();
    for answer in asking {
        assert_eq!(answer.await.expect("it ran"), 200);
    }
    assert_eq!(site.heard().len(), 1);
}

/// A client's outage does not lock it out: the keys that were read go on for a day.
#[tokio::test]
async fn keys_outlive_the_outage_of_their_url() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    publishes(&site, &assertion::set(&[&known]));
    assert_eq!(status(&world, &known).await, 200);
    site.does(Act::Answer(503, Vec::new(), String::new()));
    world.advance(Duration::from_secs(3600));
    assert_eq!(status(&world, &known).await, 200);
    world.advance(Duration::from_secs(86_400));
    assert_eq!(status(&world, &known).await, 503);
}

/// Checks S4, S7, S8: what a URL may answer.
#[tokio::test]
async fn an_answer_that_is_none_gives_no_keys() {
    let known = key(Algorithm::Es256);
    let set = assertion::set(&[&known]).to_string();
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let many: Vec<_> = (0..65).map(|_| known.public_jwk()).collect();
    let (elsewhere, _) = site().await;
    publishes(&elsewhere, &assertion::set(&[&known]));
    for act in [
        Act::Answer(302, header("location", elsewhere.url()), set.clone()),
        Act::Answer(201, Vec::new(), set.clone()),
        Act::Answer(404, Vec::new(), set.clone()),
        Act::Answer(200, header("content-encoding", "gzip"), set.clone()),
        Act::Answer(200, header("x-long", &"x".repeat(40_000)), set.clone()),
        Act::says(""),
        Act::says("[]"),
        Act::says("{}"),
        Act::says(r#"{"keys":{}}"#),
        Act::says(r#"{"keys":[],"keys":[]}"#),
        Act::says(&json!({"keys": many}).to_string()),
        Act::says(&format!("{set}{}", " ".repeat(70_000))),
        Act::says(&format!("{{\"keys\":{}", "[".repeat(30_000))),
        Act::BreakOff,
        Act::Endless,
        Act::Silence,
    ] {
        let (world, site) = world().await;
        site.does(act.clone());
        assert_eq!(status(&world, &known).await, 503, "{act:?}");
    }
    assert!(elsewhere.heard().is_empty(), "check S4: a redirect is not followed");
}

/// A private key among the public ones is passed over, and never used.
#[tokio::test]
async fn a_private_key_is_no_key_of_a_set() {
    let (world, site) = world().await;
    let known = key(Algorithm::Es256);
    let mut leaked = serde_json::to_value(known.public_jwk()).expect("JSON");
    leaked["d"] = "AAAA".into();
    publishes(&site, &json!({"keys": [leaked]}));
    assert_eq!(status(&world, &known).await, 401);
}
