//! The row: what stands under its MAC, and when it is over.

use std::collections::HashSet;

use regrant_core::grant::{Binding, EndReason, Rotation, RowMac};
use regrant_core::keys::DeploymentId;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, Keys, OpenId, Timestamp};

use crate::world::{CODE_LIFETIME, START, World, client, days, grant_with_code, hash, millis, resources, root, scope};
use regrant_core::client::Class;

/// Something done to a row behind our back.
type Tamper = fn(&mut World);

/// One change of each column, with its name.
fn every_column() -> Vec<(&'static str, Tamper)> {
    vec![
        ("number", |w| w.grant.id.number += 1),
        ("random", |w| w.grant.id.random += 1),
        ("version", |w| w.grant.version += 1),
        ("write_id", |w| w.grant.write_id ^= 1),
        ("generation", |w| w.grant.generation -= 1),
        ("current", |w| w.grant.current = Some(hash("other"))),
        ("current gone", |w| w.grant.current = None),
        ("ratchet", |w| w.grant.ratchet = Some([9; 32])),
        ("ratchet gone", |w| w.grant.ratchet = None),
        ("tag_key", |w| w.grant.tag_key += 1),
        ("era", |w| w.grant.era += 1),
        ("seed_key", |w| w.grant.seed_key += 1),
        ("rotated_at", |w| w.grant.rotated_at = later(w.grant.rotated_at)),
        ("previously_rotated_at", |w| w.grant.previously_rotated_at = later(w.grant.previously_rotated_at)),
        ("answered_at", |w| w.grant.answered_at = later(w.grant.answered_at)),
        ("retries", |w| w.grant.retries += 1),
        ("retry_proof", |w| w.grant.retry_proof = Some(hash("other"))),
        ("retry_proof gone", |w| w.grant.retry_proof = None),
        ("idle_at", |w| w.grant.idle_at = later(w.grant.idle_at)),
        ("absolute_at", |w| w.grant.absolute_at = later(w.grant.absolute_at)),
        ("ended", |w| w.grant.ended = Some((START, EndReason::RevokedByUser))),
        ("ended for another reason", |w| w.grant.ended = Some((START, EndReason::RevokedByClient))),
        ("ended at another time", |w| w.grant.ended = Some((later(START), EndReason::RevokedByUser))),
        ("redeemed_at", |w| w.grant.redeemed_at = Some(later(START))),
        ("redeemed_at gone", |w| w.grant.redeemed_at = None),
        ("redeemed at the end of time", |w| w.grant.redeemed_at = Some(Timestamp::MAX)),
        ("client", |w| w.change_terms(|t| t.client = ClientId::parse("other").expect("an id"))),
        ("subject", |w| w.change_terms(|t| t.subject = "usr_mallory".to_owned())),
        ("scope", |w| w.change_terms(|t| t.scope = scope("openid profile"))),
        ("resources", |w| w.change_terms(|t| t.resources = resources(&["https://files.example/"]))),
        ("no resources", |w| w.change_terms(|t| t.resources = resources(&[]))),
        ("bound to the client", |w| w.change_terms(|t| t.binding = Binding::Client)),
        ("bound to a key", |w| w.change_terms(|t| t.binding = Binding::Key(hash("mine")))),
        ("bound to another key", |w| w.change_terms(|t| t.binding = Binding::Key(hash("other")))),
        ("rotation", |w| w.change_terms(|t| t.rotation = Rotation::Reusable)),
        ("refreshable", |w| w.change_terms(|t| t.refreshable = false)),
        ("authenticated_at", |w| w.change_terms(|t| t.authenticated_at = START)),
        ("created_at", |w| w.change_terms(|t| t.created_at = later(START))),
        ("epoch", |w| w.change_terms(|t| t.epoch += 1)),
        ("session", |w| w.change_terms(|t| t.session = Some([9; 32]))),
        ("epoch and session", |w| {
            w.change_terms(|t| {
                t.epoch = 1;
                t.session = Some([9; 32]);
            });
        }),
        ("what ID tokens say", |w| w.change_terms(|t| t.openid = Some(OpenId::default()))),
        ("the nonce", |w| {
            w.change_terms(|t| t.openid = Some(OpenId { nonce: Some("n".to_owned()), ..OpenId::default() }));
        }),
        ("what ID tokens say, and an epoch", |w| {
            w.change_terms(|t| {
                t.epoch = 1;
                t.openid = Some(OpenId::default());
            });
        }),
        ("no code", |w| w.change_terms(|t| t.code = None)),
        ("the code's secret", |w| code(w, |c| c.secret = hash("other"))),
        ("the code's challenge", |w| code(w, |c| c.challenge = Some(hash("other")))),
        ("no challenge", |w| code(w, |c| c.challenge = None)),
        ("the code's redirect_uri", |w| code(w, |c| c.redirect_uri = Some(hash("other")))),
        ("no redirect_uri", |w| code(w, |c| c.redirect_uri = None)),
        ("the code's expiry", |w| code(w, |c| c.expires_at = later(c.expires_at))),
        ("subject and scope shifted", |w| {
            w.change_terms(|t| {
                t.subject = "usr_alic".to_owned();
                t.scope = scope("eemail openid profile");
            });
        }),
        ("client and subject shifted", |w| {
            w.change_terms(|t| {
                t.client = ClientId::parse("appu").expect("an id");
                t.subject = "sr_alice".to_owned();
            });
        }),
    ]
}

fn later(at: Timestamp) -> Timestamp {
    at.plus(millis(1))
}

fn code(world: &mut World, change: impl FnOnce(&mut regrant_core::grant::CodeTerms)) {
    world.change_terms(|terms| change(terms.code.as_mut().expect("a code")));
}

fn rotated_world() -> World {
    let mut world = World::public_with_idempotency_key();
    let first = world.first.clone();
    world.rotate(&first);
    world
}

/// Check K8: a change of any column of a row shows, and no two of these rows have one MAC.
#[test]
fn a_change_of_any_column_is_seen() {
    let world = rotated_world();
    let mac = world.grant.mac(&world.keys);
    assert!(world.grant.is_intact(mac, &world.keys));
    let mut seen = HashSet::from([mac.mac]);
    for (column, change) in every_column() {
        let mut world = world.clone();
        change(&mut world);
        assert!(!world.grant.is_intact(mac, &world.keys), "{column}");
        assert!(seen.insert(world.grant.mac(&world.keys).mac), "{column}");
    }
}

/// Check K8: the encoding under the MAC, by example: whoever changes it makes every stored row look tampered with.
#[test]
fn the_mac_of_a_row_is_this_one() {
    let world = rotated_world();
    let mac = world.grant.mac(&world.keys);
    assert_eq!((mac.key_id, u128::from_be_bytes(mac.mac)), (1, 0x02bb07a82951cd050f7cbf80d3717331));
}

/// Check K8: the list above names every column. A new one breaks this pattern, and whoever adds it comes here.
#[test]
fn the_list_of_columns_is_complete() {
    let Grant {
        id: GrantId { number: _, random: _ },
        version: _,
        write_id: _,
        generation: _,
        current: _,
        ratchet: _,
        tag_key: _,
        era: _,
        seed_key: _,
        rotated_at: _,
        previously_rotated_at: _,
        answered_at: _,
        retries: _,
        retry_proof: _,
        idle_at: _,
        absolute_at: _,
        ended: _,
        redeemed_at: _,
        terms,
    } = rotated_world().grant;
    let regrant_core::Terms {
        client: _,
        subject: _,
        scope: _,
        resources: _,
        binding: _,
        rotation: _,
        refreshable: _,
        authenticated_at: _,
        created_at: _,
        epoch: _,
        session: _,
        code: _,
        openid: _,
    } = (*terms).clone();
}

/// Check K8: every bit of the MAC counts, and so do its key's id, the root key and the deployment.
#[test]
fn a_changed_mac_fits_no_row() {
    let world = rotated_world();
    let mac = world.grant.mac(&world.keys);
    for bit in 0..128 {
        let mut changed = mac;
        changed.mac[bit / 8] ^= 1 << (bit % 8);
        assert!(!world.grant.is_intact(changed, &world.keys));
    }
    assert!(!world.grant.is_intact(RowMac { key_id: mac.key_id + 1, ..mac }, &world.keys));
    let seed = [(1, zeroize::Zeroizing::new([5; 32]))];
    let elsewhere = Keys::new(&root(), DeploymentId([8; 16]), 0, &seed).expect("a working set");
    let another_root = regrant_core::keys::RootKey::new([2; 32]);
    let another_root = Keys::new(&another_root, crate::world::DEPLOYMENT, 0, &seed).expect("a working set");
    assert!(!world.grant.is_intact(mac, &elsewhere));
    assert!(!world.grant.is_intact(mac, &another_root));
}

/// A row is over at its ends, and not a millisecond before.
#[test]
fn a_row_is_over_at_its_instant() {
    let mut world = World::public();
    assert_eq!(world.grant.ends_at(), START.plus(days(30)));
    assert!(!world.grant.is_over(START.plus(days(30)).minus(millis(1))));
    assert!(world.grant.is_over(START.plus(days(30))));
    world.grant.idle_at = Timestamp::MAX;
    assert_eq!(world.grant.ends_at(), START.plus(days(365)));
    assert!(!world.grant.is_over(START.plus(days(365)).minus(millis(1))));
    assert!(world.grant.is_over(START.plus(days(365))));
    world.grant.ended = Some((START, EndReason::RevokedByUser));
    assert!(world.grant.is_over(START));
}

/// While there is only a code, the row is over when the code is.
#[test]
fn a_code_state_is_over_with_its_code() {
    let app = client("app", Class::Public);
    let (mut grant, _) = grant_with_code(&app, &World::public().keys, "openid", &[]);
    assert!(!grant.is_over(START.plus(CODE_LIFETIME).minus(millis(1))));
    assert!(grant.is_over(START.plus(CODE_LIFETIME)));
    let mut terms = (*grant.terms).clone();
    terms.code = None;
    grant.terms = terms.into();
    assert!(grant.is_over(START), "neither code nor redemption: nothing lives here");
}

/// Grant ids go out as one block that shows neither number nor order, and come back.
#[test]
fn a_grant_id_comes_back_from_its_wire_and_its_name() {
    let keys = World::public().keys;
    let mut seen = HashSet::new();
    for number in [1, 2, 3, u64::MAX] {
        for random in [0, 1, u64::MAX] {
            let id = GrantId { number, random };
            let wire = id.to_wire(&keys);
            assert_eq!(GrantId::from_wire(wire, &keys), id);
            let name = id.display(&keys);
            assert_eq!((name.len(), GrantId::parse(&name, &keys)), (22, Some(id)));
            assert!(!wire.starts_with(&number.to_be_bytes()) && seen.insert(wire[..8].to_vec()));
        }
    }
    for bad in ["", "0", "zzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000 ", "00000000000000000000-0"] {
        assert_eq!(GrantId::parse(bad, &keys), None, "{bad:?}");
    }
}

/// The numbers in the store mean what they meant.
#[test]
fn the_reasons_in_the_store_keep_their_numbers() {
    let names = [
        (1, "refresh_replayed"),
        (2, "code_replayed"),
        (3, "revoked_by_client"),
        (4, "revoked_by_operator"),
        (5, "revoked_by_user"),
        (6, "generations_exhausted"),
        (7, "user_revoked"),
        (8, "client_revoked"),
        (9, "user_at_client_revoked"),
        (10, "session_revoked"),
        (11, "key_revoked"),
        (12, "scope_revoked"),
        (13, "resource_revoked"),
        (14, "issued_before_revoked"),
        (15, "selection_revoked"),
        (16, "password_changed"),
        (17, "user_disabled"),
        (18, "logged_out"),
        (19, "consent_withdrawn"),
        (20, "client_removed"),
        (21, "client_switched_off"),
        (22, "client_secret_rotated"),
        (23, "redirect_uris_reduced"),
        (24, "global_revocation"),
        (25, "user_removed"),
        (26, "lost_in_restore"),
        (27, "denied_by_user"),
    ];
    for code in 0..=u8::MAX {
        let reason = EndReason::from_code(code);
        let expected = names.iter().find(|(number, _)| *number == code).map(|(_, name)| *name);
        assert_eq!(reason.map(EndReason::as_str), expected);
        assert!(reason.is_none_or(|reason| reason.code() == code));
    }
    assert_eq!(Hash::of(b"").0[..4], [0xe3, 0xb0, 0xc4, 0x42], "SHA-256 of nothing");
}
