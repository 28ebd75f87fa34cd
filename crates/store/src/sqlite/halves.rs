//! Migration 21: rows of grants as they were, 39 columns, are written anew as the values of two halves.
//!
//! What cannot be read was changed by something that is not this program. It is refused as it was before: its bytes say nothing, or have no
//! key.

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, GrantId, OpenId, Terms, Timestamp};
use rusqlite::{Connection, Row};

use super::columns::Columns;
use super::rows;
use crate::hot::Hot;
use crate::{spelling, terms};

const HOT: &str = "SELECT number, random, version, write_id, generation, current, ratchet, tag_key, era, seed_key, rotated_at, \
    previously_rotated_at, answered_at, retries, retry_proof, idle_at, absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac \
    FROM grants_of_20 ORDER BY number";
const COLD: &str = "SELECT number, client, subject, scope, resources, binding, binding_key, rotation, refreshable, authenticated_at, \
    created_at, code_secret, code_challenge, code_redirect_uri, code_expires_at, epoch, session, openid FROM grant_terms_of_20 \
    ORDER BY number";
/// What stands at the end of a table is written faster without indices.
const END: &str = "DROP TABLE grants_of_20; DROP TABLE grant_terms_of_20; \
    CREATE INDEX grant_terms_by_client ON grant_terms (client); CREATE INDEX grant_terms_by_subject ON grant_terms (subject)";

/// Within the transaction of the migration.
pub(super) fn write_anew(connection: &Connection) -> rusqlite::Result<()> {
    write_hot(connection)?;
    write_cold(connection)?;
    connection.execute_batch(END)
}

fn write_hot(connection: &Connection) -> rusqlite::Result<()> {
    let (mut old, mut new) = (connection.prepare(HOT)?, connection.prepare_cached(rows::INSERT)?);
    let (mut found, mut body) = (old.query([])?, Vec::new());
    while let Some(row) = found.next()? {
        let hot = hot(row)?;
        body.clear();
        hot.encode(&mut body);
        rows::put(&mut new, hot.id.number, &body)?;
    }
    Ok(())
}

fn write_cold(connection: &Connection) -> rusqlite::Result<()> {
    let (mut old, mut new) = (connection.prepare(COLD)?, connection.prepare_cached(rows::INSERT_TERMS)?);
    let mut found = old.query([])?;
    while let Some(row) = found.next()? {
        let mut columns = Columns::of(row);
        let (number, client, subject) = (columns.i64()?, columns.text()?, columns.text()?);
        let read = cold(&client, &subject, &mut columns)?.filter(|_| columns.is_sound);
        let body = read.map_or_else(Vec::new, |read| terms::encode(&read));
        new.execute((number, client, subject, body))?;
    }
    Ok(())
}

fn hot(row: &Row<'_>) -> rusqlite::Result<Hot> {
    let mut columns = Columns::of(row);
    let (number, random) = (columns.u64()?, columns.u64()?);
    let hot = Hot {
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

/// In one spelling only: a scope with two spaces, or half a pair, cannot be ours.
fn cold(client: &str, subject: &str, columns: &mut Columns<'_, '_>) -> rusqlite::Result<Option<Terms>> {
    let scope = columns.text_as(spelling::scope)?.flatten();
    let resources = columns.text_as(spelling::resources)?.flatten();
    let binding = match (columns.i64()?, columns.hash()?) {
        (0, None) => Some(Binding::Bearer),
        (1, None) => Some(Binding::Client),
        (2, Some(key)) => Some(Binding::Key(Hash(key))),
        _ => None,
    };
    let rotation = match columns.i64()? {
        0 => Some(Rotation::SingleUse),
        1 => Some(Rotation::Reusable),
        _ => None,
    };
    let refreshable = columns.flag()?;
    let (authenticated_at, created_at) = (columns.time()?, columns.time()?);
    let (secret, challenge, redirect_uri) = (columns.hash()?, columns.hash()?, columns.hash()?);
    let (challenge, redirect_uri) = (challenge.map(Hash), redirect_uri.map(Hash));
    let code = match (secret, columns.optional_time()?) {
        (Some(secret), Some(expires_at)) => {
            Some(CodeTerms { secret: Hash(secret), challenge, redirect_uri, expires_at })
        }
        (None, None) if challenge.is_none() && redirect_uri.is_none() => None,
        _ => columns.sound(None),
    };
    let (epoch, session) = (columns.u64()?, columns.hash()?);
    let openid = match columns.optional_text_as(OpenId::parse)? {
        Some(read) => columns.sound(read),
        None => None,
    };
    let (Some(client), Some(scope), Some(resources)) = (ClientId::parse(client), scope, resources) else {
        return Ok(None);
    };
    let (Some(binding), Some(rotation)) = (binding, rotation) else { return Ok(None) };
    let subject = subject.to_owned();
    Ok(Some(Terms {
        client,
        subject,
        scope,
        resources,
        binding,
        rotation,
        refreshable,
        authenticated_at,
        created_at,
        epoch,
        session,
        code,
        openid,
    }))
}
