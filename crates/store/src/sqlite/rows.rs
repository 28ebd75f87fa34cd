//! Rows of grants: each half as one value, with what statements ask for beside it.

use std::sync::Arc;

use regrant_core::issue::SubjectStatus;
use regrant_core::{ClientId, GrantId, Resources, Scope, Terms};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Row};

use super::bounded::Bounded;
use super::known::Place;
use crate::hot::{self, Hot};
use crate::terms::{self, Sets};
use crate::{Loaded, spelling};

/// The beginning of every statement that lists grants, in the order in which [`read`] takes the columns. A hot half
/// without its cold half is found too, and cannot be read. (A macro, for `concat!` takes literals only.)
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT g.number, g.random, g.version, g.hot, t.client, t.subject, t.terms, ",
            "u.subject IS NOT NULL, u.disabled_at IS NOT NULL ",
            "FROM grants g LEFT JOIN grant_terms t ON t.number = g.number LEFT JOIN users u ON u.subject = t.subject ",
            $rest
        )
    };
}
pub(super) use select_grants;

/// Where the cold half begins, and what is said of its user.
const COLD: usize = 4;
const USER: usize = COLD + 3;

/// Both halves of one grant by its number.
pub(super) const SELECT_ONE: &str = "SELECT g.number, g.random, g.version, g.hot, t.client, t.subject, t.terms \
    FROM grants g LEFT JOIN grant_terms t ON t.number = g.number WHERE g.number = ?1";
/// One cold half by its number.
pub(super) const SELECT_TERMS: &str = "SELECT client, subject, terms FROM grant_terms WHERE number = ?1";
/// Where a row stands.
pub(super) const SELECT_PLACE: &str = "SELECT random, version FROM grants WHERE number = ?1";

/// A new row: none if the number is taken.
pub(super) const INSERT: &str =
    "INSERT INTO grants (number, random, version, hot) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
/// The row as it shall be, whatever stands there.
pub(super) const REPLACE: &str = "INSERT OR REPLACE INTO grants (number, random, version, hot) VALUES (?1, ?2, ?3, ?4)";
/// Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT_TERMS: &str =
    "INSERT OR REPLACE INTO grant_terms (number, client, subject, terms) VALUES (?1, ?2, ?3, ?4)";

/// Terms as they were found.
#[derive(Clone, Debug)]
pub(super) struct Cold {
    pub(super) terms: Arc<Terms>,
    /// Whether we can have written them.
    pub(super) is_sound: bool,
}

/// Runs [`INSERT`] or [`REPLACE`] with the bytes of a hot half: the rows it changed.
pub(super) fn put(statement: &mut CachedStatement<'_>, number: u64, body: &[u8]) -> rusqlite::Result<usize> {
    let (random, version) = hot::place(body).ok_or(rusqlite::Error::InvalidQuery)?;
    statement.raw_bind_parameter(1, number.cast_signed())?;
    statement.raw_bind_parameter(2, random.cast_signed())?;
    statement.raw_bind_parameter(3, version.cast_signed())?;
    statement.raw_bind_parameter(4, body)?;
    statement.raw_execute()
}

/// Runs [`INSERT_TERMS`].
pub(super) fn put_terms(statement: &mut CachedStatement<'_>, number: u64, terms: &Terms) -> rusqlite::Result<usize> {
    let body = terms::encode(terms);
    statement.execute((number.cast_signed(), terms.client.as_str(), &terms.subject, body))
}

/// Where a row of [`SELECT_PLACE`] stands.
pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { random: number(row, 0)?, version: number(row, 1)? })
}

/// Reads a row of [`select_grants`]; `newer` knows which hot half stands in place of the one in the table.
pub(super) fn read(
    row: &Row<'_>,
    spellings: &mut Spellings,
    newer: impl Fn(Hot) -> rusqlite::Result<Hot>,
) -> rusqlite::Result<Loaded> {
    let (hot, Cold { terms, is_sound }) = both(row, spellings)?;
    let hot = newer(hot)?;
    let subject = status(row.get(USER)?, row.get(USER + 1)?);
    Ok(if is_sound { hot } else { hot.doubted() }.with(terms, subject))
}

/// Reads a row of [`SELECT_ONE`], or the beginning of one of [`select_grants`].
pub(super) fn both(row: &Row<'_>, spellings: &mut Spellings) -> rusqlite::Result<(Hot, Cold)> {
    Ok((hot(row)?, Cold::read(row, COLD, spellings)?))
}

/// A value that we cannot have written leaves a grant whose MAC does not fit.
fn hot(row: &Row<'_>) -> rusqlite::Result<Hot> {
    let id = GrantId { number: number(row, 0)?, random: number(row, 1)? };
    let version = number(row, 2)?;
    let read = match row.get_ref(3)? {
        ValueRef::Blob(body) => Hot::decode(id.number, body),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => None,
    };
    Ok(Hot::found(id, version, read))
}

/// What is no number stands for one that is not the row's.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get_ref(column)?.as_i64().unwrap_or(-1).cast_unsigned())
}

impl Cold {
    /// Reads the columns from this one on. What is no text, or no terms of ours, is noted.
    pub(super) fn read(row: &Row<'_>, first: usize, spellings: &mut Spellings) -> rusqlite::Result<Self> {
        let text = |column| row.get_ref(column).map(|value| value.as_str().ok());
        let client = text(first)?.and_then(ClientId::parse);
        let subject = text(first + 1)?;
        let body = row.get_ref(first + 2)?.as_blob().ok();
        let read = match (&client, subject, body) {
            (Some(client), Some(subject), Some(body)) => {
                terms::decode(client.clone(), subject.to_owned(), body, spellings)
            }
            _ => None,
        };
        let is_sound = read.is_some();
        let terms = match read {
            Some(terms) => terms,
            None => unreadable(client, subject.unwrap_or_default())?,
        };
        Ok(Self { terms: Arc::new(terms), is_sound })
    }

    /// In place of a row that is not there.
    pub(super) fn missing() -> rusqlite::Result<Self> {
        Ok(Self { terms: Arc::new(unreadable(None, "")?), is_sound: false })
    }
}

fn unreadable(client: Option<ClientId>, subject: &str) -> rusqlite::Result<Terms> {
    let client = client.or_else(|| ClientId::parse("unreadable")).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(spelling::unreadable(client, subject.to_owned()))
}

/// What the two columns say that tell whether there is a user, and whether he may log in.
pub(super) const fn status(is_there: bool, is_disabled: bool) -> SubjectStatus {
    match (is_there, is_disabled) {
        (false, _) => SubjectStatus::Gone,
        (true, false) => SubjectStatus::Enabled,
        (true, true) => SubjectStatus::Disabled,
    }
}

/// Sets that were read before: most grants have one of a few.
#[derive(Debug)]
pub(super) struct Spellings {
    scopes: Bounded<Box<str>, Scope>,
    resources: Bounded<Box<str>, Resources>,
}

impl Default for Spellings {
    fn default() -> Self {
        Self { scopes: Bounded::new(256), resources: Bounded::new(256) }
    }
}

impl Sets for Spellings {
    fn scope(&mut self, text: &str) -> Option<Scope> {
        if let Some(known) = self.scopes.find(text) {
            return Some(known.clone());
        }
        let read = spelling::scope(text)?;
        self.scopes.remember(text.into(), read.clone());
        Some(read)
    }

    fn resources(&mut self, text: &str) -> Option<Resources> {
        if let Some(known) = self.resources.find(text) {
            return Some(known.clone());
        }
        let read = spelling::resources(text)?;
        self.resources.remember(text.into(), read.clone());
        Some(read)
    }
}
