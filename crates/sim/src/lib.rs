//! How we know: what the specification tests, the model and the simulators share. Never shipped.

pub mod model;
pub mod wire;
