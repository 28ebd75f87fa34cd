//! What operators do with keys: see where each stands, replace one, and what to do when one is known to others (security section
//! 4.6). A running server applies all of it at once.

use regrant_core::Timestamp;
use regrant_core::keys::KeyStatus;
use regrant_jose::Algorithm;
use regrant_store::{KeyKind, KeyRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, rfc3339};
use crate::keyring::schedule::verifies_until;
use crate::keyring::step::Step;
use crate::keyring::usage;
use crate::keyring::{Keyring, KeyringError};
use crate::rotation::{self, By};

/// A key, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// `tag`, `seed`, `sealing` or `signing`.
    pub kind: String,
    /// Its number within the kind.
    pub id: u32,
    /// The name of a signing key in tokens and key set, while it is there.
    pub kid: Option<String>,
    /// Of a signing key.
    pub algorithm: Option<String>,
    /// `next`, `current`, `verify`, `compromised` or `gone`.
    pub status: String,
    /// RFC 3339: since when it has this status.
    pub since: String,
    /// What happens to it next: `successor is published`, `takes over`, `is replaced`, `stops to sign`, `is gone`.
    pub next_step: Option<String>,
    /// RFC 3339: when, at the earliest; `None` where it goes when nothing hangs on it any more.
    pub next_step_at: Option<String>,
    /// Living grants that hang on a tag key; pending retries that need a seed key.
    pub grants: Option<u64>,
}

/// When a rotation takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeyTurn {
    /// A signing key is published first; the other kinds take effect at once.
    Announced,
    /// At once, also where resource servers do not know the key yet.
    AtOnce,
}

/// What was done with a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyDone {
    /// In one sentence.
    pub done: String,
    /// Who may stumble over it, and what it costs.
    pub notes: Vec<String>,
}

impl Admin {
    /// All keys, those that are gone included, with what hangs on them: a walk over all grants.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn keys(&self) -> Result<Vec<KeyView>, AdminError> {
        let usage = usage::count(&self.app).await?;
        let keyring = self.app.keyring.lock().await;
        Ok(keyring
            .rows()
            .values()
            .map(|row| {
                let counted = match (row.kind, row.status) {
                    (_, KeyStatus::Gone | KeyStatus::Next) => None,
                    (KeyKind::Tag | KeyKind::Seed, _) => Some(usage.of(row.kind, row.id)),
                    (KeyKind::Sealing | KeyKind::Signing, _) => None,
                };
                self.view(&keyring, row, counted)
            })
            .collect())
    }

    fn view(&self, keyring: &Keyring, row: &KeyRecord, grants: Option<u64>) -> KeyView {
        let settings = self.app.settings();
        let next = keyring.next_step(row, &settings.config.keys, &settings.lifetimes());
        let waits = matches!(row.status, KeyStatus::Verify | KeyStatus::Compromised) && grants.is_some();
        let next_step = match next {
            Some((_, Step::Announce { .. })) => Some("successor is published"),
            Some((_, Step::Promote { .. })) => Some("takes over"),
            Some((_, Step::Replace { .. })) => Some("is replaced"),
            Some((_, Step::Withdraw { .. })) => Some("stops to sign"),
            Some((_, Step::End { .. })) => Some("is gone"),
            Some((_, Step::Compromise { .. } | Step::Outlive { .. })) => None,
            None => waits.then_some("is gone"),
        };
        KeyView {
            kind: row.kind.to_string(),
            id: row.id,
            kid: keyring.kid(row.id).filter(|_| row.kind == KeyKind::Signing).map(str::to_owned),
            algorithm: Some(row.algorithm.clone()).filter(|algorithm| !algorithm.is_empty()),
            status: row.status.as_str().to_owned(),
            since: rfc3339(since(row)),
            next_step: next_step.map(str::to_owned),
            next_step_at: next.map(|(at, _)| rfc3339(at)),
            grants,
        }
    }

    /// Replaces the current key of a kind. Signing keys have an algorithm, ES256 unless said.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for an unknown kind or algorithm, [`AdminError::Exists`] if a successor is published already.
    pub async fn rotate_key(&self, kind: &str, algorithm: Option<&str>, turn: KeyTurn) -> Result<KeyDone, AdminError> {
        let kind = kind_of(kind)?;
        let mut keyring = self.app.keyring.lock().await;
        let algorithm = match (kind, algorithm) {
            (KeyKind::Signing, word) => Some(algorithm_of(word.unwrap_or("ES256"))?),
            (_, None) => None,
            (_, Some(_)) => return Err(AdminError::Invalid(format!("{kind} keys have no choice of algorithm"))),
        };
        let Some(algorithm) = algorithm else {
            let done = self.step(&mut keyring, Step::Replace { kind, algorithm: None }).await?;
            return Ok(KeyDone { done, notes: vec![costs_of_replacing(kind).to_owned()] });
        };
        let waiting = keyring
            .of_kind(kind)
            .find(|row| row.status == KeyStatus::Next && row.algorithm == algorithm.as_str())
            .map(|row| row.id);
        match (turn, waiting) {
            (KeyTurn::Announced, Some(id)) => Err(AdminError::Exists(format!(
                "signing key {id} ({algorithm}) is published already and takes over in its time; --now lets it do so at once"
            ))),
            (KeyTurn::Announced, None) => {
                let done = self.step(&mut keyring, Step::Announce { algorithm }).await?;
                let ahead = self.app.settings().config.keys.signing_publish_ahead;
                let ahead = crate::config::duration::write(ahead);
                Ok(KeyDone { done, notes: vec![format!("it takes over in {ahead}, when every API can know it")] })
            }
            (KeyTurn::AtOnce, waiting) => {
                let step = match waiting {
                    Some(id) => Step::Promote { id },
                    None => Step::Replace { kind, algorithm: Some(algorithm) },
                };
                let done = self.step(&mut keyring, step).await?;
                Ok(KeyDone { done, notes: vec![UNKNOWN_KID.to_owned()] })
            }
        }
    }

    /// A key is known to others. `id` is its number or, for signing keys, its `kid`.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::Invalid`] if it is gone or compromised already.
    pub async fn compromise_key(&self, kind: &str, id: &str) -> Result<KeyDone, AdminError> {
        let mut keyring = self.app.keyring.lock().await;
        let row = find(&keyring, kind, id)?;
        let (kind, id) = (row.kind, row.id);
        if matches!(row.status, KeyStatus::Compromised | KeyStatus::Gone) {
            return Err(AdminError::Invalid(format!("{kind} key {id} is {} already", row.status.as_str())));
        }
        let done = self.step(&mut keyring, Step::Compromise { kind, id }).await?;
        let mut notes: Vec<String> = costs_of_compromise(kind).iter().map(|&note| note.to_owned()).collect();
        let next = keyring.of_kind(kind).find(|row| row.status == KeyStatus::Next).map(|row| row.id);
        if let Some(next) = next {
            notes.push(format!(
                "signing key {next} is published and lay beside this one: if it is known to others too, say `regrant keys \
                 compromise signing {next}`"
            ));
        }
        Ok(KeyDone { done, notes })
    }

    /// Destroys a key on which nothing hangs any more, before the schedule does.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::Invalid`] with what still hangs on it.
    pub async fn retire_key(&self, kind: &str, id: &str) -> Result<KeyDone, AdminError> {
        let before = find(&*self.app.keyring.lock().await, kind, id)?.clone();
        let usage = usage::count(&self.app).await?;
        let mut keyring = self.app.keyring.lock().await;
        let row = find(&keyring, kind, id)?;
        // What it minted while the grants were counted was not counted.
        if *row != before {
            return Err(KeyringError::Changed.into());
        }
        let (kind, id, now) = (row.kind, row.id, self.app.engine.now());
        let invalid = |why: String| Err(AdminError::Invalid(format!("{kind} key {id} {why}")));
        match row.status {
            KeyStatus::Gone => return invalid("is gone already".to_owned()),
            KeyStatus::Current => {
                return invalid(format!("is in use\n  remedy: first `regrant keys rotate {kind}`"));
            }
            KeyStatus::Next | KeyStatus::Verify | KeyStatus::Compromised => {}
        }
        // What a compromised key of another kind made is dead already.
        let hang = match (kind, row.status) {
            (KeyKind::Tag, _) | (KeyKind::Seed, KeyStatus::Verify) => usage.of(kind, id),
            _ => 0,
        };
        if hang > 0 {
            let what = match kind {
                KeyKind::Tag => "living grants hang on it: without it their spent tokens would no longer be recognised",
                _ => "pending retries need it: without it their clients would be logged out",
            };
            return invalid(format!(
                "cannot go: {hang} {what}\n  remedy: wait; it goes by itself when they have ended"
            ));
        }
        let until = verifies_until(row).filter(|until| {
            let made_tokens = matches!(kind, KeyKind::Signing | KeyKind::Sealing) && row.status == KeyStatus::Verify;
            made_tokens && !until.is_over(now)
        });
        if let Some(until) = until {
            return invalid(format!(
                "cannot go before {}: access tokens that it made may live until then\n  remedy: wait; it goes by itself. If it is \
                 known to others: `regrant keys compromise {kind} {id}`",
                rfc3339(until)
            ));
        }
        let done = self.step(&mut keyring, Step::End { kind, id }).await?;
        Ok(KeyDone { done, notes: Vec::new() })
    }

    async fn step(&self, keyring: &mut Keyring, step: Step) -> Result<String, AdminError> {
        let lifetimes = self.app.settings().lifetimes();
        let note = rotation::carry_out(&self.app, keyring, &step, &lifetimes, By::Operator(&self.acting)).await?;
        tracing::warn!(step = %note, "key step by an operator");
        Ok(note)
    }
}

const UNKNOWN_KID: &str = "APIs that hold the old key set and do not ask again when they meet an unknown kid refuse new access tokens \
                           until their copy ends, usually within five minutes";

const fn costs_of_replacing(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Tag => "nobody notices; the old key goes when every grant that lived while it was in use has ended",
        KeyKind::Seed => "nobody notices; the old key goes when no pending retry needs it",
        KeyKind::Sealing => "nobody notices; the old key goes when the last token under it has ended",
        KeyKind::Signing => UNKNOWN_KID,
    }
}

const fn costs_of_compromise(kind: KeyKind) -> &'static [&'static str] {
    match kind {
        KeyKind::Tag => &[
            "nobody is logged out: live refresh tokens work on, and get a tag of the new key at their next refresh",
            "a spent token under this key is refused and ends nothing from now on: a theft that shows by one is told as an event only",
        ],
        KeyKind::Seed => &[
            "clients whose last answer was lost on its way, and was computed with this key, must log in again",
            "nobody else notices",
        ],
        KeyKind::Sealing => &["opaque access tokens under this key are dead: their clients refresh, and go on"],
        KeyKind::Signing => &[
            "the key is out of the key set, and introspection and userinfo refuse what it signed: clients refresh, and go on",
            "APIs that verify by themselves take its tokens until their copy of the key set ends, usually within five minutes: tell \
             them if it is urgent",
            UNKNOWN_KID,
        ],
    }
}

fn since(row: &KeyRecord) -> Timestamp {
    let of_status = match row.status {
        KeyStatus::Next => None,
        KeyStatus::Current => row.current_at,
        KeyStatus::Verify | KeyStatus::Compromised => row.verify_at,
        KeyStatus::Gone => row.gone_at,
    };
    of_status.unwrap_or(row.created_at)
}

fn kind_of(word: &str) -> Result<KeyKind, AdminError> {
    let names = KeyKind::ALL.map(KeyKind::as_str).join(", ");
    KeyKind::parse(word).ok_or_else(|| AdminError::Invalid(format!("{word:?} is no kind of key: there are {names}")))
}

fn algorithm_of(word: &str) -> Result<Algorithm, AdminError> {
    let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
    word.parse().map_err(|_| AdminError::Invalid(format!("{word:?} is no algorithm: there are {names}")))
}

fn find<'a>(keyring: &'a Keyring, kind: &str, id: &str) -> Result<&'a KeyRecord, AdminError> {
    let kind = kind_of(kind)?;
    let is_it = |row: &&KeyRecord| {
        row.id.to_string() == id || (kind == KeyKind::Signing && keyring.kid(row.id).is_some_and(|kid| kid == id))
    };
    keyring.of_kind(kind).find(is_it).ok_or_else(|| {
        AdminError::NotFound(format!(
            "there is no {kind} key {id}\n  remedy: `regrant keys list --all` shows all of them"
        ))
    })
}
