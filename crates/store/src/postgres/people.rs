//! Browser sessions and who is to hear of their end, consents, what devices asked for.

use super::batch::Batch;
use super::line::Fault;
use super::records::tidy_devices;
use super::values::{Columns, P, at, maybe, n};
use crate::device::{DeviceRequest, MOST_DEVICE_REQUESTS};
use crate::{Before, Consent, Session};
use regrant_core::issue::SubjectStatus;

pub(super) const DEVICES_OVER: &str = "DELETE FROM device_requests WHERE number IN \
    (SELECT number FROM device_requests WHERE expires_at < $1 ORDER BY expires_at, number LIMIT $2)";

pub(super) async fn put_session(batch: &Batch<'_>, session: &Session) -> Result<u64, Fault> {
    const SQL: &str = "INSERT INTO sessions (id, root, subject, authenticated_at, expires_at, acr, amr, claims) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (id) DO UPDATE SET root = excluded.root, subject = excluded.subject, \
        authenticated_at = excluded.authenticated_at, expires_at = excluded.expires_at, acr = excluded.acr, \
        amr = excluded.amr, claims = excluded.claims";
    let Session { id, root, subject, authenticated_at, expires_at, acr, amr, claims } = session;
    let (began, ends) = (at(*authenticated_at), at(*expires_at));
    batch.done(SQL, &[P::B(id), P::B(root), P::T(subject), began, ends, P::T(acr), P::T(amr), P::T(claims)]).await
}

pub(super) async fn renew_session(batch: &Batch<'_>, before: &[u8; 32], session: &Session) -> Result<u64, Fault> {
    const REMOVE: &str = "DELETE FROM sessions WHERE id = $1 AND subject = $2 AND root = $3";
    const LOGINS: &str = "UPDATE logins SET expires_at = $2 WHERE session = $1";
    if batch.done(REMOVE, &[P::B(before), P::T(&session.subject), P::B(&session.root)]).await? == 0 {
        return Ok(0);
    }
    batch.done(LOGINS, &[P::B(&session.root), at(session.expires_at)]).await?;
    put_session(batch, session).await
}

/// Rows are locked before their logins are read: whoever adds a login to one of them at this moment is before us, or too late.
pub(super) async fn end_session(batch: &mut Batch<'_>, id: &[u8; 32]) -> Result<u64, Fault> {
    const SQL: &str = "SELECT root, subject FROM sessions WHERE id = $1 OR root = $1 ORDER BY root FOR UPDATE";
    end(batch, SQL, &[P::B(id)], None).await
}

pub(super) async fn end_sessions_of(batch: &mut Batch<'_>, subject: &str, but: Option<[u8; 32]>) -> Result<u64, Fault> {
    const SQL: &str = "SELECT root, subject FROM sessions WHERE subject = $1 ORDER BY root FOR UPDATE";
    end(batch, SQL, &[P::T(subject)], but).await
}

/// The session's end and who is to hear of it, in one transaction.
async fn end(
    batch: &mut Batch<'_>,
    which: &'static str,
    parameters: &[P<'_>],
    but: Option<[u8; 32]>,
) -> Result<u64, Fault> {
    const CLIENTS: &str = "DELETE FROM logins WHERE session = $1 RETURNING client";
    const NOTICE: &str = "INSERT INTO logout_notices (id, client, subject, session, at) VALUES ($1, $2, $3, $4, $5)";
    let mut ended: Vec<([u8; 32], String)> = Vec::new();
    for row in batch.rows(which, parameters).await? {
        let mut columns = Columns::of(&row);
        let found = (columns.array(), columns.text());
        ended.push(columns.whole(found)?);
    }
    ended.dedup_by_key(|(root, _)| *root);
    for (root, subject) in ended.iter().filter(|(root, _)| Some(*root) != but) {
        let rows = batch.rows(CLIENTS, &[P::B(root)]).await?;
        let mut clients: Vec<String> = rows.iter().map(|row| Columns::of(row).text()).collect();
        clients.sort();
        for client in clients {
            let ledger = batch.ledger().await?;
            ledger.notice += 1;
            let parameters = [n(ledger.notice), P::T(&client), P::T(subject), P::B(root), at(batch.now)];
            batch.done(NOTICE, &parameters).await?;
        }
        batch.done("DELETE FROM sessions WHERE root = $1", &[P::B(root)]).await?;
    }
    Ok(1)
}

pub(super) async fn put_login(batch: &Batch<'_>, root: &[u8; 32], client: &str) -> Result<u64, Fault> {
    const HELD: &str = "SELECT expires_at FROM sessions WHERE root = $1 FOR SHARE";
    const PUT: &str = "INSERT INTO logins (session, client, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (session, client) DO UPDATE SET expires_at = excluded.expires_at";
    let rows = batch.rows(HELD, &[P::B(root)]).await?;
    let Some(row) = rows.last() else { return Ok(0) };
    let expires_at = Columns::of(row).time();
    batch.done(PUT, &[P::B(root), P::T(client), at(expires_at)]).await
}

pub(super) async fn put_consent(
    batch: &mut Batch<'_>,
    consent: &Consent,
    before: &Before<Consent>,
) -> Result<u64, Fault> {
    const PUT: &str = "INSERT INTO consents (subject, client, scope, resources, at, paused_at, ends_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subject, client) DO UPDATE SET scope = excluded.scope, \
        resources = excluded.resources, at = excluded.at, paused_at = excluded.paused_at, ends_at = excluded.ends_at";
    const ADD: &str = "INSERT INTO consents (subject, client, scope, resources, at, paused_at, ends_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subject, client) DO NOTHING";
    const CHANGE: &str = "UPDATE consents SET scope = $3, resources = $4, at = $5, paused_at = $6, ends_at = $7 \
        WHERE subject = $1 AND client = $2 AND scope = $8 AND resources = $9 AND at = $10 \
        AND paused_at IS NOT DISTINCT FROM $11 AND ends_at IS NOT DISTINCT FROM $12";
    let Consent { subject, client, scope, resources, at: time, paused_at, ends_at } = consent;
    if consent.status() != SubjectStatus::Enabled {
        batch.ledger().await?.restrictions += 1;
    }
    let texts = [P::T(subject), P::T(client), P::T(scope), P::T(resources)];
    let [subject, client, scope, resources] = texts;
    let mut parameters = vec![subject, client, scope, resources, at(*time), maybe(*paused_at), maybe(*ends_at)];
    let sql = match before {
        Before::Whatever => PUT,
        Before::Nothing => ADD,
        Before::This(read) => {
            parameters.extend([P::T(&read.scope), P::T(&read.resources), at(read.at)]);
            parameters.extend([maybe(read.paused_at), maybe(read.ends_at)]);
            CHANGE
        }
    };
    batch.done(sql, &parameters).await
}

pub(super) async fn put_device_request(batch: &Batch<'_>, request: &DeviceRequest) -> Result<u64, Fault> {
    const SQL: &str = "INSERT INTO device_requests (number, random, secret, user_code, client, scope, resources, asked_at, \
        expires_at, network, agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
    tidy_devices(batch).await?;
    if batch.count("SELECT count(*) FROM device_requests", &[]).await? >= u64::from(MOST_DEVICE_REQUESTS) {
        return Ok(0);
    }
    let DeviceRequest { asked, user_code, place } = request;
    let (scope, resources) = (asked.granted.scope.to_string(), asked.granted.resources.to_string());
    let parameters = [
        n(asked.grant.number),
        n(asked.grant.random),
        P::B(&asked.secret.0),
        P::B(user_code),
        P::T(asked.client.as_str()),
        P::T(&scope),
        P::T(&resources),
        at(asked.asked_at),
        at(asked.expires_at),
        P::T(&place.network),
        P::T(&place.agent),
    ];
    batch.done(SQL, &parameters).await
}

/// A session from its columns.
pub(super) fn session(row: &tokio_postgres::Row) -> Result<Session, Fault> {
    let mut columns = Columns::of(row);
    let session = Session {
        id: columns.array(),
        root: columns.array(),
        subject: columns.text(),
        authenticated_at: columns.time(),
        expires_at: columns.time(),
        acr: columns.text(),
        amr: columns.text(),
        claims: columns.text(),
    };
    columns.whole(session)
}

/// A consent from its columns.
pub(super) fn consent(row: &tokio_postgres::Row) -> Result<Consent, Fault> {
    let mut columns = Columns::of(row);
    let consent = Consent {
        subject: columns.text(),
        client: columns.text(),
        scope: columns.text(),
        resources: columns.text(),
        at: columns.time(),
        paused_at: columns.optional_time(),
        ends_at: columns.optional_time(),
    };
    columns.whole(consent)
}
