//! The contract's suite over PostgreSQL: each check has an empty database of one server.

use std::sync::OnceLock;

use regrant_store::{Memory, Postgres, Store};
use sim::pg::{self, Server};

/// One server for all checks: it ends with the process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

mod prepared {
    use super::*;

    fn place() -> Box<dyn FnMut() -> Box<dyn Store>> {
        if !pg::is_there() {
            let memory = Memory::new();
            return Box::new(move || Box::new(memory.clone()));
        }
        let database = server().database();
        Box::new(move || Box::new(database.node()))
    }

    regrant_store::contract_tests!(place);
}

/// As behind a pooler that hands out another connection with each transaction.
mod unprepared {
    use super::*;

    fn place() -> Box<dyn FnMut() -> Box<dyn Store>> {
        if !pg::is_there() {
            let memory = Memory::new();
            return Box::new(move || Box::new(memory.clone()));
        }
        let database = server().database();
        let address = format!("{}?prepared_statements=false", database.options().address);
        let options = regrant_store::PostgresOptions::parse(&address).expect("an address");
        Box::new(move || Box::new(Postgres::open(&options).expect("the store opens")))
    }

    regrant_store::contract_tests!(place, grants:
        a_new_grant_is_loaded_as_it_was_written,
        a_write_replaces_the_version_it_was_decided_on,
        records_take_effect_in_order,
        rows_come_in_the_order_asked,
        the_greatest_numbers_come_last,
    );
    regrant_store::contract_tests!(place, lasting:
        the_greatest_values_come_back,
        the_smallest_values_come_back,
        everything_is_there_after_reopening,
    );
    regrant_store::contract_tests!(place, chain: what_retention_leaves_still_verifies,);
}
