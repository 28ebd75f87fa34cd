//! A look at a database, for whoever is asked what is wrong: nothing is changed, and no node is made known.

use regrant_core::Timestamp;

use super::line::Fault;
use super::reach::refused;
use super::values::Columns;
use super::{Postgres, PostgresOptions};
use crate::{OpenError, Unavailable};

impl Postgres {
    /// Opens it for a look: a database that went back is read like any other.
    ///
    /// # Errors
    /// [`OpenError::Server`], also where its schema is not that of this program.
    pub fn look(options: &PostgresOptions) -> Result<Self, OpenError> {
        let mut store = Self::usable(options, false)?;
        store.recovers = true;
        store.name().map_err(|fault| refused(options, fault))?;
        store.look_for_news().map_err(|trouble| refused(options, Fault::Refused(trouble)))?;
        Ok(store)
    }

    /// Why nothing is decided on it, if a node has noticed that it went back.
    #[must_use]
    pub fn doubt(&self) -> Option<OpenError> {
        let problem = "the database went back: a standby that had not heard of all that was answered has taken over, or an older copy was put back";
        let remedy = "run `regrant recover --dry-run`, and then `regrant recover`: it says what happens to whom (docs/operations.md, \"A failover that lost something\")";
        self.news.is_in_doubt.then(|| OpenError::Server {
            place: self.options.address.clone(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        })
    }

    /// What its machine's clock says.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn clock(&mut self) -> Result<Timestamp, Unavailable> {
        const SQL: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        self.read(async |line| {
            let rows = line.rows(SQL, &[]).await.map_err(|error| Fault::of(&error))?;
            let row = rows.first().ok_or_else(|| Fault::damaged("the server has no time"))?;
            let mut columns = Columns::of(row);
            let time = columns.time();
            columns.whole(time)
        })
    }
}
