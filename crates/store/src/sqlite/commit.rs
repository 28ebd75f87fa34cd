//! Writing one record within a batch's transaction.

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::guard::Guard;
use super::{consents, devices, epochs, events, once, questions, revocations, sessions};
use crate::{Before, EventRecord, Failures, KeyChange, KeyKind, Outcome, Record, Revoked, User, failures, revocation};

pub(super) const fn outcome(is_done: bool) -> Outcome {
    if is_done { Outcome::Committed } else { Outcome::Stale }
}

/// One record, but for those that [`writing`](super::writing) takes itself.
pub(super) fn one(
    connection: &Connection,
    guard: &mut Guard,
    record: &Record,
    now: Timestamp,
) -> rusqlite::Result<Outcome> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(parameters);
    let changed = match record {
        Record::Grant { .. } | Record::RemoveGrant { .. } | Record::Fold | Record::With(_) => 0,
        Record::Event(event) => return events::tell(connection, guard, event).map(|()| Outcome::Committed),
        Record::Initialise { deployment, root_check } => run(
            "UPDATE meta SET deployment = ?1, root_check = ?2 WHERE only = 1 AND deployment IS NULL",
            params![deployment.0, root_check],
        )?,
        Record::OpenEra { era, recovery, next_grant } => run(
            "UPDATE meta SET era = ?1, lost_from = ?2, lost_until = ?3, unproven = ?4, next_grant = max(next_grant, ?5) \
             WHERE only = 1 AND deployment IS NOT NULL AND era < ?1",
            params![
                era,
                recovery.lost_from.millis(),
                recovery.lost_until.millis(),
                recovery.unproven.as_str(),
                next_grant.cast_signed(),
            ],
        )?,
        Record::ReserveGrants { next } => reserve(connection, *next)?,
        Record::PutClient { id, before, definition } => match before {
            Before::Whatever => {
                run("INSERT OR REPLACE INTO clients (id, definition) VALUES (?1, ?2)", params![id, definition])?
            }
            Before::Nothing => run(
                "INSERT INTO clients (id, definition) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![id, definition],
            )?,
            Before::This(text) => run(
                "UPDATE clients SET definition = ?2 WHERE id = ?1 AND definition = ?3",
                params![id, definition, text],
            )?,
        },
        Record::RemoveClient { id } => {
            let removed = run("DELETE FROM clients WHERE id = ?1", params![id])?;
            let entailed = revocation::of_client(id, now).filter(|_| removed > 0);
            revocations::follow(connection, entailed).map(|()| removed)?
        }
        Record::AddUser(user) => written(connection, user, add_user(connection, user)?)?,
        Record::PutUser { expected, user } => written(connection, user, put_user(connection, *expected, user)?)?,
        Record::RemoveUser { subject } => {
            let removed = run("DELETE FROM users WHERE subject = ?1", params![subject])?;
            if removed > 0 {
                run("DELETE FROM consents WHERE subject = ?1", params![subject])?;
            }
            let entailed = (removed > 0).then(|| (Revoked::user(subject), now));
            revocations::follow(connection, entailed).map(|()| removed)?
        }
        Record::PutSession(session) => sessions::put(connection, session)?,
        Record::RenewSession { before, session } => sessions::renew(connection, before, session)?,
        Record::EndSession { id } => sessions::end(connection, id, now).map(|()| 1)?,
        Record::EndSessionsOf { subject, but } => sessions::end_all_of(connection, subject, *but, now).map(|()| 1)?,
        Record::PutLogin { session, client } => sessions::put_login(connection, session, client)?,
        Record::RemoveLogoutNotice { id } => sessions::remove_notice(connection, *id)?,
        Record::PutDeviceRequest(request) => devices::put(connection, request, now)?,
        Record::PutConsent { consent, before } => consents::put(connection, consent, before)?,
        Record::RemoveConsent { subject, client } => {
            run("DELETE FROM consents WHERE subject = ?1 AND client = ?2", params![subject, client]).map(always)?
        }
        Record::DenyAccess { jti, expires_at } => {
            run(
                "INSERT INTO denied_access (jti, expires_at) VALUES (?1, ?2) \
                 ON CONFLICT (jti) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
                params![jti.as_slice(), expires_at.millis()],
            )?;
            revocations::put(connection, &Revoked::Access(*jti), now, Some(*expires_at))?
        }
        Record::CountFailure { key, leak, most } => count_failure(connection, key, now, *leak, *most)?,
        Record::ForgetFailures { key } => {
            run("DELETE FROM login_failures WHERE key = ?1", params![key.as_slice()]).map(always)?
        }
        Record::Revoke { revoked, at } => revocations::put(connection, revoked, *at, None)?,
        Record::ForgetRevocations { before, limit } => revocations::forget(connection, *before, *limit).map(always)?,
        Record::Epoch { epoch, events } => {
            let inserted = epochs::insert(connection, guard, epoch)?;
            if let Some(number) = inserted {
                guard.epoch(connection, number)?;
                guard.sealed.counter = number;
            }
            revocations::follow(connection, inserted.map(|number| revocation::of_epoch(epoch, number)))?;
            return tell_if(connection, guard, usize::from(inserted.is_some()), events);
        }
        Record::UndoEpoch { number, at, events } => {
            guard.epoch(connection, *number)?;
            let undone = epochs::undo(connection, *number, *at)?;
            guard.epoch(connection, *number)?;
            revocations::follow(connection, (undone > 0).then_some((Revoked::TakenBack(*number), *at)))?;
            return tell_if(connection, guard, undone, events);
        }
        Record::ForgetEpochs { numbers } => {
            numbers.iter().try_for_each(|number| guard.epoch(connection, *number))?;
            epochs::forget(connection, numbers).map(|()| 1)?
        }
        Record::Keys { changes, events } => return change_keys(connection, guard, changes, events),
        Record::Seen { grant, place } => events::seen(connection, *grant, place).map(|()| 1)?,
        Record::PutDelivery(delivery) => events::put_delivery(connection, delivery).map(|()| 1)?,
        Record::PutDeadLetter(letter) => events::put_dead_letter(connection, letter).map(|()| 1)?,
        Record::RemoveDeadLetter { to, event } => events::remove_dead_letter(connection, to, *event)?,
        Record::UseOnce { key, expires_at } => once::use_once(connection, key, *expires_at, now)?,
        Record::RegisterClient { id, definition, token } => {
            once::register(connection, id, definition, token.as_ref(), now)?
        }
        Record::PutRegistrationToken(token) => once::put_token(connection, token)?,
        Record::RemoveRegistrationToken { hash } => once::remove_token(connection, hash)?,
        Record::Sweep { events_before, limit } => sweep(connection, guard, *events_before, now, *limit).map(|()| 1)?,
    };
    Ok(outcome(changed > 0))
}

/// For what is fine if it was not there.
const fn always(_: usize) -> usize {
    1
}

/// Numbers are compared as they are, and kept as the bit pattern.
fn reserve(connection: &Connection, next: u64) -> rusqlite::Result<usize> {
    let held: i64 =
        connection.prepare_cached("SELECT next_grant FROM meta WHERE only = 1")?.query_row([], |row| row.get(0))?;
    if next <= held.cast_unsigned() {
        return Ok(0);
    }
    connection.prepare_cached("UPDATE meta SET next_grant = ?1 WHERE only = 1")?.execute([next.cast_signed()])
}

/// The events of what was done; of what was stale there are none.
fn tell_if(
    connection: &Connection,
    guard: &mut Guard,
    changed: usize,
    events: &[EventRecord],
) -> rusqlite::Result<Outcome> {
    if changed == 0 {
        return Ok(Outcome::Stale);
    }
    events.iter().try_for_each(|event| events::tell(connection, guard, event))?;
    Ok(Outcome::Committed)
}

/// What a user's row entails, if it was written.
fn written(connection: &Connection, user: &User, rows: usize) -> rusqlite::Result<usize> {
    let entailed = (rows > 0).then(|| revocation::of_user(user)).flatten();
    revocations::follow(connection, entailed).map(|()| rows)
}

fn add_user(connection: &Connection, user: &User) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO users (subject, name, password, disabled_at, created_at, updated_at, version, attributes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user.subject,
            user.name,
            user.password,
            user.disabled_at.map(Timestamp::millis),
            user.created_at.millis(),
            user.updated_at.millis(),
            user.version.cast_signed(),
            user.attributes,
        ])
}

fn put_user(connection: &Connection, expected: u64, user: &User) -> rusqlite::Result<usize> {
    let other: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM users WHERE name = ?1 AND subject <> ?2")?
        .query_row([&user.name, &user.subject], |row| row.get(0))
        .optional()?;
    if other.is_some() {
        return Ok(0);
    }
    connection
        .prepare_cached(
            "UPDATE users SET name = ?2, password = ?3, disabled_at = ?4, created_at = ?5, updated_at = ?6, \
             version = ?7, attributes = ?8 WHERE subject = ?1 AND version = ?9",
        )?
        .execute(params![
            user.subject,
            user.name,
            user.password,
            user.disabled_at.map(Timestamp::millis),
            user.created_at.millis(),
            user.updated_at.millis(),
            user.version.cast_signed(),
            user.attributes,
            expected.cast_signed(),
        ])
}

/// All or nothing within the batch: a change that does not fit takes back those before it.
fn change_keys(
    connection: &Connection,
    guard: &mut Guard,
    changes: &[KeyChange],
    told: &[EventRecord],
) -> rusqlite::Result<Outcome> {
    connection.prepare_cached("SAVEPOINT keys")?.execute([])?;
    let before = guard.sealed.clone();
    for change in changes {
        let (kind, id) = (change.key.kind.as_str(), change.key.id);
        guard.key(connection, kind, id)?;
        let is_changed = change_key(connection, change)?;
        guard.key(connection, kind, id)?;
        if !is_changed {
            guard.sealed = before;
            connection.prepare_cached("ROLLBACK TO keys")?.execute([])?;
            connection.prepare_cached("RELEASE keys")?.execute([])?;
            return Ok(Outcome::Stale);
        }
    }
    connection.prepare_cached("RELEASE keys")?.execute([])?;
    for event in told {
        events::tell(connection, guard, event)?;
    }
    Ok(Outcome::Committed)
}

fn change_key(connection: &Connection, KeyChange { expected, key }: &KeyChange) -> rusqlite::Result<bool> {
    let held: Option<String> = connection
        .prepare_cached("SELECT status FROM keys WHERE kind = ?1 AND id = ?2")?
        .query_row(params![key.kind.as_str(), key.id], |row| row.get(0))
        .optional()?;
    if held.as_deref() != expected.map(KeyStatus::as_str) {
        return Ok(false);
    }
    // The bytes of a seed key are in the table that backups leave out, and nowhere else.
    let (beside, apart) = match key.kind {
        KeyKind::Seed => (None, key.wrapped.as_ref()),
        KeyKind::Tag | KeyKind::Sealing | KeyKind::Signing => (key.wrapped.as_ref(), None),
    };
    let time = |at: Option<Timestamp>| at.map(Timestamp::millis);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, \
             gone_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            key.kind.as_str(),
            key.id,
            key.status.as_str(),
            key.algorithm,
            beside,
            key.outlived_by.cast_signed(),
            key.created_at.millis(),
            time(key.current_at),
            time(key.verify_at),
            time(key.gone_at),
        ])?;
    if let Some(wrapped) = apart {
        connection
            .prepare_cached("INSERT OR REPLACE INTO seed_keys (id, wrapped) VALUES (?1, ?2)")?
            .execute(params![key.id, wrapped])?;
    } else if key.kind == KeyKind::Seed {
        connection.prepare_cached("DELETE FROM seed_keys WHERE id = ?1")?.execute([key.id])?;
    }
    Ok(true)
}

fn count_failure(
    connection: &Connection,
    key: &[u8; 32],
    now: Timestamp,
    leak: i64,
    most: u32,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(FORGOTTEN)?.execute(params![now.millis(), failures::TIDIED])?;
    let counted = Failures::counted(questions::failures(connection, key)?, now, leak, most);
    connection
        .prepare_cached("INSERT OR REPLACE INTO login_failures (key, last_at, forgotten_at) VALUES (?1, ?2, ?3)")?
        .execute(params![key.as_slice(), counted.last_at.millis(), counted.forgotten_at.millis()])
}

const FORGOTTEN: &str = "DELETE FROM login_failures WHERE key IN \
    (SELECT key FROM login_failures WHERE forgotten_at < ?1 ORDER BY forgotten_at, key LIMIT ?2)";

/// The oldest first, bounded by `limit` for each table, so that a batch that sweeps is not much longer than one that does not.
fn sweep(
    connection: &Connection,
    guard: &mut Guard,
    events_before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<()> {
    const SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
        (SELECT id FROM sessions WHERE expires_at < ?1 ORDER BY expires_at, id LIMIT ?2)";
    const DENIED: &str = "DELETE FROM denied_access WHERE jti IN \
        (SELECT jti FROM denied_access WHERE expires_at < ?1 ORDER BY expires_at, jti LIMIT ?2)";
    const USED: &str = "DELETE FROM used_once WHERE key IN \
        (SELECT key FROM used_once WHERE expires_at < ?1 ORDER BY expires_at, key LIMIT ?2)";
    const TOKENS: &str = "DELETE FROM registration_tokens WHERE hash IN \
        (SELECT hash FROM registration_tokens WHERE expires_at < ?1 OR uses = 0 ORDER BY expires_at, hash LIMIT ?2)";
    const LOGINS: &str = "DELETE FROM logins WHERE (session, client) IN \
        (SELECT session, client FROM logins WHERE expires_at < ?1 ORDER BY expires_at, session, client LIMIT ?2)";
    for sql in [SESSIONS, LOGINS, DENIED, FORGOTTEN, USED, TOKENS] {
        connection.prepare_cached(sql)?.execute(params![now.millis(), limit])?;
    }
    devices::sweep(connection, now, limit)?;
    events::sweep(connection, guard, events_before, limit)
}
