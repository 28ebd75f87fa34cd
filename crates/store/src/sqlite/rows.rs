//! A grant's row, to SQLite and back.
//!
//! Every column is read back into what [`Grant::mac`] covers, in one spelling only, so that no change to a row goes
//! unnoticed (check K8). A value that we cannot have written (an era of -1, a scope with two spaces, half a pair) is no
//! error of the whole batch: the row comes back as far as it can be read, with a MAC of key 0, which no grant has. So it is
//! this grant alone that is refused as tampered with.

use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::issue::SubjectStatus;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, Resources, Scope, Terms, Timestamp};
use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{CachedStatement, Row};

use crate::Loaded;

/// The beginning of every statement that reads grants: [`read`] takes the columns in this order. A hot half that has lost
/// its cold half is found too, and cannot be read.
pub(super) const SELECT: &str = "SELECT g.number, g.random, g.version, g.write_id, g.generation, g.current, g.ratchet, \
    g.tag_key, g.era, g.seed_key, g.rotated_at, g.previously_rotated_at, g.answered_at, g.retries, g.retry_proof, \
    g.idle_at, g.absolute_at, g.ended_at, g.end_reason, g.redeemed_at, g.mac_key, g.mac, \
    t.client, t.subject, t.scope, t.resources, t.binding, t.binding_key, t.rotation, t.refreshable, \
    t.authenticated_at, t.created_at, t.code_secret, t.code_challenge, t.code_redirect_uri, t.code_expires_at, \
    u.subject IS NOT NULL, u.disabled_at IS NOT NULL \
    FROM grants g LEFT JOIN grant_terms t ON t.number = g.number LEFT JOIN users u ON u.subject = t.subject";

/// Takes what [`bind_hot`] binds.
pub(super) const INSERT_HOT: &str = "INSERT INTO grants (number, random, version, write_id, generation, current, \
    ratchet, tag_key, era, seed_key, rotated_at, previously_rotated_at, answered_at, retries, retry_proof, idle_at, \
    absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac) VALUES \
    (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) \
    ON CONFLICT DO NOTHING";

/// Compare-and-set: changes no row if another version is there. Takes what [`bind_hot`] binds, and then that version.
pub(super) const UPDATE_HOT: &str = "UPDATE grants SET version = ?3, write_id = ?4, generation = ?5, current = ?6, \
    ratchet = ?7, tag_key = ?8, era = ?9, seed_key = ?10, rotated_at = ?11, previously_rotated_at = ?12, \
    answered_at = ?13, retries = ?14, retry_proof = ?15, idle_at = ?16, absolute_at = ?17, ended_at = ?18, \
    end_reason = ?19, redeemed_at = ?20, mac_key = ?21, mac = ?22 WHERE number = ?1 AND version = ?23";

/// Takes what [`bind_cold`] binds. Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT_COLD: &str = "INSERT OR REPLACE INTO grant_terms (number, client, subject, scope, resources, \
    binding, binding_key, rotation, refreshable, authenticated_at, created_at, code_secret, code_challenge, \
    code_redirect_uri, code_expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

/// Binds parameters one after the other.
pub(super) struct Binder<'a, 'conn> {
    pub(super) statement: &'a mut CachedStatement<'conn>,
    bound: usize,
}

impl<'a, 'conn> Binder<'a, 'conn> {
    pub(super) const fn new(statement: &'a mut CachedStatement<'conn>) -> Self {
        Self { statement, bound: 0 }
    }

    pub(super) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<&mut Self> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)?;
        Ok(self)
    }
}

/// Binds the hot half and the MAC: parameters 1 to 22.
pub(super) fn bind_hot(to: &mut Binder<'_, '_>, grant: &Grant, mac: RowMac) -> rusqlite::Result<()> {
    to.put(grant.id.number.cast_signed())?
        .put(grant.id.random.cast_signed())?
        .put(grant.version.cast_signed())?
        .put(grant.write_id.cast_signed())?
        .put(grant.generation)?
        .put(grant.current.as_ref().map(|hash| hash.0.as_slice()))?
        .put(grant.ratchet.as_ref().map(<[u8; 32]>::as_slice))?
        .put(grant.tag_key)?
        .put(grant.era)?
        .put(grant.seed_key)?
        .put(grant.rotated_at.millis())?
        .put(grant.previously_rotated_at.millis())?
        .put(grant.answered_at.millis())?
        .put(grant.retries)?
        .put(grant.retry_proof.as_ref().map(|hash| hash.0.as_slice()))?
        .put(grant.idle_at.millis())?
        .put(grant.absolute_at.millis())?
        .put(grant.ended.map(|(at, _)| at.millis()))?
        .put(grant.ended.map(|(_, reason)| reason.code()))?
        .put(grant.redeemed_at.map(Timestamp::millis))?
        .put(mac.key_id)?
        .put(mac.mac.as_slice())?;
    Ok(())
}

/// Binds the cold half: parameters 1 to 15.
pub(super) fn bind_cold(to: &mut Binder<'_, '_>, number: u64, terms: &Terms) -> rusqlite::Result<()> {
    let (binding, key) = match &terms.binding {
        Binding::Bearer => (0, None),
        Binding::Client => (1, None),
        Binding::Key(hash) => (2, Some(hash.0.as_slice())),
    };
    let rotation = match terms.rotation {
        Rotation::SingleUse => 0,
        Rotation::Reusable => 1,
    };
    let code = terms.code.as_ref();
    to.put(number.cast_signed())?
        .put(terms.client.as_str())?
        .put(terms.subject.as_str())?
        .put(terms.scope.to_string())?
        .put(terms.resources.to_string())?
        .put(binding)?
        .put(key)?
        .put(rotation)?
        .put(terms.refreshable)?
        .put(terms.authenticated_at.millis())?
        .put(terms.created_at.millis())?
        .put(code.map(|code| code.secret.0.as_slice()))?
        .put(code.and_then(|code| code.challenge.as_ref()).map(|hash| hash.0.as_slice()))?
        .put(code.and_then(|code| code.redirect_uri.as_ref()).map(|hash| hash.0.as_slice()))?
        .put(code.map(|code| code.expires_at.millis()))?;
    Ok(())
}

/// Reads a row of [`SELECT`].
pub(super) fn read(row: &Row<'_>) -> Loaded {
    let mut columns = Columns { row, taken: 0, legible: true };
    let mut grant = Grant {
        id: GrantId { number: columns.bits(), random: columns.bits() },
        version: columns.bits(),
        write_id: columns.bits(),
        generation: columns.number(),
        current: columns.bytes().map(Hash),
        ratchet: columns.bytes(),
        tag_key: columns.number(),
        era: columns.number(),
        seed_key: columns.number(),
        rotated_at: columns.time(),
        previously_rotated_at: columns.time(),
        answered_at: columns.time(),
        retries: columns.number(),
        retry_proof: columns.bytes().map(Hash),
        idle_at: columns.time(),
        absolute_at: columns.time(),
        ended: columns.ended(),
        redeemed_at: columns.optional_time(),
        terms: Arc::clone(&ILLEGIBLE_TERMS),
    };
    let mac = RowMac { key_id: columns.number(), mac: columns.required() };
    match columns.terms() {
        Some(terms) => grant.terms = Arc::new(terms),
        None => columns.legible = false,
    }
    let subject = match (columns.flag(), columns.flag()) {
        (false, _) => SubjectStatus::Gone,
        (true, true) => SubjectStatus::Disabled,
        (true, false) => SubjectStatus::Enabled,
    };
    Loaded { grant, mac: if columns.legible { mac } else { NO_MAC }, subject }
}

/// Fits no row: key ids begin with 1.
const NO_MAC: RowMac = RowMac { key_id: 0, mac: [0; 16] };
