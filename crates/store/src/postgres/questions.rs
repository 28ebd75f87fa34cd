//! Reading the small things.

use regrant_core::device::Asked;
use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::issue::Granted;
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::recovery::{Recovery, Unproven};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Epoch, GrantId, Link, Resources, Scope, Selector, Timestamp};
use tokio_postgres::Row;

use super::line::{Fault, Line};
use super::values::{Columns, P, at, n};
use super::{grants, ledger, people};
use crate::beside::{DeadLetter, Delivery, Place, Places};
use crate::{
    Answer, ChainEnds, Changes, Deployment, DeviceRequest, EventFilter, Failures, KeyKind, KeyRecord, Loaded,
    LogoutNotice, Question, RegistrationToken, StoredEvent, User,
};

/// Answers one question.
pub(super) async fn answer(line: &Line, question: &Question) -> Result<Answer, Fault> {
    let read = Reading(line);
    Ok(match question {
        Question::Deployment => Answer::Deployment(read.one(DEPLOYMENT, &[], deployment).await?),
        Question::Clients => {
            Answer::Clients(read.all("SELECT id, definition FROM clients ORDER BY id", &[], pair).await?)
        }
        Question::Client(id) => {
            const SQL: &str = "SELECT id, definition FROM clients WHERE id = $1";
            Answer::Clients(read.all(SQL, &[P::T(id)], pair).await?)
        }
        Question::UserByName(name) => Answer::User(read.one(USER_BY_NAME, &[P::T(name)], user).await?),
        Question::UserBySubject(subject) => Answer::User(read.one(USER_BY_SUBJECT, &[P::T(subject)], user).await?),
        Question::Users { after, limit } => Answer::Users(read.all(USERS, &[P::T(after), most(*limit)], user).await?),
        Question::Session(id) => Answer::Session(read.one(SESSION, &[P::B(id)], people::session).await?),
        Question::Logins(root) => {
            const SQL: &str = "SELECT client FROM logins WHERE session = $1 ORDER BY client";
            Answer::Logins(read.all(SQL, &[P::B(root)], text).await?)
        }
        Question::LogoutNotices { client, limit } => {
            Answer::LogoutNotices(read.all(NOTICES, &[P::T(client), most(*limit)], notice).await?)
        }
        Question::LogoutClients { after, limit } => {
            const SQL: &str = "SELECT DISTINCT client FROM logout_notices WHERE client > $1 ORDER BY client LIMIT $2";
            Answer::LogoutClients(read.all(SQL, &[P::T(after), most(*limit)], text).await?)
        }
        Question::DeviceRequest(number) => {
            Answer::DeviceRequest(read.one(DEVICE_BY_NUMBER, &[n(*number)], device_request).await?)
        }
        Question::DeviceRequestByUserCode(code) => {
            Answer::DeviceRequest(read.one(DEVICE_BY_CODE, &[P::B(code)], device_request).await?)
        }
        Question::Consent { subject, client } => {
            Answer::Consent(read.one(CONSENT, &[P::T(subject), P::T(client)], people::consent).await?)
        }
        Question::ConsentsOf(subject) => Answer::Consents(read.all(CONSENTS, &[P::T(subject)], people::consent).await?),
        Question::EventsOf { subject, before, limit } => {
            let parameters = [P::T(subject), position(*before), most(*limit)];
            Answer::Events(read.all(EVENTS_OF, &parameters, event).await?)
        }
        Question::AccessDenied(jti) => {
            const SQL: &str = "SELECT 1::bigint FROM denied_access WHERE jti = $1";
            Answer::AccessDenied(!read.rows(SQL, &[P::B(jti)]).await?.is_empty())
        }
        Question::UsedOnce { key, now } => {
            const SQL: &str = "SELECT 1::bigint FROM used_once WHERE key = $1 AND expires_at > $2";
            Answer::UsedOnce(!read.rows(SQL, &[P::B(key), at(*now)]).await?.is_empty())
        }
        Question::Failures(keys) => {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                const SQL: &str = "SELECT last_at, forgotten_at FROM login_failures WHERE key = $1";
                found.push(read.one(SQL, &[P::B(key)], failures).await?);
            }
            Answer::Failures(found)
        }
        Question::Revocations { after, limit } => Answer::Revocations(ledger::revocations(line, *after, *limit).await?),
        Question::Keys(kind) => {
            let key = |row: &Row| key(row, *kind);
            Answer::Keys(read.all(KEYS, &[P::T(kind.as_str())], key).await?)
        }
        Question::Grants { client, subject, after, limit } => {
            Answer::Grants(page(line, (client.as_deref(), subject.as_deref()), *after, *limit).await?)
        }
        // Whoever holds the connection answers these from memory.
        Question::Changes => Answer::Changes(Changes::default()),
        Question::Epochs => Answer::Epochs { counter: 0, epochs: Vec::new() },
        Question::CoveredAccess(_) => Answer::CoveredAccess(None),
        Question::Events { grant: None, limit } => Answer::Events(read.all(NEWEST, &[most(*limit)], event).await?),
        Question::Events { grant: Some(number), limit } => {
            Answer::Events(read.all(NEWEST_OF_GRANT, &[n(*number), most(*limit)], event).await?)
        }
        Question::FindEvents(filter) => Answer::Events(find(&read, filter).await?),
        Question::EventsAfter { after, limit } => {
            Answer::Events(read.all(EVENTS_AFTER, &[position(*after), most(*limit)], event).await?)
        }
        Question::Chain => {
            const SQL: &str = "SELECT removed, removed_link, newest, newest_link FROM ledger WHERE single = 1";
            let ends = read.one(SQL, &[], ends).await?;
            Answer::Chain(ends.ok_or_else(|| Fault::damaged("the ledger has no row"))?)
        }
        Question::Places(grant) => Answer::Places(read.one(PLACES, &[n(*grant)], places).await?),
        Question::Deliveries => {
            const SQL: &str = "SELECT recipient, position FROM deliveries ORDER BY recipient";
            Answer::Deliveries(read.all(SQL, &[], delivery).await?)
        }
        Question::RegistrationTokens(None) => Answer::RegistrationTokens(read.all(TOKENS, &[], token).await?),
        Question::RegistrationTokens(Some(hash)) => {
            Answer::RegistrationTokens(read.all(TOKEN, &[P::B(hash)], token).await?)
        }
        Question::DeadLetters { to, limit } => {
            Answer::DeadLetters(read.all(DEAD_LETTERS, &[P::T(to), most(*limit)], dead_letter).await?)
        }
    })
}

const DEPLOYMENT: &str = "SELECT deployment, root_check, era, next_grant, lost_from, lost_until, unproven FROM meta \
    WHERE single = 1 AND deployment IS NOT NULL";
const USER_BY_NAME: &str = "SELECT subject, name, password, disabled_at, created_at, updated_at, version, attributes FROM users WHERE name = $1";
const USER_BY_SUBJECT: &str = "SELECT subject, name, password, disabled_at, created_at, updated_at, version, attributes FROM users WHERE subject = $1";
const USERS: &str = "SELECT subject, name, password, disabled_at, created_at, updated_at, version, attributes FROM users \
    WHERE name > $1 ORDER BY name LIMIT $2";
const SESSION: &str =
    "SELECT id, root, subject, authenticated_at, expires_at, acr, amr, claims FROM sessions WHERE id = $1";
const NOTICES: &str =
    "SELECT id, client, subject, session, at FROM logout_notices WHERE client = $1 ORDER BY id LIMIT $2";
const DEVICE_BY_NUMBER: &str = "SELECT number, random, secret, user_code, client, scope, resources, asked_at, expires_at, network, \
    agent FROM device_requests WHERE number = $1";
const DEVICE_BY_CODE: &str = "SELECT number, random, secret, user_code, client, scope, resources, asked_at, expires_at, network, \
    agent FROM device_requests WHERE user_code = $1";
const CONSENT: &str =
    "SELECT subject, client, scope, resources, at, paused_at, ends_at FROM consents WHERE subject = $1 AND client = $2";
const CONSENTS: &str =
    "SELECT subject, client, scope, resources, at, paused_at, ends_at FROM consents WHERE subject = $1 ORDER BY client";
const EVENTS_OF: &str = "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events \
    WHERE subject = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
const NEWEST: &str = "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events \
    ORDER BY id DESC LIMIT $1";
const NEWEST_OF_GRANT: &str = "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events \
    WHERE grant_number = $1 ORDER BY id DESC LIMIT $2";
const EVENTS_AFTER: &str = "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events \
    WHERE id > $1 ORDER BY id LIMIT $2";
const FIND: &str = "SELECT id, at, kind, reason, grant_number, client, subject, detail, correlation, link FROM events \
    WHERE id > $1 AND id < $2 AND ($3 IS NULL OR kind = $3) AND ($4 IS NULL OR client = $4) AND ($5 IS NULL OR subject = $5) \
    AND ($6 IS NULL OR at >= $6) AND ($7 IS NULL OR correlation = $7) ORDER BY id DESC LIMIT $8";
const PLACES: &str = "SELECT first_at, first_network, first_agent, last_at, last_network, last_agent FROM grant_places \
    WHERE number = $1";
const TOKENS: &str =
    "SELECT hash, label, uses, created_at, expires_at FROM registration_tokens ORDER BY created_at, hash";
const TOKEN: &str = "SELECT hash, label, uses, created_at, expires_at FROM registration_tokens WHERE hash = $1";
const DEAD_LETTERS: &str =
    "SELECT recipient, event, at, failure FROM dead_letters WHERE recipient = $1 ORDER BY event LIMIT $2";
/// The bytes of seed keys are beside the others': a store without them is a backup.
const KEYS: &str = "SELECT k.id, k.status, k.algorithm, coalesce(k.wrapped, s.wrapped), k.outlived_by, k.created_at, k.current_at, \
    k.verify_at, k.gone_at FROM keys k LEFT JOIN seed_keys s ON k.kind = 'seed' AND s.id = k.id WHERE k.kind = $1 ORDER BY k.id";

struct Reading<'a>(&'a Line);

impl Reading<'_> {
    async fn rows(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<Vec<Row>, Fault> {
        self.0.rows(sql, parameters).await.map_err(|error| Fault::of(&error))
    }

    async fn all<T>(
        &self,
        sql: &'static str,
        parameters: &[P<'_>],
        read: impl Fn(&Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.rows(sql, parameters).await?.iter().map(read).collect()
    }

    async fn one<T>(
        &self,
        sql: &'static str,
        parameters: &[P<'_>],
        read: impl Fn(&Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.rows(sql, parameters).await?.first().map(read).transpose()
    }
}

/// Positions count from 1 and never reach the sign bit.
pub(super) fn position(position: u64) -> P<'static> {
    P::N(i64::try_from(position).unwrap_or(i64::MAX))
}

fn most(limit: u32) -> P<'static> {
    P::N(i64::from(limit))
}

/// One that cannot be read is no row to leave out: what it ends would live again.
pub(super) fn epoch(row: &Row) -> Result<Epoch, Fault> {
    let mut columns = Columns::of(row);
    let (number, at) = (columns.u64(), columns.time());
    let subject = columns.optional_text();
    let client = columns.optional_text().and_then(|client| columns.sound(ClientId::parse(&client)));
    let mut selector = Selector {
        subject,
        client,
        session: columns.hash(),
        tag_key: columns.optional_i64().and_then(|key| columns.sound(u8::try_from(key).ok())),
        scope: columns.optional_text(),
        resource: columns.optional_text(),
        issued_before: columns.optional_time(),
        online_only: columns.flag(),
        ..Selector::default()
    };
    let reason = u8::try_from(columns.i64()).ok().and_then(EndReason::from_code);
    let reason = columns.sound(reason).ok_or_else(|| Fault::damaged("a wide revocation has no reason"))?;
    let (detail, undo_until, undone_at) = (columns.text(), columns.optional_time(), columns.optional_time());
    selector.but_session = columns.hash();
    selector.among = among(&mut columns);
    columns.whole(Epoch { number, at, selector, reason, detail, undo_until, undone_at })
}

/// Clients, or all but these. What cannot be read is no criterion to leave out.
pub(super) fn among(columns: &mut Columns<'_>) -> Option<Among> {
    columns.optional_text().and_then(|text| columns.sound(Among::parse(&text)))
}

async fn page(line: &Line, which: (Option<&str>, Option<&str>), after: u64, limit: u32) -> Result<Vec<Loaded>, Fault> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (first, last) in [(first, i64::MAX.cast_unsigned()), (first.max(i64::MIN.cast_unsigned()), u64::MAX)] {
        let room = limit - u32::try_from(found.len()).unwrap_or(limit);
        if first <= last && room > 0 {
            let (sql, parameters) = grants::page(which, (first, last), room);
            found.extend(Reading(line).all(sql, &parameters, grants::read).await?);
        }
    }
    Ok(found)
}

async fn find(read: &Reading<'_>, filter: &EventFilter) -> Result<Vec<StoredEvent>, Fault> {
    let EventFilter { kind, client, subject, since, after, before, limit, correlation } = filter;
    let parameters = [
        position(*after),
        position(*before),
        P::U(kind.as_deref()),
        P::U(client.as_deref()),
        P::U(subject.as_deref()),
        P::O(since.map(Timestamp::millis)),
        P::U(correlation.as_deref()),
        most(*limit),
    ];
    read.all(FIND, &parameters, event).await
}

fn event(row: &Row) -> Result<StoredEvent, Fault> {
    let mut columns = Columns::of(row);
    let event = StoredEvent {
        id: columns.u64(),
        at: columns.time(),
        kind: columns.text(),
        reason: columns.optional_text(),
        grant: columns.optional_u64(),
        client: columns.optional_text(),
        subject: columns.optional_text(),
        detail: columns.text(),
        correlation: columns.text(),
        link: columns.hash().map(Link),
    };
    columns.whole(event)
}

fn ends(row: &Row) -> Result<ChainEnds, Fault> {
    let mut columns = Columns::of(row);
    let removed = (columns.u64(), Link(columns.array()));
    let newest = (columns.u64(), Link(columns.array()));
    columns.whole(ChainEnds { removed, newest })
}

fn deployment(row: &Row) -> Result<Deployment, Fault> {
    let mut columns = Columns::of(row);
    let (id, root_check) = (DeploymentId(columns.array()), columns.array());
    let (era, next_grant) = (columns.small(), columns.u64());
    let (lost_from, lost_until, word) = (columns.optional_time(), columns.optional_time(), columns.optional_text());
    let recovery = match (lost_from, lost_until, word) {
        (Some(lost_from), Some(lost_until), Some(word)) => {
            columns.sound(Unproven::parse(&word)).map(|unproven| Recovery { lost_from, lost_until, unproven })
        }
        _ => None,
    };
    columns.whole(Deployment { id, root_check, era, next_grant, recovery })
}

fn user(row: &Row) -> Result<User, Fault> {
    let mut columns = Columns::of(row);
    let user = User {
        subject: columns.text(),
        name: columns.text(),
        password: columns.text(),
        disabled_at: columns.optional_time(),
        created_at: columns.time(),
        updated_at: columns.time(),
        version: columns.u64(),
        attributes: columns.text(),
    };
    columns.whole(user)
}

fn key(row: &Row, kind: KeyKind) -> Result<KeyRecord, Fault> {
    let mut columns = Columns::of(row);
    let (id, status) = (columns.small(), columns.text());
    let status = columns.sound(KeyStatus::parse(&status)).ok_or_else(|| Fault::damaged("a key has no status"))?;
    let key = KeyRecord {
        kind,
        id,
        status,
        algorithm: columns.text(),
        wrapped: columns.bytes(),
        outlived_by: columns.u64(),
        created_at: columns.time(),
        current_at: columns.optional_time(),
        verify_at: columns.optional_time(),
        gone_at: columns.optional_time(),
    };
    columns.whole(key)
}

/// From two columns.
pub(super) fn failures(row: &Row) -> Result<Failures, Fault> {
    let mut columns = Columns::of(row);
    let failures = Failures { last_at: columns.time(), forgotten_at: columns.time() };
    columns.whole(failures)
}

fn device_request(row: &Row) -> Result<DeviceRequest, Fault> {
    let mut columns = Columns::of(row);
    let grant = GrantId { number: columns.u64(), random: columns.u64() };
    let (secret, user_code) = (Hash(columns.array()), columns.array());
    let (client, scope, resources) = (columns.text(), columns.text(), columns.text());
    let (asked_at, expires_at) = (columns.time(), columns.time());
    let damaged = || Fault::damaged("what a device asked for is not ours");
    let asked = Asked {
        grant,
        secret,
        client: ClientId::parse(&client).ok_or_else(damaged)?,
        granted: Granted {
            scope: Scope::parse(&scope).map_err(|_| damaged())?,
            resources: Resources::parse(&resources).map_err(|_| damaged())?,
        },
        asked_at,
        expires_at,
    };
    let place = Place { at: asked.asked_at, network: columns.text(), agent: columns.text() };
    columns.whole(DeviceRequest { asked, user_code, place })
}

fn notice(row: &Row) -> Result<LogoutNotice, Fault> {
    let mut columns = Columns::of(row);
    let notice = LogoutNotice {
        id: columns.u64(),
        client: columns.text(),
        subject: columns.text(),
        session: columns.array(),
        at: columns.time(),
    };
    columns.whole(notice)
}

fn places(row: &Row) -> Result<Places, Fault> {
    let mut columns = Columns::of(row);
    let first = Place { at: columns.time(), network: columns.text(), agent: columns.text() };
    let last = Place { at: columns.time(), network: columns.text(), agent: columns.text() };
    columns.whole(Places { first, last })
}

fn delivery(row: &Row) -> Result<Delivery, Fault> {
    let mut columns = Columns::of(row);
    let delivery = Delivery { to: columns.text(), position: columns.u64() };
    columns.whole(delivery)
}

fn dead_letter(row: &Row) -> Result<DeadLetter, Fault> {
    let mut columns = Columns::of(row);
    let letter = DeadLetter { to: columns.text(), event: columns.u64(), at: columns.time(), failure: columns.text() };
    columns.whole(letter)
}

fn token(row: &Row) -> Result<RegistrationToken, Fault> {
    let mut columns = Columns::of(row);
    let token = RegistrationToken {
        hash: columns.array(),
        label: columns.text(),
        uses: columns.small(),
        created_at: columns.time(),
        expires_at: columns.time(),
    };
    columns.whole(token)
}

fn pair(row: &Row) -> Result<(String, String), Fault> {
    let mut columns = Columns::of(row);
    let pair = (columns.text(), columns.text());
    columns.whole(pair)
}

fn text(row: &Row) -> Result<String, Fault> {
    let mut columns = Columns::of(row);
    let text = columns.text();
    columns.whole(text)
}
