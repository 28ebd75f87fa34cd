//! The store of many nodes, over a real PostgreSQL that the tests start themselves.

#[path = "postgres/cluster.rs"]
mod cluster;
#[path = "postgres/contract.rs"]
mod contract;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/moving.rs"]
mod moving;
#[path = "postgres/races.rs"]
mod races;
