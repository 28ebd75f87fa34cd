//! Whole grants: both halves, and for lists the user's status, beside each other.

use std::sync::Arc;

use regrant_core::{GrantId, Terms};
use rusqlite::Row;

use super::cold::{self, Cold, Spellings};
use super::hot;
use crate::Loaded;
use crate::hot::Hot;

/// The beginning of every statement that lists grants, in the order in which [`read`] takes the columns. A hot half
/// without its cold half is found too, and cannot be read. (A macro, for `concat!` takes literals only.)
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT g.number, g.random, g.version, g.write_id, g.generation, g.current, g.ratchet, g.tag_key, g.era, ",
            "g.seed_key, g.rotated_at, g.previously_rotated_at, g.answered_at, g.retries, g.retry_proof, g.idle_at, ",
            "g.absolute_at, g.ended_at, g.end_reason, g.redeemed_at, g.mac_key, g.mac, ",
            "t.client, t.subject, t.scope, t.resources, t.binding, t.binding_key, t.rotation, t.refreshable, ",
            "t.authenticated_at, t.created_at, t.code_secret, t.code_challenge, t.code_redirect_uri, t.code_expires_at, ",
            "t.epoch, t.session, t.openid, ",
            "u.subject IS NOT NULL, u.disabled_at IS NOT NULL ",
            "FROM grants g LEFT JOIN grant_terms t ON t.number = g.number LEFT JOIN users u ON u.subject = t.subject ",
            $rest
        )
    };
}
pub(super) use select_grants;

/// Both halves of one grant by its number.
pub(super) const SELECT_ONE: &str = "SELECT g.number, g.random, g.version, g.write_id, g.generation, g.current, g.ratchet, g.tag_key, g.era, g.seed_key, \
    g.rotated_at, g.previously_rotated_at, g.answered_at, g.retries, g.retry_proof, g.idle_at, g.absolute_at, g.ended_at, \
    g.end_reason, g.redeemed_at, g.mac_key, g.mac, t.client, t.subject, t.scope, t.resources, t.binding, t.binding_key, \
    t.rotation, t.refreshable, t.authenticated_at, t.created_at, t.code_secret, t.code_challenge, t.code_redirect_uri, \
    t.code_expires_at, t.epoch, t.session, t.openid FROM grants g LEFT JOIN grant_terms t ON t.number = g.number WHERE g.number = ?1";

/// The columns of a hot half.
pub(crate) const HOT: &str = "number, random, version, write_id, generation, current, ratchet, tag_key, era, seed_key, rotated_at, \
    previously_rotated_at, answered_at, retries, retry_proof, idle_at, absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac";
/// The columns of a cold half.
pub(crate) const COLD: &str = "number, client, subject, scope, resources, binding, binding_key, rotation, refreshable, authenticated_at, \
    created_at, code_secret, code_challenge, code_redirect_uri, code_expires_at, epoch, session, openid";

/// Reads a row of [`HOT`]: what it is, and its bytes.
pub(crate) fn hot_half(row: &Row<'_>) -> rusqlite::Result<(GrantId, u64, Vec<u8>)> {
    let (hot, mut body) = (Hot::read(row)?, Vec::new());
    hot.encode(&mut body);
    Ok((hot.id, hot.version, body))
}

/// Reads a row of [`COLD`]: of which grant, and whether we can have written it.
pub(crate) fn cold_half(row: &Row<'_>) -> rusqlite::Result<(u64, Arc<Terms>, bool)> {
    let Cold { terms, is_sound } = Cold::read(row, 1, &mut Spellings::default())?;
    Ok((row.get::<_, i64>(0)?.cast_unsigned(), terms, is_sound))
}

/// Reads a row of [`select_grants`]; `newer` knows which hot half stands in place of the one in the table.
pub(super) fn read(
    row: &Row<'_>,
    spellings: &mut Spellings,
    newer: impl Fn(Hot) -> rusqlite::Result<Hot>,
) -> rusqlite::Result<Loaded> {
    let hot = newer(Hot::read(row)?)?;
    let Cold { terms, is_sound } = Cold::read(row, hot::COLUMNS, spellings)?;
    let user = hot::COLUMNS + cold::COLUMNS;
    let subject = cold::status(row.get(user)?, row.get(user + 1)?);
    Ok(if is_sound { hot } else { hot.doubted() }.with(terms, subject))
}
