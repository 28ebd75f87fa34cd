//! The contract's suite, over each store.

use regrant_store::{Memory, Sqlite, SqliteOptions, Store};

mod place;

mod memory {
    use super::*;

    fn place() -> impl FnMut() -> Box<dyn Store> {
        let memory = Memory::new();
        move || Box::new(memory.clone())
    }

    regrant_store::contract_tests!(place);
}

mod sqlite {
    use super::*;

    fn place() -> impl FnMut() -> Box<dyn Store> {
        let directory = place::Directory::new();
        move || Box::new(Sqlite::open(&directory.file(), &SqliteOptions::default()).expect("the store opens"))
    }

    regrant_store::contract_tests!(place);
}
