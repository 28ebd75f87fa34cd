//! The hot half of a grant as a row of columns. Parameters are bound by their position, in the order of [`read`](Hot::read).

use regrant_core::grant::{EndReason, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{GrantId, Timestamp};
use rusqlite::{CachedStatement, Row};

use super::columns::Columns;
use crate::hot::Hot;

/// How many columns a hot row has.
pub(super) const COLUMNS: usize = 22;

/// A new row: none if the number is taken.
pub(super) const INSERT: &str = "INSERT INTO grants (number, random, version, write_id, generation, current, ratchet, \
    tag_key, era, seed_key, rotated_at, previously_rotated_at, answered_at, retries, retry_proof, idle_at, absolute_at, \
    ended_at, end_reason, redeemed_at, mac_key, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
    ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) ON CONFLICT DO NOTHING";

/// The row as it shall be, whatever stands there.
pub(super) const REPLACE: &str = "INSERT OR REPLACE INTO grants (number, random, version, write_id, generation, current, \
    ratchet, tag_key, era, seed_key, rotated_at, previously_rotated_at, answered_at, retries, retry_proof, idle_at, \
    absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
    ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";

/// Compare-and-set: no row is changed if another version is there, and the random half never is.
pub(super) const UPDATE: &str = "UPDATE grants SET version = ?3, write_id = ?4, generation = ?5, current = ?6, ratchet = ?7, \
    tag_key = ?8, era = ?9, seed_key = ?10, rotated_at = ?11, previously_rotated_at = ?12, answered_at = ?13, \
    retries = ?14, retry_proof = ?15, idle_at = ?16, absolute_at = ?17, ended_at = ?18, end_reason = ?19, \
    redeemed_at = ?20, mac_key = ?21, mac = ?22 WHERE number = ?1 AND version = ?23";

impl Hot {
    /// Reads the first columns of a row.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut columns = Columns::from(row, 0);
        let (number, random) = (columns.u64()?, columns.u64()?);
        let hot = Self {
            id: GrantId { number, random },
            version: columns.u64()?,
            write_id: columns.u64()?,
            generation: columns.small()?,
            current: columns.hash()?.map(Hash),
            ratchet: columns.hash()?,
            tag_key: columns.small()?,
            era: columns.small()?,
            seed_key: columns.small()?,
            rotated_at: columns.time()?,
            previously_rotated_at: columns.time()?,
            answered_at: columns.time()?,
            retries: columns.small()?,
            retry_proof: columns.hash()?.map(Hash),
            idle_at: columns.time()?,
            absolute_at: columns.time()?,
            ended: ended(&mut columns)?,
            redeemed_at: columns.optional_time()?,
            mac: RowMac { key_id: columns.small()?, mac: columns.mac()? },
        };
        Ok(if columns.is_sound { hot } else { hot.doubted() })
    }

    /// Binds all columns, in order.
    pub(super) fn bind(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.id.number.cast_signed())?;
        statement.raw_bind_parameter(2, self.id.random.cast_signed())?;
        statement.raw_bind_parameter(3, self.version.cast_signed())?;
        statement.raw_bind_parameter(4, self.write_id.cast_signed())?;
        statement.raw_bind_parameter(5, self.generation)?;
        statement.raw_bind_parameter(6, self.current.as_ref().map(|hash| hash.0.as_slice()))?;
        statement.raw_bind_parameter(7, self.ratchet.as_ref().map(<[u8; 32]>::as_slice))?;
        statement.raw_bind_parameter(8, self.tag_key)?;
        statement.raw_bind_parameter(9, self.era)?;
        statement.raw_bind_parameter(10, self.seed_key)?;
        statement.raw_bind_parameter(11, self.rotated_at.millis())?;
        statement.raw_bind_parameter(12, self.previously_rotated_at.millis())?;
        statement.raw_bind_parameter(13, self.answered_at.millis())?;
        statement.raw_bind_parameter(14, self.retries)?;
        statement.raw_bind_parameter(15, self.retry_proof.as_ref().map(|hash| hash.0.as_slice()))?;
        statement.raw_bind_parameter(16, self.idle_at.millis())?;
        statement.raw_bind_parameter(17, self.absolute_at.millis())?;
        statement.raw_bind_parameter(18, self.ended.map(|(at, _)| at.millis()))?;
        statement.raw_bind_parameter(19, self.ended.map(|(_, reason)| reason.code()))?;
        statement.raw_bind_parameter(20, self.redeemed_at.map(Timestamp::millis))?;
        statement.raw_bind_parameter(21, self.mac.key_id)?;
        statement.raw_bind_parameter(22, self.mac.mac.as_slice())
    }

    /// Runs [`INSERT`] or [`REPLACE`]: the rows it changed.
    pub(super) fn put(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<usize> {
        self.bind(statement)?;
        statement.raw_execute()
    }

    /// Runs [`UPDATE`]: 0 rows if another version is there.
    pub(super) fn update(&self, statement: &mut CachedStatement<'_>, expected: u64) -> rusqlite::Result<usize> {
        self.bind(statement)?;
        statement.raw_bind_parameter(COLUMNS + 1, expected.cast_signed())?;
        statement.raw_execute()
    }
}

fn ended(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Option<(Timestamp, EndReason)>> {
    Ok(match (columns.optional_time()?, columns.optional_i64()?) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = u8::try_from(reason).ok().and_then(EndReason::from_code);
            columns.sound(reason).map(|reason| (at, reason))
        }
        _ => columns.sound(None),
    })
}
