//! A file whose power fails: real SQLite, and of what it had not waited for, any part.
//!
//! ```text
//! before the commit    the files are read
//! the commit           runs as ever
//! after it             the files are read again; the process ends here, and so does the machine
//! ```
//!
//! The write-ahead log is waited for at the end of the commit, so that of the sectors in which it differs any may be there and any may
//! not. The database itself differs only if the log was moved into it, which is begun when the log has been waited for: then the log is
//! whole, and any of the database's sectors may be missing. The anchor is written last, and waited for by nobody. From such files the
//! store is opened again, elsewhere. What a device may do further (lose what it confirmed) is no store's to mend.

use std::path::{Path, PathBuf};

use regrant_store::{Sqlite, SqliteOptions};

use crate::process::{Dice, Scratch};

/// What a device writes whole.
const SECTOR: usize = 512;

/// A file, and the directories it has been in.
pub(super) struct Torn {
    scratch: Scratch,
    lives: u64,
    dice: Dice,
    before: Option<Files>,
    count: u64,
}

#[derive(Clone, Default)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
    anchor: Vec<u8>,
}

const NAMES: [&str; 3] = ["regrant.db", "regrant.db-wal", "regrant.db.anchor"];

impl Files {
    fn read(directory: &Path) -> Self {
        let [database, log, anchor] = NAMES.map(|name| std::fs::read(directory.join(name)).unwrap_or_default());
        Self { database, log, anchor }
    }

    fn write(&self, directory: &Path) {
        std::fs::create_dir_all(directory).expect("a directory");
        for (name, bytes) in NAMES.into_iter().zip([&self.database, &self.log, &self.anchor]) {
            if !bytes.is_empty() {
                std::fs::write(directory.join(name), bytes).expect("a file");
            }
        }
    }
}

impl Torn {
    /// On a copy of this database, which is closed.
    pub(super) fn new(template: &Path, seed: u64) -> Self {
        let scratch = Scratch::in_memory("torn");
        let torn = Self { scratch, lives: 0, dice: Dice::new(seed), before: None, count: 0 };
        Files::read(template).write(&torn.directory());
        torn
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path().join(self.lives.to_string())
    }

    pub(super) fn open(&self) -> Sqlite {
        let path = self.directory().join(NAMES[0]);
        Sqlite::open(&path, &SqliteOptions::default()).unwrap_or_else(|refused| panic!("the store opens: {refused}"))
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// A commit is about to begin under which the power will fail.
    pub(super) fn before(&mut self) {
        self.before = Some(Files::read(&self.directory()));
    }

    /// It has ended: what is left of it is found elsewhere by the next start.
    pub(super) fn tear(&mut self) {
        let (after, before) = (Files::read(&self.directory()), self.before.take().unwrap_or_default());
        let was_moved = after.database != before.database;
        let left = match self.dice.below(4) {
            // All of it, and the anchor has not heard.
            0 => Files { anchor: before.anchor, ..after },
            1 => after,
            _ if was_moved => {
                let database = self.mixed(&before.database, &after.database);
                Files { database, log: after.log, anchor: before.anchor }
            }
            _ => Files { log: self.mixed(&before.log, &after.log), ..before },
        };
        self.count += 1;
        self.lives += 1;
        left.write(&self.directory());
    }

    /// The power goes between two commits.
    pub(super) fn lose_power(&mut self, _chance: u64) {
        let left = Files::read(&self.directory());
        self.lives += 1;
        left.write(&self.directory());
    }

    /// Of each sector in which they differ, the one or the other.
    fn mixed(&mut self, before: &[u8], after: &[u8]) -> Vec<u8> {
        // Half of the time in order: a device that was cut off in the middle.
        let cut = self.dice.one_in(2).then(|| self.dice.below(after.len() / SECTOR + 1) * SECTOR);
        let mut mixed = Vec::with_capacity(after.len());
        for at in (0..after.len()).step_by(SECTOR) {
            let new = after.get(at..(at + SECTOR).min(after.len())).unwrap_or_default();
            let old = before.get(at..(at + SECTOR).min(before.len())).unwrap_or_default();
            let is_there = cut.map_or_else(|| self.dice.one_in(2), |cut| at < cut);
            if is_there {
                mixed.extend_from_slice(new);
            } else {
                let end = at + new.len();
                mixed.extend_from_slice(old);
                mixed.resize(end, 0);
            }
        }
        // What was not lengthened may be shorter, and is never longer.
        if cut.is_some() {
            mixed.truncate(cut.unwrap_or(0).max(before.len()));
        }
        mixed
    }
}
