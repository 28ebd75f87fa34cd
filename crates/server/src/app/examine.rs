//! A look at a deployment, which changes nothing.

use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::keys::RootKey;
use regrant_store::{Answer, Look, Postgres, Question, Store, known_schema};

use super::start_error::named;
use super::{StartError, fitting, not_behind};
use crate::clock::Clock;
use crate::config::{Config, StoreLocation};
use crate::keyring::{self, Keyring};
use crate::timekeeper;

/// What can be seen of a deployment without changing anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examined {
    /// Clients of the file and of the store.
    pub clients: usize,
    /// What is wrong with those of the store that the configuration does not fit: they are served with less, or not at all.
    pub misfits: Vec<String>,
    /// The newest time in the store.
    pub newest: Timestamp,
    /// The version of the store's schema, and the one that the next start brings it to.
    pub versions: (u32, u32),
    /// How far the clock is ahead of that of a database, if it is further than clocks of machines may differ.
    pub ahead: Option<Duration>,
}

/// Looks at the store and the keys that a configuration names, as [`App::open`](super::App::open) would open them, and only looks: no lock is
/// taken, no file made, nothing migrated.
///
/// # Errors
/// Why the server would not start, as far as that can be seen without the changes of a start.
pub fn examine(config: &Config, clock: &Clock) -> Result<Examined, StartError> {
    let unused = |versions| {
        let clients = config.clients.len();
        Ok(Examined { clients, misfits: Vec::new(), newest: Timestamp::EPOCH, versions, ahead: None })
    };
    match &config.store {
        StoreLocation::Sqlite(path) => {
            let root = keyring::read_root_key(&config.root_key_file)?;
            let mut look = Look::at(path, &config.sqlite_options())?;
            let versions = look.versions();
            looked_at(config, &mut look, root, clock, versions)
        }
        StoreLocation::Postgres(options) => {
            let named = |error| named(error, config);
            let versions = (Postgres::schema(options).map_err(named)?.version, known_schema());
            if versions.0 != versions.1 {
                return unused(versions);
            }
            let root = keyring::read_root_key(&config.root_key_file)?;
            let mut look = Postgres::look(options).map_err(named)?;
            if let Some(doubt) = look.doubt() {
                return Err(named(doubt));
            }
            let ahead = timekeeper::ahead_of(clock.now(), look.clock()?);
            Ok(Examined { ahead, ..looked_at(config, &mut look, root, clock, versions)? })
        }
        StoreLocation::Memory => unused((0, 0)),
    }
}

fn looked_at(
    config: &Config,
    look: &mut dyn Store,
    root: RootKey,
    clock: &Clock,
    versions: (u32, u32),
) -> Result<Examined, StartError> {
    let newest = look.high_water();
    if let Some(ahead) = timekeeper::ahead_at_start(clock.now(), newest) {
        return Err(StartError::Clock(ahead));
    }
    let is_used = matches!(look.ask(&Question::Deployment)?, Answer::Deployment(Some(_)));
    let (mut found, mut misfits) = (config.clients.len(), Vec::new());
    // The tables of an older schema are brought into today's form by the next start, and read only then.
    if versions.0 == versions.1 && is_used {
        let keyring = Keyring::open(look, root, clock.now().max(newest))?;
        if let Some(journal) = config.revocations_file() {
            not_behind(&journal, &keyring, newest)?;
        }
        if let Answer::Clients(added) = look.ask(&Question::Clients)? {
            let (clients, problems) = fitting(config, added);
            found = clients.by_id.len();
            misfits = clients.narrowed.into_values().chain(problems.iter().map(ToString::to_string)).collect();
        }
    }
    Ok(Examined { clients: found, misfits, newest, versions, ahead: None })
}
