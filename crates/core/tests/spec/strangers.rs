//! Whose token is it? RFC 6749 section 6: "ensure that the refresh token was issued to the authenticated client"; section 10.4:
//! "The authorization server MUST verify the binding between the refresh token and client identity whenever possible."
//!
//! A stranger learns nothing of the grant and changes nothing of it, whatever the age of what he found (law L11).

use regrant_core::client::Class;
use regrant_core::decision::Change;
use regrant_core::refresh;
use regrant_core::token::RefreshToken;
use regrant_core::{Decision, EventKind, GrantId, Refusal};

use crate::world::{START, World, client, days, entropy, hash, seconds, with_another_seed};

/// Live, just replaced, spent, with a foreign seed, from the future, never minted.
fn of_all_ages(world: &mut World) -> Vec<RefreshToken> {
    let first = world.first.clone();
    let second = world.after(days(1)).rotate(&first);
    let third = world.after(days(1)).rotate(&second);
    let future = RefreshToken { generation: 4, ..third.clone() };
    let never = RefreshToken { generation: 0, ..third.clone() };
    vec![first, second, with_another_seed(&third), third, future, never]
}

fn assert_nothing_happened<T: std::fmt::Debug>(decision: Decision<T>, expected: Refusal) {
    assert_eq!(decision.write.change(), Change::Nothing);
    let told = decision.event.map(|event| event.kind);
    let expected_event = (expected != Refusal::UnknownGrant).then_some(EventKind::Refused(expected));
    assert_eq!(
        told, expected_event,
        "a genuine token in other hands is told of once a minute; any other one is a log line"
    );
    assert_eq!(decision.outcome.map(|_| ()).expect_err("a stranger"), expected);
}

/// Checks T14, L11: 25 clients present 25 grants' tokens; only the diagonal is answered, and off it nothing is written,
/// whatever the token's age, class and policy.
#[test]
fn no_client_can_use_or_end_anothers_grant() {
    let clients: Vec<_> = (0..25)
        .map(|number| client(&format!("app-{number}"), [Class::Public, Class::Secret, Class::Key][number % 3]))
        .collect();
    let worlds: Vec<_> = clients.iter().map(|client| World::of(client.clone())).collect();
    for (row, world) in worlds.iter().enumerate() {
        let mut world = world.clone();
        let tokens = of_all_ages(&mut world);
        for (column, client) in clients.iter().enumerate() {
            for token in &tokens {
                let decision = world.decide_as(token, client, &entropy(99));
                if row == column {
                    assert_ne!(decision.outcome.map(|_| ()), Err(Refusal::OtherClient));
                } else {
                    let asker = decision.event.as_ref().and_then(|event| event.client.as_ref());
                    assert_eq!(asker, Some(&client.id), "told of is who asked, and not whose it is");
                    assert_nothing_happened(decision, Refusal::OtherClient);
                }
            }
        }
    }
}

/// Checks T17, L11: without the key it is bound to, a token does nothing, spent or live.
#[test]
fn a_bound_token_without_its_key_changes_nothing() {
    let mut world = World::bound();
    let tokens = of_all_ages(&mut world);
    for other in [None, Some(hash("other"))] {
        world.sends.holder_key = other;
        for token in &tokens {
            assert_nothing_happened(world.decide(token), Refusal::OtherKey);
        }
    }
}

/// Check T18: the right `Idempotency-Key` does not make up for another holder's key.
#[test]
fn an_idempotency_key_does_not_stand_for_the_holders_key() {
    let mut world = World::bound();
    world.sends.idempotency_key = Some(hash("one"));
    let first = world.first.clone();
    world.rotate(&first);
    world.sends.holder_key = Some(hash("other"));
    assert_nothing_happened(world.decide(&first), Refusal::OtherKey);
}

/// Who is asked first: a stranger is told the same whether the grant lives, has ended or is over, and whatever he asks for.
#[test]
fn a_stranger_is_answered_alike_in_every_state() {
    let mut world = World::public();
    let tokens = of_all_ages(&mut world);
    let mut stranger = client("stranger", Class::Public);
    stranger.disabled = true;
    for moment in [world.now, START.plus(days(400))] {
        let mut world = world.at(moment);
        world.sends.scope = Some(crate::world::scope("admin"));
        for token in &tokens {
            assert_nothing_happened(world.decide_as(token, &stranger, &entropy(1)), Refusal::OtherClient);
        }
    }
}

/// A token whose grant is not there, or whose number now has another random half, is unknown.
#[test]
fn a_token_of_a_grant_that_is_not_there_is_unknown() {
    let mut world = World::public();
    let first = world.first.clone();
    let none = regrant_core::Resources::default();
    let request =
        refresh::Request { token: &first, scope: None, resources: &none, idempotency_key: None, holder_key: None };
    let absent = refresh::decide(None, &request, &world.client, &world.keys, START, &entropy(1));
    assert_nothing_happened(absent, Refusal::UnknownGrant);
    for id in [GrantId { number: 1, random: 3 }, GrantId { number: 2, random: 2 }] {
        let other = RefreshToken { grant: id, ..first.clone() };
        assert_nothing_happened(world.decide(&other), Refusal::UnknownGrant);
    }
    assert!(world.after(seconds(1)).refresh(&first).is_ok());
}
