//! The steps of a key's life: next → current → verify → gone, and compromised (design section 3, security section 4.6).
//!
//! A step is planned as rows to write, made durable in one commit, and takes effect after it: a crash leaves the keys before it or
//! those after it, and nothing was ever minted under a key that is not durable.
//!
//! | step         | what becomes of the keys                                                                     |
//! |--------------|----------------------------------------------------------------------------------------------|
//! | `Replace`    | a new key is current at once; the one before it verifies                                     |
//! | `Announce`   | a new signing key is `next`: published, and signs nothing                                    |
//! | `Promote`    | `next` is current; the one before it verifies                                                |
//! | `Withdraw`   | a current signing key that no client uses any more verifies                                  |
//! | `End`        | gone: the bytes are destroyed, the row stays                                                 |
//! | `Compromise` | what it made is dead at once, or (tag) proves less; a new key is current if it was           |
//! | `Outlive`    | something that it makes may now live longer than was known                                   |

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_jose::{Algorithm, SigningKey};
use regrant_store::{KeyChange, KeyKind, KeyRecord};

use super::schedule::Lifetimes;
use super::{Keyring, KeyringError, algorithm_of};
use crate::chance;

/// The highest id of a kind whose id is one byte of its tokens.
pub const LAST_ID: u32 = 255;
/// From this id on an operator is told with every rotation that ids run out.
pub const ALARM_AT: u32 = 200;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new current key; `algorithm` for signing keys.
    Replace {
        /// Of which kind.
        kind: KeyKind,
        /// Of which algorithm.
        algorithm: Option<Algorithm>,
    },
    /// A new signing key, published ahead.
    Announce {
        /// Of which algorithm.
        algorithm: Algorithm,
    },
    /// The published signing key takes over.
    Promote {
        /// Which.
        id: u32,
    },
    /// A signing key that nobody needs stops to sign.
    Withdraw {
        /// Which.
        id: u32,
    },
    /// Destroys a key.
    End {
        /// Of which kind.
        kind: KeyKind,
        /// Which.
        id: u32,
    },
    /// A key is known to others.
    Compromise {
        /// Of which kind.
        kind: KeyKind,
        /// Which.
        id: u32,
    },
    /// Something that a current key makes may live this long.
    Outlive {
        /// Of which kind.
        kind: KeyKind,
        /// Which.
        id: u32,
        /// In seconds.
        seconds: u64,
    },
}

/// A step as rows to write, and in words.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) changes: Vec<KeyChange>,
    /// For the operator; empty for what nobody wants to hear.
    pub(crate) note: String,
    /// The kind that runs out of ids.
    pub(crate) runs_out: Option<KeyKind>,
}

impl Planned {
    pub(crate) fn rows(&self) -> Vec<KeyRecord> {
        self.changes.iter().map(|change| change.key.clone()).collect()
    }
}

impl Keyring {
    /// The algorithm for which a step needs a new signing key. It is made before [`Keyring::plan`]: for RSA that takes a while.
    pub(crate) fn pair_needed(&self, step: &Step) -> Option<Algorithm> {
        match step {
            Step::Announce { algorithm } | Step::Replace { algorithm: Some(algorithm), .. } => Some(*algorithm),
            Step::Compromise { kind: KeyKind::Signing, id } => {
                let row = self.rows.get(&(KeyKind::Signing, *id)).filter(|row| row.status == KeyStatus::Current)?;
                algorithm_of(row).ok()
            }
            _ => None,
        }
    }

    /// The rows of a step. `made` is the new signing key, if it needs one.
    ///
    /// # Errors
    /// [`KeyringError`]; nothing has happened.
    pub(crate) fn plan(
        &self,
        step: &Step,
        made: Option<&SigningKey>,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<Planned, KeyringError> {
        let mut changes = Vec::new();
        let mut runs_out = None;
        let note = match *step {
            Step::Replace { kind, algorithm } => {
                let id = self.free_id(kind, LAST_ID - 1)?;
                runs_out = runs_out_at(kind, id);
                let new = self.current(kind, id, made, lifetimes, now)?;
                changes.extend(self.superseded(kind, &new.algorithm, now));
                changes.push(KeyChange { expected: None, key: new });
                match algorithm {
                    Some(algorithm) => format!("{kind} key {id} ({algorithm}) made; it is in use at once"),
                    None => format!("{kind} key {id} made; it is in use at once"),
                }
            }
            Step::Announce { algorithm } => {
                let id = self.free_id(KeyKind::Signing, LAST_ID - 1)?;
                let key = KeyRecord {
                    status: KeyStatus::Next,
                    current_at: None,
                    outlived_by: 0,
                    ..self.current(KeyKind::Signing, id, made, lifetimes, now)?
                };
                changes.push(KeyChange { expected: None, key });
                format!("signing key {id} ({algorithm}) made and published; it does not sign yet")
            }
            Step::Promote { id } => {
                let row = self.row(KeyKind::Signing, id)?;
                changes.extend(self.superseded(row.kind, &row.algorithm, now));
                let mut promoted = became(row, KeyStatus::Current, now);
                promoted.key.outlived_by = lifetimes.of(row.kind, &row.algorithm);
                changes.push(promoted);
                format!("signing key {id} ({}) signs from now on", row.algorithm)
            }
            Step::Withdraw { id } => {
                let row = self.row(KeyKind::Signing, id)?;
                changes.push(became(row, KeyStatus::Verify, now));
                format!("signing key {id} ({}) signs no more: no client uses its algorithm", row.algorithm)
            }
            Step::End { kind, id } => {
                changes.push(became(self.row(kind, id)?, KeyStatus::Gone, now));
                format!("{kind} key {id} is gone")
            }
            Step::Compromise { kind, id } => {
                let row = self.row(kind, id)?;
                changes.push(became(row, KeyStatus::Compromised, now));
                let mut note = format!("{kind} key {id} is compromised");
                if row.status == KeyStatus::Current {
                    let fresh = self.free_id(kind, LAST_ID)?;
                    runs_out = runs_out_at(kind, fresh);
                    let new = self.current(kind, fresh, made, lifetimes, now)?;
                    changes.push(KeyChange { expected: None, key: new });
                    note.push_str(&format!("; {kind} key {fresh} is in use at once"));
                }
                note
            }
            Step::Outlive { kind, id, seconds } => {
                let row = self.row(kind, id)?;
                let key = KeyRecord { outlived_by: seconds, ..row.clone() };
                changes.push(KeyChange { expected: Some(row.status), key });
                String::new()
            }
        };
        Ok(Planned { changes, note, runs_out })
    }

    fn row(&self, kind: KeyKind, id: u32) -> Result<&KeyRecord, KeyringError> {
        self.rows.get(&(kind, id)).ok_or(KeyringError::Changed)
    }

    /// The id after the highest that there ever was. The last one is kept for an emergency.
    fn free_id(&self, kind: KeyKind, last: u32) -> Result<u32, KeyringError> {
        let highest = self.of_kind(kind).last().map_or(0, |row| row.id);
        match kind {
            KeyKind::Tag | KeyKind::Sealing if highest >= LAST_ID => Err(KeyringError::NoIdLeft(kind)),
            KeyKind::Tag | KeyKind::Sealing if highest >= last => Err(KeyringError::IdsUsedUp(kind)),
            _ => highest.checked_add(1).ok_or(KeyringError::NoIdLeft(kind)),
        }
    }

    /// The row of a new key that mints from now on.
    fn current(
        &self,
        kind: KeyKind,
        id: u32,
        made: Option<&SigningKey>,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyringError> {
        let (wrapped, algorithm) = match (kind, made) {
            (KeyKind::Seed, _) => {
                let key = zeroize::Zeroizing::new(chance::bytes::<32>());
                (Some(self.wrap.seal(kind, id, key.as_ref())?), String::new())
            }
            (KeyKind::Signing, Some(pair)) => {
                (Some(self.wrap.seal(kind, id, &pair.to_pkcs8())?), pair.algorithm().as_str().to_owned())
            }
            (KeyKind::Signing, None) => return Err(KeyringError::Crypto("no signing key was made".to_owned())),
            (KeyKind::Tag | KeyKind::Sealing, _) => (None, String::new()),
        };
        Ok(KeyRecord {
            kind,
            id,
            status: KeyStatus::Current,
            outlived_by: lifetimes.of(kind, &algorithm),
            algorithm,
            wrapped,
            created_at: now,
            current_at: Some(now),
            verify_at: None,
            gone_at: None,
        })
    }

    /// The current key of the kind and algorithm, which only verifies from now on.
    fn superseded(&self, kind: KeyKind, algorithm: &str, now: Timestamp) -> Option<KeyChange> {
        Some(became(self.current_of(kind, algorithm)?, KeyStatus::Verify, now))
    }

    /// The row of the key that mints.
    pub(crate) fn current_of(&self, kind: KeyKind, algorithm: &str) -> Option<&KeyRecord> {
        self.of_kind(kind).find(|row| row.status == KeyStatus::Current && row.algorithm == algorithm)
    }
}

/// The row in its next status. What is compromised or gone has no bytes.
fn became(row: &KeyRecord, status: KeyStatus, now: Timestamp) -> KeyChange {
    let mut key = KeyRecord { status, ..row.clone() };
    match status {
        KeyStatus::Next => {}
        KeyStatus::Current => key.current_at = Some(now),
        KeyStatus::Verify => key.verify_at = Some(now),
        KeyStatus::Compromised => key.verify_at = row.verify_at.or(Some(now)),
        KeyStatus::Gone => key.gone_at = Some(now),
    }
    if matches!(status, KeyStatus::Compromised | KeyStatus::Gone) {
        key.wrapped = None;
    }
    KeyChange { expected: Some(row.status), key }
}

fn runs_out_at(kind: KeyKind, id: u32) -> Option<KeyKind> {
    matches!(kind, KeyKind::Tag | KeyKind::Sealing).then_some(kind).filter(|_| id >= ALARM_AT)
}
