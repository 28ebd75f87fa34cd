//! The store that a deployment is moved from: opened and judged as a start does it, for what went back must not live on elsewhere.

use std::path::Path;

use regrant_store::{Answer, Question, Sqlite, SqliteOptions, Store as _};

use super::{StartError, not_behind};
use crate::clock::Clock;
use crate::config::{Config, StoreLocation};
use crate::keyring::{self, Keyring};
use crate::recover::AnchorNeed;

/// Opens the file `from`. If it is the store of the configuration, it is compared with the anchor and the revocation journal that are named there,
/// under its root key; else with the anchor beside it.
///
/// # Errors
/// Why a server would not start on it, and [`NoAnchor`](regrant_store::OpenError::NoAnchor) where that is needed; nothing was changed.
pub fn open_to_move(config: &Config, from: &Path, anchor: AnchorNeed, clock: &Clock) -> Result<Sqlite, StartError> {
    let is_ours = matches!(&config.store, StoreLocation::Sqlite(store) if is_same(store, from));
    let settings = if is_ours { config.sqlite_options() } else { SqliteOptions::default() };
    let options = SqliteOptions { create: false, ..settings };
    let mut store = match anchor {
        AnchorNeed::Needed => Sqlite::open_anchored(from, &options)?,
        AnchorNeed::Waived => Sqlite::open(from, &options)?,
    };
    // One without a deployment has no keys, and nothing to lose.
    if is_ours && matches!(store.ask(&Question::Deployment)?, Answer::Deployment(Some(_))) {
        let root = keyring::read_root_key(&config.root_key_file)?;
        let came_to = store.high_water();
        let keyring = Keyring::open(&mut store, root, clock.now().max(came_to))?;
        if let Some(journal) = config.revocations_file() {
            not_behind(&journal, &keyring, came_to)?;
        }
    }
    Ok(store)
}

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
