//! After a restore from an older copy: what an operator has decided, and what each holder can prove.
//!
//! A story here has two rows: the one that was lost, and the one that the copy brought back.

use regrant_core::grant::EndReason;
use regrant_core::keys::KeyStatus;
use regrant_core::recovery::{self, Doubt, Recovery, Unproven};
use regrant_core::refresh::How;
use regrant_core::token::RefreshToken;
use regrant_core::{Change, EventKind, Grant, Refusal, revoke};

use crate::world::{World, grant_with_code, hash, keys, seconds, with_another_seed};

/// The grant as the copy brought it back, in the era that an operator has opened, an hour after the loss.
fn restored(copy: &World, lost: &World, unproven: Unproven) -> World {
    let recovery = Recovery { lost_from: copy.now, lost_until: lost.now, unproven };
    let keys = keys(1, &[(1, KeyStatus::Current)]).with_recovery(Some(recovery));
    let mut world = World { keys: keys.into(), drawn: lost.drawn + 100, ..copy.clone() };
    world.now = lost.now;
    world.after(seconds(3600));
    world
}

/// A grant at generation 3 when the copy was made, and at generation 5 when the store was lost: what the copy brings back, the
/// token that is live by the copy, and the newest one.
fn story(mut world: World, unproven: Unproven) -> (World, RefreshToken, RefreshToken) {
    let mut token = world.first.clone();
    for _ in 0..2 {
        world.after(seconds(3600));
        token = world.rotate(&token);
    }
    let (copy, known) = (world.clone(), token.clone());
    for _ in 0..2 {
        world.after(seconds(3600));
        token = world.rotate(&token);
    }
    (restored(&copy, &world, unproven), known, token)
}

const BOTH: [Unproven; 2] = [Unproven::End, Unproven::Accept];

/// Check Z15: holders of a key roll forward, whatever the setting; their retries and replays are judged as ever.
#[test]
fn a_holder_of_a_key_rolls_forward_and_goes_on() {
    for unproven in BOTH {
        for start in [World::key(), World::bound()] {
            let (mut world, known, newest) = story(start, unproven);
            let decision = world.decide(&newest);
            assert_eq!(decision.write.change(), Change::Rotated);
            assert_eq!(
                decision.event.as_ref().map(|event| event.kind),
                Some(EventKind::Alarm),
                "an operator can count them"
            );
            let next = world.carry_out(decision).expect("it rolls forward").token;
            assert_eq!((next.generation, next.era, world.grant.era), (newest.generation + 1, 1, 1));
            let again = world.refresh(&newest).expect("a lost answer");
            assert_eq!((again.how, &again.token), (How::Retried, &next));
            let mut world_after = world.clone();
            world_after.after(seconds(3600));
            assert!(world_after.refresh(&known).is_err(), "what was superseded stays superseded");
            assert!(world.refresh(&next).is_ok());
        }
    }
}

/// Check Z15: a code whose redemption was lost is a session like another one: it has both clocks, of the time when the code was made, and
/// an access token that lives.
#[test]
fn a_lost_redemption_is_rolled_forward_with_both_clocks() {
    for unproven in BOTH {
        let mut world = World::key();
        let (code, _) = grant_with_code(&world.client, &world.keys, "openid profile", &["https://api.example/"]);
        world.after(seconds(3600));
        let code = Grant { id: world.grant.id, ..code };
        let (made, absolute) = (code.terms.created_at, world.client.policy.absolute_lifetime);
        let copy = World { grant: code, ..world.clone() };
        let mut back = restored(&copy, &world, unproven);
        let answer = back.refresh(&world.first).expect("it rolls forward");
        assert!(answer.expires_in > 60, "{answer:?}");
        assert_eq!((back.grant.absolute_at, back.grant.redeemed_at), (made.plus(absolute), Some(made)));
        assert_eq!(back.grant.idle_at, back.now.plus(world.client.policy.idle_lifetime).min(made.plus(absolute)));
        assert!(back.refresh(&answer.token).is_ok());
        let mut late = restored(&copy, &world, unproven);
        late.now = made.plus(absolute);
        assert_eq!(late.refresh(&world.first).map(|_| ()), Err(Refusal::AbsoluteExpired));
    }
}

/// Check Z15: a superseded token of a plain public client that comes after a restore is refused, and no branch begins.
#[test]
fn a_superseded_token_of_a_public_client_is_refused() {
    for start in [World::public(), World::public_with_idempotency_key()] {
        let (mut world, known, newest) = story(start, Unproven::End);
        let decision = world.decide(&known);
        assert_eq!(
            decision.event.as_ref().map(|event| event.kind),
            Some(EventKind::GrantEnded(EndReason::LostInRestore))
        );
        assert_eq!(world.carry_out(decision).map(|_| ()), Err(Refusal::Superseded));
        for token in [&known, &newest] {
            assert_eq!(world.refresh(token).map(|_| ()), Err(Refusal::Ended(EndReason::LostInRestore)));
        }
    }
}

/// What is from the future and not proved by a key ends, or goes on, as the setting says.
#[test]
fn what_nobody_can_prove_is_decided_by_the_setting() {
    for start in [World::public(), World::secret()] {
        let (mut ends, _, newest) = story(start.clone(), Unproven::End);
        assert_eq!(ends.refresh(&newest).map(|_| ()), Err(Refusal::Lost));
        assert_eq!(ends.refresh(&newest).map(|_| ()), Err(Refusal::Ended(EndReason::LostInRestore)));
        let (mut accepts, _, newest) = story(start, Unproven::Accept);
        let next = accepts.rotate(&newest);
        assert_eq!(next.generation, newest.generation + 1);
        assert!(accepts.refresh(&next).is_ok());
    }
}

/// The cost of accepting, which is printed: whichever token comes first goes on, and the other is then a second party's.
#[test]
fn accepting_lets_the_first_token_that_comes_go_on() {
    let (mut world, known, newest) = story(World::public(), Unproven::Accept);
    let branch = world.rotate(&known);
    assert_eq!(branch.generation, known.generation + 1);
    world.after(seconds(3600));
    assert!(world.refresh(&newest).is_err(), "two parties: the other is not served as well");
}

/// A secret and a key are proof enough that a token of the copy is its client's: it goes on.
#[test]
fn a_client_that_proves_itself_goes_on_with_a_token_of_the_copy() {
    for unproven in BOTH {
        for start in [World::secret(), World::key(), World::bound(), World::reusable()] {
            let mut world = start.clone();
            let token = world.first.clone();
            let copy = world.clone();
            world.after(seconds(3600));
            let mut world = restored(&copy, &world, unproven);
            assert!(world.refresh(&token).is_ok());
            assert_eq!(world.grant.era, 1);
        }
    }
}

/// From the first answer of the new era on a grant is judged by the table alone.
#[test]
fn a_grant_of_the_new_era_is_in_no_doubt() {
    let (mut world, _, newest) = story(World::key(), Unproven::End);
    let mut token = world.rotate(&newest);
    for _ in 0..3 {
        world.after(seconds(3600));
        token = world.rotate(&token);
    }
    let ahead = RefreshToken { generation: token.generation + 1, ..newest };
    assert_eq!(world.refresh(&ahead).map(|_| ()), Err(Refusal::Unissued), "the store knows this era whole");
}

/// A token of the lost time that has no generation after it: what it rolled forward to ends, and the row is that of the token.
#[test]
fn the_last_generation_rolls_forward_and_ends_there() {
    let (mut world, _, newest) = story(World::key(), Unproven::End);
    let recovery = world.keys.recovery().copied();
    world.keys = keys(1, &[(1, KeyStatus::Verify), (2, KeyStatus::Current)]).with_recovery(recovery).into();
    let last = RefreshToken { generation: u32::MAX, tag_key: 2, ..newest };
    let decision = world.decide(&last);
    assert_eq!(decision.write.change(), Change::Ended);
    assert_eq!(world.carry_out(decision).map(|_| ()), Err(Refusal::GenerationsExhausted));
    assert_eq!((world.grant.tag_key, world.grant.generation), (2, u32::MAX));
    assert_eq!((world.grant.current, world.grant.ratchet), (Some(last.seed.hash()), None));
}

/// What was minted in this era is known, whatever the row of the copy says of itself.
#[test]
fn a_token_of_the_new_era_is_in_no_doubt() {
    let (world, _, newest) = story(World::key(), Unproven::Accept);
    let doubt = |era| {
        let token = RefreshToken { era, ..newest.clone() };
        recovery::doubt(world.keys.recovery(), 1, &token, &world.grant, &world.client.policy)
    };
    assert_eq!((doubt(0), doubt(1)), (Doubt::RollForward, Doubt::None));
}

/// Only a token that the row would answer is in doubt: an older one is a replay, by the table, and a reusable one is never replaced.
#[test]
fn only_what_the_row_would_answer_is_superseded() {
    let (world, _, newest) = story(World::public(), Unproven::End);
    let doubt = |grant: &regrant_core::Grant, generation| {
        let token = RefreshToken { generation, ..newest.clone() };
        recovery::doubt(world.keys.recovery(), 1, &token, grant, &world.client.policy)
    };
    let grant = regrant_core::Grant { generation: 5, ..world.grant.clone() };
    let judged = [5, 4, 3, 2].map(|generation| doubt(&grant, generation));
    assert_eq!(judged, [Doubt::Superseded, Doubt::Superseded, Doubt::None, Doubt::None]);
    let young = regrant_core::Grant { generation: 1, ..world.grant.clone() };
    assert_eq!([1, 0].map(|generation| doubt(&young, generation)), [Doubt::Superseded, Doubt::None]);
    let mut reusable = world.clone();
    reusable.change_terms(|terms| terms.rotation = regrant_core::grant::Rotation::Reusable);
    assert_eq!(doubt(&reusable.grant, reusable.grant.generation), Doubt::None);
}

/// A reusable token that rolls forward has no predecessor: no ratchet of the copy's row is kept beside it.
#[test]
fn a_reusable_token_that_rolls_forward_keeps_no_ratchet() {
    let (mut world, _, newest) = story(World::key(), Unproven::End);
    assert!(world.grant.ratchet.is_some());
    world.change_terms(|terms| terms.rotation = regrant_core::grant::Rotation::Reusable);
    assert_eq!(world.refresh(&newest).expect("it rolls forward").how, How::Reused);
    assert_eq!((world.grant.ratchet, world.grant.generation), (None, newest.generation));
}

/// A token of the future proves that it was issued only if a recovery is open, and token and row are of an earlier era.
#[test]
fn a_token_of_the_future_is_proof_only_of_the_lost_time() {
    let (world, _, newest) = story(World::public(), Unproven::End);
    let is_proof = |keys: &regrant_core::Keys, token_era, row_era| {
        let token = RefreshToken { era: token_era, ..newest.clone() };
        let grant = regrant_core::Grant { era: row_era, ..world.grant.clone() };
        revoke::is_proof(&grant, &token, keys)
    };
    assert_eq!(is_proof(&world.keys, 0, 0), Ok(()));
    assert_eq!(is_proof(&world.keys, 1, 0), Err(Refusal::Unissued));
    assert_eq!(is_proof(&world.keys, 0, 1), Err(Refusal::Unissued));
    let nothing_opened = keys(1, &[(1, KeyStatus::Current)]);
    assert_eq!(is_proof(&nothing_opened, 0, 0), Err(Refusal::Unissued));
}

/// An operator reads both generations.
#[test]
fn an_alarm_names_the_generations() {
    let mut world = World::public();
    let ahead = RefreshToken { generation: 7, ..world.first.clone() };
    let told = world.decide(&ahead).event.expect("an alarm");
    assert_eq!(told.detail, "presented generation 7, current 1");
}

#[test]
fn a_decision_is_read_as_it_is_written() {
    for unproven in BOTH {
        assert_eq!(Unproven::parse(unproven.as_str()), Some(unproven));
    }
    assert_eq!(Unproven::parse("perhaps"), None);
}

/// A compromised tag key proves nothing: what it tagged neither rolls forward nor ends a grant.
#[test]
fn what_a_compromised_key_tagged_never_rolls_forward() {
    for start in [World::key(), World::secret()] {
        for unproven in BOTH {
            let (mut world, _, newest) = story(start.clone(), unproven);
            let recovery = world.keys.recovery().copied();
            let tags = [(1, KeyStatus::Compromised), (2, KeyStatus::Current)];
            world.keys = keys(1, &tags).with_recovery(recovery).into();
            let forged = with_another_seed(&newest);
            for token in [&newest, &forged] {
                let decision = world.decide(token);
                assert_eq!(decision.write.change(), Change::Nothing);
                assert_eq!(world.carry_out(decision).map(|_| ()), Err(Refusal::Unissued));
            }
        }
    }
}

/// Nothing is rolled forward for another client, another key, or an ended grant.
#[test]
fn the_order_of_questions_is_the_same_after_a_restore() {
    let (mut world, _, newest) = story(World::bound(), Unproven::Accept);
    world.sends.holder_key = Some(hash("another"));
    assert_eq!(world.refresh(&newest).map(|_| ()), Err(Refusal::OtherKey));
    world.sends.holder_key = Some(hash("mine"));
    let ended = revoke::end(&world.grant, EndReason::RevokedByUser, "", world.now, &crate::world::entropy(999));
    world.carry_out(ended).expect("ended");
    assert_eq!(world.refresh(&newest).map(|_| ()), Err(Refusal::Ended(EndReason::RevokedByUser)));
}

/// RFC 7009: a client can end its grant with a token of the lost time.
#[test]
fn a_token_of_the_lost_time_revokes() {
    let (mut world, _, newest) = story(World::public(), Unproven::End);
    let entropy = world.draw();
    let decision = revoke::decide(Some(&world.grant), &newest, &world.client.id, &world.keys, world.now, &entropy);
    assert_eq!(decision.write.change(), Change::Ended);
    let before_recovery = keys(0, &[(1, KeyStatus::Current)]);
    let decision = revoke::decide(Some(&world.grant), &newest, &world.client.id, &before_recovery, world.now, &entropy);
    assert_eq!(decision.outcome, Err(Refusal::Unissued));
}

/// Law L3: a code is never redeemed twice. Whether one of an earlier era was redeemed in the lost time cannot be known.
#[test]
fn a_code_of_another_era_is_refused() {
    use regrant_core::redeem;
    use regrant_core::{Resources, secret::Entropy};
    let world = World::public();
    let old = keys(1, &[(1, KeyStatus::Current)]);
    let (grant, code) = crate::world::grant_with_code(&world.client, &old, "openid", &["https://api.example/"]);
    let entropy: Entropy = crate::world::entropy(1);
    for (era, expected) in [(0, Some(Refusal::EraAhead)), (1, None), (2, Some(Refusal::EraPast))] {
        let none = Resources::default();
        let request = redeem::Request {
            code: &code,
            redirect_uri: Some(crate::world::REDIRECT_URI),
            verifier: Some(crate::world::VERIFIER),
            resources: &none,
        };
        let keys = keys(era, &[(1, KeyStatus::Current)]);
        let row = Some((&grant, world.subject));
        let decision = redeem::decide(row, &request, &world.client, &keys, world.now, &entropy);
        assert_eq!(decision.outcome.err(), expected, "era {era}");
    }
}
