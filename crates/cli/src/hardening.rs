//! What the process denies to others: its memory holds keys and passwords.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dump is written, and no other process of the same user may read this one's memory. What the machine refuses is
/// said and not fatal: a container may forbid it, and have forbidden the rest as well.
pub(crate) fn close_memory() {
    let cores = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let dumps = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = cores.and(dumps) {
        tracing::warn!(%error, "core dumps could not be switched off: the memory of this process may be read by others");
    }
}
