//! The contract's suite, over each store.

use regrant_store::{Memory, Sqlite, SqliteOptions, Store, Writes};

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

mod sqlite_rows {
    use super::*;

    fn place() -> impl FnMut() -> Box<dyn Store> {
        let directory = place::Directory::new();
        let options = SqliteOptions { writes: Writes::Rows, ..SqliteOptions::default() };
        move || Box::new(Sqlite::open(&directory.file(), &options).expect("the store opens"))
    }

    regrant_store::contract_tests!(place);
}

/// Each time in the other way: what the one put off, the other finds.
mod sqlite_in_turns {
    use super::*;

    fn place() -> impl FnMut() -> Box<dyn Store> {
        let directory = place::Directory::new();
        let mut turns = [Writes::Journal, Writes::Rows].into_iter().cycle();
        move || {
            let options = SqliteOptions { writes: turns.next().unwrap_or_default(), ..SqliteOptions::default() };
            Box::new(Sqlite::open(&directory.file(), &options).expect("the store opens"))
        }
    }

    regrant_store::contract_tests!(place);
}
