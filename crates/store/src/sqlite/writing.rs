//! Writing a batch: one transaction, in order, all or nothing.

use regrant_core::grant::RowMac;
use regrant_core::{Grant, GrantId, Timestamp};
use rusqlite::Connection;

use super::guard::Guard;
use super::journal::{Batch, Journal, Written};
use super::known::{self, Known};
use super::{commit, events, revocations, rows};
use crate::hot::Hot;
use crate::{EventRecord, Outcome, Record, revocation};

/// What a batch is written with.
pub(super) struct Writing<'a> {
    pub(super) connection: &'a Connection,
    /// What events are chained under, and what is sealed.
    pub(super) guard: &'a mut Guard,
    pub(super) known: &'a Known,
    /// Where changed rows of grants go; without it, into the table.
    pub(super) batch: Option<Batch<'a>>,
}

impl<'a> Writing<'a> {
    /// Begins a transaction, and forgets what others have changed.
    pub(super) fn begin(
        connection: &'a Connection,
        guard: &'a mut Guard,
        known: &'a mut Known,
        journal: Option<&'a Journal>,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        known.check(connection)?;
        Ok(Self { connection, guard, known, batch: journal.map(Batch::new) })
    }

    /// Writes the records, the high-water time and the count of commits. Nothing is durable yet.
    ///
    /// The count rises with every transaction, whatever is in it: so the page of `meta` is in every log that has one, and whoever
    /// opens the store sees by it which database the log belongs to and how far it goes ([`anchor`](super::anchor)).
    pub(super) fn write(
        mut self,
        records: &[Record],
        now: Timestamp,
        (high_water, commits): (Timestamp, u64),
    ) -> rusqlite::Result<(Vec<Outcome>, Option<Written>)> {
        let before = self.guard.sealed.clone();
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let is_due = Record::is_due(records, &outcomes);
            outcomes.push(if is_due { self.one(record.bare(), now)? } else { Outcome::Stale });
        }
        self.guard.write(self.connection, &before)?;
        self.connection
            .prepare_cached("UPDATE meta SET high_water = ?1, commits = ?2 WHERE only = 1")?
            .execute([high_water.millis(), commits.cast_signed()])?;
        let written = self.batch.map(|batch| batch.finish(self.connection)).transpose()?;
        Ok((outcomes, written))
    }

    fn one(&mut self, record: &Record, now: Timestamp) -> rusqlite::Result<Outcome> {
        match record {
            Record::Grant { expected, grant, mac, events } => self.put_grant(*expected, grant, *mac, events),
            Record::RemoveGrant { number, expected } => self.remove_grant(*number, *expected),
            Record::Fold => Ok(commit::outcome(self.batch.as_mut().is_some_and(Batch::fold))),
            _ => commit::one(self.connection, self.guard, record, now),
        }
    }

    fn put_grant(
        &mut self,
        expected: Option<u64>,
        grant: &Grant,
        mac: RowMac,
        told: &[EventRecord],
    ) -> rusqlite::Result<Outcome> {
        let connection = self.connection;
        let is_written = match (expected, &mut self.batch) {
            // Only the hot half: the terms never change.
            (Some(expected), Some(batch)) => batch.replace((connection, self.known), expected, grant, mac)?,
            (Some(expected), None) => match known::place(connection, grant.id.number)? {
                Some(place) if place.version == expected => {
                    let id = GrantId { random: place.random, ..grant.id };
                    self.put_hot(rows::REPLACE, Hot { id, ..Hot::of(grant, mac) })?
                }
                _ => false,
            },
            (None, Some(batch)) if batch.holds(grant.id.number) => false,
            (None, _) => {
                let is_free = self.put_hot(rows::INSERT, Hot::of(grant, mac))?;
                if is_free {
                    let mut statement = connection.prepare_cached(rows::INSERT_TERMS)?;
                    rows::put_terms(&mut statement, grant.id.number, &grant.terms)?;
                }
                is_free
            }
        };
        if is_written {
            revocations::follow(connection, revocation::of_grant(grant))?;
            for event in told {
                events::tell(connection, self.guard, event)?;
            }
        }
        Ok(commit::outcome(is_written))
    }

    /// Whether a row was written.
    fn put_hot(&self, sql: &str, hot: Hot) -> rusqlite::Result<bool> {
        let mut body = Vec::new();
        hot.encode(&mut body);
        rows::put(&mut self.connection.prepare_cached(sql)?, hot.id.number, &body).map(|rows| rows == 1)
    }

    fn remove_grant(&mut self, number: u64, expected: u64) -> rusqlite::Result<Outcome> {
        let connection = self.connection;
        let key = number.cast_signed();
        let is_removed = match &mut self.batch {
            Some(batch) => {
                let is_there = batch.remove((connection, self.known), number, expected)?;
                if is_there {
                    connection.prepare_cached("DELETE FROM grants WHERE number = ?1")?.execute([key])?;
                }
                is_there
            }
            None => {
                let sql = "DELETE FROM grants WHERE number = ?1 AND version = ?2";
                connection.prepare_cached(sql)?.execute([key, expected.cast_signed()])? == 1
            }
        };
        if is_removed {
            connection.prepare_cached("DELETE FROM grant_terms WHERE number = ?1")?.execute([key])?;
            events::forget_places(connection, key)?;
        }
        Ok(commit::outcome(is_removed))
    }
}

/// Ends the transaction: durable when it returns `Ok`.
pub(super) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
}
