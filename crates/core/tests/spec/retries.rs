//! Presenting a predecessor again: who may, how long, how often; and who is only late.
//!
//! FAPI 2.0 section 5.3.2.1 asks for a way to recover a lost answer "if credentials are rotated"; RFC 9700 section 4.14.2 for
//! the detection of replays. The retry rule, class by class, is where the two meet.

use regrant_core::decision::Change;
use regrant_core::refresh::{How, MAX_RETRIES, RETRY_AFTER, STRAGGLER_WINDOW, UNCOUNTED};
use regrant_core::token::RefreshToken;
use regrant_core::{EventKind, Refusal};

use crate::world::{START, World, days, hash, keys, millis, seconds, seeded_keys, with_another_seed};
use regrant_core::keys::KeyStatus;

const STRAGGLER: Refusal = Refusal::Straggler { retry_after: RETRY_AFTER };

/// A world whose first token was just replaced, with both tokens.
fn just_rotated(mut world: World) -> (World, RefreshToken, RefreshToken) {
    let first = world.first.clone();
    let second = world.rotate(&first);
    (world, first, second)
}

fn outcome(world: &mut World, token: &RefreshToken) -> Result<How, Refusal> {
    world.refresh(token).map(|answer| answer.how)
}

/// Checks T8, L3: whatever proves itself by a key, a secret or the same `Idempotency-Key` may ask again for as long as
/// nobody has presented the successor, and always hears the same one.
#[test]
fn bound_clients_may_ask_again_until_the_idle_clock_ends() {
    for world in [World::key(), World::secret(), World::bound(), World::public_with_idempotency_key()] {
        let (mut world, first, second) = just_rotated(world);
        for pause in [millis(0), seconds(5), seconds(60), days(1), days(28)] {
            let again = world.after(pause).refresh(&first).expect("a retry");
            assert_eq!((again.how, again.token), (How::Retried, second.clone()));
        }
        let end = world.grant.idle_at;
        assert_eq!(outcome(&mut world.at(end), &first), Err(Refusal::IdleExpired), "always ends with the idle clock");
    }
}

/// Checks T9, L4: once the successor was presented, the predecessor never works again, whoever holds it.
#[test]
fn the_last_but_one_is_never_answered() {
    for world in World::of_each_class() {
        let (mut world, first, second) = just_rotated(world);
        let _third = world.rotate(&second);
        for pause in [millis(0), seconds(29), seconds(30), seconds(60), days(1)] {
            let outcome = outcome(&mut world.at(world.now.plus(pause)), &first);
            assert!(matches!(outcome, Err(STRAGGLER | Refusal::Replayed | Refusal::ReplayRefused)), "{outcome:?}");
        }
    }
}

/// Check T8: a plain public client may ask again within 60 s of the rotation, to the millisecond; afterwards it is a replay,
/// or late if its last answer was given a moment ago.
#[test]
fn a_plain_public_client_has_its_window() {
    let (mut world, first, second) = just_rotated(World::public());
    let rotated_at = world.now;
    for (after, expected) in [
        (millis(0), Ok(How::Retried)),
        (millis(59_999), Ok(How::Retried)),
        (millis(60_000), Err(Refusal::Replayed)),
        (millis(60_001), Err(Refusal::Replayed)),
    ] {
        assert_eq!(outcome(&mut world.at(rotated_at.plus(after)), &first), expected, "{after:?}");
    }
    world.now = rotated_at.plus(millis(59_999));
    assert_eq!(world.refresh(&first).expect("a retry").token, second);
    for (after, expected) in
        [(millis(60_000), Err(STRAGGLER)), (millis(89_998), Err(STRAGGLER)), (millis(89_999), Err(Refusal::Replayed))]
    {
        assert_eq!(outcome(&mut world.at(rotated_at.plus(after)), &first), expected, "{after:?}");
    }
}

/// Check T19: after the first answer there are three counted retries; the fourth is 503 inside the window, nothing is revoked,
/// and the live token works on.
#[test]
fn the_fourth_counted_retry_is_asked_to_come_again() {
    let (mut world, first, second) = just_rotated(World::public());
    world.after(UNCOUNTED);
    for counted in 1..=MAX_RETRIES {
        assert_eq!(outcome(&mut world, &first), Ok(How::Retried));
        assert_eq!(world.grant.retries, counted);
    }
    // "Always", also long after the last answer: 54 s later, where a predecessor without this excuse would be spent.
    for after in [millis(5_000), millis(35_000), millis(59_999)] {
        let mut world = world.at(START.plus(after));
        let fourth = world.decide(&first);
        assert_eq!(fourth.write.change(), Change::Nothing);
        assert_eq!(fourth.event.as_ref().map(|event| event.kind), Some(EventKind::Straggler));
        assert_eq!(world.carry_out(fourth).map(|_| ()), Err(STRAGGLER));
        assert_eq!(outcome(&mut world, &second), Ok(How::Rotated));
    }
    assert_eq!(outcome(&mut world.at(START.plus(seconds(60))), &first), Err(Refusal::Replayed));
}

/// Check T19: duplicates within the first 5 s are neither counted nor written; from 5 s on they are.
#[test]
fn double_clicks_are_not_counted() {
    let (mut world, first, second) = just_rotated(World::public());
    let row = world.grant.clone();
    world.now = START.plus(millis(4_999));
    for _ in 0..100 {
        let again = world.decide(&first);
        assert_eq!(again.write.change(), Change::Nothing);
        assert_eq!(world.carry_out(again).expect("a duplicate").token, second);
    }
    assert_eq!(world.grant, row);
    assert_eq!(world.after(millis(1)).decide(&first).write.change(), Change::Retried);
    world.grant.retries = MAX_RETRIES;
    assert_eq!(outcome(&mut world.at(START.plus(millis(4_999))), &first), Ok(How::Retried), "counted ones aside");
    assert_eq!(outcome(&mut world, &first), Err(STRAGGLER));
}

/// What a retry writes: when it was answered, and that it was counted. No clock, no generation.
#[test]
fn a_retry_extends_no_clock() {
    let (mut world, first, _) = just_rotated(World::public());
    let before = world.grant.clone();
    world.after(seconds(10)).refresh(&first).expect("a retry");
    let after = world.grant.clone();
    assert_eq!((after.answered_at, after.retries), (world.now, 1));
    let expected = regrant_core::Grant {
        version: after.version,
        write_id: after.write_id,
        answered_at: after.answered_at,
        retries: after.retries,
        ..before
    };
    assert_eq!(after, expected);
}

/// `retry_window = 0`: no retry at all, and still nobody who is only late loses his grant.
#[test]
fn without_a_window_the_predecessor_is_only_late() {
    let mut world = World::public();
    world.client.policy.retry_window = millis(0);
    let (mut world, first, second) = just_rotated(world);
    for (after, expected) in
        [(millis(0), Err(STRAGGLER)), (millis(29_999), Err(STRAGGLER)), (millis(30_000), Err(Refusal::Replayed))]
    {
        assert_eq!(outcome(&mut world.at(START.plus(after)), &first), expected);
    }
    assert_eq!(outcome(&mut world, &second), Ok(How::Rotated));
}

/// The window is the setting, to the millisecond.
#[test]
fn the_window_is_the_setting() {
    let mut world = World::public();
    world.client.policy.retry_window = seconds(10);
    let (world, first, _) = just_rotated(world);
    assert_eq!(outcome(&mut world.at(START.plus(millis(9_999))), &first), Ok(How::Retried));
    assert_eq!(outcome(&mut world.at(START.plus(millis(10_000))), &first), Err(STRAGGLER));
}

/// Check T18: the same `Idempotency-Key` is the proof; another or none is late for 30 s after the last answer, then a replay.
#[test]
fn only_the_same_idempotency_key_is_answered() {
    let (mut world, first, second) = just_rotated(World::public_with_idempotency_key());
    world.after(days(2));
    assert_eq!(world.refresh(&first).expect("the same key").token, second);
    let answered_at = world.now;
    for other in [None, Some(hash("two"))] {
        world.sends.idempotency_key = other;
        for (after, expected) in
            [(millis(0), Err(STRAGGLER)), (millis(29_999), Err(STRAGGLER)), (millis(30_000), Err(Refusal::Replayed))]
        {
            assert_eq!(outcome(&mut world.at(answered_at.plus(after)), &first), expected);
        }
    }
}

/// Check T18: the request that rotates decides. A later key is no proof, and without one the plain rule holds.
#[test]
fn a_key_that_comes_late_proves_nothing() {
    let (mut world, first, _) = just_rotated(World::public());
    world.sends.idempotency_key = Some(hash("late"));
    assert_eq!(outcome(&mut world.at(START.plus(seconds(59))), &first), Ok(How::Retried));
    assert_eq!(outcome(&mut world.at(START.plus(seconds(60))), &first), Err(Refusal::Replayed));
}

/// Only plain public clients are read for it: nobody else's rule may depend on a header.
#[test]
fn clients_with_a_proof_of_their_own_need_no_idempotency_key() {
    for mut world in [World::key(), World::secret(), World::bound()] {
        world.sends.idempotency_key = Some(hash("one"));
        let (mut world, first, _) = just_rotated(world);
        assert_eq!(world.grant.retry_proof, None);
        world.sends.idempotency_key = Some(hash("two"));
        assert_eq!(outcome(world.after(days(1)), &first), Ok(How::Retried));
    }
}

/// Each rotation has its own key, and its own count.
#[test]
fn each_rotation_begins_anew() {
    let (mut world, first, second) = just_rotated(World::public_with_idempotency_key());
    world.after(seconds(10)).refresh(&first).expect("counted");
    assert_eq!(world.grant.retries, 1);
    world.sends.idempotency_key = Some(hash("two"));
    let third = world.rotate(&second);
    assert_eq!((world.grant.retries, world.grant.retry_proof), (0, Some(hash("two"))));
    assert_eq!(world.after(days(1)).refresh(&second).expect("its key").token, third);
    world.sends.idempotency_key = None;
    let _fourth = world.rotate(&third);
    assert_eq!(world.grant.retry_proof, None, "rotated without a key: the plain rule");
}

/// A forged predecessor leads nowhere: within the rule it is late for 30 s, then a replay.
#[test]
fn a_predecessor_that_leads_elsewhere_is_not_answered() {
    for world in World::of_each_class() {
        let (world, first, _) = just_rotated(world);
        let forged = with_another_seed(&first);
        assert_eq!(outcome(&mut world.at(START.plus(millis(29_999))), &forged), Err(STRAGGLER));
        let later = outcome(&mut world.at(START.plus(millis(30_000))), &forged);
        assert!(matches!(later, Err(Refusal::Replayed | Refusal::ReplayRefused)), "{later:?}");
    }
}

/// Check T4: a worker whose request was overtaken by two rotations is asked to come again, and goes on with the token that is
/// in his store by then.
#[test]
fn a_worker_who_lost_the_race_goes_on() {
    let (mut world, first, second) = just_rotated(World::public());
    let third = world.after(seconds(100)).rotate(&second);
    for (after, expected) in [(millis(29_999), Err(STRAGGLER)), (millis(30_000), Err(Refusal::Replayed))] {
        assert_eq!(
            outcome(&mut world.at(world.now.plus(after)), &first),
            expected,
            "two behind: since the last answer"
        );
    }
    assert_eq!(outcome(world.after(seconds(1)), &first), Err(STRAGGLER));
    assert_eq!(outcome(&mut world, &third), Ok(How::Rotated));
}

/// Check T4: any older token is late only while both stored rotations are less than 30 s old.
#[test]
fn three_behind_is_late_only_in_a_burst() {
    let (mut world, first, second) = just_rotated(World::public());
    let third = world.after(seconds(100)).rotate(&second);
    let previously = world.now;
    world.after(seconds(10)).rotate(&third);
    for (moment, expected) in [
        (world.now, Err(STRAGGLER)),
        (previously.plus(millis(29_999)), Err(STRAGGLER)),
        (previously.plus(STRAGGLER_WINDOW), Err(Refusal::Replayed)),
    ] {
        assert_eq!(outcome(&mut world.at(moment), &first), expected);
    }
    world.grant.previously_rotated_at = START;
    assert_eq!(outcome(&mut world, &first), Err(Refusal::Replayed), "one recent rotation is no burst");
}

/// The sweep may erase the ratchet when the rule has run out: the predecessor is then spent, and nothing else changes.
#[test]
fn without_a_ratchet_nothing_is_answered_again() {
    let (mut world, first, second) = just_rotated(World::secret());
    world.grant.ratchet = None;
    assert_eq!(outcome(&mut world.at(START.plus(seconds(29))), &first), Err(STRAGGLER));
    assert_eq!(outcome(&mut world.at(START.plus(seconds(30))), &first), Err(Refusal::Replayed));
    assert_eq!(outcome(&mut world, &second), Ok(How::Rotated));
}

/// A seed key that is not here yet is a 503; one that is gone for good is refused, and neither is called a replay.
#[test]
fn a_missing_seed_key_is_no_replay() {
    let (mut world, first, second) = just_rotated(World::secret());
    let tags = [(1, KeyStatus::Current)];
    world.after(days(2));
    for (held, expected) in [(&[2][..], Refusal::SeedKeyGone), (&[0], Refusal::SeedKeyNotYet)] {
        world.keys = seeded_keys(0, &tags, held).into();
        let decision = world.decide(&first);
        assert_eq!(decision.write.change(), Change::Nothing);
        let told = decision.event.as_ref().map(|event| event.kind);
        // That it is not here yet is no news of the grant.
        assert_eq!(told, (expected == Refusal::SeedKeyGone).then_some(EventKind::Refused(expected)));
        assert_eq!(world.carry_out(decision).map(|_| ()), Err(expected));
    }
    world.keys = seeded_keys(0, &tags, &[2, 3]).into();
    let third = world.rotate(&second);
    assert_eq!(world.grant.seed_key, 3, "a rotation takes the newest seed key");
    assert_eq!(world.refresh(&second).expect("a retry by the row's seed key").token, third);
}

/// A rotation of the seed keys between an answer and its retry changes nothing: the row names its key.
#[test]
fn a_retry_survives_the_rotation_of_seed_keys() {
    let (mut world, first, second) = just_rotated(World::secret());
    world.keys = seeded_keys(0, &[(1, KeyStatus::Current)], &[1, 2, 3]).into();
    assert_eq!(world.after(days(3)).refresh(&first).expect("a retry").token, second);
}

/// A retry survives the rotation of tag keys too, and says the very text of the first answer.
#[test]
fn a_retry_is_the_same_text_after_the_rotation_of_tag_keys() {
    let (mut world, first, second) = just_rotated(World::secret());
    let text = second.text(&world.keys);
    world.keys = keys(0, &[(1, KeyStatus::Verify), (2, KeyStatus::Current)]).into();
    let again = world.after(days(3)).refresh(&first).expect("a retry").token;
    assert_eq!(again.text(&world.keys), text);
    assert_eq!(world.rotate(&again).tag_key, 2);
}
