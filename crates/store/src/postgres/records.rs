//! One record within a batch's transaction, but for rows of grants ([`batch`](super::batch)).

use std::time::Duration;

use regrant_core::epoch::Among;
use regrant_core::keys::KeyStatus;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};

use super::batch::Batch;
use super::line::Fault;
use super::values::{Columns, P, at, maybe, n};
use super::{people, questions};
use crate::epochs::{MOST_EPOCHS, most_beside, superseded};
use crate::seal::{self, Table};
use crate::{
    Before, EventRecord, Failures, KeyChange, KeyKind, Outcome, Record, Revoked, User, device, failures, revocation,
};

/// How long the row of a node that was killed stays.
const NODE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

const fn outcome(is_done: bool) -> Outcome {
    if is_done { Outcome::Committed } else { Outcome::Stale }
}

async fn put_client(batch: &Batch<'_>, (id, definition): (&str, &str), before: &Before<String>) -> Result<u64, Fault> {
    let (sql, text) = match before {
        Before::Whatever => (
            "INSERT INTO clients (id, definition) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET definition = excluded.definition",
            None,
        ),
        Before::Nothing => ("INSERT INTO clients (id, definition) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", None),
        Before::This(text) => ("UPDATE clients SET definition = $2 WHERE id = $1 AND definition = $3", Some(text)),
    };
    let mut parameters = vec![P::T(id), P::T(definition)];
    parameters.extend(text.map(|text| P::T(text)));
    batch.done(sql, &parameters).await
}

/// Writes it.
pub(super) async fn one(batch: &mut Batch<'_>, record: &Record) -> Result<Outcome, Fault> {
    let changed = match record {
        // The batch takes these itself.
        Record::Grant { .. } | Record::RemoveGrant { .. } | Record::Seen { .. } | Record::With(_) => 0,
        // Nothing is put off.
        Record::Fold => 0,
        Record::Event(event) => {
            batch.tell(std::slice::from_ref(event));
            1
        }
        Record::Initialise { deployment, root_check } => {
            const SQL: &str =
                "UPDATE meta SET deployment = $1, root_check = $2 WHERE single = 1 AND deployment IS NULL";
            batch.done(SQL, &[P::B(&deployment.0), P::B(root_check)]).await?
        }
        Record::OpenEra { era, recovery, next_grant } => {
            const SQL: &str = "UPDATE meta SET era = $1, lost_from = $2, lost_until = $3, unproven = $4, \
                next_grant = greatest(next_grant, $5) WHERE single = 1 AND deployment IS NOT NULL AND era < $1";
            let (from, until) = (at(recovery.lost_from), at(recovery.lost_until));
            let parameters = [P::N(i64::from(*era)), from, until, P::T(recovery.unproven.as_str()), n(*next_grant)];
            let opened = batch.done(SQL, &parameters).await?;
            if opened > 0 {
                // What was lost is decided about.
                batch.done("DELETE FROM lost_commits WHERE era < $1", &[P::N(i64::from(*era))]).await?;
            }
            opened
        }
        Record::ReserveGrants { next } => reserve(batch, *next).await?,
        Record::PutClient { id, before, definition } => {
            // Under the ledger's lock: of two nodes the second compares with what the first has written.
            batch.ledger().await?;
            let put = put_client(batch, (id, definition), before).await?;
            batch.ledger().await?.clients += put;
            put
        }
        Record::RemoveClient { id } => {
            // Everybody takes the ledger first.
            batch.ledger().await?;
            let removed = batch.done("DELETE FROM clients WHERE id = $1", &[P::T(id)]).await?;
            batch.ledger().await?.clients += removed;
            batch.follow(revocation::of_client(id, batch.now).filter(|_| removed > 0)).await?;
            removed
        }
        Record::AddUser(user) => {
            let added = add_user(batch, user).await?;
            written(batch, user, added).await?
        }
        Record::PutUser { expected, user } => {
            let replaced = put_user(batch, *expected, user).await?;
            written(batch, user, replaced).await?
        }
        Record::RemoveUser { subject } => {
            let removed = batch.done("DELETE FROM users WHERE subject = $1", &[P::T(subject)]).await?;
            if removed > 0 {
                batch.done("DELETE FROM consents WHERE subject = $1", &[P::T(subject)]).await?;
                batch.ledger().await?.restrictions += 1;
                batch.follow(Some((Revoked::user(subject), batch.now))).await?;
            }
            removed
        }
        Record::PutSession(session) => people::put_session(batch, session).await?,
        Record::RenewSession { before, session } => people::renew_session(batch, before, session).await?,
        Record::EndSession { id } => people::end_session(batch, id).await?,
        Record::EndSessionsOf { subject, but } => people::end_sessions_of(batch, subject, *but).await?,
        Record::PutLogin { session, client } => people::put_login(batch, session, client).await?,
        Record::RemoveLogoutNotice { id } => batch.done("DELETE FROM logout_notices WHERE id = $1", &[n(*id)]).await?,
        Record::PutDeviceRequest(request) => people::put_device_request(batch, request).await?,
        Record::PutConsent { consent, before } => people::put_consent(batch, consent, before).await?,
        Record::RemoveConsent { subject, client } => {
            const SQL: &str = "DELETE FROM consents WHERE subject = $1 AND client = $2";
            batch.done(SQL, &[P::T(subject), P::T(client)]).await?;
            1
        }
        Record::DenyAccess { jti, expires_at } => {
            const SQL: &str = "INSERT INTO denied_access (jti, expires_at) VALUES ($1, $2) \
                ON CONFLICT (jti) DO UPDATE SET expires_at = greatest(denied_access.expires_at, excluded.expires_at)";
            batch.done(SQL, &[P::B(jti), at(*expires_at)]).await?;
            batch.revoke(&Revoked::Access(*jti), batch.now, Some(*expires_at)).await?;
            1
        }
        Record::CountFailure { key, leak, most } => count_failure(batch, key, *leak, *most).await?,
        Record::ForgetFailures { key } => {
            batch.done("DELETE FROM login_failures WHERE key = $1", &[P::B(key)]).await?;
            1
        }
        Record::Revoke { revoked, at } => {
            batch.revoke(revoked, *at, None).await?;
            1
        }
        Record::ForgetRevocations { before, limit } => {
            const SQL: &str = "DELETE FROM revocations WHERE position IN \
                (SELECT position FROM revocations WHERE at < $1 ORDER BY at, position LIMIT $2)";
            batch.done(SQL, &[at(*before), P::N(i64::from(*limit))]).await?;
            1
        }
        Record::Epoch { epoch, events } => {
            let inserted = insert_epoch(batch, epoch).await?;
            batch.follow(inserted.map(|number| revocation::of_epoch(epoch, number))).await?;
            return Ok(tell_if(batch, inserted.is_some(), events));
        }
        Record::UndoEpoch { number, at: time, events } => {
            const SQL: &str =
                "UPDATE epochs SET undone_at = $2 WHERE number = $1 AND undone_at IS NULL AND undo_until > $2";
            const ROW: &str = concat!("SELECT ", seal::epoch_columns!(), " FROM epochs WHERE number = $1");
            batch.weigh(Table::Epochs, ROW, &[n(*number)]).await?;
            let undone = batch.done(SQL, &[n(*number), at(*time)]).await? > 0;
            batch.weigh(Table::Epochs, ROW, &[n(*number)]).await?;
            if undone {
                batch.ledger().await?.rewritten += 1;
                batch.follow(Some((Revoked::TakenBack(*number), *time))).await?;
            }
            return Ok(tell_if(batch, undone, events));
        }
        Record::ForgetEpochs { numbers } => {
            forget_epochs(batch, numbers).await?;
            1
        }
        Record::Keys { changes, events } => {
            let changed = change_keys(batch, changes).await?;
            return Ok(tell_if(batch, changed, events));
        }
        Record::PutDelivery(delivery) => {
            const SQL: &str = "INSERT INTO deliveries (recipient, position) VALUES ($1, $2) \
                ON CONFLICT (recipient) DO UPDATE SET position = excluded.position";
            batch.done(SQL, &[P::T(&delivery.to), questions::position(delivery.position)]).await?
        }
        Record::PutDeadLetter(letter) => {
            const PUT: &str = "INSERT INTO dead_letters (recipient, event, at, failure) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (recipient, event) DO UPDATE SET at = excluded.at, failure = excluded.failure";
            const TRIM: &str = "DELETE FROM dead_letters WHERE recipient = $1 AND event <= (SELECT event FROM dead_letters \
                WHERE recipient = $1 ORDER BY event DESC LIMIT 1 OFFSET $2)";
            let event = questions::position(letter.event);
            batch.done(PUT, &[P::T(&letter.to), event, at(letter.at), P::T(&letter.failure)]).await?;
            batch.done(TRIM, &[P::T(&letter.to), P::N(i64::from(crate::beside::MOST_DEAD_LETTERS))]).await?;
            1
        }
        Record::RemoveDeadLetter { to, event } => {
            const SQL: &str = "DELETE FROM dead_letters WHERE recipient = $1 AND event = $2";
            batch.done(SQL, &[P::T(to), questions::position(*event)]).await?
        }
        Record::UseOnce { key, expires_at } => {
            const SQL: &str = "INSERT INTO used_once (key, expires_at) VALUES ($1, $2) \
                ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE used_once.expires_at < $3";
            batch.done(SQL, &[P::B(key), at(*expires_at), at(batch.now)]).await?
        }
        Record::RegisterClient { id, definition, token } => register(batch, id, definition, token.as_ref()).await?,
        Record::PutRegistrationToken(token) => {
            const SQL: &str = "INSERT INTO registration_tokens (hash, label, uses, created_at, expires_at) \
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash) DO UPDATE SET label = excluded.label, uses = excluded.uses, \
                created_at = excluded.created_at, expires_at = excluded.expires_at";
            let times = [at(token.created_at), at(token.expires_at)];
            let [created_at, expires_at] = times;
            let parameters =
                [P::B(&token.hash), P::T(&token.label), P::N(i64::from(token.uses)), created_at, expires_at];
            batch.done(SQL, &parameters).await?
        }
        Record::RemoveRegistrationToken { hash } => {
            batch.done("DELETE FROM registration_tokens WHERE hash = $1", &[P::B(hash)]).await?
        }
        Record::Sweep { events_before, limit } => sweep(batch, *events_before, *limit).await?,
    };
    Ok(outcome(changed > 0))
}

/// The events of what was done; of what was stale there are none.
fn tell_if(batch: &mut Batch<'_>, is_done: bool, events: &[EventRecord]) -> Outcome {
    if is_done {
        batch.tell(events);
    }
    outcome(is_done)
}

/// Numbers are compared as they are, and kept as the bit pattern.
async fn reserve(batch: &Batch<'_>, next: u64) -> Result<u64, Fault> {
    let rows = batch.rows("SELECT next_grant FROM meta WHERE single = 1 FOR UPDATE", &[]).await?;
    let held = rows.first().map_or(0, |row| Columns::of(row).u64());
    if next <= held {
        return Ok(0);
    }
    batch.done("UPDATE meta SET next_grant = $1 WHERE single = 1", &[n(next)]).await
}

async fn add_user(batch: &Batch<'_>, user: &User) -> Result<u64, Fault> {
    const SQL: &str = "INSERT INTO users (subject, name, password, disabled_at, created_at, updated_at, version, attributes) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    batch.done(SQL, &of_user(user)).await
}

async fn put_user(batch: &Batch<'_>, expected: u64, user: &User) -> Result<u64, Fault> {
    const OTHER: &str = "SELECT 1::bigint FROM users WHERE name = $1 AND subject <> $2";
    // A name that another node gives away at this moment is a conflict: then all of it is done again, and sees that.
    const SQL: &str = "UPDATE users SET name = $2, password = $3, disabled_at = $4, created_at = $5, updated_at = $6, \
        version = $7, attributes = $8 WHERE subject = $1 AND version = $9";
    if !batch.rows(OTHER, &[P::T(&user.name), P::T(&user.subject)]).await?.is_empty() {
        return Ok(0);
    }
    let mut parameters = of_user(user);
    parameters.push(n(expected));
    batch.done(SQL, &parameters).await
}

fn of_user(user: &User) -> Vec<P<'_>> {
    vec![
        P::T(&user.subject),
        P::T(&user.name),
        P::T(&user.password),
        maybe(user.disabled_at),
        at(user.created_at),
        at(user.updated_at),
        n(user.version),
        P::T(&user.attributes),
    ]
}

/// What a user's row entails, if it was written.
async fn written(batch: &mut Batch<'_>, user: &User, rows: u64) -> Result<u64, Fault> {
    if let Some(entailed) = revocation::of_user(user).filter(|_| rows > 0) {
        batch.ledger().await?.restrictions += 1;
        batch.follow(Some(entailed)).await?;
    }
    Ok(rows)
}

/// All or nothing: whoever changes keys holds the ledger, so that what is read here stays.
async fn change_keys(batch: &mut Batch<'_>, changes: &[KeyChange]) -> Result<bool, Fault> {
    const STATUS: &str = "SELECT status FROM keys WHERE kind = $1 AND id = $2";
    const PUT: &str = "INSERT INTO keys (kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (kind, id) DO UPDATE SET status = excluded.status, \
        algorithm = excluded.algorithm, wrapped = excluded.wrapped, outlived_by = excluded.outlived_by, \
        created_at = excluded.created_at, current_at = excluded.current_at, verify_at = excluded.verify_at, \
        gone_at = excluded.gone_at";
    const ROW: &str =
        concat!("SELECT ", seal::key_columns!(), " FROM keys WHERE kind <> 'seed' AND kind = $1 AND id = $2");
    const PUT_SEED: &str = "INSERT INTO seed_keys (id, wrapped) VALUES ($1, $2) \
        ON CONFLICT (id) DO UPDATE SET wrapped = excluded.wrapped";
    batch.ledger().await?;
    let mut statuses: Vec<((KeyKind, u32), KeyStatus)> = Vec::with_capacity(changes.len());
    for KeyChange { expected, key } in changes {
        let place = (key.kind, key.id);
        let held = match statuses.iter().rev().find(|(held, _)| *held == place) {
            Some((_, status)) => Some(*status),
            None => {
                let rows = batch.rows(STATUS, &[P::T(key.kind.as_str()), P::N(i64::from(key.id))]).await?;
                let word = rows.first().map(|row| Columns::of(row).text());
                let damaged = || Fault::damaged("a key has a status that is not ours");
                word.map(|word| KeyStatus::parse(&word).ok_or_else(damaged)).transpose()?
            }
        };
        if held != *expected {
            return Ok(false);
        }
        statuses.push((place, key.status));
    }
    for KeyChange { key, .. } in changes {
        // The bytes of a seed key are in the table that backups leave out, and nowhere else.
        let (beside, apart) = match key.kind {
            KeyKind::Seed => (None, key.wrapped.as_deref()),
            KeyKind::Tag | KeyKind::Sealing | KeyKind::Signing => (key.wrapped.as_deref(), None),
        };
        let parameters = [
            P::T(key.kind.as_str()),
            P::N(i64::from(key.id)),
            P::T(key.status.as_str()),
            P::T(&key.algorithm),
            P::C(beside),
            n(key.outlived_by),
            at(key.created_at),
            maybe(key.current_at),
            maybe(key.verify_at),
            maybe(key.gone_at),
        ];
        let place = [P::T(key.kind.as_str()), P::N(i64::from(key.id))];
        batch.weigh(Table::Keys, ROW, &place).await?;
        batch.done(PUT, &parameters).await?;
        batch.weigh(Table::Keys, ROW, &place).await?;
        if let Some(wrapped) = apart {
            batch.done(PUT_SEED, &[P::N(i64::from(key.id)), P::B(wrapped)]).await?;
        } else if key.kind == KeyKind::Seed {
            batch.done("DELETE FROM seed_keys WHERE id = $1", &[P::N(i64::from(key.id))]).await?;
        }
    }
    batch.ledger().await?.keys += 1;
    Ok(true)
}

/// Inserts the next one, and tells its number: none if it is not the next, or there is no room.
async fn insert_epoch(batch: &mut Batch<'_>, epoch: &Epoch) -> Result<Option<u64>, Fault> {
    const SQL: &str = concat!(
        "INSERT INTO epochs (",
        seal::epoch_columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING ",
        seal::epoch_columns!()
    );
    let Epoch { number, at: time, selector, reason, detail, undo_until, undone_at } = epoch;
    let next = batch.ledger().await?.claim.sealed.counter + 1;
    if *number != 0 && *number != next {
        return Ok(None);
    }
    match room(batch, epoch).await? {
        Some(makes_room) => forget_epochs(batch, &makes_room).await?,
        None => return Ok(None),
    }
    let among = selector.among.as_ref().map(Among::text);
    let parameters = [
        n(next),
        at(*time),
        P::U(selector.subject.as_deref()),
        P::U(selector.client.as_ref().map(ClientId::as_str)),
        P::C(selector.session.as_ref().map(<[u8; 32]>::as_slice)),
        P::O(selector.tag_key.map(i64::from)),
        P::U(selector.scope.as_deref()),
        P::U(selector.resource.as_deref()),
        maybe(selector.issued_before),
        P::N(i64::from(selector.online_only)),
        P::N(i64::from(reason.code())),
        P::T(detail),
        maybe(*undo_until),
        maybe(*undone_at),
        P::C(selector.but_session.as_ref().map(<[u8; 32]>::as_slice)),
        P::U(among.as_deref()),
    ];
    batch.weigh(Table::Epochs, SQL, &parameters).await?;
    let ledger = batch.ledger().await?;
    ledger.claim.sealed.counter = next;
    ledger.restrictions += 1;
    Ok(Some(next))
}

/// Which rows make room for one more, by the same place as in memory: the session, else the user, else the client. `None` if there is none.
async fn room(batch: &Batch<'_>, epoch: &Epoch) -> Result<Option<Vec<u64>>, Fault> {
    // There are no more rows than numbers from the first to the last: mostly that is known without a look at every row.
    const SPAN: &str =
        "SELECT coalesce((SELECT max(number) FROM epochs) - (SELECT min(number) FROM epochs) + 1, 0)::bigint";
    const ALL: &str = "SELECT count(*) FROM epochs";
    macro_rules! of_place {
        ($which:literal) => {
            (
                concat!("SELECT count(*) FROM epochs WHERE ", $which),
                concat!("SELECT ", seal::epoch_columns!(), " FROM epochs WHERE ", $which, " ORDER BY number"),
            )
        };
    }
    let most = MOST_EPOCHS as u64;
    if batch.count(SPAN, &[]).await? >= most && batch.count(ALL, &[]).await? >= most {
        return Ok(None);
    }
    let Selector { session, subject, client, .. } = &epoch.selector;
    let ((count, rows), parameters) = match (session, subject, client.as_ref().map(ClientId::as_str)) {
        (Some(session), _, _) => (of_place!("session = $1"), vec![P::B(session)]),
        (None, Some(subject), _) => (of_place!("session IS NULL AND subject = $1"), vec![P::T(subject)]),
        (None, None, Some(client)) => {
            (of_place!("session IS NULL AND subject IS NULL AND client = $1"), vec![P::T(client)])
        }
        (None, None, None) => (of_place!("session IS NULL AND subject IS NULL AND client IS NULL"), Vec::new()),
    };
    if batch.count(count, &parameters).await? < most_beside(epoch) as u64 {
        return Ok(Some(Vec::new()));
    }
    let place = batch.rows(rows, &parameters).await?;
    let place: Vec<Epoch> = place.iter().map(questions::epoch).collect::<Result<_, Fault>>()?;
    let makes_room = superseded(&place, epoch);
    Ok((place.len() - makes_room.len() < most_beside(epoch)).then_some(makes_room))
}

async fn forget_epochs(batch: &mut Batch<'_>, numbers: &[u64]) -> Result<(), Fault> {
    const SQL: &str = concat!("DELETE FROM epochs WHERE number = ANY($1) RETURNING ", seal::epoch_columns!());
    if numbers.is_empty() {
        return Ok(());
    }
    let numbers = numbers.iter().map(|number| number.cast_signed()).collect();
    if batch.weigh(Table::Epochs, SQL, &[P::Ns(numbers)]).await? > 0 {
        batch.ledger().await?.rewritten += 1;
    }
    Ok(())
}

/// The first failure makes the row; whoever comes second waits for it, and counts on.
async fn count_failure(batch: &Batch<'_>, key: &[u8; 32], leak: i64, most: u32) -> Result<u64, Fault> {
    const FIRST: &str =
        "INSERT INTO login_failures (key, last_at, forgotten_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    const HELD: &str = "SELECT last_at, forgotten_at FROM login_failures WHERE key = $1 FOR UPDATE";
    const NEXT: &str = "UPDATE login_failures SET last_at = $2, forgotten_at = $3 WHERE key = $1";
    let now = batch.now;
    batch.done(FORGOTTEN, &[at(now), P::N(i64::from(failures::TIDIED))]).await?;
    let first = Failures::counted(None, now, leak, most);
    if batch.done(FIRST, &[P::B(key), at(first.last_at), at(first.forgotten_at)]).await? > 0 {
        return Ok(1);
    }
    let rows = batch.rows(HELD, &[P::B(key)]).await?;
    let counted = Failures::counted(rows.first().map(questions::failures).transpose()?, now, leak, most);
    batch.done(NEXT, &[P::B(key), at(counted.last_at), at(counted.forgotten_at)]).await
}

const FORGOTTEN: &str = "DELETE FROM login_failures WHERE key IN \
    (SELECT key FROM login_failures WHERE forgotten_at < $1 ORDER BY forgotten_at, key LIMIT $2)";

/// The client, and one use of the token, if there is one to use: both or neither.
async fn register(batch: &mut Batch<'_>, id: &str, definition: &str, token: Option<&[u8; 32]>) -> Result<u64, Fault> {
    const TAKEN: &str = "SELECT 1::bigint FROM clients WHERE id = $1";
    const USE: &str = "UPDATE registration_tokens SET uses = uses - 1 WHERE hash = $1 AND uses > 0 AND expires_at > $2";
    batch.ledger().await?;
    if !batch.rows(TAKEN, &[P::T(id)]).await?.is_empty() {
        return Ok(0);
    }
    if let Some(token) = token
        && batch.done(USE, &[P::B(token), at(batch.now)]).await? == 0
    {
        return Ok(0);
    }
    batch.ledger().await?.clients += 1;
    batch.done("INSERT INTO clients (id, definition) VALUES ($1, $2)", &[P::T(id), P::T(definition)]).await
}

/// The oldest first, bounded by `limit` for each table.
async fn sweep(batch: &mut Batch<'_>, events_before: Timestamp, limit: u32) -> Result<u64, Fault> {
    const SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
        (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at, id LIMIT $2)";
    const DENIED: &str = "DELETE FROM denied_access WHERE jti IN \
        (SELECT jti FROM denied_access WHERE expires_at < $1 ORDER BY expires_at, jti LIMIT $2)";
    const USED: &str = "DELETE FROM used_once WHERE key IN \
        (SELECT key FROM used_once WHERE expires_at < $1 ORDER BY expires_at, key LIMIT $2)";
    const TOKENS: &str = "DELETE FROM registration_tokens WHERE hash IN \
        (SELECT hash FROM registration_tokens WHERE expires_at < $1 OR uses = 0 ORDER BY expires_at, hash LIMIT $2)";
    const LOGINS: &str = "DELETE FROM logins WHERE (session, client) IN \
        (SELECT session, client FROM logins WHERE expires_at < $1 ORDER BY expires_at, session, client LIMIT $2)";
    for sql in [SESSIONS, LOGINS, DENIED, FORGOTTEN, USED, TOKENS, device_requests_over()] {
        batch.done(sql, &[at(batch.now), P::N(i64::from(limit))]).await?;
    }
    sweep_nodes(batch, limit).await?;
    batch.sweep_events(events_before, limit).await?;
    Ok(1)
}

/// A node commits every few seconds, if only to hear that a duty is another's: one that has not for a day was killed. There is a newer
/// time than its, and of its grant numbers nothing stands in its row. If it lives all the same, the count tells it why its row is gone.
async fn sweep_nodes(batch: &mut Batch<'_>, limit: u32) -> Result<(), Fault> {
    const SQL: &str = "DELETE FROM nodes WHERE id IN \
        (SELECT id FROM nodes WHERE high_water < $1 AND id <> $2 ORDER BY high_water, id LIMIT $3)";
    let parameters = [at(batch.now.minus(NODE_LIFETIME)), P::T(batch.node), P::N(i64::from(limit))];
    let swept = batch.done(SQL, &parameters).await?;
    if swept > 0 {
        batch.ledger().await?.swept += swept;
    }
    Ok(())
}

const fn device_requests_over() -> &'static str {
    people::DEVICES_OVER
}

/// A few of those that are over go with each new one.
pub(super) async fn tidy_devices(batch: &Batch<'_>) -> Result<(), Fault> {
    batch.done(people::DEVICES_OVER, &[at(batch.now), P::N(i64::from(device::TIDIED))]).await.map(|_| ())
}
