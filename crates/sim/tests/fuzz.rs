//! The corpora of the fuzz targets, replayed, and some thousand inputs like them from a seed.

use sim::fuzz::{TARGETS, inputs, mutated};
use sim::process::Dice;

/// Mutations of each corpus.
const MUTATIONS: usize = if cfg!(debug_assertions) { 500 } else { 5_000 };

/// Check I1: every parser that meets outside bytes, and every endpoint whole, takes its corpus and thousands of inputs like it without a
/// panic; where there is a second implementation, both say the same.
#[test]
fn every_corpus_is_replayed() {
    assert!(TARGETS.len() >= 15);
    for target in TARGETS {
        let corpus = inputs(target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for input in &corpus {
            (target.run)(input);
        }
        let many = if target.name.starts_with("door_") { MUTATIONS / 5 } else { MUTATIONS };
        let mut dice = Dice::new(0x5eed);
        for _ in 0..many {
            let (input, other) = (&corpus[dice.below(corpus.len())], &corpus[dice.below(corpus.len())]);
            let like_it = mutated(input, other, &mut dice);
            let ran = std::panic::catch_unwind(|| (target.run)(&like_it));
            assert!(ran.is_ok(), "{}: {:?}", target.name, String::from_utf8_lossy(&like_it));
        }
    }
}
