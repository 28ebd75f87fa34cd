//! How we know: what the specification tests, the model and the simulators share. Never shipped.

pub mod canary;
pub mod connections;
pub mod exploit;
pub mod kill;
pub mod model;
pub mod process;
pub mod size;
pub mod syscalls;
pub mod wire;
