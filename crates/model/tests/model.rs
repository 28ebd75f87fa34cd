//! The small worlds, searched: what the model proves of the core, and that it would find what others got wrong.
//!
//! A test that ends with `is_complete` has seen every state there is in its world; the others have seen the first million.

use model::{Fault, Holder, Law, Options, Report, run, thief_rides};
use regrant_core::recovery::Unproven;

fn searched(options: &Options) -> Report {
    let report = run(options, &mut |_| {});
    println!("{report}");
    report
}

fn assert_unbroken(options: &Options) -> Report {
    let report = searched(options);
    assert_eq!(report.violation, None, "{report}");
    report
}

/// Laws L1, L2, L3, L4: no order of losses, doubles, crashes and time logs an honest client out, forks its grant or loses an
/// acknowledged token; in these worlds without a thief, every state there is was seen.
#[test]
fn no_honest_client_is_ever_logged_out() {
    for holder in Holder::ALL {
        for workers in [1, 2] {
            let report = assert_unbroken(&Options { workers, thief: false, ..Options::small(holder) });
            assert!(report.is_complete && report.states > 100_000, "{report}");
            let counters = report.counters;
            assert!(counters.retries > 0 && counters.crashes_after_commit > 0, "{report}");
        }
    }
}

/// Checks T17, L3, L11: a thief without the key or the secret is refused in every state, rides never, and logs nobody out;
/// every state there is was seen.
#[test]
fn a_thief_of_a_bound_token_gets_nothing() {
    for holder in [Holder::Key, Holder::Secret] {
        let report = assert_unbroken(&Options::small(holder));
        assert!(report.is_complete && report.states > 1_000_000, "{report}");
        assert_eq!((report.rides, report.counters.replays), (0, 0), "{report}");
        assert!(report.counters.strangers > 0, "{report}");
    }
}

/// Laws L1, L2, L4, L9: two workers, a thief, losses, doubles, crashes and a revocation: a million states of each class.
#[test]
fn a_million_states_of_each_class_break_no_law() {
    for holder in Holder::ALL {
        let report = assert_unbroken(&Options::new(holder));
        assert!(report.states >= 1_000_000, "{report}");
        // Bound tokens are retried and not replayed, and a world that stops early has no time for codes.
        let missing: Vec<_> = report.counters.named().into_iter().filter(|(_, count)| *count == 0).collect();
        let excused: &[&str] = if holder.is_bound() {
            &["codes redeemed", "replays", "restores from a copy"]
        } else {
            &["codes redeemed", "strangers refused", "restores from a copy"]
        };
        assert!(missing.iter().all(|(name, _)| excused.contains(name)), "{missing:?}");
    }
}

/// Laws L2, L4: a thief of a token that is bound to nothing, against one worker: replays are found, and no law breaks.
#[test]
fn a_thief_of_an_unbound_token_is_found_out() {
    for holder in [Holder::IdempotencyKey, Holder::Plain] {
        let report = assert_unbroken(&Options { states: 1_000_000, ..Options::small(holder) });
        assert!(report.counters.replays > 0 && report.counters.stragglers > 0, "{report}");
    }
}

/// Security section 4.4, laws L3, L9: a store that is set back to any copy of before, with the era stepped and the revocation journal
/// replayed, logs out nobody who proves a key, and nobody at all where an operator accepts what is not proved; nothing that was revoked
/// is answered again; and from the first answer on there is one live token.
#[test]
fn a_restore_logs_nobody_out_who_proves_a_key() {
    for (holder, unproven) in [
        (Holder::Key, Unproven::End),
        (Holder::Secret, Unproven::Accept),
        (Holder::Plain, Unproven::Accept),
        (Holder::IdempotencyKey, Unproven::Accept),
    ] {
        let options = Options { thief: false, doubles: 0, rollbacks: 1, unproven, ..Options::small(holder) };
        let report = assert_unbroken(&options);
        assert!(report.is_complete && report.counters.rollbacks > 1000, "{report}");
    }
}

/// The same with a thief, two workers and a revocation: a restored store is no law's end, whoever comes first.
#[test]
fn a_restore_breaks_no_law_before_a_thief() {
    for holder in Holder::ALL {
        for unproven in [Unproven::End, Unproven::Accept] {
            let options = Options {
                doubles: 0,
                rollbacks: 1,
                unproven,
                workers: 2,
                revocations: 1,
                states: 150_000,
                ..Options::small(holder)
            };
            let report = assert_unbroken(&options);
            assert!(report.counters.rollbacks > 1000, "{report}");
        }
    }
}

/// Finer steps of time come closer to each limit, and change nothing.
#[test]
fn finer_steps_of_time_break_no_law() {
    for holder in Holder::ALL {
        assert_unbroken(&Options { tick: 4, workers: 2, thief: false, states: 400_000, ..Options::small(holder) });
    }
}

/// Checks A1, A6, A8, L3, L11: from the code on: it is redeemed once however often it is presented, by whom, and wherever
/// the server crashes; every state there is was seen.
#[test]
fn a_code_is_redeemed_once_in_every_world() {
    for holder in [Holder::Key, Holder::Plain] {
        let small = Options { from_code: true, workers: 2, generations: 1, revocations: 1, ..Options::small(holder) };
        let report = assert_unbroken(&small);
        let counters = report.counters;
        assert!(report.is_complete && counters.redemptions > 0 && counters.replays > 0, "{report}");
    }
}

/// The documented ride: a thief of a token that proves nothing else stays unseen for as long as he keeps the pace, one who
/// copied an `Idempotency-Key` rides on that key once, and one who lacks a key or secret never.
#[test]
fn how_far_a_thief_rides() {
    for generations in [2, 3] {
        let bound = u32::from(generations) - 1;
        assert_eq!(Holder::ALL.map(|holder| thief_rides(holder, generations)), [0, 0, 1, bound]);
    }
}

fn found(fault: Fault, holder: Holder, law: Law, steps: usize) {
    let options = Options { fault: Some(fault), revocations: 0, ..Options::new(holder) };
    let report = searched(&options);
    let violation = report.violation.expect("the search must find what was planted");
    assert_eq!((violation.law, violation.trace.len()), (law, steps), "{violation}");
}

/// Laws L2, L9: a row that is read, decided on and written without a comparison forks its grant in six steps
/// (CVE-2026-1035), and is written after its revocation in four.
#[test]
fn the_model_finds_read_then_write() {
    for holder in Holder::ALL {
        found(Fault::ReadThenWrite, holder, Law::OneLiveToken, 6);
        let report = searched(&Options { fault: Some(Fault::ReadThenWrite), ..Options::new(holder) });
        let violation = report.violation.expect("the search must find what was planted");
        assert_eq!((violation.law, violation.trace.len()), (Law::NothingAfterRevocation, 4), "{violation}");
    }
}

/// Law L9: an answer without a write must be compared too, or a node vouches for a grant that another has ended: where more than
/// one node writes, an uncounted retry is only answered if the row is still the one it was decided on.
#[test]
fn the_model_finds_answers_that_are_not_compared() {
    for holder in Holder::ALL {
        let report = searched(&Options { fault: Some(Fault::AnswerUncompared), ..Options::new(holder) });
        let violation = report.violation.expect("the search must find what was planted");
        assert_eq!(violation.law, Law::NothingAfterRevocation, "{violation}");
    }
}

/// Law L4: a predecessor that is answered for ever lets a thief ride for ever.
#[test]
fn the_model_finds_a_retry_without_bound() {
    found(Fault::RetryWithoutBound, Holder::Plain, Law::SpentIsSpent, 7);
}

/// Checks T17, L11: a replay that is acted on before it is asked whose token it is lets a stranger end the grant.
#[test]
fn the_model_finds_a_revocation_before_the_client_is_known() {
    for holder in [Holder::Key, Holder::Secret] {
        found(Fault::RevokeBeforeClient, holder, Law::HonestClientGoesOn, 12);
    }
}

/// Law L3: strict rotation logs an honest client out: two workers, or one lost answer.
#[test]
fn the_model_finds_strict_rotation() {
    for holder in Holder::ALL {
        found(Fault::NoRetry, holder, Law::HonestClientGoesOn, 6);
    }
}

/// Law L2: a retry that gets a successor of its own is a fork.
#[test]
fn the_model_finds_retries_that_branch() {
    for holder in Holder::ALL {
        let report = searched(&Options { fault: Some(Fault::RetryBranches), revocations: 0, ..Options::new(holder) });
        assert_eq!(report.violation.map(|violation| violation.law), Some(Law::OneLiveToken));
    }
}

/// Law L9, security section 4.4: a restore that forgets the revocation journal answers what was revoked: to whoever proves a key, for
/// every other rotated grant of the lost span is ended anyway.
#[test]
fn the_model_finds_a_revocation_that_a_restore_forgets() {
    let options = Options { thief: false, rollbacks: 1, revocations: 1, ..Options::small(Holder::Key) };
    let report = searched(&Options { fault: Some(Fault::JournalForgotten), ..options });
    assert_eq!(report.violation.map(|violation| violation.law), Some(Law::NothingAfterRevocation));
}

/// Law L3, security section 4.4: a restore that opens no recovery logs out a client that proves a key: its token is from the future.
#[test]
fn the_model_finds_a_restore_without_a_recovery() {
    let options = Options { thief: false, rollbacks: 1, ..Options::small(Holder::Key) };
    let report = searched(&Options { fault: Some(Fault::EraKept), ..options });
    assert_eq!(report.violation.map(|violation| violation.law), Some(Law::HonestClientGoesOn));
}
