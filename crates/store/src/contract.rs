//! The contract, as a suite that every store must pass.
