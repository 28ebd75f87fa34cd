//! A look at a stopped server's deployment, which changes nothing.

use regrant_core::Timestamp;
use regrant_store::{Answer, Look, Postgres, Question, Store as _, known_schema};

use super::{StartError, clients, not_behind};
use crate::clock::Clock;
use crate::config::{Config, StoreLocation};
use crate::keyring::{self, Keyring};
use crate::timekeeper;

/// What can be seen of a stopped server's deployment without changing anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examined {
    /// Clients of the file and of the store.
    pub clients: usize,
    /// The newest time in the store.
    pub newest: Timestamp,
    /// The version of the store's schema, and the one that the next start brings it to.
    pub versions: (u32, u32),
}

/// Looks at the store and the keys that a configuration names, as [`App::open`] would open them, and only looks: no lock is taken,
/// no file made, nothing migrated.
///
/// # Errors
/// Why the server would not start, as far as that can be seen without the changes of a start.
pub fn examine(config: &Config, clock: &Clock) -> Result<Examined, StartError> {
    if let StoreLocation::Postgres(options) = &config.store {
        let versions = (Postgres::schema(options)?.version, known_schema());
        return Ok(Examined { clients: config.clients.len(), newest: Timestamp::EPOCH, versions });
    }
    let StoreLocation::Sqlite(path) = &config.store else {
        return Ok(Examined { clients: config.clients.len(), newest: Timestamp::EPOCH, versions: (0, 0) });
    };
    let root = keyring::read_root_key(&config.root_key_file)?;
    let mut look = Look::at(path, &config.sqlite_options())?;
    let newest = look.high_water();
    if let Some(ahead) = timekeeper::ahead_at_start(clock.now(), newest) {
        return Err(StartError::Clock(ahead));
    }
    let (versions, is_used) =
        (look.versions(), matches!(look.ask(&Question::Deployment)?, Answer::Deployment(Some(_))));
    let mut found = config.clients.len();
    // The tables of an older schema are brought into today's form by the next start, and read only then.
    if versions.0 == versions.1 && is_used {
        let keyring = Keyring::open(&mut look, root, clock.now().max(newest))?;
        if let Some(journal) = config.revocations_file() {
            not_behind(&journal, &keyring, newest)?;
        }
        if let Answer::Clients(added) = look.ask(&Question::Clients)? {
            found = clients(config, added)?.by_id.len();
        }
    }
    Ok(Examined { clients: found, newest, versions })
}
