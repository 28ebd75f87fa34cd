//! `[keys]`, the algorithm of a client's access tokens, and two secrets at once.

use regrant_core::Timestamp;
use regrant_core::client::{ClientSecret, SignatureAlgorithm};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn keys_rotate_by_default() {
    let keys = good("[keys]").keys;
    assert_eq!(keys, good("").keys);
    assert_eq!(keys.signing_rotation, Some(DAY * 90));
    assert_eq!(keys.signing_publish_ahead, DAY);
    assert_eq!(keys.sealing_rotation, Some(DAY * 30));
    assert_eq!(keys.tag_rotation, Some(DAY * 365));
    assert_eq!(keys.seed_rotation, DAY);
    assert!(good("[keys]").notices.is_empty());
}

#[test]
fn every_rotation_can_be_set_and_all_but_one_switched_off() {
    let text = "[keys]\nsigning_rotation = \"never\"\nsigning_publish_ahead = \"5m\"\nsealing_rotation = \"never\"\n\
        tag_rotation = \"never\"\nseed_rotation = \"1h\"\n[[scope]]\nname = \"a\"";
    let config = good(text);
    let keys = config.keys;
    assert_eq!((keys.signing_rotation, keys.sealing_rotation, keys.tag_rotation), (None, None, None));
    assert_eq!((keys.signing_publish_ahead, keys.seed_rotation), (Duration::from_secs(300), Duration::from_secs(3600)));
    assert_eq!(config.notices.len(), 3, "{:?}", config.notices);
    assert!(config.notices.iter().all(|notice| notice.contains("regrant keys compromise")));
    let notices = good("[keys]\nsealing_rotation = \"7d\"\ntag_rotation = \"31d\"").notices;
    assert!(notices.len() == 1 && notices[0].contains("used up after 4 years"), "{notices:?}");
}

#[test]
fn a_bad_rotation_is_refused_with_its_line_and_remedy() {
    for (text, line, key, says) in [
        ("[keys]\nsigning_rotation = \"23h\"", 2, "keys.signing_rotation", "Use \"1d\" to \"3650d\" or \"never\"."),
        ("[keys]\nsigning_rotation = \"soon\"", 2, "keys.signing_rotation", "is no duration"),
        ("[keys]\nsigning_rotation = 90", 2, "keys.signing_rotation", "this is a number"),
        ("[keys]\nsigning_publish_ahead = \"299s\"", 2, "keys.signing_publish_ahead", "outside of its limits"),
        ("[keys]\nsigning_publish_ahead = \"never\"", 2, "keys.signing_publish_ahead", "is no duration"),
        (
            "[keys]\nsigning_rotation = \"2d\"\nsigning_publish_ahead = \"2d\"",
            3,
            "keys.signing_publish_ahead",
            "not shorter than signing_rotation",
        ),
        ("[keys]\nsealing_rotation = \"6d\"", 2, "keys.sealing_rotation", "Use \"1w\""),
        ("[keys]\ntag_rotation = \"29d\"", 2, "keys.tag_rotation", "Use \"30d\""),
        ("[keys]\nseed_rotation = \"never\"", 2, "keys.seed_rotation", "Use \"1h\" to \"1w\"."),
        ("[keys]\nseed_rotation = \"8d\"", 2, "keys.seed_rotation", "outside of its limits"),
        ("[keys]\nsaeling_rotation = \"30d\"", 2, "keys.saeling_rotation", "Did you mean \"sealing_rotation\"?"),
        ("[keys]\nissuer = \"https://a.example\"", 2, "keys.issuer", "belongs to the top"),
        ("[[keys]]\ntag_rotation = \"40d\"", 1, "keys", "It must be written as [keys]"),
    ] {
        refused(text, line, key, says);
    }
}

#[test]
fn each_client_has_its_algorithm() {
    for algorithm in SignatureAlgorithm::ALL {
        let more = format!("access_token_signed_response_alg = \"{}\"", algorithm.as_str());
        assert_eq!(good(&web(&more)).clients[0].policy.access_token_algorithm, algorithm);
        // Both crates mean the same by it.
        assert_eq!(crate::keyring::schedule::algorithm(algorithm).as_str(), algorithm.as_str());
    }
    assert_eq!(good(&web("")).clients[0].policy.access_token_algorithm, SignatureAlgorithm::Es256);
    let key = "client.access_token_signed_response_alg";
    refused(&web("access_token_signed_response_alg = \"HS256\""), 5, key, "Choose \"ES256\", \"EdDSA\"");
    refused(&web("access_token_signed_response_alg = \"none\""), 5, key, "none of the choices");
    let opaque = "access_token_format = \"opaque\"\naccess_token_signed_response_alg = \"ES256\"";
    refused(&web(opaque), 6, key, "sealed and not signed");
}

#[test]
fn the_secret_before_this_one_works_until_it_ends() {
    let hash = format!("previous_secret_hash = \"{}\"", HASH.replace('0', "1"));
    let until = "previous_secret_expires_at = \"2026-12-01T00:00:00Z\"";
    let secrets = good(&web(&format!("{hash}\n{until}"))).clients.remove(0).secrets;
    let [now, before] = secrets.as_slice() else { panic!("two secrets") };
    assert_eq!((now.expires_at, before.expires_at.map(Timestamp::millis)), (None, Some(1_796_083_200_000)));
    assert_ne!(now.hash, before.hash);
    let at = |millis: i64| Timestamp::from_millis(1_796_083_200_000 + millis);
    let live = |secret: &ClientSecret| [-1_i64, 0].map(|millis| secret.is_live(at(millis)));
    assert_eq!((live(now), live(before)), ([true, true], [true, false]));
    let (key, end) = ("client.previous_secret_hash", "client.previous_secret_expires_at");
    refused(&web(&hash), 5, key, "a secret that never ends");
    refused(&web(until), 5, end, "no previous secret");
    refused(&web(&format!("{hash}\nprevious_secret_expires_at = \"tomorrow\"")), 6, end, "RFC 3339");
    refused(&web(&format!("previous_secret_hash = \"hunter2\"\n{until}")), 5, key, "is not \"sha256:\"");
    refused(&web(&format!("{hash}\nprevious_secret_file = \"x\"\n{until}")), 5, key, "as well");
    refused(&app(&format!("{hash}\n{until}")), 5, key, "has no secret");
    let file = format!("previous_secret_file = \"missing\"\n{until}");
    refused(&web(&file), 5, "client.previous_secret_file", "cannot be read");
}
