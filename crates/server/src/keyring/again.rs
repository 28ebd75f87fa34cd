//! After a restore: what was compromised is so again.

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_jose::SigningKey;
use regrant_store::{KeyChange, KeyKind, KeyRecord, Store};

use super::schedule::Lifetimes;
use super::step::Step;
use super::{Keyring, KeyringError};
use crate::revocations::Compromised;

/// What a key of the journal is to a copy.
enum Found {
    /// The copy has it, and believes it.
    Believed,
    /// The copy does not know of it, but whoever makes the next key under its id would make the same bytes.
    Unborn,
    /// It is dead, or cannot be made.
    Dead,
}

impl Keyring {
    /// How many of these the copy believes, or would make again.
    pub(crate) fn believed_again(&self, keys: &[Compromised]) -> u64 {
        keys.iter().filter(|key| !matches!(self.found(key), Found::Dead)).count() as u64
    }

    fn found(&self, key: &Compromised) -> Found {
        let is_derived = matches!(key.kind, KeyKind::Tag | KeyKind::Sealing);
        match self.rows.get(&(key.kind, key.id)) {
            Some(row) if matches!(row.status, KeyStatus::Compromised | KeyStatus::Gone) => Found::Dead,
            Some(row) if is_derived || row.created_at == key.created_at => Found::Believed,
            None if is_derived => Found::Unborn,
            Some(_) | None => Found::Dead,
        }
    }

    /// Ends them, each in one commit: those first under whose id another one would be made.
    ///
    /// # Errors
    /// [`KeyringError`]; begun again, it goes on.
    pub(crate) fn compromise_again(
        &mut self,
        store: &mut dyn Store,
        keys: &[Compromised],
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<u64, KeyringError> {
        let mut ended = 0;
        for key in keys {
            if let Found::Unborn = self.found(key) {
                let row = KeyRecord {
                    kind: key.kind,
                    id: key.id,
                    status: KeyStatus::Compromised,
                    algorithm: String::new(),
                    wrapped: None,
                    outlived_by: lifetimes.of(key.kind, ""),
                    created_at: key.created_at,
                    current_at: None,
                    verify_at: Some(now),
                    gone_at: None,
                };
                self.write(store, vec![KeyChange { expected: None, key: row }], now)?;
                ended += 1;
            }
        }
        for key in keys {
            if let Found::Believed = self.found(key) {
                let step = Step::Compromise { kind: key.kind, id: key.id };
                let made = self.pair_needed(&step).map(SigningKey::generate).transpose();
                let made = made.map_err(|error| KeyringError::Crypto(error.to_string()))?;
                let planned = self.plan(&step, made.as_ref(), lifetimes, now)?;
                self.write(store, planned.changes, now)?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}
