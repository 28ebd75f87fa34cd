//! The same files over primitives with a fault in each: what they would be if a counter were read and then written, or keys were remembered.

mod sync {
    pub(super) use crate::interleavings::primitives::mpsc;
    pub(super) use crate::interleavings::primitives::{Lagging as RwLock, Torn as AtomicUsize};
    pub(super) use shuttle::sync::Arc;
    pub(super) use shuttle::sync::atomic::Ordering;
    pub(super) use std::sync::PoisonError;
}

#[path = "../../../server/src/engine/current.rs"]
mod current;
#[path = "laws.rs"]
#[expect(dead_code, reason = "two of the laws are for the shipped ones only")]
pub(crate) mod laws;
#[path = "../../../server/src/engine/queue.rs"]
#[expect(dead_code, reason = "a simulation takes in another way, in its one thread")]
mod queue;
