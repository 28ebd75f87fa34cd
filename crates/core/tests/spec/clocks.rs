//! When it all ends: the clocks of a grant, the lifetime of its access tokens, and what a clock that steps back can do.
//!
//! RFC 6749 section 5.1: "expires_in […] The lifetime in seconds of the access token." What is announced is what is enforced.

use proptest::prelude::*;
use regrant_core::client::Class;
use regrant_core::grant::EndReason;
use regrant_core::issue::SubjectStatus;
use regrant_core::refresh::{MAX_RETRIES, expires_in};
use regrant_core::secret::Entropy;
use regrant_core::{Policy, Refusal, Timestamp};

use crate::rotation::one_of_each_age;
use crate::world::{START, World, days, entropy, millis, seconds};

/// Check T32: a grant is over at the instant of its idle clock, which each refresh winds, and at that of its absolute clock,
/// which none does.
#[test]
fn the_clocks_end_a_grant_to_the_millisecond() {
    let mut world = World::public();
    let first = world.first.clone();
    let idle = Policy::IDLE_LIFETIME;
    assert!(world.at(START.plus(idle).minus(millis(1))).refresh(&first).is_ok());
    assert_eq!(world.at(START.plus(idle)).refresh(&first).map(|_| ()), Err(Refusal::IdleExpired));

    let absolute = START.plus(Policy::ABSOLUTE_LIFETIME);
    let mut live = first;
    for _ in 0..12 {
        live = world.after(days(30).saturating_sub(millis(1))).rotate(&live);
        assert_eq!(world.grant.absolute_at, absolute, "no refresh extends it");
        assert_eq!(world.grant.idle_at, world.now.plus(idle).min(absolute));
    }
    assert!(world.at(absolute.minus(millis(1))).refresh(&live).is_ok());
    assert_eq!(world.at(absolute).refresh(&live).map(|_| ()), Err(Refusal::AbsoluteExpired));
    assert_eq!(world.at(absolute.plus(days(9))).refresh(&live).map(|_| ()), Err(Refusal::AbsoluteExpired));
}

/// What a user allows until a time ends at its instant.
#[test]
fn what_was_allowed_until_then_ends_then() {
    let (mut world, end) = (World::public(), START.plus(days(1)));
    world.subject = SubjectStatus::Until(end);
    let first = world.first.clone();
    assert!(world.at(end.minus(millis(1))).refresh(&first).is_ok());
    assert_eq!(world.at(end).refresh(&first).map(|_| ()), Err(Refusal::ConsentOver));
}

/// Check T39: the earlier of the two clocks is what `refresh_token_expires_in` announces, also on a retry.
#[test]
fn what_is_announced_is_what_is_enforced() {
    let mut world = World::public();
    let first = world.first.clone();
    let answer = world.after(days(1)).refresh(&first).expect("live");
    assert_eq!(answer.grant.ends_at(), world.now.plus(Policy::IDLE_LIFETIME));
    let ends_at = answer.grant.ends_at();
    let again = world.after(seconds(59)).refresh(&first).expect("a retry");
    assert_eq!(again.grant.ends_at(), ends_at, "a retry extends no clock");
    for (moment, works) in [(ends_at.minus(seconds(1)), true), (ends_at.plus(seconds(1)), false)] {
        assert_eq!(world.at(moment).refresh(&again.token).is_ok(), works);
    }
}

/// Changed lifetimes act at the next rotation, and never on the absolute end.
#[test]
fn changed_lifetimes_act_at_the_next_rotation() {
    let mut world = World::public();
    let first = world.first.clone();
    (world.client.policy.idle_lifetime, world.client.policy.absolute_lifetime) = (days(1), days(2));
    let second = world.after(days(20)).rotate(&first);
    assert_eq!(world.grant.idle_at, world.now.plus(days(1)));
    assert_eq!(world.grant.absolute_at, START.plus(Policy::ABSOLUTE_LIFETIME));
    assert_eq!(world.after(days(1)).refresh(&second).map(|_| ()), Err(Refusal::IdleExpired));
}

/// Checks N3, L10: a clock that steps back underflows nothing and revives nothing that has ended.
#[test]
fn a_clock_that_steps_back_revives_nothing() {
    for mut world in World::of_each_class() {
        let ages = one_of_each_age(&mut world);
        let ended = {
            let mut world = world.clone();
            world.grant.ended = Some((world.now, EndReason::RevokedByUser));
            world
        };
        for back in [seconds(1), seconds(3600), days(20_000), days(u64::from(u32::MAX))] {
            let past = world.now.minus(back);
            for token in &ages {
                let outcome = world.at(past).refresh(token).map(|answer| answer.token.generation);
                assert!(matches!(outcome, Err(_) | Ok(3 | 4)), "{outcome:?}");
                assert_eq!(ended.at(past).refresh(token).map(|_| ()), Err(Refusal::Ended(EndReason::RevokedByUser)));
            }
        }
        for extreme in [Timestamp::from_millis(i64::MIN), Timestamp::MAX] {
            for token in &ages {
                let _ = world.at(extreme).refresh(token);
            }
        }
    }
}

/// Public clients' access tokens live 80 to 100 % of the setting, so that a thief cannot time the window; others' all of it.
#[test]
fn the_lifetime_of_access_tokens_is_spread_for_plain_public_clients() {
    let (mut shortest, mut longest) = (u64::MAX, 0);
    let world = World::public();
    for number in 0..20_000 {
        let seconds = expires_in(&world.grant, &world.client.policy, START, &entropy(number));
        (shortest, longest) = (shortest.min(seconds), longest.max(seconds));
    }
    assert!((2880..2890).contains(&shortest) && (3590..=3600).contains(&longest), "{shortest} to {longest}");
    for world in [World::secret(), World::key(), World::bound()] {
        assert_eq!(expires_in(&world.grant, &world.client.policy, START, &entropy(9)), 3600);
    }
}

/// The draw is new for each answer, also for a retry.
#[test]
fn a_retry_draws_its_own_lifetime() {
    let mut world = World::public();
    let first = world.first.clone();
    let rotated = world.refresh(&first).expect("live").expires_in;
    let drawn: std::collections::BTreeSet<_> =
        (0..MAX_RETRIES).map(|_| world.after(seconds(6)).refresh(&first).expect("a retry").expires_in).collect();
    assert!(drawn.len() > 1 || !drawn.contains(&rotated));
}

proptest! {
    /// Check N5: `expires_in` is in (0, setting], and never behind the absolute end by a whole second.
    #[test]
    fn expires_in_is_positive_and_within_the_setting(
        lifetime in 1_u64..=u64::MAX / 1000,
        left in 1_i64..=400_000_000_000,
        bytes in any::<[u8; 44]>(),
        class in prop::sample::select(vec![Class::Key, Class::Secret, Class::Public]),
    ) {
        let mut world = World::public();
        world.client.policy = Policy { access_token_lifetime: seconds(lifetime), ..Policy::of(class) };
        world.grant.absolute_at = START.plus(millis(left.unsigned_abs()));
        let seconds = expires_in(&world.grant, &world.client.policy, START, &Entropy::from_bytes(&bytes));
        prop_assert!(seconds >= 1 && seconds <= lifetime);
        prop_assert!(seconds <= (left.unsigned_abs() / 1000).max(1));
        prop_assert!(seconds >= (lifetime - lifetime / 5).min(left.unsigned_abs() / 1000));
    }
}
