//! The set of keys: what makes one, what does not.

use regrant_core::Keys;
use regrant_core::access::AccessToken;
use regrant_core::keys::{BadKeys, KeySet, KeyStatus, RootKey};

use crate::world::{DEPLOYMENT, keys, root, seeded_keys};

/// Exactly one tag key and one sealing key mint.
#[test]
fn a_set_has_exactly_one_current_key_of_each_kind() {
    let seed = [(1, zeroize::Zeroizing::new([5; 32]))];
    let good = [(1, KeyStatus::Verify), (2, KeyStatus::Current), (3, KeyStatus::Next)];
    let with = |tag, sealing| Keys::of(&root(), DEPLOYMENT, 0, KeySet { tag, sealing, seed: &seed }).map(|_| ());
    for bad in [&[][..], &[(1, KeyStatus::Verify)], &[(1, KeyStatus::Current), (2, KeyStatus::Current)]] {
        assert_eq!(with(bad, &good), Err(BadKeys));
        assert_eq!(with(&good, bad), Err(BadKeys));
    }
    assert_eq!(with(&good, &good), Ok(()));
    assert_eq!(Keys::new(&root(), DEPLOYMENT, 0, &[]).map(|_| ()), Err(BadKeys), "and at least one seed key");
}

/// The newest seed key rotates, the named tag key mints, the rest only says its status.
#[test]
fn a_set_knows_its_current_keys() {
    let keys =
        seeded_keys(4, &[(1, KeyStatus::Compromised), (2, KeyStatus::Verify), (3, KeyStatus::Current)], &[7, 9, 8]);
    assert_eq!((keys.era(), keys.current_tag(), keys.current_seed(), keys.deployment()), (4, 3, 9, DEPLOYMENT));
    let statuses = [(1, KeyStatus::Compromised), (2, KeyStatus::Verify), (3, KeyStatus::Current), (4, KeyStatus::Gone)];
    for (id, status) in statuses {
        assert_eq!(keys.tag_status(id), status);
    }
}

/// Checks K6, K7: the check value tells root keys and deployments apart, and tells nothing else.
#[test]
fn a_root_key_belongs_to_one_store() {
    let ours = root().check_value(DEPLOYMENT);
    assert_eq!(ours, root().check_value(DEPLOYMENT));
    assert_ne!(ours, RootKey::new([2; 32]).check_value(DEPLOYMENT));
    assert_ne!(ours, root().check_value(regrant_core::keys::DeploymentId([8; 16])));
}

/// Nothing secret is printed.
#[test]
fn nothing_secret_is_printed() {
    let world = crate::world::World::public();
    let printed = format!(
        "{:?} {:?} {:?} {:?}",
        keys(0, &[(1, KeyStatus::Current)]),
        root(),
        world.first,
        crate::world::entropy(1)
    );
    assert_eq!(printed.matches("redacted").count(), 3, "{printed}");
}

/// Check T35: the statuses of a sealing key against the opaque access tokens that it sealed. What a compromised one sealed could
/// be anybody's: dead at once.
#[test]
fn the_status_of_the_sealing_key_decides_what_opens() {
    let seed = [(1, zeroize::Zeroizing::new([5; 32]))];
    let of = |sealing: &[(u8, KeyStatus)]| {
        let tag = [(1, KeyStatus::Current)];
        Keys::of(&root(), DEPLOYMENT, 0, KeySet { tag: &tag, sealing, seed: &seed }).expect("a working set")
    };
    let token = AccessToken {
        grant: Some((1, 2)),
        client: "app".to_owned(),
        subject: "usr_ann".to_owned(),
        scope: "read".to_owned(),
        audience: vec!["https://api.example/".to_owned()],
        issued_at: 1,
        expires_at: 2,
        authenticated_at: Some(0),
        jti: "jti".to_owned(),
        session: None,
        more: String::new(),
    };
    let text = token.seal([9; 12], &of(&[(1, KeyStatus::Current)])).expect("sealed");
    for status in KeyStatus::ALL {
        let other = if status == KeyStatus::Current { KeyStatus::Verify } else { KeyStatus::Current };
        let keys = of(&[(1, status), (2, other)]);
        let opens = matches!(status, KeyStatus::Next | KeyStatus::Current | KeyStatus::Verify);
        assert_eq!(AccessToken::open(&text, &keys), opens.then(|| token.clone()), "{status:?}");
        assert_eq!(keys.current_access(), if status == KeyStatus::Current { 1 } else { 2 });
        let fresh = token.seal([8; 12], &keys).expect("sealed");
        assert_eq!(AccessToken::open(&fresh, &keys), Some(token.clone()));
    }
}

/// Every status has its word.
#[test]
fn a_status_is_its_word() {
    for status in KeyStatus::ALL {
        assert_eq!(KeyStatus::parse(status.as_str()), Some(status));
    }
    assert_eq!(KeyStatus::parse("lost"), None);
}
