//! What has an order among all nodes: events, revocations, logouts to be told, wide revocations.
//!
//! Whoever adds to it locks one row until its commit, so that a reader who has seen a position has seen every one before it. It is locked
//! as late as can be, by batches that tell something: a plain refresh never does.

use std::collections::HashSet;

use regrant_core::epoch::Among;
use regrant_core::{ChainKey, ClientId, Link, Selector, Timestamp};

use super::guard::{Claim, Guard};
use super::line::{Fault, Line};
use super::questions::among;
use super::values::{Columns, P, at, escaped, maybe, n};
use crate::seal::Sealed;
use crate::{ChainEnds, EventRecord, Revocation, Revoked, StoredEvent, event};

const LOCK: &str = "SELECT removed, removed_link, newest, newest_link, epoch, seals, sealed_epochs, sealed_keys, seal, revocation, \
    notice, restrictions, rewritten, clients, keys, swept FROM ledger WHERE single = 1 FOR UPDATE";
const WRITE: &str = "UPDATE ledger SET removed = $1, removed_link = $2, newest = $3, newest_link = $4, epoch = $5, seals = $6, \
    sealed_epochs = $7, sealed_keys = $8, seal = $9, revocation = $10, notice = $11, restrictions = $12, rewritten = $13, \
    clients = $14, keys = $15, swept = $16 WHERE single = 1";
const TOLD: &str = "SELECT n.place FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY \
    AS n (minute, kind, reason, subject, number, no_grant, place) JOIN events e ON e.minute IS NOT NULL AND e.minute = n.minute \
    AND e.kind = n.kind AND coalesce(e.reason, '') = n.reason \
    AND (CASE WHEN e.grant_number IS NULL THEN coalesce(e.subject, '') ELSE '' END) = n.subject \
    AND coalesce(e.grant_number, 0) = n.number AND (e.grant_number IS NULL) = (n.no_grant = 1)";
const TELL: &str = "INSERT INTO events (id, at, kind, reason, grant_number, client, subject, detail, correlation, minute, link) \
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// The row, as it is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ledger {
    /// The ends of the chain, the count of wide revocations, and what holds them.
    pub(super) claim: Claim,
    pub(super) revocation: u64,
    pub(super) notice: u64,
    /// Rises with whatever may end or limit a grant without a write to it.
    pub(super) restrictions: u64,
    /// Rises when a wide revocation is taken back or forgotten.
    pub(super) rewritten: u64,
    pub(super) clients: u64,
    pub(super) keys: u64,
    /// How many rows of nodes were swept.
    pub(super) swept: u64,
}

impl Ledger {
    /// Locks the row until the end of the transaction. One that was changed by something else is refused.
    pub(super) async fn lock(line: &Line, guard: &Guard) -> Result<Self, Fault> {
        let rows = line.rows(LOCK, &[]).await.map_err(|error| Fault::of(&error))?;
        let row = rows.first().ok_or_else(|| Fault::damaged("the ledger has no row"))?;
        let mut columns = Columns::of(row);
        let ledger = Self {
            claim: Claim::read(&mut columns),
            revocation: columns.u64(),
            notice: columns.u64(),
            restrictions: columns.u64(),
            rewritten: columns.u64(),
            clients: columns.u64(),
            keys: columns.u64(),
            swept: columns.u64(),
        };
        let mut ledger = columns.whole(ledger)?;
        guard.check(line, &mut ledger.claim).await?;
        Ok(ledger)
    }

    /// Writes the row under its next seal.
    pub(super) async fn write(&self, line: &Line, guard: &Guard) -> Result<(), Fault> {
        let mut claim = self.claim.clone();
        if guard.is_keyed {
            claim.sealed.count = claim.sealed.count.saturating_add(1);
            claim.seal = claim.sealed.seal(&guard.key).0.to_vec();
        }
        let Sealed { count, ends: ChainEnds { removed, newest }, epochs, counter, keys } = &claim.sealed;
        let parameters = [
            n(removed.0),
            P::B(&removed.1.0),
            n(newest.0),
            P::B(&newest.1.0),
            n(*counter),
            n(*count),
            P::C(claim.has_sums.then_some(epochs.0.as_slice())),
            P::C(claim.has_sums.then_some(keys.0.as_slice())),
            P::B(&claim.seal),
            n(self.revocation),
            n(self.notice),
            n(self.restrictions),
            n(self.rewritten),
            n(self.clients),
            n(self.keys),
            n(self.swept),
        ];
        line.done(WRITE, &parameters).await.map(|_| ()).map_err(|error| Fault::of(&error))
    }

    /// Keeps events behind the newest, in order, but for those that are one too many of their kind and minute.
    pub(super) async fn tell(&mut self, line: &Line, key: &ChainKey, told: &[EventRecord]) -> Result<(), Fault> {
        let mut known: HashSet<Once> = HashSet::new();
        let rare: Vec<Once> = told.iter().filter_map(Once::of).collect();
        if !rare.is_empty() {
            let texts = |of: fn(&Once) -> &str| P::Us(rare.iter().map(|once| Some(escaped(of(once)))).collect());
            let parameters = [
                P::Ns(rare.iter().map(|once| once.minute).collect()),
                texts(|once| once.kind),
                texts(|once| once.reason),
                texts(|once| &once.subject),
                P::Ns(rare.iter().map(|once| once.grant.unwrap_or(0).cast_signed()).collect()),
                P::Ns(rare.iter().map(|once| i64::from(once.grant.is_none())).collect()),
            ];
            for row in line.rows(TOLD, &parameters).await.map_err(|error| Fault::of(&error))? {
                let place = usize::try_from(Columns::of(&row).i64()).ok().and_then(|place| place.checked_sub(1));
                known.extend(place.and_then(|place| rare.get(place)).cloned());
            }
        }
        let mut rows: Vec<(StoredEvent, Option<i64>)> = Vec::with_capacity(told.len());
        for record in told {
            if Once::of(record).is_some_and(|once| !known.insert(once)) {
                continue;
            }
            let (newest, before) = self.claim.sealed.ends.newest;
            let row = event::stored(newest + 1, record, key, &before);
            self.claim.sealed.ends.newest = (row.id, row.link.unwrap_or(before));
            rows.push((row, event::minute(record)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let texts =
            |of: fn(&StoredEvent) -> Option<&str>| P::Us(rows.iter().map(|(row, _)| of(row).map(escaped)).collect());
        let parameters = [
            P::Ns(rows.iter().map(|(row, _)| row.id.cast_signed()).collect()),
            P::Ns(rows.iter().map(|(row, _)| row.at.millis()).collect()),
            texts(|row| Some(&row.kind)),
            texts(|row| row.reason.as_deref()),
            P::Os(rows.iter().map(|(row, _)| row.grant.map(u64::cast_signed)).collect()),
            texts(|row| row.client.as_deref()),
            texts(|row| row.subject.as_deref()),
            texts(|row| Some(&row.detail)),
            texts(|row| Some(&row.correlation)),
            P::Os(rows.iter().map(|(_, minute)| *minute).collect()),
            P::Cs(rows.iter().map(|(row, _)| row.link.as_ref().map(|link| link.0.as_slice())).collect()),
        ];
        line.done(TELL, &parameters).await.map(|_| ()).map_err(|error| Fault::of(&error))
    }

    /// Removes the oldest events that lie before `before`, at most `limit`, in order of position and without a gap.
    pub(super) async fn sweep(&mut self, line: &Line, before: Timestamp, limit: u32) -> Result<(), Fault> {
        const OLDEST: &str = "SELECT id, at, link FROM events ORDER BY id LIMIT $1";
        const REMOVE: &str = "DELETE FROM events WHERE id <= $1";
        let rows = line.rows(OLDEST, &[P::N(i64::from(limit))]).await.map_err(|error| Fault::of(&error))?;
        let mut last = None;
        for row in rows {
            let mut columns = Columns::of(&row);
            let (id, time, link) = (columns.u64(), columns.time(), Link(columns.array()));
            if time >= before {
                break;
            }
            last = Some(columns.whole((id, link))?);
        }
        let Some(last) = last else { return Ok(()) };
        line.done(REMOVE, &[n(last.0)]).await.map_err(|error| Fault::of(&error))?;
        self.claim.sealed.ends.removed = last;
        Ok(())
    }

    /// Tells resource servers: a later time replaces the row, at a new position.
    pub(super) async fn revoke(
        &mut self,
        line: &Line,
        revoked: &Revoked,
        time: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Fault> {
        const OLDER: &str = "DELETE FROM revocations WHERE sha256(about) = sha256($1) AND at < $2";
        const PUT: &str = "INSERT INTO revocations (position, about, at, expires_at, grant_number, jti, client, subject, scope, \
            resource, session, tag_key, online_only, issued_before, bulk, taken_back, but_session, among) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT DO NOTHING";
        let key = revoked.key();
        line.done(OLDER, &[P::B(&key), at(time)]).await.map_err(|error| Fault::of(&error))?;
        let (mut grant, mut jti, mut selector, mut bulk, mut taken_back) = (None, None, None, None, None);
        match revoked {
            Revoked::Grant(number) => grant = Some(number.cast_signed()),
            Revoked::Access(hash) => jti = Some(hash.as_slice()),
            Revoked::Matching(what) => selector = Some(what),
            Revoked::Bulk(number, what) => (bulk, selector) = (Some(number.cast_signed()), Some(what)),
            Revoked::TakenBack(number) => taken_back = Some(number.cast_signed()),
        }
        let part = |of: fn(&Selector) -> Option<&str>| P::U(selector.and_then(of));
        let among = selector.and_then(|selector| selector.among.as_ref()).map(Among::text);
        let parameters = [
            n(self.revocation + 1),
            P::B(&key),
            at(time),
            maybe(expires_at),
            P::O(grant),
            P::C(jti),
            part(|selector| selector.client.as_ref().map(ClientId::as_str)),
            part(|selector| selector.subject.as_deref()),
            part(|selector| selector.scope.as_deref()),
            part(|selector| selector.resource.as_deref()),
            P::C(selector.and_then(|selector| selector.session.as_ref()).map(<[u8; 32]>::as_slice)),
            P::O(selector.and_then(|selector| selector.tag_key).map(i64::from)),
            P::N(i64::from(selector.is_some_and(|selector| selector.online_only))),
            maybe(selector.and_then(|selector| selector.issued_before)),
            P::O(bulk),
            P::O(taken_back),
            P::C(selector.and_then(|selector| selector.but_session.as_ref()).map(<[u8; 32]>::as_slice)),
            P::U(among.as_deref()),
        ];
        self.revocation += line.done(PUT, &parameters).await.map_err(|error| Fault::of(&error))?;
        Ok(())
    }
}

/// Rows of revocations after a position, in order.
pub(super) async fn revocations(line: &Line, after: u64, limit: u32) -> Result<Vec<Revocation>, Fault> {
    const AFTER: &str = "SELECT position, at, expires_at, grant_number, jti, bulk, taken_back, client, subject, scope, resource, session, \
        tag_key, online_only, issued_before, but_session, among FROM revocations WHERE position > $1 ORDER BY position LIMIT $2";
    let parameters = [P::N(i64::try_from(after).unwrap_or(i64::MAX)), P::N(i64::from(limit))];
    let rows = line.rows(AFTER, &parameters).await.map_err(|error| Fault::of(&error))?;
    rows.iter().map(revocation).collect()
}

fn revocation(row: &tokio_postgres::Row) -> Result<Revocation, Fault> {
    let mut columns = Columns::of(row);
    let (position, time, expires_at) = (columns.u64(), columns.time(), columns.optional_time());
    let (grant, jti, bulk, taken_back) =
        (columns.optional_u64(), columns.hash(), columns.optional_u64(), columns.optional_u64());
    let client = columns.optional_text().and_then(|client| columns.sound(ClientId::parse(&client)));
    let selector = Selector {
        client,
        subject: columns.optional_text(),
        scope: columns.optional_text(),
        resource: columns.optional_text(),
        session: columns.hash(),
        tag_key: columns.optional_i64().and_then(|key| columns.sound(u8::try_from(key).ok())),
        online_only: columns.flag(),
        issued_before: columns.optional_time(),
        but_session: columns.hash(),
        among: among(&mut columns),
    };
    let revoked = match (grant, jti, taken_back, bulk) {
        (Some(number), _, _, _) => Revoked::Grant(number),
        (None, Some(jti), _, _) => Revoked::Access(jti),
        (None, None, Some(number), _) => Revoked::TakenBack(number),
        (None, None, None, Some(number)) => Revoked::Bulk(number, selector),
        (None, None, None, None) => Revoked::Matching(selector),
    };
    columns.whole(Revocation { position, revoked, at: time, expires_at })
}

/// What at most one event a minute is kept of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Once {
    minute: i64,
    kind: &'static str,
    reason: &'static str,
    grant: Option<u64>,
    /// Empty where there is a grant.
    subject: String,
}

impl Once {
    fn of(record: &EventRecord) -> Option<Self> {
        let event = &record.event;
        let grant = event.grant.map(|id| id.number);
        let subject = event.subject.clone().filter(|_| grant.is_none()).unwrap_or_default();
        let (kind, reason) = (event.kind.as_str(), event::reason(event.kind).unwrap_or_default());
        event::minute(record).map(|minute| Self { minute, kind, reason, grant, subject })
    }
}
