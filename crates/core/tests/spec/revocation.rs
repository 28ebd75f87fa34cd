//! RFC 7009, Token Revocation, section 2.1: "The authorization server first validates the client credentials […] and then
//! verifies whether the token was issued to the client making the revocation request. If this validation fails, the request
//! is refused". Section 2.2: "invalid tokens do not cause an error response".

use regrant_core::client::Class;
use regrant_core::decision::Change;
use regrant_core::grant::EndReason;
use regrant_core::keys::KeyStatus;
use regrant_core::token::RefreshToken;
use regrant_core::{ClientId, Decision, EventKind, Refusal, revoke};

use crate::world::{START, World, client, days, entropy, grant_with_code, keys, seconds, with_another_seed};

fn revoke(world: &World, token: &RefreshToken, client: &ClientId) -> Decision<()> {
    revoke::decide(Some(&world.grant), token, client, &world.keys, world.now, &entropy(1000))
}

/// A world with the tokens of generations 1, 2 and 3, the last of which lives.
fn three_generations() -> (World, [RefreshToken; 3]) {
    let mut world = World::public();
    let first = world.first.clone();
    let second = world.after(days(1)).rotate(&first);
    let third = world.after(days(1)).rotate(&second);
    (world, [first, second, third])
}

/// Checks T22, L9: any genuine generation of the caller's own grant ends it, and nothing is issued afterwards.
#[test]
fn any_genuine_generation_ends_its_grant() {
    let (world, tokens) = three_generations();
    for token in &tokens {
        let mut world = world.clone();
        let decision = revoke(&world, token, &world.client.id);
        assert_eq!(decision.write.change(), Change::Ended);
        let kind = EventKind::GrantEnded(EndReason::RevokedByClient);
        assert_eq!(decision.event.as_ref().map(|event| event.kind), Some(kind));
        world.carry_out(decision).expect("his own");
        assert_eq!(world.grant.ratchet, None);
        for token in &tokens {
            assert_eq!(world.refresh(token).map(|_| ()), Err(Refusal::Ended(EndReason::RevokedByClient)));
        }
    }
}

/// Checks O4, L11: nobody ends another client's grant.
#[test]
fn a_stranger_ends_nothing() {
    let (world, tokens) = three_generations();
    let stranger = client("stranger", Class::Public).id;
    for token in &tokens {
        let decision = revoke(&world, token, &stranger);
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(decision.event.map(|event| event.kind), Some(EventKind::Refused(Refusal::OtherClient)));
        assert_eq!(decision.outcome, Err(Refusal::OtherClient));
    }
}

/// RFC 7009 section 2.2: "the purpose of the revocation request, invalidating the particular token, is already achieved". The
/// first reason stays.
#[test]
fn revoking_twice_is_fine_and_changes_nothing() {
    let (mut world, [_, _, live]) = three_generations();
    let first = revoke(&world, &live, &world.client.id);
    world.carry_out(first).expect("his own");
    let ended = world.grant.clone();
    let again = revoke(&world, &live, &world.client.id);
    assert_eq!((again.write.change(), again.event, again.outcome), (Change::Nothing, None, Ok(())));
    let operator = revoke::end(&world.grant, EndReason::RevokedByOperator, "", world.now, &entropy(1));
    assert_eq!((operator.write.change(), operator.outcome), (Change::Nothing, Ok(())));
    assert_eq!(world.grant, ended);
}

/// An operator, a user: each reason is kept with its time, and told once.
#[test]
fn a_grant_is_ended_for_a_stated_reason() {
    for reason in [EndReason::RevokedByOperator, EndReason::RevokedByUser] {
        let mut world = World::public();
        let first = world.first.clone();
        let decision = revoke::end(&world.grant, reason, "ticket 7", world.now, &entropy(1000));
        assert_eq!(
            decision.event.as_ref().map(|event| (event.kind, event.detail.as_str())),
            Some((EventKind::GrantEnded(reason), "ticket 7"))
        );
        world.carry_out(decision).expect("nothing refuses it");
        assert_eq!(world.grant.ended, Some((START, reason)));
        assert_eq!(world.refresh(&first).map(|_| ()), Err(Refusal::Ended(reason)));
    }
}

/// What was never minted revokes nothing, and raises an alarm.
#[test]
fn a_token_from_the_future_revokes_nothing() {
    let (world, [_, _, live]) = three_generations();
    let strange = [
        RefreshToken { generation: 0, ..live.clone() },
        RefreshToken { generation: 4, ..live.clone() },
        RefreshToken { generation: u32::MAX, ..live.clone() },
        RefreshToken { era: 1, ..live },
    ];
    for token in &strange {
        let decision = revoke(&world, token, &world.client.id);
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(decision.event.as_ref().map(|event| event.kind), Some(EventKind::AlarmAt(Refusal::Unissued)));
        assert_eq!(decision.outcome, Err(Refusal::Unissued));
    }
    let (grant, _) = grant_with_code(&world.client, &world.keys, "openid", &[]);
    let world = World { grant, ..world };
    assert_eq!(revoke(&world, &world.first, &world.client.id).outcome, Err(Refusal::Unissued));
}

/// Check T35: under a compromised tag key only the live seed is proof of anything.
#[test]
fn under_a_compromised_key_only_the_live_token_revokes() {
    let (mut world, [first, second, live]) = three_generations();
    world.keys = keys(0, &[(1, KeyStatus::Compromised), (2, KeyStatus::Current)]).into();
    for token in [&first, &second, &with_another_seed(&live)] {
        let decision = revoke(&world, token, &world.client.id);
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(decision.outcome, Err(Refusal::SpentUnderCompromisedKey));
    }
    assert_eq!(revoke(&world, &live, &world.client.id).write.change(), Change::Ended);
}

/// A grant that is not there, or whose number is another's by now, is unknown.
#[test]
fn an_unknown_grant_is_not_ended() {
    let world = World::public();
    let absent = revoke::decide(None, &world.first, &world.client.id, &world.keys, START, &entropy(1));
    assert_eq!((absent.write.change(), absent.outcome), (Change::Nothing, Err(Refusal::UnknownGrant)));
    let mut other = world.first.clone();
    other.grant.random += 1;
    assert_eq!(revoke(&world, &other, &world.client.id).outcome, Err(Refusal::UnknownGrant));
}

/// A grant that is over by its clocks may still be ended: the client hears that nothing lives, which is true.
#[test]
fn an_expired_grant_may_be_ended_too() {
    let mut world = World::public();
    let first = world.first.clone();
    world.after(days(500)).after(seconds(1));
    assert_eq!(revoke(&world, &first, &world.client.id).write.change(), Change::Ended);
}
