//! What the threads around the engine share their work by: the standard library's.
//!
//! [`queue`](super::queue) and [`current`](super::current) take it from here, so that `crates/sim/tests/interleavings.rs` can compile the
//! same two files over primitives that a scheduler of its own interleaves.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
pub(super) use std::sync::{Arc, PoisonError, RwLock, mpsc};
