//! The store of many nodes, over a real PostgreSQL that the tests start themselves.

#[path = "postgres/cluster.rs"]
mod cluster;
#[path = "postgres/contract.rs"]
mod contract;
#[path = "postgres/doctor.rs"]
mod doctor;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/frozen.rs"]
mod frozen;
#[path = "postgres/moving.rs"]
mod moving;
#[path = "postgres/nodes.rs"]
mod nodes;
#[path = "postgres/poolers.rs"]
mod poolers;
#[path = "postgres/put_back.rs"]
mod put_back;
#[path = "postgres/races.rs"]
mod races;
#[path = "postgres/recovery.rs"]
mod recovery;
#[path = "postgres/schema.rs"]
mod schema;
#[path = "postgres/sealed.rs"]
mod sealed;
#[path = "postgres/secured.rs"]
mod secured;
#[path = "postgres/sweeping.rs"]
mod sweeping;
