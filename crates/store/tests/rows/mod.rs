//! A grant as the server makes it, and the keys whose MAC it carries.

use std::sync::Arc;

use regrant_core::grant::{Binding, Rotation};
use regrant_core::keys::{DeploymentId, Purpose, RootKey};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, Keys, Resources, Scope, Terms, Timestamp};
use regrant_store::Record;

pub(crate) fn keys() -> Keys {
    let (root, deployment) = (RootKey::new([1; 32]), DeploymentId([2; 16]));
    // Any 32 secret bytes will do for a seed key.
    let seed_key = root.derive(Purpose::RowMac, deployment, 99);
    Keys::new(&root, deployment, 0, &[(1, seed_key)]).expect("good keys")
}

pub(crate) fn grant(number: u64) -> Grant {
    let soon = Timestamp::from_millis(2_000);
    Grant {
        id: GrantId { number, random: 77 },
        version: 1,
        write_id: 1,
        generation: 1,
        current: Some(Hash([1; 32])),
        ratchet: Some([2; 32]),
        tag_key: 1,
        era: 0,
        seed_key: 1,
        rotated_at: soon,
        previously_rotated_at: soon,
        answered_at: soon,
        retries: 0,
        retry_proof: None,
        idle_at: soon,
        absolute_at: soon,
        ended: None,
        redeemed_at: Some(soon),
        terms: Arc::new(Terms {
            client: ClientId::parse("app").expect("a client id"),
            subject: "usr_ann".to_owned(),
            scope: Scope::parse("read write").expect("a scope"),
            resources: Resources::parse("urn:a urn:b").expect("resources"),
            binding: Binding::Bearer,
            rotation: Rotation::SingleUse,
            refreshable: true,
            authenticated_at: soon,
            created_at: soon,
            epoch: 0,
            session: None,
            openid: None,
            code: None,
        }),
    }
}

/// Writes a new grant, or the next version of one, with its MAC.
pub(crate) fn write(expected: Option<u64>, grant: &Grant, keys: &Keys) -> Record {
    Record::Grant { expected, grant: grant.clone(), mac: grant.mac(keys), events: Vec::new() }
}
