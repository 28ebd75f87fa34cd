//! Consents: what a user allowed a client, and has since paused or given an end.
//!
//! Few are limited so. Which ones is known in memory, by hashes of eight bytes: while there is none, a row costs nothing, and one that may
//! be limited is looked up.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use regrant_core::Timestamp;
use regrant_core::issue::SubjectStatus;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{Before, Consent, Loaded, Outcome, Record};

/// Hashes of the limited ones, and perhaps of some that no longer are.
#[derive(Debug, Default)]
pub(super) struct Limited(HashSet<u64>);

impl Limited {
    /// All of them, when a file is opened.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT subject, client FROM consents WHERE paused_at IS NOT NULL OR ends_at IS NOT NULL";
        let mut statement = connection.prepare(sql)?;
        let limited = statement.query_map([], |row| {
            let (subject, client): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(hash(&subject, &client))
        })?;
        limited.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// Takes note of what was committed.
    pub(super) fn committed<'a>(&mut self, records: impl IntoIterator<Item = (&'a Record, &'a Outcome)>) {
        for (record, outcome) in records {
            let (Record::PutConsent { consent, .. }, Outcome::Committed) = (record.bare(), outcome) else { continue };
            let hash = hash(&consent.subject, &consent.client);
            // One that is limited no longer stays here until the file is opened again: another one may have the same hash.
            if consent.status() != SubjectStatus::Enabled {
                self.0.insert(hash);
            }
        }
    }

    /// The row with what its user said of its client.
    pub(super) fn limit(&self, connection: &Connection, loaded: &mut Loaded) -> rusqlite::Result<()> {
        let terms = &loaded.grant.terms;
        if loaded.subject == SubjectStatus::Enabled
            && !self.0.is_empty()
            && self.0.contains(&hash(&terms.subject, terms.client.as_str()))
            && let Some(consent) = one(connection, &terms.subject, terms.client.as_str())?
        {
            loaded.subject = consent.status();
        }
        Ok(())
    }
}

fn hash(subject: &str, client: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (subject, client).hash(&mut hasher);
    hasher.finish()
}

/// What this user allowed this client.
pub(super) fn one(connection: &Connection, subject: &str, client: &str) -> rusqlite::Result<Option<Consent>> {
    let sql = "SELECT subject, client, scope, resources, at, paused_at, ends_at FROM consents WHERE subject = ?1 AND client = ?2";
    connection.prepare_cached(sql)?.query_row([subject, client], read).optional()
}

/// All that this user allowed, in order of client.
pub(super) fn of(connection: &Connection, subject: &str) -> rusqlite::Result<Vec<Consent>> {
    let sql = "SELECT subject, client, scope, resources, at, paused_at, ends_at FROM consents WHERE subject = ?1 ORDER BY client";
    connection.prepare_cached(sql)?.query_map([subject], read)?.collect()
}

/// Replaces what was remembered, if it is what it should be.
pub(super) fn put(connection: &Connection, consent: &Consent, before: &Before<Consent>) -> rusqlite::Result<usize> {
    if *before != Before::Whatever && !before.is(one(connection, &consent.subject, &consent.client)?.as_ref()) {
        return Ok(0);
    }
    let Consent { subject, client, scope, resources, at, paused_at, ends_at } = consent;
    let time = |at: &Option<Timestamp>| at.map(Timestamp::millis);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO consents (subject, client, scope, resources, at, paused_at, ends_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![subject, client, scope, resources, at.millis(), time(paused_at), time(ends_at)])
}

fn read(row: &Row<'_>) -> rusqlite::Result<Consent> {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(Consent {
        subject: row.get(0)?,
        client: row.get(1)?,
        scope: row.get(2)?,
        resources: row.get(3)?,
        at: Timestamp::from_millis(row.get(4)?),
        paused_at: time(5)?,
        ends_at: time(6)?,
    })
}
