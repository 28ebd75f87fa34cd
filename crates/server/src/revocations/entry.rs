//! One entry of the journal: what was revoked, when, and until when that matters.

use regrant_core::grant::EndReason;
use regrant_core::{Epoch, EventKind, Grant, GrantId, Timestamp};
use regrant_store::Record;

use super::{Bulk, Compromised, HEAD, NEVER, State, bulk};
use crate::session::LOGIN_LIFETIME;

/// A revocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When it was revoked; of bulk revocations, the time of the commit.
    pub at: Timestamp,
    /// When nothing that it ended could live any more.
    pub over_at: Timestamp,
    /// What.
    pub what: Revoked,
}

/// What was revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Revoked {
    /// A grant, and why.
    Grant(GrantId, EndReason),
    /// An access token, by the SHA-256 of its `jti`.
    AccessToken([u8; 32]),
    /// All grants that were selected.
    Bulk(Bulk),
    /// Nothing: that bulk revocation was taken back.
    TakenBack(Bulk),
    /// No grant: what a user, client, consent or browser session was from then on.
    State(State),
    /// Nothing: a recovery opened this era. The copy that is restored next does not know of it.
    Era(u16),
    /// All that this key made.
    Key(Compromised),
    /// Something of a newer program.
    Other(u8, Vec<u8>),
}

impl Entry {
    /// What a committed record revokes, if it does. One arm for each kind of record that ends something, or takes that back; `epochs`
    /// are those that were taken back.
    pub(super) fn of(record: &Record, now: Timestamp, epochs: &[Epoch]) -> Option<Self> {
        match record.bare() {
            Record::Grant { grant, events, .. } => {
                let is_told = events.iter().any(|event| matches!(event.event.kind, EventKind::GrantEnded(_)));
                Self::of_ended(grant).filter(|_| is_told)
            }
            Record::DenyAccess { jti, expires_at } => {
                Some(Self { at: now, over_at: *expires_at, what: Revoked::AccessToken(*jti) })
            }
            Record::Epoch { epoch, .. } => Some(Self::of_bulk(now, Revoked::Bulk(Bulk::of(epoch)))),
            Record::UndoEpoch { number, .. } => {
                let epoch = epochs.iter().find(|epoch| epoch.number == *number)?;
                Some(Self::of_bulk(now, Revoked::TakenBack(Bulk::of(epoch))))
            }
            Record::EndSession { .. } | Record::EndSessionsOf { .. } => {
                let what = Revoked::State(State::of(record.bare(), now)?);
                Some(Self { at: now, over_at: now.plus(LOGIN_LIFETIME), what })
            }
            // A copy may be older than any token.
            Record::Keys { .. } => Some(Self { at: now, over_at: NEVER, what: Revoked::Key(Compromised::of(record)?) }),
            _ => Some(Self::of_bulk(now, Revoked::State(State::of(record.bare(), now)?))),
        }
    }

    /// The end of a grant that has one.
    pub(crate) fn of_ended(grant: &Grant) -> Option<Self> {
        let (at, reason) = grant.ended?;
        Some(Self { at, over_at: grant.absolute_at, what: Revoked::Grant(grant.id, reason) })
    }

    /// The grant that it ends, and why.
    pub(crate) const fn ended(&self) -> Option<(GrantId, EndReason)> {
        match self.what {
            Revoked::Grant(id, reason) => Some((id, reason)),
            Revoked::AccessToken(_)
            | Revoked::Bulk(_)
            | Revoked::TakenBack(_)
            | Revoked::State(_)
            | Revoked::Era(_)
            | Revoked::Key(_)
            | Revoked::Other(..) => None,
        }
    }

    pub(super) fn grant(&self) -> Option<u64> {
        self.ended().map(|(id, _)| id.number)
    }

    pub(super) fn of_bulk(now: Timestamp, what: Revoked) -> Self {
        Self { at: now, over_at: now.plus(bulk::LONGEST_LIFE), what }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let (kind, body) = match &self.what {
            Revoked::Grant(id, reason) => {
                let mut body = id.number.to_be_bytes().to_vec();
                body.extend_from_slice(&id.random.to_be_bytes());
                body.push(reason.code());
                (1, body)
            }
            Revoked::AccessToken(jti) => (2, jti.to_vec()),
            Revoked::Bulk(bulk) => (3, bulk.write()),
            Revoked::TakenBack(bulk) => (4, bulk.write()),
            Revoked::State(state) => (5, state.write()),
            Revoked::Era(era) => (6, era.to_be_bytes().to_vec()),
            Revoked::Key(key) => (7, key.write()),
            Revoked::Other(kind, body) => (*kind, body.clone()),
        };
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(&self.at.millis().to_be_bytes());
        bytes.extend_from_slice(&self.over_at.millis().to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads an entry without its MAC.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let number = |from: usize| Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
        let time = |from| Some(Timestamp::from_millis(number(from)?.cast_signed()));
        let (kind, body) = (*bytes.get(2)?, bytes.get(HEAD..)?);
        let what = match (kind, body.len()) {
            (1, 17) => {
                let id = GrantId { number: number(HEAD)?, random: number(HEAD + 8)? };
                // Whatever a newer program's reason was, it is revoked.
                Revoked::Grant(id, EndReason::from_code(*body.get(16)?).unwrap_or(EndReason::RevokedByOperator))
            }
            (2, 32) => Revoked::AccessToken(body.try_into().ok()?),
            (3 | 4, _) => match Bulk::read(body) {
                Some(bulk) if kind == 3 => Revoked::Bulk(bulk),
                Some(bulk) => Revoked::TakenBack(bulk),
                None => Revoked::Other(kind, body.to_vec()),
            },
            (5, _) => State::read(body).map_or_else(|| Revoked::Other(kind, body.to_vec()), Revoked::State),
            (6, 2) => Revoked::Era(u16::from_be_bytes(body.try_into().ok()?)),
            (7, _) => Compromised::read(body).map_or_else(|| Revoked::Other(kind, body.to_vec()), Revoked::Key),
            _ => Revoked::Other(kind, body.to_vec()),
        };
        Some(Self { at: time(3)?, over_at: time(11)?, what })
    }
}
