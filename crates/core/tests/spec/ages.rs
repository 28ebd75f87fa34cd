//! The one table, exhaustively: every presented token is in exactly one state of its grant, and each state does what its row
//! says. The table is written here a second time, as plainly as possible, and compared with the core in every cell.

use regrant_core::client::{Class, OnReplay};
use regrant_core::decision::Change;
use regrant_core::keys::KeyStatus;
use regrant_core::refresh::{How, RETRY_AFTER};
use regrant_core::token::RefreshToken;
use regrant_core::{Policy, Refusal, Timestamp};

use crate::world::{START, World, entropy, hash, keys, millis, scope, with_another_seed};

const STRAGGLER: Refusal = Refusal::Straggler { retry_after: RETRY_AFTER };

/// What the client sends in proof, by class.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Holder {
    Key,
    Secret,
    Bound,
    SameIdempotencyKey,
    OtherIdempotencyKey,
    NoIdempotencyKey,
    Plain,
}

impl Holder {
    const ALL: [Self; 7] = [
        Self::Key,
        Self::Secret,
        Self::Bound,
        Self::SameIdempotencyKey,
        Self::OtherIdempotencyKey,
        Self::NoIdempotencyKey,
        Self::Plain,
    ];

    fn world(self) -> World {
        match self {
            Self::Key => World::key(),
            Self::Secret => World::secret(),
            Self::Bound => World::bound(),
            Self::SameIdempotencyKey | Self::OtherIdempotencyKey | Self::NoIdempotencyKey => {
                World::public_with_idempotency_key()
            }
            Self::Plain => World::public(),
        }
    }
}

/// One cell: a row at generation `current` with these ages in milliseconds, and what is presented.
#[derive(Clone, Debug)]
struct Cell {
    holder: Holder,
    current: u32,
    presented: u32,
    genuine: bool,
    rotated: i64,
    previously: i64,
    answered: i64,
    retries: u32,
    tag: KeyStatus,
    wanted: Option<&'static str>,
}

/// The table, written down a second time.
fn expected(cell: &Cell, on_replay: OnReplay) -> (Change, Result<How, Refusal>) {
    let silent = |refusal| (Change::Nothing, Err(refusal));
    if cell.wanted == Some("openid write") {
        return silent(Refusal::ScopeExceeded);
    }
    if cell.presented == 0 {
        return silent(Refusal::ImpossibleGeneration);
    }
    if cell.presented > cell.current {
        return silent(Refusal::Unissued);
    }
    if cell.presented == cell.current && cell.genuine {
        return match cell.current {
            u32::MAX => (Change::Ended, Err(Refusal::GenerationsExhausted)),
            _ => (Change::Rotated, Ok(How::Rotated)),
        };
    }
    let behind = cell.current - cell.presented;
    let in_window = cell.rotated < 60_000;
    let may_retry = match cell.holder {
        Holder::Key | Holder::Secret | Holder::Bound | Holder::SameIdempotencyKey => true,
        Holder::OtherIdempotencyKey | Holder::NoIdempotencyKey => false,
        Holder::Plain => in_window && (cell.retries < 3 || cell.rotated < 5_000),
    };
    if behind == 1 && cell.genuine && may_retry {
        let change = if cell.rotated < 5_000 { Change::Nothing } else { Change::Retried };
        return (change, Ok(How::Retried));
    }
    let used_up = cell.holder == Holder::Plain && in_window && cell.retries >= 3 && cell.rotated >= 5_000;
    let burst = cell.rotated < 30_000 && cell.previously < 30_000;
    if (behind == 1 && used_up) || ((behind == 1 || behind == 2) && cell.answered < 30_000) || (behind >= 1 && burst) {
        return silent(STRAGGLER);
    }
    match (cell.tag, on_replay) {
        (KeyStatus::Compromised, _) => silent(Refusal::SpentUnderCompromisedKey),
        (_, OnReplay::Revoke) => (Change::Ended, Err(Refusal::Replayed)),
        (_, OnReplay::Refuse) => silent(Refusal::ReplayRefused),
    }
}

/// A world whose grant has reached `current` by a rotation, and the genuine tokens of that generation and the one before.
fn at_generation(holder: Holder, current: u32) -> (World, RefreshToken, RefreshToken) {
    let mut world = holder.world();
    let first = world.first.clone();
    if current < 2 {
        world.grant.generation = current;
        let predecessor = RefreshToken { generation: 0, ..first.clone() };
        return (world, predecessor, RefreshToken { generation: current, ..first });
    }
    world.grant.generation = current - 1;
    let predecessor = RefreshToken { generation: current - 1, ..first };
    let live = world.rotate(&predecessor);
    (world, predecessor, live)
}

/// Checks T8, T9, T18, T19, T34, L4, L8: all combinations of class, proof, generations, seed, ages, count, key status and
/// scope give exactly the state that the table names, write only what its row allows, and never panic.
#[test]
fn every_cell_of_the_table() {
    let mut cells = 0_u32;
    for holder in Holder::ALL {
        for current in [1, 2, 3, 7, u32::MAX - 1, u32::MAX] {
            let (base, predecessor, live) = at_generation(holder, current);
            let distances = [current, 0, 1, 2, 3].map(|behind| current.checked_sub(behind));
            let futures = [1, 2].map(|ahead| current.checked_add(ahead)).into_iter().chain([Some(u32::MAX)]);
            let presented: std::collections::BTreeSet<_> = distances.into_iter().chain(futures).flatten().collect();
            for presented in presented {
                for genuine in [true, false] {
                    for tag in [KeyStatus::Verify, KeyStatus::Compromised] {
                        let token = if presented == current { &live } else { &predecessor };
                        let token = RefreshToken { generation: presented, ..token.clone() };
                        let token = if genuine { token } else { with_another_seed(&token) };
                        let mut world = base.clone();
                        world.keys = keys(0, &[(1, tag), (2, KeyStatus::Current)]).into();
                        world.sends.idempotency_key = match holder {
                            Holder::SameIdempotencyKey => Some(hash("one")),
                            Holder::OtherIdempotencyKey => Some(hash("two")),
                            _ => None,
                        };
                        let cell = Cell { holder, current, presented, genuine, tag, ..NO_AGES };
                        cells += every_age_of(&cell, &world, &token);
                    }
                }
            }
        }
    }
    assert!(cells > 200_000, "{cells}");
}

const NO_AGES: Cell = Cell {
    holder: Holder::Plain,
    current: 0,
    presented: 0,
    genuine: true,
    rotated: 0,
    previously: 0,
    answered: 0,
    retries: 0,
    tag: KeyStatus::Verify,
    wanted: None,
};

fn every_age_of(cell: &Cell, world: &World, token: &RefreshToken) -> u32 {
    let mut cells = 0;
    let now = START.plus(millis(1_000_000));
    let ago = |age: i64| Timestamp::from_millis(now.millis() - age);
    let mut world = world.at(now);
    for rotated in [0, 4_999, 5_000, 29_999, 30_000, 59_999, 60_000, 999_999] {
        for previously in [29_999, 30_000] {
            for answered in [0, 29_999, 30_000] {
                for retries in [0, 2, 3, u32::MAX] {
                    for wanted in [None, Some("openid"), Some("openid write")] {
                        world.grant.rotated_at = ago(rotated);
                        world.grant.previously_rotated_at = ago(previously);
                        world.grant.answered_at = ago(answered);
                        world.grant.retries = retries;
                        world.sends.scope = wanted.map(scope);
                        let cell = Cell { rotated, previously, answered, retries, wanted, ..cell.clone() };
                        let decision = world.decide_as(token, &world.client, &entropy(5));
                        let seen = (
                            decision.write.change(),
                            decision.outcome.as_ref().map(|answer| answer.how).map_err(|r| *r),
                        );
                        assert_eq!(seen, expected(&cell, world.client.policy.on_replay), "{cell:?}");
                        cells += 1;
                    }
                }
            }
        }
    }
    cells
}

/// Check T35: the statuses of a tag key against the ages of what it tagged. Opened first, as the server does: a text whose
/// key is gone is not ours.
#[test]
fn the_status_of_the_key_and_the_age_of_the_token() {
    use KeyStatus::{Compromised, Current, Gone, Next, Verify};
    let rotated = Ok(How::Rotated);
    let retried = Ok(How::Retried);
    let matrix: [(KeyStatus, [Result<How, Refusal>; 4]); 5] = [
        // status      live     just replaced  spent                                  future
        (Next, [rotated, retried, Err(Refusal::Replayed), Err(Refusal::Unissued)]),
        (Current, [rotated, retried, Err(Refusal::Replayed), Err(Refusal::Unissued)]),
        (Verify, [rotated, retried, Err(Refusal::Replayed), Err(Refusal::Unissued)]),
        (Compromised, [rotated, retried, Err(Refusal::SpentUnderCompromisedKey), Err(Refusal::Unissued)]),
        (Gone, [Err(Refusal::NotOurs); 4]),
    ];
    let mut before = World::public();
    let first = before.first.clone();
    let second = before.rotate(&first);
    let third = before.after(millis(60_000)).rotate(&second);
    let future = RefreshToken { generation: 4, ..third.clone() };
    before.after(millis(59_000));
    for (status, row) in matrix {
        let other = if status == Current { Verify } else { Current };
        for (token, expected) in [&third, &second, &first, &future].into_iter().zip(row) {
            let text = token.text(&before.keys).expect("its key is still there");
            let mut world = before.clone();
            world.keys = keys(0, &[(1, status), (2, other)]).into();
            let outcome = match RefreshToken::open(&text, &world.keys) {
                None => Err(Refusal::NotOurs),
                Some(token) => world.refresh(&token).map(|answer| answer.how),
            };
            assert_eq!(outcome, expected, "{status:?} {}", token.generation);
        }
    }
}

/// Check T35: under a compromised key the live token of each class works and gets a successor under the current key; what it
/// tagged ends no grant, whatever the policy.
#[test]
fn a_compromised_key_ends_no_grant_and_logs_nobody_out() {
    for mut world in World::of_each_class() {
        world.keys = keys(0, &[(1, KeyStatus::Compromised), (2, KeyStatus::Current)]).into();
        let first = world.first.clone();
        let forged = with_another_seed(&first);
        let refused = world.decide(&forged);
        assert_eq!(refused.write.change(), Change::Nothing);
        assert!(refused.event.is_some(), "an operator hears of it");
        assert_eq!(refused.outcome.map(|_| ()), Err(Refusal::SpentUnderCompromisedKey));
        let second = world.rotate(&first);
        assert_eq!(second.tag_key, 2);
        assert!(world.refresh(&second).is_ok());
    }
}

/// Law L2: a reusable token whose key is no longer current is answered with a re-tagged one. Both texts are one token: same
/// generation, same seed, and both work while the old key is there.
#[test]
fn a_reusable_token_gets_a_new_tag() {
    let mut world = World::reusable();
    let first = world.first.clone();
    let old_text = first.text(&world.keys).expect("its key");
    world.keys = keys(3, &[(1, KeyStatus::Verify), (2, KeyStatus::Current)]).into();
    let renewed = world.rotate(&first);
    assert_eq!((renewed.generation, &renewed.seed), (first.generation, &first.seed));
    assert_eq!((renewed.tag_key, renewed.era), (2, 3));
    assert_eq!((world.grant.tag_key, world.grant.era), (2, 3));
    let new_text = renewed.text(&world.keys).expect("its key");
    assert_ne!(new_text, old_text);
    for text in [old_text, new_text] {
        let token = RefreshToken::open(&text, &world.keys).expect("ours");
        assert_eq!(world.refresh(&token).expect("one token").how, How::Reused);
    }
}

/// A token of an older era is judged by the same table; one of an era that the store has not reached raises an alarm,
/// whatever its generation and seed.
#[test]
fn eras_ahead_are_alarms_and_eras_behind_are_not() {
    for holder in Holder::ALL {
        let (mut world, predecessor, live) = at_generation(holder, 5);
        world.keys = keys(7, &[(1, KeyStatus::Current)]).into();
        world.sends.idempotency_key = Some(hash("one"));
        for token in [&predecessor, &live] {
            assert!(world.clone().refresh(token).is_ok() || holder == Holder::OtherIdempotencyKey);
            let ahead = RefreshToken { era: 8, ..token.clone() };
            assert_eq!(world.clone().refresh(&ahead).map(|_| ()), Err(Refusal::EraAhead));
            let same = RefreshToken { era: 7, ..token.clone() };
            assert!(world.clone().refresh(&same).is_ok());
        }
    }
}

/// While there is only a code, no refresh token has been minted: every generation is from the future, and nothing changes.
#[test]
fn a_refresh_token_of_an_unredeemed_code_is_from_the_future() {
    let world = World::public();
    let (grant, _) =
        crate::world::grant_with_code(&world.client, &world.keys, "openid profile email", &["https://api.example/"]);
    let mut world = World { grant, ..world };
    for generation in [1, 2, u32::MAX] {
        let token = RefreshToken { generation, ..world.first.clone() };
        assert_eq!(world.refresh(&token).map(|_| ()), Err(Refusal::Unissued));
    }
    let zero = RefreshToken { generation: 0, ..world.first.clone() };
    assert_eq!(world.refresh(&zero).map(|_| ()), Err(Refusal::ImpossibleGeneration));
}

/// The defaults of each class are the ones that the design names.
#[test]
fn the_defaults_of_each_class() {
    use regrant_core::grant::Rotation::{Reusable, SingleUse};
    for (class, rotation, on_replay) in [
        (Class::Key, Reusable, OnReplay::Refuse),
        (Class::Secret, Reusable, OnReplay::Revoke),
        (Class::Public, SingleUse, OnReplay::Revoke),
    ] {
        let policy = Policy::of(class);
        assert_eq!((policy.rotation, policy.on_replay), (rotation, on_replay));
        assert_eq!(policy.retry_window, millis(60_000));
    }
}
