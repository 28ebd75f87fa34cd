//! Compromised keys in the revocation journal: a copy of before still has them, and would sign and believe with them.
//!
//! ```text
//! body  id 4 | made at 8 | kind, as a word
//! ```

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_store::{KeyKind, Record};

use super::{Entry, Revoked};

/// A key that was declared compromised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compromised {
    /// Of this kind.
    pub kind: KeyKind,
    /// Its id among them.
    pub id: u32,
    /// When it was made: after a restore another key may be made under the same id.
    pub created_at: Timestamp,
}

impl Compromised {
    /// What a record declares.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let Record::Keys { changes, .. } = record else { return None };
        let key = changes.iter().map(|change| &change.key).find(|key| key.status == KeyStatus::Compromised)?;
        Some(Self { kind: key.kind, id: key.id, created_at: key.created_at })
    }

    /// Each of them once: after a restore it may have been said again.
    pub(crate) fn all(entries: &[Entry]) -> Vec<Self> {
        let mut keys: Vec<Self> = Vec::new();
        for entry in entries {
            if let Revoked::Key(key) = &entry.what
                && !keys.contains(key)
            {
                keys.push(key.clone());
            }
        }
        keys
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        body.extend_from_slice(&self.created_at.millis().to_be_bytes());
        body.extend_from_slice(self.kind.as_str().as_bytes());
        body
    }

    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (id, rest) = body.split_first_chunk()?;
        let (at, kind) = rest.split_first_chunk()?;
        let kind = KeyKind::parse(std::str::from_utf8(kind).ok()?)?;
        let created_at = Timestamp::from_millis(i64::from_be_bytes(*at));
        Some(Self { kind, id: u32::from_be_bytes(*id), created_at })
    }
}
