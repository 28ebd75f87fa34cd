//! Background tidying, in small bounded slices, on which nothing depends (law L5).
//!
//! One pass walks the grants in order of number. It erases ratchets whose retry rule has run out, removes grants that ended
//! long ago, and takes note of the seed keys that pending retries still need: the others are destroyed at its end (law L6).

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use regrant_core::client::Class;
use regrant_core::grant::Binding;
use regrant_core::{Client, Grant, Timestamp};
use regrant_store::{Answer, Cause, KeyKind, Outcome, Question, Record, Unavailable};

use crate::app::App;
use crate::chance;
use crate::keyring::KeyringError;

/// Rows of one slice.
const SLICE: u32 = 256;
/// Between two slices.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two passes.
const REST: Duration = Duration::from_secs(600);
/// How long the row of an ended grant is kept, so that an operator can still see why it ended: 90 days.
pub const TOMBSTONE: Duration = Duration::from_secs(90 * 86_400);
/// How long events are kept: 90 days.
pub const EVENTS: Duration = Duration::from_secs(90 * 86_400);

/// Runs for as long as the server does.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        if let Err(trouble) = pass(&app, PAUSE).await {
            tracing::warn!(%trouble, "the sweep was interrupted; nothing depends on it");
        }
        tokio::time::sleep(REST).await;
    }
}

/// What a pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Ratchets erased.
    pub ratchets: u64,
    /// Grants removed.
    pub grants: u64,
    /// Seed keys destroyed.
    pub seed_keys: u64,
}

/// One pass over everything. `pause` is slept between slices.
///
/// # Errors
/// [`Unavailable`] if the store failed; the next pass begins anew.
pub async fn pass(app: &App, pause: Duration) -> Result<Swept, Unavailable> {
    rotate_seed_key(app).await?;
    // Rows that change behind the walk use this key or a newer one.
    let floor = app.engine.keys().current_seed();
    let mut needed = BTreeSet::new();
    let (mut swept, mut after) = (Swept::default(), 0);
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: SLICE };
        let Answer::Grants(slice) = app.engine.ask(question).await? else { break };
        let Some(last) = slice.last() else { break };
        after = last.grant.id.number;
        let (keys, now) = (app.engine.keys(), app.engine.now());
        let intact = slice.into_iter().filter(|found| found.grant.is_intact(found.mac, &keys)).map(|found| found.grant);
        let mut records = Vec::new();
        for grant in intact {
            let client = app.client(grant.terms.client.as_str());
            match judge(&grant, client.as_deref(), now) {
                Verdict::Remove => {
                    swept.grants += 1;
                    records.push(Record::RemoveGrant { number: grant.id.number, expected: grant.version });
                }
                Verdict::EraseRatchet => {
                    swept.ratchets += 1;
                    let write_id = chance::entropy().write_id();
                    let row = Grant { ratchet: None, version: grant.version + 1, write_id, ..grant.clone() };
                    let mac = row.mac(&keys);
                    records.push(Record::Grant { expected: Some(grant.version), grant: row, mac, events: Vec::new() });
                }
                Verdict::Keep => {
                    if grant.ratchet.is_some() {
                        needed.insert(grant.seed_key);
                    }
                }
            }
        }
        if !records.is_empty() {
            // Somebody may have been first: the next pass looks again.
            app.engine.commit(records).await?;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    let events_before = app.engine.now().minus(EVENTS);
    app.engine.commit(vec![Record::Sweep { events_before, limit: SLICE * 16 }]).await?;
    swept.seed_keys = destroy_seed_keys(app, floor, &needed).await?;
    Ok(swept)
}

/// What becomes of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Keep,
    EraseRatchet,
    Remove,
}

fn judge(grant: &Grant, client: Option<&Client>, now: Timestamp) -> Verdict {
    let code_end = grant.terms.code.as_ref().map_or(Timestamp::EPOCH, |code| code.expires_at);
    let end = match (grant.ended, grant.redeemed_at) {
        (Some((at, _)), _) => at,
        (None, Some(_)) => grant.ends_at(),
        (None, None) => code_end,
    };
    if end.plus(TOMBSTONE).is_over(now) {
        return Verdict::Remove;
    }
    let Some(client) = client.filter(|_| grant.ratchet.is_some()) else { return Verdict::Keep };
    let is_key_bound = matches!(grant.terms.binding, Binding::Key(_));
    let is_plain = client.policy.class == Class::Public && !is_key_bound && grant.retry_proof.is_none();
    // The retry rule of a plain public client ends with its window; every rule ends with the grant.
    let window_is_over = is_plain && grant.rotated_at.plus(client.policy.retry_window).is_over(now);
    if window_is_over || grant.is_over(now) { Verdict::EraseRatchet } else { Verdict::Keep }
}

/// A new seed key each day. It mints only after its row is durable.
async fn rotate_seed_key(app: &App) -> Result<(), Unavailable> {
    let now = app.engine.now();
    let next = {
        let keyring = app.keyring.lock().unwrap_or_else(PoisonError::into_inner);
        keyring.seed_key_is_due(now).then(|| keyring.next_seed_key(now))
    };
    let Some(Ok(next)) = next else { return Ok(()) };
    let outcomes = app.engine.commit(vec![next.record.clone()]).await?;
    if outcomes.first() != Some(&Outcome::Committed) {
        // The store has another key of this number, written by a commit whose answer was lost: ours would not outlive this
        // process, and what it derives would not be found again.
        let detail = "the store has another seed key of this number; it is used from the next start on".to_owned();
        return Err(Unavailable { cause: Cause::Unknown, detail });
    }
    let mut keyring = app.keyring.lock().unwrap_or_else(PoisonError::into_inner);
    keyring.adopt(next);
    replace(app, keyring.decision_keys());
    Ok(())
}

/// The rows go first: a key that is gone from the store and still in memory answers retries a little longer, which is fine; one
/// that is gone from memory and still in the store would come back at the next start, which is fine, too.
async fn destroy_seed_keys(app: &App, floor: u32, needed: &BTreeSet<u32>) -> Result<u64, Unavailable> {
    let (gone, keys) = {
        let mut keyring = app.keyring.lock().unwrap_or_else(PoisonError::into_inner);
        (keyring.forget_seed_keys(floor, needed), keyring.decision_keys())
    };
    if gone.is_empty() {
        return Ok(0);
    }
    app.engine.commit(gone.iter().map(|id| Record::DropKey { kind: KeyKind::Seed, id: *id }).collect()).await?;
    replace(app, keys);
    Ok(gone.len() as u64)
}

fn replace(app: &App, keys: Result<regrant_core::Keys, KeyringError>) {
    match keys {
        Ok(keys) => app.engine.replace_keys(keys),
        Err(error) => tracing::error!(%error, "the keys could not be rebuilt; the old ones stay in use"),
    }
}
