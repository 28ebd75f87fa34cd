//! Migration 2: rows of grants as they were, 39 columns, are written anew as the values of two halves.
//!
//! What cannot be read was changed by something that is not this program. It is refused as it was before: its bytes say nothing, or have no
//! key.

use std::borrow::Cow;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, GrantId, OpenId, Terms};
use tokio_postgres::Row;

use super::grants;
use super::line::{Fault, Line};
use super::values::{Columns, P, escaped};
use crate::hot::Hot;
use crate::{spelling, terms};

/// Of one statement.
const PAGE: i64 = 1000;

const HOT: &str = "SELECT number, random, version, write_id, generation, current, ratchet, tag_key, era, seed_key, rotated_at, \
    previously_rotated_at, answered_at, retries, retry_proof, idle_at, absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac \
    FROM grants_of_1 WHERE number >= $1 ORDER BY number LIMIT $2";
const COLD: &str = "SELECT number, client, subject, scope, resources, binding, binding_key, rotation, refreshable, authenticated_at, \
    created_at, code_secret, code_challenge, code_redirect_uri, code_expires_at, epoch, session, openid \
    FROM grant_terms_of_1 WHERE number >= $1 ORDER BY number LIMIT $2";
const END: &str = "DROP TABLE grants_of_1; DROP TABLE grant_terms_of_1; ANALYZE grants, grant_terms";

/// Within the transaction of the migration.
pub(super) async fn write_anew(line: &Line) -> Result<(), Fault> {
    page_by_page(line, HOT, async |rows| {
        let (mut numbers, mut versions, mut bodies, mut randoms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for hot in rows.iter().map(hot) {
            numbers.push(hot.id.number.cast_signed());
            randoms.push(hot.id.random.cast_signed());
            versions.push(hot.version.cast_signed());
            let mut body = Vec::new();
            hot.encode(&mut body);
            bodies.push(body);
        }
        let parameters = [P::Ns(numbers), P::Ns(versions), P::Bodies(bodies), P::Ns(randoms)];
        line.unnamed(grants::INSERT, &parameters).await.map(|_| ())
    })
    .await?;
    page_by_page(line, COLD, async |rows| {
        let (mut numbers, mut clients, mut subjects, mut bodies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let mut columns = Columns::of(row);
            let (number, client, subject) = (columns.i64(), columns.text(), columns.text());
            let read = cold(&client, &subject, &mut columns).filter(|_| columns.is_sound);
            numbers.push(number);
            bodies.push(read.map_or_else(Vec::new, |read| terms::encode(&read)));
            clients.push(Some(Cow::Owned(escaped(&client).into_owned())));
            subjects.push(Some(Cow::Owned(escaped(&subject).into_owned())));
        }
        let parameters = [P::Ns(numbers), P::Us(clients), P::Us(subjects), P::Bodies(bodies)];
        line.unnamed(grants::INSERT_TERMS, &parameters).await.map(|_| ())
    })
    .await?;
    line.simple(END).await.map_err(|error| Fault::of(&error))
}

/// In order of number, the first column.
async fn page_by_page(
    line: &Line,
    sql: &str,
    mut write: impl AsyncFnMut(&[Row]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut next = Some(i64::MIN);
    while let Some(from) = next {
        let rows = line.unnamed(sql, &[P::N(from), P::N(PAGE)]).await?;
        let Some(last) = rows.last() else { break };
        next = Columns::of(last).i64().checked_add(1);
        write(&rows).await?;
    }
    Ok(())
}

fn hot(row: &Row) -> Hot {
    let mut columns = Columns::of(row);
    let id = GrantId { number: columns.u64(), random: columns.u64() };
    let (version, write_id, generation) = (columns.u64(), columns.u64(), columns.pattern());
    let (current, ratchet) = (columns.hash().map(Hash), columns.hash());
    let (tag_key, era, seed_key) = (columns.small(), columns.small(), columns.pattern());
    let (rotated_at, previously_rotated_at, answered_at) = (columns.time(), columns.time(), columns.time());
    let (retries, retry_proof) = (columns.pattern(), columns.hash().map(Hash));
    let (idle_at, absolute_at) = (columns.time(), columns.time());
    let ended = match (columns.optional_time(), columns.optional_i64()) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = u8::try_from(reason).ok().and_then(EndReason::from_code);
            columns.sound(reason).map(|reason| (at, reason))
        }
        _ => columns.sound(None),
    };
    let redeemed_at = columns.optional_time();
    let mac = RowMac { key_id: columns.small(), mac: columns.array() };
    let hot = Hot {
        id,
        version,
        write_id,
        generation,
        current,
        ratchet,
        tag_key,
        era,
        seed_key,
        rotated_at,
        previously_rotated_at,
        answered_at,
        retries,
        retry_proof,
        idle_at,
        absolute_at,
        ended,
        redeemed_at,
        mac,
    };
    if columns.is_sound { hot } else { hot.doubted() }
}

/// In one spelling only: a scope with two spaces, or half a pair, cannot be ours.
fn cold(client: &str, subject: &str, columns: &mut Columns<'_>) -> Option<Terms> {
    let client = ClientId::parse(client)?;
    let scope = spelling::scope(&columns.text())?;
    let resources = spelling::resources(&columns.text())?;
    let binding = match (columns.i64(), columns.hash()) {
        (0, None) => Binding::Bearer,
        (1, None) => Binding::Client,
        (2, Some(key)) => Binding::Key(Hash(key)),
        _ => return None,
    };
    let rotation = match columns.i64() {
        0 => Rotation::SingleUse,
        1 => Rotation::Reusable,
        _ => return None,
    };
    let refreshable = columns.flag();
    let (authenticated_at, created_at) = (columns.time(), columns.time());
    let (secret, challenge, redirect_uri) = (columns.hash(), columns.hash(), columns.hash());
    let (challenge, redirect_uri) = (challenge.map(Hash), redirect_uri.map(Hash));
    let code = match (secret, columns.optional_time()) {
        (Some(secret), Some(expires_at)) => {
            Some(CodeTerms { secret: Hash(secret), challenge, redirect_uri, expires_at })
        }
        (None, None) if challenge.is_none() && redirect_uri.is_none() => None,
        _ => return None,
    };
    let (epoch, session) = (columns.u64(), columns.hash());
    let openid = match columns.optional_text() {
        Some(text) => Some(OpenId::parse(&text)?),
        None => None,
    };
    let subject = subject.to_owned();
    Some(Terms {
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
    })
}
