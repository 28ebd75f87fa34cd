//! The server's files over the scheduler's primitives.

mod sync {
    pub(super) use crate::interleavings::primitives::mpsc;
    pub(super) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use shuttle::sync::{Arc, RwLock};
    pub(super) use std::sync::PoisonError;
}

#[path = "../../../server/src/engine/current.rs"]
mod current;
#[path = "laws.rs"]
pub(crate) mod laws;
#[path = "../../../server/src/engine/queue.rs"]
#[expect(dead_code, reason = "a simulation takes in another way, in its one thread")]
mod queue;
