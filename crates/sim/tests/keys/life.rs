//! The schedule, to the second on a clock that stands still: next → current → verify → gone.

use regrant_server::Config;
use sim::wire::{CONFIG, config, text};

use super::support::{
    DAY, GRACE, is_active, keys, kid, machine_token, next, published, refused, secs, statuses, sweep, tend, tokens,
    told, with_setting, world, world_with_keys,
};

/// A signing key is published for `signing_publish_ahead` before it signs, which is longer than anybody may hold the key set, and
/// stays published until the last token that it signed has ended. `kid` tells which is which.
#[tokio::test]
async fn a_signing_key_lives_its_life_to_the_second() {
    let world = world().await;
    let (first, held) = published(&world).await;
    assert_eq!((first.len(), held.as_str()), (1, "public, max-age=300"));
    world.advance(secs(89 * DAY - 1));
    assert_eq!(
        (tend(&world).await, statuses(&world, "signing").await),
        (2, vec!["current".to_owned()]),
        "seed and sealing"
    );
    world.advance(secs(1));
    assert_eq!(tend(&world).await, 2, "and one of RS256");
    let (both, _) = published(&world).await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    assert_eq!(kid(&machine_token(&world).await), first[0], "it does not sign yet");
    world.advance(secs(DAY - 1));
    let _ = tend(&world).await;
    let last = machine_token(&world).await;
    assert_eq!(kid(&last), first[0]);
    world.advance(secs(1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await, ["verify", "current"]);
    assert_eq!(kid(&machine_token(&world).await), both[1]);
    assert_eq!(published(&world).await.0, both);
    world.advance(secs(3600 - 2));
    assert!(is_active(&world, &last).await, "what the old one signed is vouched for to its end");
    world.advance(secs(GRACE + 1));
    let _ = tend(&world).await;
    assert_eq!(published(&world).await.0, both, "one second is left");
    world.advance(secs(1));
    assert_eq!(tend(&world).await, 2);
    assert_eq!(published(&world).await.0, both[1..]);
    assert_eq!(statuses(&world, "signing").await, ["gone", "current"], "the row stays");
    assert!(told(&world, "admin").await.iter().any(|detail| detail == "signing key 3 (ES256) signs from now on"));
}

/// What a key signed while its client had longer tokens is what it waits for, not what the settings say in the end.
#[tokio::test]
async fn a_shortened_lifetime_does_not_shorten_the_overlap() {
    let world = world().await;
    let reload = async |text: &str| {
        let issuer = Some(world.base.clone());
        world.app.replace_config(Config { issuer, ..config(text) }).await.expect("a good configuration")
    };
    let _ = reload(&with_setting("daemon", "access_token_lifetime = \"20d\"")).await;
    let long = machine_token(&world).await;
    let _ = reload(CONFIG).await;
    let _ =
        world.app.admin().rotate_key("signing", None, regrant_server::admin::KeyTurn::AtOnce).await.expect("rotated");
    for _ in 0..19 {
        world.advance(secs(DAY));
        let _ = tend(&world).await;
        assert_eq!(statuses(&world, "signing").await, ["verify", "current"]);
        assert!(is_active(&world, &long).await);
    }
    world.advance(secs(DAY + GRACE - 1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await, ["verify", "current"]);
    world.advance(secs(1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await, ["gone", "current"]);
}

/// Opaque access tokens: the old key opens them to their end, and goes a grace later.
#[tokio::test]
async fn a_sealing_key_lives_its_life_to_the_second() {
    let world = world().await;
    world.advance(secs(30 * DAY - 1));
    let _ = tend(&world).await;
    let old = text(&world.grant("opaque").await, "access_token");
    assert_eq!(statuses(&world, "sealing").await, ["current"]);
    world.advance(secs(1));
    assert_eq!(tend(&world).await, 1);
    assert_eq!(statuses(&world, "sealing").await, ["verify", "current"]);
    let young = text(&world.grant("opaque").await, "access_token");
    world.advance(secs(3600 - 2));
    assert!(is_active(&world, &old).await && is_active(&world, &young).await);
    world.advance(secs(GRACE + 1));
    assert_eq!((tend(&world).await, statuses(&world, "sealing").await), (0, vec!["verify".into(), "current".into()]));
    world.advance(secs(1));
    assert_eq!((tend(&world).await, statuses(&world, "sealing").await), (1, vec!["gone".into(), "current".into()]));
}

/// Law L4: a tag key goes only when every grant that lived while it was current has ended: one that was refreshed since, too, for its
/// spent tokens are under the old key. Until then `retire` says how many there are.
#[tokio::test]
async fn a_tag_key_goes_when_every_grant_that_lived_under_it_has_ended() {
    let world = world_with_keys("tag_rotation = \"30d\"").await;
    let admin = world.app.admin();
    let (rotated, reused) = (world.first("phone").await, world.first("web").await);
    world.advance(secs(29 * DAY));
    let live = next(world.refresh("phone", &rotated).await);
    let untouched = next(world.refresh("web", &reused).await);
    world.advance(secs(DAY - 1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "tag").await, ["current"]);
    world.advance(secs(1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "tag").await, ["verify", "current"]);
    // What is made a grace later is no concern of the old key.
    world.advance(secs(GRACE));
    let young = world.first("phone").await;
    assert_eq!(world.open(&young).tag_key, 2);
    let live = next(world.refresh("phone", &live).await);
    let retagged = next(world.refresh("web", &untouched).await);
    assert_ne!(retagged, untouched, "a reusable token is re-tagged at its next refresh");
    assert_eq!((world.row(&live).await.tag_key, world.row(&retagged).await.tag_key), (2, 2));
    let _ = next(world.refresh("web", &untouched).await);
    let counts: Vec<_> = keys(&world, "tag").await.into_iter().map(|key| key.grants).collect();
    assert_eq!(counts, [Some(2), Some(3)]);
    let refusal = admin.retire_key("tag", "1").await.expect_err("two grants hang on it").to_string();
    assert!(refusal.contains("2 living grants"), "{refusal}");
    assert_eq!(sweep(&world).await.tag_keys, 0);
    world.advance(secs(60));
    refused(&world.refresh("phone", &rotated).await, 400, "invalid_grant", "replayed");
    assert_eq!((sweep(&world).await.tag_keys, keys(&world, "tag").await[0].grants), (0, Some(1)));
    let _ = world.post("/oauth2/revoke", "web", &[("token", &untouched)], &[]).await.expect_status(200);
    assert_eq!(
        (sweep(&world).await.tag_keys, statuses(&world, "tag").await),
        (1, vec!["gone".into(), "current".into()])
    );
    refused(&world.refresh("phone", &rotated).await, 400, "invalid_grant", "not_ours");
    let _ = next(world.refresh("phone", &young).await);
}

/// A key that nobody needs may go before its time; one that is in use, or vouches for something that lives, may not.
#[tokio::test]
async fn retiring_a_key_is_refused_while_something_hangs_on_it() {
    let world = world().await;
    let admin = world.app.admin();
    for kind in ["tag", "seed", "sealing", "signing"] {
        let refusal = admin.retire_key(kind, "1").await.expect_err("it is in use").to_string();
        assert!(refusal.contains("is in use") && refusal.contains(&format!("regrant keys rotate {kind}")), "{refusal}");
        let turn = regrant_server::admin::KeyTurn::AtOnce;
        let _ = admin.rotate_key(kind, None, turn).await.expect("rotated");
    }
    for kind in ["sealing", "signing"] {
        let refusal = admin.retire_key(kind, "1").await.expect_err("its tokens may live").to_string();
        assert!(refusal.contains("2026-01-01T01:05:00Z"), "{refusal}");
    }
    for kind in ["tag", "seed"] {
        let _ = admin.retire_key(kind, "1").await.expect("no grant has ever lived");
        assert_eq!(statuses(&world, kind).await, ["gone", "current"]);
        let refusal = admin.retire_key(kind, "1").await.expect_err("it is gone").to_string();
        assert!(refusal.contains("gone already"), "{refusal}");
    }
    assert!(admin.retire_key("tag", "9").await.is_err() && admin.retire_key("lock", "1").await.is_err());
}

/// A successor that was announced by an operator takes its time, or takes over at once.
#[tokio::test]
async fn an_announced_key_takes_over_in_its_time_or_at_once() {
    use regrant_server::admin::KeyTurn::{Announced, AtOnce};
    let world = world().await;
    let admin = world.app.admin();
    let _ = admin.rotate_key("signing", None, Announced).await.expect("published");
    assert_eq!(statuses(&world, "signing").await, ["current", "next"]);
    assert!(admin.rotate_key("signing", None, Announced).await.is_err(), "one at a time");
    let done = admin.rotate_key("signing", None, AtOnce).await.expect("the published one takes over");
    assert!(done.notes.iter().any(|note| note.contains("unknown kid")), "{done:?}");
    assert_eq!(statuses(&world, "signing").await, ["verify", "current"]);
    let _ = admin.rotate_key("signing", None, AtOnce).await.expect("made and used at once");
    assert_eq!(statuses(&world, "signing").await, ["verify", "verify", "current"]);
    let _ = admin.rotate_key("signing", None, Announced).await.expect("published");
    world.advance(secs(DAY - 1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await[2..], ["current", "next"]);
    world.advance(secs(1));
    let _ = tend(&world).await;
    assert_eq!(statuses(&world, "signing").await[2..], ["verify", "current"]);
    assert!(admin.rotate_key("tag", Some("ES256"), AtOnce).await.is_err(), "only signing keys have an algorithm");
    assert!(admin.rotate_key("signing", Some("none"), AtOnce).await.is_err());
}

/// Checks T9, T10, law L4: a spent token is recognised through three rotations of every kind of key, sweeps and restarts.
#[tokio::test]
async fn a_spent_token_is_recognised_through_three_rotations_of_each_key() {
    use regrant_server::admin::KeyTurn::AtOnce;
    for client in ["web-single", "phone"] {
        // One of the two may be asked with every spent token, for a replay does not end its grant.
        let refusing = with_setting("web-single", "on_replay = \"refuse\"");
        let mut world = world().await.restart_with(Some(&refusing)).await;
        let first = world.first(client).await;
        let mut live = next(world.refresh(client, &first).await);
        let mut older = vec![first];
        for _ in 0..3 {
            for kind in ["tag", "seed", "sealing", "signing"] {
                let _ = world.app.admin().rotate_key(kind, None, AtOnce).await.expect("rotated");
            }
            world.advance(secs(2 * 3600));
            let _ = sweep(&world).await;
            world = world.restart().await;
            older.push(live.clone());
            let (access, refresh) = tokens(world.refresh(client, &live).await);
            assert!(is_active(&world, &access).await);
            live = refresh;
        }
        assert_eq!(statuses(&world, "tag").await, ["verify", "verify", "verify", "current"]);
        world.advance(secs(3600));
        if client == "web-single" {
            for token in &older[..older.len() - 1] {
                refused(&world.refresh(client, token).await, 400, "invalid_grant", "replay_refused");
            }
            let _ = next(world.refresh(client, &live).await);
        } else {
            refused(&world.refresh(client, &older[0]).await, 400, "invalid_grant", "replayed");
            refused(&world.refresh(client, &live).await, 400, "invalid_grant", "refresh_replayed");
        }
    }
}
