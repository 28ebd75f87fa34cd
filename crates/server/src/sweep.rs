//! Background tidying, in small bounded slices, on which nothing depends (law L5).
//!
//! One pass walks the grants in order of number. It erases ratchets whose retry rule has run out, removes grants that ended
//! long ago, writes wide revocations that nobody can take back any more into the rows that they cover, and takes note of what hangs on which key: seed keys that no pending retry needs are destroyed at its end (law L6), tag
//! keys when every grant that lived while they were current has ended (law L4).

mod reaped;
mod settled;

use std::sync::Arc;
use std::time::Duration;

use regrant_core::client::Class;
use regrant_core::grant::Binding;
use regrant_core::keys::KeyStatus;
use regrant_core::{Client, Grant, Timestamp};
use regrant_store::{Answer, KeyKind, KeyRecord, Loaded, Outcome, Question, Record};

use crate::app::App;
use crate::chance;
use crate::feed;
use crate::keyring::KeyringError;
use crate::keyring::schedule::GRACE;
use crate::keyring::step::Step;
use crate::keyring::usage::Usage;
use crate::rotation::{self, By};
use reaped::Used;
use settled::Settled;

/// Rows of one slice.
const SLICE: u32 = 256;
/// Between two slices.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two passes.
const REST: Duration = Duration::from_secs(600);
/// The most slices that the store is asked to bring into their places in one pass: more than it puts off. Where refreshes come without
/// a pause something is always put off, and brought into its place by the batches themselves.
const FOLDS: u32 = 512;
/// How long a seed key stays after it was the current one where nodes share a store: an hour. One that stood still for a while, or could
/// not ask, goes on under the key that it knows, until its next look.
const SEEDS_KEPT: Duration = Duration::from_secs(3600);
/// How long the row of a code is kept that nobody redeemed: an hour. Codes are made for the asking, and tell nobody anything.
pub const UNREDEEMED: Duration = Duration::from_secs(3600);

/// Runs for as long as the server does.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        if let Err(trouble) = pass(&app, PAUSE).await {
            app.metrics.swept(None);
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
    /// Grants into whose rows a wide revocation was written.
    pub ended: u64,
    /// Wide revocations that are written into all rows, and forgotten.
    pub epochs: u64,
    /// Seed keys destroyed.
    pub seed_keys: u64,
    /// Tag keys gone.
    pub tag_keys: u64,
    /// Registered clients removed, for nobody used them.
    pub clients: u64,
}

/// One pass over everything. `pause` is slept between slices.
///
/// # Errors
/// [`KeyringError`] if the store failed; the next pass begins anew.
pub async fn pass(app: &Arc<App>, pause: Duration) -> Result<Swept, KeyringError> {
    rotation::tend(app).await?;
    // Rows that change behind the walk use these keys or newer ones.
    let floor = app.engine.keys().current_seed();
    let (mut usage, old_tags) = {
        let keyring = app.keyring.lock().await;
        let old_tags: Vec<u32> = keyring.of_kind(KeyKind::Tag).filter(|row| is_old(row)).map(|row| row.id).collect();
        (Usage::begin(keyring.rows().values()), old_tags)
    };
    let mut settled = Settled::begin(app).await?;
    let kept = app.settings().config.events.clone();
    let (mut swept, mut after) = (Swept::default(), 0);
    let mut used = Used::begin(app);
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: SLICE };
        let Answer::Grants(slice) = app.engine.ask(question).await? else { break };
        let Some(last) = slice.last() else { break };
        after = last.grant.id.number;
        let (keys, now) = (app.engine.keys(), app.engine.now());
        let intact = slice.into_iter().filter(|found| found.grant.is_intact(found.mac, &keys));
        let mut records = Vec::new();
        for Loaded { grant, covered, .. } in intact {
            used.note(&grant, covered.is_some(), now);
            if let Some(ended) = covered.and_then(|_| settled.ends(&grant)) {
                swept.ended += 1;
                let mac = ended.mac(&keys);
                records.push(Record::Grant { expected: Some(grant.version), grant: ended, mac, events: Vec::new() });
                continue;
            }
            let client = app.client(grant.terms.client.as_str());
            match judge(&grant, client.as_deref(), kept.tombstones_kept, now) {
                Verdict::Remove => {
                    swept.grants += 1;
                    records.push(Record::RemoveGrant { number: grant.id.number, expected: grant.version });
                }
                Verdict::EraseRatchet => {
                    swept.ratchets += 1;
                    let write_id = chance::entropy().write_id();
                    let row = Grant { ratchet: None, version: grant.version + 1, write_id, ..grant.clone() };
                    let mac = row.mac(&keys);
                    usage.note(&row, now);
                    records.push(Record::Grant { expected: Some(grant.version), grant: row, mac, events: Vec::new() });
                }
                Verdict::Keep => usage.note(&grant, now),
            }
        }
        if !records.is_empty() {
            // Somebody may have been first: the next pass looks again.
            let outcomes = app.engine.commit(records).await?;
            settled.is_complete &= !outcomes.contains(&Outcome::Stale);
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    let events_before = app.engine.now().minus(kept.kept);
    let sweep = Record::Sweep { events_before, limit: SLICE * 16 };
    // What no access token can be concerned by, and a little longer for the clocks of resource servers.
    let before = app.engine.now().minus(feed::window(app) + GRACE);
    app.engine.commit(vec![sweep, Record::ForgetRevocations { before, limit: SLICE * 16 }]).await?;
    swept.epochs = settled.forget(app).await?;
    swept.clients = reaped::reap(app, &used).await?;
    // An erased ratchet is gone from the file when the store has brought everything into its place.
    for _ in 0..FOLDS {
        if app.engine.commit(vec![Record::Fold]).await? != [Outcome::Committed] {
            break;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    (swept.tag_keys, swept.seed_keys) = end_unused(app, floor, &usage, &old_tags).await?;
    app.metrics.swept(Some(&swept));
    Ok(swept)
}

/// What becomes of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Keep,
    EraseRatchet,
    Remove,
}

fn judge(grant: &Grant, client: Option<&Client>, tombstone: Duration, now: Timestamp) -> Verdict {
    let code_end = grant.terms.code.as_ref().map_or(Timestamp::EPOCH, |code| code.expires_at);
    let (end, kept) = match (grant.ended, grant.redeemed_at) {
        (Some((at, _)), _) => (at, tombstone),
        (None, Some(_)) => (grant.ends_at(), tombstone),
        (None, None) => (code_end, UNREDEEMED),
    };
    if end.plus(kept).is_over(now) {
        return Verdict::Remove;
    }
    let Some(client) = client.filter(|_| grant.ratchet.is_some()) else { return Verdict::Keep };
    let is_key_bound = matches!(grant.terms.binding, Binding::Key(_));
    let is_plain = client.policy.class == Class::Public && !is_key_bound && grant.retry_proof.is_none();
    // The retry rule of a plain public client ends with its window; every rule ends with the grant.
    let window_is_over = is_plain && grant.rotated_at.plus(client.policy.retry_window).is_over(now);
    if window_is_over || grant.is_over(now) { Verdict::EraseRatchet } else { Verdict::Keep }
}

/// Tag keys on which no living grant hangs any more, and seed keys that no pending retry needs.
async fn end_unused(app: &App, floor: u32, usage: &Usage, old_tags: &[u32]) -> Result<(u64, u64), KeyringError> {
    let mut keyring = app.keyring.lock().await;
    let kept = if app.is_shared() { SEEDS_KEPT } else { Duration::ZERO };
    let now = app.engine.now();
    let is_late = |row: &&KeyRecord| row.verify_at.is_none_or(|since| since.plus(kept).is_over(now));
    let seeds = keyring.of_kind(KeyKind::Seed).filter(|row| row.status == KeyStatus::Verify && row.id < floor);
    let seeds = seeds.filter(is_late);
    let unused_seeds: Vec<u32> = seeds.map(|row| row.id).filter(|id| usage.of(KeyKind::Seed, *id) == 0).collect();
    // One that became old behind the walk is for the next one.
    let unused_tags = old_tags.iter().copied().filter(|id| usage.of(KeyKind::Tag, *id) == 0);
    let still_old = |id: &u32| keyring.rows().get(&(KeyKind::Tag, *id)).is_some_and(is_old);
    let unused_tags: Vec<u32> = unused_tags.filter(still_old).collect();
    let lifetimes = app.settings().lifetimes();
    let ended = (unused_tags.len() as u64, unused_seeds.len() as u64);
    let ids = unused_tags.into_iter().map(|id| (KeyKind::Tag, id));
    for (kind, id) in ids.chain(unused_seeds.into_iter().map(|id| (KeyKind::Seed, id))) {
        let note = rotation::carry_out(app, &mut keyring, &Step::End { kind, id }, &lifetimes, By::Schedule).await?;
        tracing::info!(step = %note, "nothing hangs on this key any more");
    }
    Ok(ended)
}

const fn is_old(row: &KeyRecord) -> bool {
    matches!(row.status, KeyStatus::Verify | KeyStatus::Compromised)
}
