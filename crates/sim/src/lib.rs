//! How we know: what the specification tests, the model and the simulators share. Never shipped.

pub mod abuse;
pub mod canary;
pub mod cluster;
pub mod connections;
pub mod evidence;
pub mod exploit;
pub mod flood;
pub mod fuzz;
pub mod kill;
pub mod pg;
pub mod phones;
pub mod pooler;
pub mod power;
pub mod process;
pub mod revoking;
pub mod simulate;
pub mod size;
pub mod startup;
pub mod syscalls;
pub mod timing;
pub mod wire;
