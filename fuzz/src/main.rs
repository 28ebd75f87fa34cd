//! libFuzzer over one target: the environment says which.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sim::fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("REGRANT_FUZZ").unwrap_or_default();
    TARGETS.into_iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name:?}"))
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
