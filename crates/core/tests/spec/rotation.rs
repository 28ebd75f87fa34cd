//! RFC 6749 section 6, Refreshing an Access Token, with the rotation of RFC 9700 section 4.14.2.
//!
//! "The authorization server MUST: require client authentication for confidential clients […], authenticate the client if
//! client authentication is included and ensure that the refresh token was issued to the authenticated client, and validate
//! the refresh token." "If a new refresh token is issued, the refresh token scope MUST be identical to that of the refresh
//! token included by the client in the request."

use regrant_core::client::{Class, GrantType, OnReplay};
use regrant_core::decision::Change;
use regrant_core::grant::{EndReason, Rotation};
use regrant_core::issue::SubjectStatus;
use regrant_core::refresh::How;
use regrant_core::{EventKind, Grant, Policy, Refusal};

use crate::world::{START, World, client, days, hash, keys, on_replay, resources, scope, seconds, with_another_seed};

/// Laws L2, L5: the same row, one generation on, and only the new token lives.
#[test]
fn a_refresh_steps_the_grant_by_one_generation() {
    for mut world in World::of_each_class() {
        let (before, first) = (world.grant.clone(), world.first.clone());
        let decision = world.after(seconds(3600)).decide(&first);
        assert_eq!(decision.write.change(), Change::Rotated);
        let answer = world.carry_out(decision).expect("a live token");
        assert_eq!((answer.how, answer.token.generation, answer.at), (How::Rotated, 2, world.now));
        assert_eq!(world.grant.current, Some(answer.token.seed.hash()));
        assert_ne!(answer.token.seed, world.first.seed);
        assert_eq!(world.grant.terms, before.terms, "what was granted never changes");
        assert_eq!((world.grant.rotated_at, world.grant.previously_rotated_at), (world.now, before.rotated_at));
        assert_eq!((world.grant.answered_at, world.grant.retries), (world.now, 0));
    }
}

/// Law L3: a client that never heard our answer asks again, and hears the same.
#[test]
fn a_lost_answer_is_given_again() {
    let mut world = World::public();
    let first = world.first.clone();
    let lost = world.rotate(&first);
    let again = world.after(seconds(59)).decide(&first);
    assert_eq!(again.write.change(), Change::Retried, "a retry must not rotate, or it could start a branch");
    assert_eq!(world.carry_out(again).expect("a retry").token, lost);
    assert_eq!(world.after(seconds(31)).refresh(&first).map(|_| ()), Err(Refusal::Replayed));
}

/// Check T11: an old refresh token ends its grant, with one event; afterwards not even the live one works.
#[test]
fn an_old_refresh_token_ends_the_grant() {
    let mut world = World::public();
    let first = world.first.clone();
    let live = world.rotate(&first);
    let replay = world.after(seconds(61)).decide(&first);
    assert_eq!(replay.write.change(), Change::Ended);
    assert_eq!(replay.event.as_ref().map(|event| event.kind), Some(EventKind::GrantEnded(EndReason::RefreshReplayed)));
    assert_eq!(world.carry_out(replay).map(|_| ()), Err(Refusal::Replayed));
    assert_eq!(world.grant.ended, Some((world.now, EndReason::RefreshReplayed)));
    assert_eq!(world.grant.ratchet, None, "nothing will be derived from it again");
    assert_eq!(world.refresh(&live).map(|_| ()), Err(Refusal::Ended(EndReason::RefreshReplayed)));
}

/// Check T11: where the policy is only to refuse, the grant lives on, and an operator hears of it.
#[test]
fn a_replay_is_only_refused_where_the_policy_says_so() {
    let mut world = World::secret();
    on_replay(&mut world, OnReplay::Refuse);
    let first = world.first.clone();
    let second = world.rotate(&first);
    let third = world.after(days(1)).rotate(&second);
    let replay = world.after(days(1)).decide(&first);
    assert_eq!(replay.write.change(), Change::Nothing);
    assert_eq!(replay.event.as_ref().map(|event| event.kind), Some(EventKind::ReplayRefused));
    assert_eq!(world.carry_out(replay).map(|_| ()), Err(Refusal::ReplayRefused));
    assert!(world.refresh(&third).is_ok());
}

/// Checks T9, T10, L4: of a hundred rotations, every superseded token is recognised after an hour, a day and 25 days, at
/// no byte per token and through three rotations of the tag keys.
#[test]
fn every_spent_token_is_recognised_for_ever() {
    let mut world = World::public();
    let mut spent = vec![world.first.clone()];
    for number in 1..=100 {
        let live = world.after(seconds(40)).rotate(&spent[spent.len() - 1].clone());
        spent.push(live);
        if number % 30 == 0 {
            use regrant_core::keys::KeyStatus::{Current, Verify};
            let newest = number / 30 + 1;
            let tags: Vec<_> = (1..=newest).map(|id| (id, if id == newest { Current } else { Verify })).collect();
            world.keys = keys(0, &tags).into();
        }
    }
    let live = spent.pop().expect("the live token");
    for age in [seconds(3600), days(1), days(25)] {
        for token in &spent {
            let mut world = world.clone();
            let token = reopened(token, &world);
            assert_eq!(world.after(age).refresh(&token).map(|_| ()), Err(Refusal::Replayed));
        }
    }
    assert!(world.after(days(25)).refresh(&live).is_ok());
}

/// What a client's text opens to today.
fn reopened(token: &regrant_core::token::RefreshToken, world: &World) -> regrant_core::token::RefreshToken {
    let text = token.text(&world.keys).expect("its key is still there");
    regrant_core::token::RefreshToken::open(&text, &world.keys).expect("ours")
}

/// Check T12: two rotations within one millisecond are two, and their order is exact.
#[test]
fn two_rotations_in_one_millisecond_are_two() {
    let mut world = World::public();
    let first = world.first.clone();
    let second = world.rotate(&first);
    let third = world.rotate(&second);
    assert_eq!(world.grant.generation, 3);
    assert_eq!(world.refresh(&second).expect("the predecessor").token, third);
    assert_eq!(world.refresh(&first).map(|_| ()), Err(straggler()), "two behind, a moment ago");
    assert_eq!(world.at(world.now.plus(seconds(30))).refresh(&first).map(|_| ()), Err(Refusal::Replayed));
}

fn straggler() -> Refusal {
    Refusal::Straggler { retry_after: seconds(2) }
}

/// Law L1: what was decided and not committed consumed nothing: the same token still works.
#[test]
fn a_decision_that_was_never_committed_consumed_nothing() {
    for mut world in World::of_each_class() {
        let first = world.first.clone();
        let _lost = world.decide(&first);
        let answer = world.after(days(1)).refresh(&first).expect("still live");
        assert_eq!(answer.how, How::Rotated);
    }
}

/// Law L6: whoever holds the row and every key can mint tags, and still has no seed that lives.
#[test]
fn a_copy_of_the_row_and_of_all_keys_holds_no_usable_token() {
    let mut world = World::public();
    let first = world.first.clone();
    let live = world.rotate(&first);
    let row = &world.grant;
    let (current, ratchet) = (row.current.expect("a refresh token"), row.ratchet.expect("a pending retry"));
    let code = row.terms.code.as_ref().expect("a code").secret;
    for stolen in [current.0, ratchet, code.0, hash("guess").0] {
        for generation in [row.generation - 1, row.generation] {
            let seed = regrant_core::Seed::new(stolen);
            let forged = regrant_core::token::RefreshToken { generation, seed, ..live.clone() };
            let mut world = world.at(world.now.plus(seconds(30)));
            assert!(world.refresh(&reopened(&forged, &world)).is_err(), "a hash is no seed");
        }
    }
}

/// Law L4: the live generation with another seed is somebody's who should have none.
#[test]
fn the_live_generation_with_another_seed_is_spent() {
    for mut world in World::of_each_class() {
        let forged = with_another_seed(&world.first);
        let expected = match world.client.policy.on_replay {
            OnReplay::Revoke => Refusal::Replayed,
            OnReplay::Refuse => Refusal::ReplayRefused,
        };
        assert_eq!(world.refresh(&forged).map(|_| ()), Err(expected));
    }
}

/// Check T34: the largest generation is the last one, and nothing wraps.
#[test]
fn the_last_generation_ends_the_grant() {
    let mut world = World::public();
    world.grant.generation = u32::MAX - 1;
    let before = regrant_core::token::RefreshToken { generation: u32::MAX - 1, ..world.first.clone() };
    let last = world.rotate(&before);
    assert_eq!(last.generation, u32::MAX);
    assert_eq!(world.refresh(&before).expect("a retry").token, last);
    let end = world.after(seconds(1)).decide(&last);
    assert_eq!(
        end.event.as_ref().map(|event| event.kind),
        Some(EventKind::GrantEnded(EndReason::GenerationsExhausted))
    );
    assert_eq!(world.carry_out(end).map(|_| ()), Err(Refusal::GenerationsExhausted));
    assert_eq!(world.refresh(&last).map(|_| ()), Err(Refusal::Ended(EndReason::GenerationsExhausted)));
}

/// Check T20: a refresh may narrow its access token, which narrows nothing else; order and duplicates mean nothing.
#[test]
fn narrowing_is_for_one_access_token() {
    let mut world = World::public();
    world.sends.scope = Some(scope("profile openid profile"));
    let first = world.first.clone();
    let narrowed = world.refresh(&first).expect("within");
    assert_eq!(narrowed.granted.scope, scope("openid profile"));
    assert_eq!(world.grant.terms.scope, scope("email openid profile"), "the grant keeps all of it");
    world.sends.scope = None;
    assert_eq!(world.refresh(&narrowed.token).expect("live").granted.scope, scope("email openid profile"));
}

/// Checks T20, T31, L8: wider scope and foreign resources are refused alike in every state and without a write, or a
/// thief could ask which state it is.
#[test]
fn a_wider_request_is_answered_alike_in_every_state() {
    for mut world in World::of_each_class() {
        let ages = one_of_each_age(&mut world);
        for token in &ages {
            for (wanted, expected) in [("openid write", Refusal::ScopeExceeded), ("admin", Refusal::ScopeExceeded)] {
                world.sends.scope = Some(scope(wanted));
                assert_refused_silently(&mut world, token, expected);
            }
            world.sends.scope = None;
            for foreign in ["https://files.example/", "https://api.example", "https://elsewhere.example/"] {
                world.sends.resources = resources(&["https://api.example/", foreign]);
                assert_refused_silently(&mut world, token, Refusal::TargetExceeded);
            }
            world.sends.resources = resources(&[]);
        }
    }
}

/// Tokens of one grant that are live, just replaced, late, spent by their seed, and from the future.
pub(crate) fn one_of_each_age(world: &mut World) -> [regrant_core::token::RefreshToken; 6] {
    let first = world.first.clone();
    let second = world.rotate(&first);
    let third = world.rotate(&second);
    let future = regrant_core::token::RefreshToken { generation: 9, ..third.clone() };
    let never = regrant_core::token::RefreshToken { generation: 0, ..third.clone() };
    [with_another_seed(&third), third, second, first, future, never]
}

fn assert_refused_silently(world: &mut World, token: &regrant_core::token::RefreshToken, expected: Refusal) {
    let decision = world.decide(token);
    assert_eq!(decision.write.change(), Change::Nothing);
    // The same event in every state, too.
    assert_eq!(decision.event.map(|event| event.kind), Some(EventKind::Refused(expected)));
    assert_eq!(decision.outcome.map(|_| ()), Err(expected));
}

/// Check T31: the audience is kept, and a subset of it may be asked for.
#[test]
fn the_audience_is_kept_or_narrowed() {
    let mut world = World::public();
    world.change_terms(|terms| terms.resources = resources(&["https://api.example/", "https://files.example/"]));
    world.sends.resources = resources(&["https://files.example/"]);
    let first = world.first.clone();
    let answer = world.refresh(&first).expect("within");
    assert_eq!(answer.granted.resources, resources(&["https://files.example/"]));
    world.sends.resources = resources(&[]);
    let all = world.refresh(&answer.token).expect("live").granted.resources;
    assert_eq!(all, resources(&["https://api.example/", "https://files.example/"]));
}

/// Checks T30, L5, L8: whatever the number of refreshes, who gave what to whom stays as it was.
#[test]
fn a_thousand_refreshes_change_no_term_and_add_no_byte() {
    let mut world = World::public();
    let terms = world.grant.terms.clone();
    let mut live = world.first.clone();
    for _ in 0..1000 {
        live = world.after(seconds(3600)).rotate(&live);
    }
    assert_eq!(world.grant.terms, terms);
    assert_eq!(world.grant.generation, 1001);
    assert_eq!(std::mem::size_of_val(&world.grant), std::mem::size_of::<Grant>(), "no part of it grows");
    assert_eq!(world.grant.terms.authenticated_at, START.minus(seconds(30)));
}

/// Scope that the client lost since the grant was made is not issued again; when nothing is left, that is said.
#[test]
fn what_the_client_lost_is_not_issued_again() {
    let mut world = World::public();
    let first = world.first.clone();
    world.client.scopes = scope("openid write");
    assert_eq!(world.clone().refresh(&first).expect("live").granted.scope, scope("openid"));
    world.client.scopes = scope("write");
    assert_refused_silently(&mut world, &first, Refusal::ScopeNotAllowed);
    world.client.scopes = scope("openid");
    world.client.resources = resources(&["https://files.example/"]);
    assert_refused_silently(&mut world, &first, Refusal::TargetNotAllowed);
}

/// Something done to a world before a token is presented.
type Spoil = fn(&mut World);

/// Checks T23, T24: whoever may no longer have a grant is refused in every state, without a write; a revoked grant stays
/// revoked when its user comes back.
#[test]
fn what_is_no_longer_allowed_is_refused_in_every_state() {
    let withdraw: [(Spoil, Refusal); 5] = [
        (|world| world.client.disabled = true, Refusal::ClientDisabled),
        (|world| _ = world.client.grant_types.remove(&GrantType::RefreshToken), Refusal::GrantTypeNotAllowed),
        (|world| world.subject = SubjectStatus::Disabled, Refusal::SubjectDisabled),
        (|world| world.subject = SubjectStatus::Gone, Refusal::SubjectGone),
        (|world| world.change_terms(|terms| terms.refreshable = false), Refusal::NotRefreshable),
    ];
    for world in World::of_each_class() {
        for (withdraw, expected) in withdraw {
            let mut world = world.clone();
            let ages = one_of_each_age(&mut world);
            withdraw(&mut world);
            for token in &ages {
                assert_refused_silently(&mut world, token, expected);
            }
        }
    }
    let mut world = World::public();
    let first = world.first.clone();
    let live = world.rotate(&first);
    let replay = world.after(seconds(90)).refresh(&first);
    assert!(replay.is_err());
    for status in [SubjectStatus::Disabled, SubjectStatus::Enabled] {
        world.subject = status;
        assert_refused_silently(&mut world, &live, Refusal::Ended(EndReason::RefreshReplayed));
    }
}

/// A reusable token works again and again, and only its clocks move.
#[test]
fn a_reusable_token_is_answered_with_itself() {
    let mut world = World::reusable();
    let first = world.first.clone();
    for _ in 0..5 {
        let before = world.grant.clone();
        let decision = world.after(days(1)).decide(&first);
        assert_eq!(decision.write.change(), Change::Reused);
        let answer = world.carry_out(decision).expect("reusable");
        assert_eq!((answer.how, &answer.token), (How::Reused, &first));
        assert_eq!((world.grant.generation, world.grant.current), (1, before.current));
        assert_eq!((world.grant.idle_at, world.grant.answered_at), (world.now.plus(Policy::IDLE_LIFETIME), world.now));
        assert_eq!(world.grant.rotated_at, START, "it never rotated");
    }
    assert_eq!(world.after(Policy::IDLE_LIFETIME).refresh(&first).map(|_| ()), Err(Refusal::IdleExpired));
}

/// RFC 9700 section 4.14.2: tokens of public clients are rotated or bound; a client that becomes public loses the others.
#[test]
fn a_client_that_becomes_public_loses_its_reusable_grants() {
    let mut world = World::reusable();
    let first = world.first.clone();
    world.client.policy = Policy::of(Class::Public);
    assert_refused_silently(&mut world, &first, Refusal::ReusableForPublic);
    let mut single = World::secret();
    single.client.policy = Policy::of(Class::Public);
    let first = single.first.clone();
    assert!(single.refresh(&first).is_ok(), "a rotated grant goes on, by the rule for public clients");
    assert_eq!(single.after(seconds(60)).refresh(&first).map(|_| ()), Err(Refusal::Replayed));
}

/// A grant of a public client is single-use, whatever its settings say.
#[test]
fn no_public_client_gets_a_reusable_token() {
    let mut public = client("app", Class::Public);
    public.policy.rotation = Rotation::Reusable;
    assert_eq!(World::of(public).grant.terms.rotation, Rotation::SingleUse);
}

/// The rotation mode is fixed when a grant is made.
#[test]
fn a_changed_rotation_mode_leaves_old_grants_as_they_are() {
    let mut world = World::reusable();
    world.client.policy.rotation = Rotation::SingleUse;
    let first = world.first.clone();
    assert_eq!(world.refresh(&first).expect("live").how, How::Reused);
}

/// Check T36: a token from the future is refused with an alarm, and nothing changes.
#[test]
fn a_token_from_the_future_raises_an_alarm() {
    let mut world = World::public();
    let first = world.first.clone();
    let second = world.rotate(&first);
    let before_the_restore = World::public();
    for generation in [2, 3, u32::MAX] {
        let mut world = before_the_restore.at(world.now);
        let future = regrant_core::token::RefreshToken { generation, ..second.clone() };
        let decision = world.decide(&future);
        assert_eq!(decision.event.as_ref().map(|event| event.kind), Some(EventKind::AlarmAt(Refusal::Unissued)));
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(world.carry_out(decision).map(|_| ()), Err(Refusal::Unissued));
    }
    let zero = regrant_core::token::RefreshToken { generation: 0, ..first.clone() };
    assert_eq!(world.refresh(&zero).map(|_| ()), Err(Refusal::ImpossibleGeneration));
    let ahead = regrant_core::token::RefreshToken { era: 1, ..second };
    assert_eq!(world.refresh(&ahead).map(|_| ()), Err(Refusal::EraAhead));
    world.keys = keys(1, &[(1, regrant_core::keys::KeyStatus::Current)]).into();
    let renewed = world.refresh(&ahead).expect("the store has reached its era");
    assert_eq!((renewed.token.era, world.grant.era), (1, 1));
}
