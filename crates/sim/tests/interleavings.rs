//! The server's own hand-over to its writer and its own swap of keys, under a scheduler that chooses who runs next at each touch of a lock,
//! a counter or a queue (shuttle).
//!
//! What is tested are the server's files, compiled here once more over the scheduler's primitives; nothing of them is written a second time.
//! Each law is run under REGRANT_SCHEDULES schedules by chance and as many that favour rare orders (PCT); the seed is fixed. A schedule that
//! breaks a law is printed, and `shuttle::replay` shows it again.

#![expect(clippy::duplicate_mod, reason = "the same files, once over sound primitives and once over planted ones")]

mod interleavings {
    pub(crate) mod planted;
    pub(crate) mod primitives;
    pub(crate) mod shipped;
}

use std::panic::catch_unwind;

use interleavings::{planted, shipped};
use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

const SEED: u64 = 10;
/// How many schedules of each kind for each law.
const SCHEDULES: usize = 10_000;

fn check(name: &str, law: fn()) {
    let schedules = std::env::var("REGRANT_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(SCHEDULES);
    let by_chance = Runner::new(RandomScheduler::new_from_seed(SEED, schedules), shuttle::Config::default()).run(law);
    let rare = Runner::new(PctScheduler::new_from_seed(SEED, 3, schedules), shuttle::Config::default()).run(law);
    println!("{name}: {} schedules", by_chance + rare);
}

/// Check X8: every job that was taken in is heard, in its sender's order, and of no kind do more wait than its share.
#[test]
fn every_job_that_was_taken_in_is_heard_in_every_schedule() {
    check("jobs are heard", shipped::laws::jobs_are_heard_and_keep_their_share);
}

/// Law L3: who is overtaken by the end of the server hears that nothing is known, and waits for nobody.
#[test]
fn a_writer_that_stops_leaves_nobody_waiting_in_any_schedule() {
    check("a stop", shipped::laws::a_stop_leaves_nobody_waiting);
}

/// A job that is put in after keys were replaced is decided under them, and nobody sees halves of two rings.
#[test]
fn keys_that_were_replaced_are_those_of_whatever_comes_later_in_every_schedule() {
    check("keys", shipped::laws::what_comes_after_a_swap_sees_it);
}

/// RFC 7523 section 3: "The authorization server MAY ensure that JWTs are not replayed": one `jti`, two nodes, one use.
#[test]
fn an_assertion_is_good_once_in_every_schedule() {
    check("jti", shipped::laws::a_jti_is_used_once);
}

/// A test of the tests: the same files over a counter that reads, then writes, and over a lock whose readers lag.
#[test]
fn torn_counters_and_lagging_readers_are_found() {
    let planted: [(&str, fn()); 2] = [
        ("a torn counter", planted::laws::jobs_are_heard_and_keep_their_share),
        ("a lagging reader", planted::laws::what_comes_after_a_swap_sees_it),
    ];
    for (name, law) in planted {
        assert!(catch_unwind(|| check(name, law)).is_err(), "{name} was not found");
    }
}
