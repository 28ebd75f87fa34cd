//! The set of keys: what makes one, what does not.

use regrant_core::Keys;
use regrant_core::keys::{BadKeys, KeyStatus, RootKey};

use crate::world::{DEPLOYMENT, keys, root, seeded_keys};

/// Exactly one tag key mints.
#[test]
fn a_set_has_exactly_one_current_tag_key() {
    let seed = [(1, zeroize::Zeroizing::new([5; 32]))];
    let with = |tags: &[(u8, KeyStatus)]| Keys::with_tag_keys(&root(), DEPLOYMENT, 0, &seed, tags).map(|_| ());
    for bad in [&[][..], &[(1, KeyStatus::Verify)], &[(1, KeyStatus::Current), (2, KeyStatus::Current)]] {
        assert_eq!(with(bad), Err(BadKeys));
    }
    assert_eq!(with(&[(1, KeyStatus::Verify), (2, KeyStatus::Current), (3, KeyStatus::Next)]), Ok(()));
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
