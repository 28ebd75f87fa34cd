//! How many living grants hang on a key: what decides when a tag or seed key may go.
//!
//! Law L4: a spent token is recognised for ever, which needs the key of its tag. So a tag key may go only when every grant that
//! lived while it was current has ended. A seed key may go when no pending retry needs it (law L6).

use std::collections::BTreeMap;

use regrant_core::keys::KeyStatus;
use regrant_core::{Grant, Timestamp};
use regrant_store::{Answer, KeyKind, KeyRecord, Question, Unavailable};

use super::schedule::GRACE;
use crate::app::App;

/// Grants asked for at once.
const SLICE: u32 = 1024;

/// Counts, while a walk over all grants goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    tags: Vec<(u8, Option<Timestamp>)>,
    counts: BTreeMap<(KeyKind, u32), u64>,
}

impl Usage {
    /// For a walk that begins now: keys that stop to be current behind it are for the next one.
    pub(crate) fn begin<'a>(rows: impl IntoIterator<Item = &'a KeyRecord>) -> Self {
        let there = rows.into_iter().filter(|row| row.kind == KeyKind::Tag && row.status != KeyStatus::Gone);
        let tags = there.filter_map(|row| Some((u8::try_from(row.id).ok()?, row.verify_at))).collect();
        Self { tags, counts: BTreeMap::new() }
    }

    /// Notes an intact row.
    pub(crate) fn note(&mut self, grant: &Grant, now: Timestamp) {
        if grant.is_over(now) {
            return;
        }
        if grant.ratchet.is_some() {
            *self.counts.entry((KeyKind::Seed, grant.seed_key)).or_default() += 1;
        }
        for (id, stopped_at) in &self.tags {
            // A request that was under way when the key was replaced may have made its grant a moment later.
            let lived = stopped_at.is_none_or(|at| grant.terms.created_at < at.plus(GRACE));
            if lived || grant.tag_key == *id {
                *self.counts.entry((KeyKind::Tag, u32::from(*id))).or_default() += 1;
            }
        }
    }

    /// How many living grants hang on it.
    pub(crate) fn of(&self, kind: KeyKind, id: u32) -> u64 {
        self.counts.get(&(kind, id)).copied().unwrap_or(0)
    }
}

/// Walks over all grants, in slices: other requests go on between them.
pub(crate) async fn count(app: &App) -> Result<Usage, Unavailable> {
    let mut usage = Usage::begin(app.keyring.lock().await.rows().values());
    let mut after = 0;
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: SLICE };
        let Answer::Grants(slice) = app.engine.ask(question).await? else { return Ok(usage) };
        let Some(last) = slice.last() else { return Ok(usage) };
        after = last.grant.id.number;
        let (keys, now) = (app.engine.keys(), app.engine.now());
        for found in slice.iter().filter(|found| found.grant.is_intact(found.mac, &keys)) {
            usage.note(&found.grant, now);
        }
    }
}
