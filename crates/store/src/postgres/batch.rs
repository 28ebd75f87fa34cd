//! A batch: one transaction, in order, all or nothing.
//!
//! | the batch                       | round trips, beside the wait for the device                      |
//! |---------------------------------|------------------------------------------------------------------|
//! | refreshes                       | one: everything from BEGIN to COMMIT is sent without a wait      |
//! | what tells or restricts         | one for each statement, and one for the ledger and the COMMIT    |
//!
//! Rows of one kind that follow one another are one statement. The ledger is locked at the end, for the time of the COMMIT.

use std::collections::HashSet;
use std::time::Duration;

use regrant_core::Timestamp;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::guard::Guard;
use super::ledger::Ledger;
use super::line::{Fault, Line, PATIENCE, is_answered_no};
use super::news::{self, News};
use super::places::{self, Seen};
use super::values::{Columns, P, at};
use super::{grants, records};
use crate::{EventRecord, Outcome, Record, Revoked, revocation};

/// Every transaction of ours. What the server or a role says otherwise does not count: a statement that is cancelled while it waits for
/// the standby would be told as committed. Nor is that warning kept from us.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL client_min_messages = warning; \
    SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '15s'";
const NODE: &str = "INSERT INTO nodes (id, version, commits, high_water) VALUES ($1, '', 1, $2) ON CONFLICT (id) DO UPDATE \
    SET commits = nodes.commits + 1, high_water = greatest(nodes.high_water, excluded.high_water) RETURNING commits";

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcomes: Vec<Outcome>,
    /// How many commits this node has made.
    pub(super) commits: u64,
    /// What there is to know behind the commit.
    pub(super) news: News,
    /// How often the batch itself has restricted something.
    pub(super) restricted: u64,
}

/// Whose batch it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    pub(super) node: &'a str,
    pub(super) key: &'a Guard,
}

/// A transaction that is under way.
pub(super) struct Batch<'a> {
    line: &'a Line,
    pub(super) now: Timestamp,
    pub(super) node: &'a str,
    pub(super) key: &'a Guard,
    /// As it is to be written; `None` until somebody needs it.
    ledger: Option<Ledger>,
    /// As it was found.
    found: Option<Ledger>,
    told: Vec<EventRecord>,
}

/// Writes the records and the high-water time, and commits.
pub(super) async fn write(
    line: &Line,
    writer: Writer<'_>,
    records: &[Record],
    now: Timestamp,
) -> Result<Written, Fault> {
    line.prepare(NODE, &[Type::TEXT, Type::INT8]).await.map_err(|error| Fault::of(&error))?;
    line.prepare(news::SELECT, &[]).await.map_err(|error| Fault::of(&error))?;
    match Plain::of(records) {
        Some(plain) => write_plain(line, writer, &plain, now).await,
        None => write_any(line, writer, records, now).await,
    }
}

type Update<'a> = (grants::Written<'a>, u64);

/// What can be sent without a wait: new versions of rows that end nothing and tell nothing, and where grants were used from.
struct Plain<'a> {
    records: &'a [Record],
    rows: Vec<Update<'a>>,
    places: Vec<Seen<'a>>,
}

impl<'a> Plain<'a> {
    /// `None` if there is anything else, or a grant twice.
    fn of(records: &'a [Record]) -> Option<Self> {
        let (mut numbers, mut seen) = (HashSet::with_capacity(records.len()), HashSet::new());
        let mut plain = Self { records, rows: Vec::with_capacity(records.len()), places: Vec::new() };
        for record in records {
            match record {
                Record::Grant { expected: Some(expected), grant, mac, events }
                    if events.is_empty() && grant.ended.is_none() && numbers.insert(grant.id.number) =>
                {
                    plain.rows.push(((grant, *mac), *expected));
                }
                Record::Seen { grant, place } if seen.insert(*grant) => plain.places.push((*grant, place)),
                _ => return None,
            }
        }
        Some(plain)
    }

    fn outcomes(&self, written: &HashSet<u64>) -> Vec<Outcome> {
        let of = |record: &Record| match record {
            Record::Grant { grant, .. } => outcome(written.contains(&grant.id.number)),
            _ => Outcome::Committed,
        };
        self.records.iter().map(of).collect()
    }
}

async fn write_plain(line: &Line, writer: Writer<'_>, plain: &Plain<'_>, now: Timestamp) -> Result<Written, Fault> {
    let (updates, places) = (update(&plain.rows), places::parameters(&plain.places));
    for (sql, parameters) in [(grants::UPDATE, &updates), (places::PUT, &places)] {
        let types: Vec<Type> = parameters.iter().map(P::of_type).collect();
        line.prepare(sql, &types).await.map_err(|error| Fault::of(&error))?;
    }
    let warnings = line.warnings();
    let node = [P::T(writer.node), at(now)];
    let put = async |sql, parameters, is_empty: bool| {
        if is_empty { Ok(Vec::new()) } else { line.rows(sql, parameters).await }
    };
    // Sent in this order, all of it at once.
    let all = async {
        tokio::join!(
            line.simple(BEGIN),
            put(grants::UPDATE, &updates, plain.rows.is_empty()),
            put(places::PUT, &places, plain.places.is_empty()),
            line.rows(NODE, &node),
            line.simple("COMMIT"),
            line.rows(news::SELECT, &[])
        )
    };
    let Ok((begun, updated, put, noted, committed, news)) = timeout(PATIENCE, all).await else {
        return Err(Fault::Lost("COMMIT was not answered in time".to_owned()));
    };
    // A statement that the server refused leaves a COMMIT that rolls back. Without an answer nobody knows how far it came.
    let known = |error: tokio_postgres::Error| match error.code() {
        Some(_) => Fault::of(&error),
        None => Fault::Lost(super::line::words(&error)),
    };
    begun.map_err(known)?;
    let updated = updated.map_err(known)?;
    put.map_err(known)?;
    let noted = noted.map_err(known)?;
    sealed(committed, line, warnings)?;
    let written: HashSet<u64> = updated.iter().map(|row| Columns::of(row).u64()).collect();
    Ok(Written { outcomes: plain.outcomes(&written), commits: commits(&noted), news: read_news(news)?, restricted: 0 })
}

async fn write_any(line: &Line, writer: Writer<'_>, records: &[Record], now: Timestamp) -> Result<Written, Fault> {
    let mut batch =
        Batch { line, now, node: writer.node, key: writer.key, ledger: None, found: None, told: Vec::new() };
    let node = [P::T(writer.node), at(now)];
    let prepared = async {
        line.simple(BEGIN).await.map_err(|error| Fault::of(&error))?;
        let outcomes = batch.write(records).await?;
        let noted = line.rows(NODE, &node).await.map_err(|error| Fault::of(&error))?;
        batch.finish().await?;
        Ok((outcomes, noted))
    };
    let Ok(prepared) = timeout(allowed(records), prepared).await else {
        return Err(Fault::Gone("the database did not answer in time".to_owned()));
    };
    let (outcomes, noted) = prepared?;
    // A crash before this loses the batch, of which nobody has heard; one behind it loses nothing.
    let warnings = line.warnings();
    let both = async { tokio::join!(line.simple("COMMIT"), line.rows(news::SELECT, &[])) };
    let Ok((committed, news)) = timeout(PATIENCE, both).await else {
        return Err(Fault::Lost("COMMIT was not answered in time".to_owned()));
    };
    sealed(committed, line, warnings)?;
    Ok(Written { outcomes, commits: commits(&noted), news: read_news(news)?, restricted: batch.restricted() })
}

/// Longer batches may take longer.
fn allowed(records: &[Record]) -> Duration {
    PATIENCE + Duration::from_millis(2) * u32::try_from(records.len()).unwrap_or(u32::MAX).min(10_000)
}

/// The answer to COMMIT. One with a warning is no answer: the server has stopped waiting for its standby, and says that it has committed.
fn sealed(committed: Result<(), tokio_postgres::Error>, line: &Line, warnings: u64) -> Result<(), Fault> {
    match committed {
        Ok(()) if line.warnings() == warnings => Ok(()),
        Ok(()) => Err(Fault::Lost("the server no longer waited for its standby".to_owned())),
        Err(error) if is_answered_no(&error) => Err(Fault::of(&error)),
        Err(error) => Err(Fault::Lost(super::line::words(&error))),
    }
}

/// What was committed is committed: where the question behind it was not answered, the batch counts as lost and is settled by reading.
fn read_news(answer: Result<Vec<Row>, tokio_postgres::Error>) -> Result<News, Fault> {
    let rows = answer.map_err(|error| Fault::Lost(super::line::words(&error)))?;
    news::read(&rows)
}

fn commits(rows: &[Row]) -> u64 {
    rows.first().map_or(0, |row| Columns::of(row).u64())
}

const fn outcome(is_done: bool) -> Outcome {
    if is_done { Outcome::Committed } else { Outcome::Stale }
}

fn update<'a>(rows: &[Update<'a>]) -> Vec<P<'a>> {
    let written: Vec<grants::Written<'a>> = rows.iter().map(|(written, _)| *written).collect();
    let mut parameters = grants::hot(&written);
    parameters.push(P::Ns(rows.iter().map(|(_, expected)| expected.cast_signed()).collect()));
    parameters
}

impl Batch<'_> {
    async fn write(&mut self, records: &[Record]) -> Result<Vec<Outcome>, Fault> {
        let mut outcomes = Vec::with_capacity(records.len());
        while let Some(rest) = records.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            let (run, is_new) = run(rest);
            if run > 0 {
                outcomes.extend(self.put_grants(&rest[..run], is_new).await?);
                continue;
            }
            let mut numbers = HashSet::new();
            let seen: Vec<Seen<'_>> =
                rest.iter().map_while(places::seen).take_while(|(grant, _)| numbers.insert(*grant)).collect();
            if !seen.is_empty() {
                self.done(places::PUT, &places::parameters(&seen)).await?;
                outcomes.extend(seen.iter().map(|_| Outcome::Committed));
                continue;
            }
            let Some(record) = rest.first() else { break };
            outcomes.push(match record.bare() {
                _ if !Record::is_due(records, &outcomes) => Outcome::Stale,
                Record::RemoveGrant { number, expected } => self.remove_grant(*number, *expected).await?,
                record => records::one(self, record).await?,
            });
        }
        Ok(outcomes)
    }

    /// Rows of grants: one statement for all, and another for the terms of new ones.
    async fn put_grants(&mut self, run: &[Record], is_new: bool) -> Result<Vec<Outcome>, Fault> {
        let rows: Vec<Update<'_>> = run
            .iter()
            .filter_map(|record| match record {
                Record::Grant { expected, grant, mac, .. } => Some(((grant, *mac), expected.unwrap_or(0))),
                _ => None,
            })
            .collect();
        let answered = if is_new {
            let new: Vec<grants::Written<'_>> = rows.iter().map(|(written, _)| *written).collect();
            let mut parameters = grants::hot(&new);
            parameters.push(P::Ns(new.iter().map(|(grant, _)| grant.id.random.cast_signed()).collect()));
            self.rows(grants::INSERT, &parameters).await?
        } else {
            self.rows(grants::UPDATE, &update(&rows)).await?
        };
        let written: HashSet<u64> = answered.iter().map(|row| Columns::of(row).u64()).collect();
        if is_new {
            let new = rows.iter().map(|(written, _)| *written);
            let new: Vec<grants::Written<'_>> = new.filter(|(grant, _)| written.contains(&grant.id.number)).collect();
            if !new.is_empty() {
                self.done(grants::INSERT_TERMS, &grants::cold(&new)).await?;
            }
        }
        let mut outcomes = Vec::with_capacity(run.len());
        for record in run {
            let Record::Grant { grant, events, .. } = record else { continue };
            let is_written = written.contains(&grant.id.number);
            if is_written {
                self.follow(revocation::of_grant(grant)).await?;
                self.tell(events);
            }
            outcomes.push(outcome(is_written));
        }
        Ok(outcomes)
    }

    async fn remove_grant(&self, number: u64, expected: u64) -> Result<Outcome, Fault> {
        const ROW: &str = "DELETE FROM grants WHERE number = $1 AND version = $2";
        let number = number.cast_signed();
        let is_removed = self.done(ROW, &[P::N(number), P::N(expected.cast_signed())]).await? == 1;
        if is_removed {
            self.done("DELETE FROM grant_terms WHERE number = $1", &[P::N(number)]).await?;
            self.done("DELETE FROM grant_places WHERE number = $1", &[P::N(number)]).await?;
        }
        Ok(outcome(is_removed))
    }

    /// What is left to do before COMMIT: from here to there the ledger is locked.
    async fn finish(&mut self) -> Result<(), Fault> {
        self.flush().await?;
        match (&self.ledger, &self.found) {
            (Some(ledger), found) if Some(ledger) != found.as_ref() => ledger.write(self.line, self.key).await,
            _ => Ok(()),
        }
    }

    /// How often it has restricted something.
    fn restricted(&self) -> u64 {
        match (&self.ledger, &self.found) {
            (Some(ledger), Some(found)) => ledger.restrictions.saturating_sub(found.restrictions),
            _ => 0,
        }
    }

    /// Events come last, but for those before a sweep.
    async fn flush(&mut self) -> Result<(), Fault> {
        if self.told.is_empty() {
            return Ok(());
        }
        let told = std::mem::take(&mut self.told);
        let (line, key) = (self.line, self.key);
        self.ledger().await?.tell(line, &key.key, &told).await
    }

    /// The ledger, locked until the end.
    pub(super) async fn ledger(&mut self) -> Result<&mut Ledger, Fault> {
        if self.ledger.is_none() {
            let found = Ledger::lock(self.line, self.key).await?;
            self.found = Some(found.clone());
            self.ledger = Some(found);
        }
        self.ledger.as_mut().ok_or_else(|| Fault::damaged("there is no ledger"))
    }

    pub(super) fn tell(&mut self, events: &[EventRecord]) {
        self.told.extend_from_slice(events);
    }

    /// Writes what a record entails, if it entails anything.
    pub(super) async fn follow(&mut self, entailed: Option<(Revoked, Timestamp)>) -> Result<(), Fault> {
        match entailed {
            Some((revoked, at)) => self.revoke(&revoked, at, None).await,
            None => Ok(()),
        }
    }

    pub(super) async fn revoke(
        &mut self,
        revoked: &Revoked,
        at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let line = self.line;
        self.ledger().await?.revoke(line, revoked, at, expires_at).await
    }

    pub(super) async fn sweep_events(&mut self, before: Timestamp, limit: u32) -> Result<(), Fault> {
        self.flush().await?;
        let line = self.line;
        self.ledger().await?.sweep(line, before, limit).await
    }

    pub(super) async fn rows(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<Vec<Row>, Fault> {
        self.line.rows(sql, parameters).await.map_err(|error| Fault::of(&error))
    }

    pub(super) async fn done(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<u64, Fault> {
        self.line.done(sql, parameters).await.map_err(|error| Fault::of(&error))
    }

    pub(super) async fn count(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<u64, Fault> {
        let rows = self.rows(sql, parameters).await?;
        Ok(rows.first().map_or(0, |row| Columns::of(row).u64()))
    }
}

/// How many of the first records are rows of different grants, all of them new or all of them not.
fn run(records: &[Record]) -> (usize, bool) {
    let is_new = matches!(records.first(), Some(Record::Grant { expected: None, .. }));
    let mut numbers = HashSet::new();
    let fits = |record: &&Record| match record {
        Record::Grant { expected, grant, .. } => expected.is_none() == is_new && numbers.insert(grant.id.number),
        _ => false,
    };
    (records.iter().take_while(fits).count(), is_new)
}
