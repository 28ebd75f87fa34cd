//! How fast: one load generator for Regrant, for what the machine allows and for others, and counts of instructions that noise
//! cannot move. Never shipped.

pub mod batcher;
pub mod case;
pub mod ceiling;
pub mod docs;
pub mod histogram;
pub mod http;
pub mod instructions;
pub mod load;
pub mod peers;
pub mod plot;
pub mod pool;
pub mod postgres;
pub mod progress;
pub mod refresh;
pub mod report;
pub mod servers;
pub mod speak;
pub mod stock;
pub mod time;
